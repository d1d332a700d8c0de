"""sysbench against the endpoint: a table, then each workload with and without prepared statements."""

import subprocess
import sys

from drivers.mysqlclient import MySqlClient
from expect import expect
from report import Report
from settings import Settings
from world import World

WORKLOADS = ("oltp_point_select", "oltp_read_write")
THREADS = 8
ROWS = 1000
EVENTS = 1000
# With an error that is not in this list, sysbench gives up; these it retries, as the word is.
RETRIED = "1213,1020,1205"


class Sysbench:
    def __init__(self, settings, account, database):
        self.options = [
            "--db-driver=mysql",
            f"--mysql-host={settings.host}",
            f"--mysql-port={account.port}",
            f"--mysql-user={account.user}",
            f"--mysql-password={account.password}",
            f"--mysql-db={database}",
            f"--mysql-ignore-errors={RETRIED}",
            f"--table-size={ROWS}",
            f"--threads={THREADS}",
            f"--events={EVENTS}",
            "--time=0",
        ]

    def run(self, workload, command, *options):
        """Runs one command to its end and returns what it printed."""
        done = subprocess.run(
            ["sysbench", workload, *self.options, *options, command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        expect((done.returncode, "FATAL" in done.stdout), (0, False))
        return done.stdout


def main():
    settings = Settings.from_environment()
    world = World(settings, "sysbench", MySqlClient)
    world.make_databases()
    sysbench = Sysbench(settings, world.account, world.home)
    report = Report()
    with report.judging("a table is prepared"):
        sysbench.run(WORKLOADS[0], "prepare")
    for workload in WORKLOADS:
        for mode in ("auto", "disable"):
            with report.judging(f"{workload} runs with --db-ps-mode={mode}"):
                printed = sysbench.run(workload, "run", f"--db-ps-mode={mode}")
                expect(counted(printed, "total number of events"), EVENTS)
    with report.judging("the table is removed"):
        sysbench.run(WORKLOADS[0], "cleanup")
    return report.finish()


def counted(printed, what):
    """The number in sysbench's line `what: number`."""
    (line,) = [line for line in printed.splitlines() if line.strip().startswith(what)]
    return int(line.split(":")[1])


if __name__ == "__main__":
    sys.exit(main())
