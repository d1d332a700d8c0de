"""Runs the checks of an application."""

import importlib


def judge(report, name, *where):
    """Runs the checks of the application `name` in each of its variants."""
    application = importlib.import_module(f"apps.on_{name}")
    for variant, shop in application.shops(*where):
        for check in application.CHECKS:
            with report.judging(f"{variant}: {check.__name__.replace('_', ' ')}"):
                shop.run(shop.restock)
                shop.run(check, shop)
        shop.close()
