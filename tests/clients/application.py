"""Runs a small real application against the endpoint: `application.py <name>`, as matrix.py does."""

import sys

from apps.dialect import MYSQL
from apps.judge import judge
from drivers.mysqlclient import MySqlClient
from report import Report
from settings import Settings
from world import World


def main(name):
    settings = Settings.from_environment()
    world = World(settings, name, MySqlClient)
    world.make_databases()
    report = Report()
    account = world.account
    judge(report, name, MYSQL, settings.host, account.port, account, world.home)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
