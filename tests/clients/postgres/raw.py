"""The drivers' own connections, out of the frameworks' pools: for what a framework leaves to its driver.

`WORLDS` has for each application what it calls itself and the sessions of a world, as matrix.py's adapters.
"""

import importlib

from drivers.asyncpg_driver import LOOP, AsyncPg
from drivers.psycopg2_driver import Psycopg2
from drivers.psycopg3_driver import Psycopg
from psycopg import RawCursor

# The checks of the matrix that are about it: module, and their names.
CHECKS = {
    "copying": ("copy_goes_in_and_out", "a_copy_of_no_table_is_refused"),
    "state": ("a_statement_timeout_of_the_client_ends_its_statement",),
    "aside": (
        "a_statement_is_cancelled_from_another_thread",
        "a_statement_is_cancelled_by_its_process",
        "a_notification_reaches_its_listeners",
    ),
}


def checks():
    for module, names in CHECKS.items():
        for name in names:
            yield getattr(importlib.import_module(f"checks.{module}"), name)


def over_sqlalchemy(settings):
    """A session over each driver, of an engine as the application makes it."""
    from sqlalchemy import URL, create_engine
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.util import greenlet_spawn

    def url(driver):
        account = settings.scram
        where = (account.user, account.password, settings.host, settings.port, settings.database)
        return URL.create(f"postgresql+{driver}", *where)

    class Pooled:
        """Takes the place of the adapter's own way to connect and to close."""

        def __init__(self, settings, *, account, database, tls=False):
            self.taken = self.engine.raw_connection()
            self.connection = self.taken.driver_connection
            self.prepare_for_checks()

        def prepare_for_checks(self):
            self.connection.autocommit = True

        def close(self):
            # What the check has set, and listens to, goes with it.
            self.taken.invalidate()
            self.taken.close()

    class OverPsycopg(Pooled, Psycopg):
        engine = create_engine(url("psycopg"))

        def prepare_for_checks(self):
            super().prepare_for_checks()
            self.connection.cursor_factory = RawCursor

    class OverPsycopg2(Pooled, Psycopg2):
        engine = create_engine(url("psycopg2"))

    class OverAsyncPg(Pooled, AsyncPg):
        engine = create_async_engine(url("asyncpg"))

        def __init__(self, settings, *, account, database, tls=False):
            self.taken = LOOP.run(self.engine.raw_connection())
            self.connection = self.taken.driver_connection

        def close(self):
            LOOP.run(greenlet_spawn(super().close))

    yield "sqlalchemy's psycopg", OverPsycopg
    yield "sqlalchemy's psycopg2", OverPsycopg2
    yield "sqlalchemy's asyncpg", OverAsyncPg


def over_django(_settings):
    """A session over a connection of Django's, whose settings are those of the application."""
    from django.db import connections

    class OverDjango(Psycopg):
        def __init__(self, settings, *, account, database, tls=False):
            self.framework = connections.create_connection("default")
            self.framework.ensure_connection()
            self.connection = self.framework.connection
            self.connection.cursor_factory = RawCursor

        def close(self):
            self.framework.close()

    yield "django's psycopg", OverDjango


WORLDS = {"sqlalchemy": over_sqlalchemy, "django": over_django}
