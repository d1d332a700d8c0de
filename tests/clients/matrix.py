"""Runs every check against one client: `matrix.py <client>`, the server in `TG_*` (settings.py).

Prints a line for each check, `ok <name>`, `n/a <name>: why` where the client has no such feature, or
`FAIL <name>: why`, and exits with 1 if one failed. A further argument keeps only the checks with that
word in their names; TG_TRACE=1 adds the traceback of a failure.
"""

import importlib
import sys

from adapter import Absent
from report import Report
from settings import Settings
from world import World

# Each client and where its adapter is: module of `drivers`, and name in it.
CLIENTS = {
    "pymysql": ("pymysql", "PyMySql"),
    "mysqlclient": ("mysqlclient", "MySqlClient"),
    "connector-python": ("connector", "PureConnector"),
    "connector-python-c": ("connector", "Connector"),
    "mysql2": ("peer", "MySql2"),
    "mysql_async": ("peer", "MySqlAsync"),
    "sqlx": ("peer", "Sqlx"),
    "mariadb-cli": ("cli", "MariaDbCli"),
    "mysql-cli": ("cli", "MySqlCli"),
}

# In the order in which a new adapter is best brought up.
CHECKS = ["login", "statements", "transactions", "types", "prepared", "state", "bulk", "loss"]


def main(client, only=None):
    module, name = CLIENTS[client]
    adapter = getattr(importlib.import_module(f"drivers.{module}"), name)
    world = World(Settings.from_environment(), client, adapter)
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
