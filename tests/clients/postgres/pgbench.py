"""pgbench against the endpoint: its tables, then its transactions in every mode and with a connection
for each.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

from expect import expect  # noqa: E402
from report import Report  # noqa: E402
from settings import Settings  # noqa: E402

CLIENTS = 8
TRANSACTIONS = 100
RUNS = {
    "tpc-b, simple": ["--protocol=simple"],
    "tpc-b, extended": ["--protocol=extended"],
    "tpc-b, prepared": ["--protocol=prepared"],
    "select only, simple": ["--protocol=simple", "--select-only"],
    "select only, extended": ["--protocol=extended", "--select-only"],
    "select only, prepared": ["--protocol=prepared", "--select-only"],
    "a connection for each transaction": ["--connect", "--select-only"],
}


class PgBench:
    def __init__(self, settings):
        self.program = os.environ.get("TG_PGBENCH", "/usr/lib/postgresql/15/bin/pgbench")
        self.where = [
            f"--host={settings.host}",
            f"--port={settings.port}",
            f"--username={settings.scram.user}",
            settings.database,
        ]
        self.env = os.environ | {"PGPASSWORD": settings.scram.password, "PGSSLMODE": "disable"}

    def run(self, *options):
        """Runs it to its end and returns what it printed."""
        done = subprocess.run(
            [self.program, *options, *self.where],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        expect((done.returncode, "error" in done.stdout), (0, False))
        return done.stdout


def main():
    bench = PgBench(Settings.from_environment())
    report = Report()
    with report.judging("its tables are made"):
        bench.run("--initialize", "--scale=1", "--quiet")
    for name, options in RUNS.items():
        with report.judging(name):
            printed = bench.run(
                f"--client={CLIENTS}", "--jobs=2", f"--transactions={TRANSACTIONS}", "--no-vacuum", *options
            )
            wanted = CLIENTS * TRANSACTIONS
            expect(re.search(r"actually processed: (\d+)/(\d+)", printed).groups(), (str(wanted), str(wanted)))
    with report.judging("its tables are removed"):
        bench.run("--initialize", "--init-steps=d")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
