"""Runs every check against one PostgreSQL client: `postgres/matrix.py <client>`, the server in `TG_*`
(settings.py). It prints and exits as the matrix of MySQL beside it does; a further argument keeps only
the checks with that word in their names, and TG_TRACE=1 adds the traceback of a failure.
"""

import importlib
import sys
from pathlib import Path

# What both matrices share lies in the folder above.
sys.path.append(str(Path(__file__).parent.parent))

from adapter import Absent  # noqa: E402
from report import Report  # noqa: E402
from settings import Settings  # noqa: E402
from world import World  # noqa: E402

# Each client and where its adapter is: module of `drivers`, and name in it.
CLIENTS = {
    "psycopg": ("psycopg3", "Psycopg"),
    "psycopg2": ("psycopg2", "Psycopg2"),
    "asyncpg": ("asyncpg", "AsyncPg"),
    "node-postgres": ("peer", "NodePostgres"),
    "postgres.js": ("peer", "PostgresJs"),
    "tokio-postgres": ("peer", "TokioPostgres"),
    "sqlx": ("peer", "Sqlx"),
    "psql": ("psql", "Psql"),
}

# In the order in which a new adapter is best brought up.
CHECKS = "login statements transactions types prepared state bulk copying aside pools loss".split()


def main(client, only=None):
    module, name = CLIENTS[client]
    adapter = getattr(importlib.import_module(f"drivers.{module}_driver"), name)
    world = World(Settings.from_environment(), adapter)
    report = Report()
    for module in CHECKS:
        for check in importlib.import_module(f"checks.{module}").CHECKS:
            if only is None or only in check.__name__:
                with report.judging(check.__name__.replace("_", " ")), world:
                    if fault := adapter.faults.get(check.__name__):
                        raise Absent(fault)
                    check(world)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
