"""Runs a small real application against the endpoint: `application.py <name>`, as matrix.py does."""

import importlib
import sys

from drivers.mysqlclient import MySqlClient
from report import Report
from settings import Settings
from world import World

APPLICATIONS = ("sqlalchemy", "django")


def main(name):
    settings = Settings.from_environment()
    world = World(settings, name, MySqlClient)
    world.make_databases()
    application = importlib.import_module(f"apps.on_{name}")
    report = Report()
    for variant, shop in application.shops(settings, world.account, world.home):
        for check in application.CHECKS:
            with report.judging(f"{variant}: {check.__name__.replace('_', ' ')}"):
                shop.restock()
                check(shop)
        shop.close()
    return report.finish()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
