"""mysql-connector-python, with its own protocol code or over libmysqlclient."""

import mysql.connector
from _mysql_connector import MySQLInterfaceError

from adapter import Statement, refused_as
from drivers.dbapi import DbApi


SETS = {"many": "it reads a SET as a Python set, which it cannot bind"}


class Connector(DbApi):
    # The second, its C module's own, escapes from all results but the first.
    error_type = (mysql.connector.Error, MySQLInterfaceError)
    is_pure = False
    # The second is its own: without TLS it shows its password to nobody who asks for all of it.
    denied = (1045, 2061)
    cannot_carry = SETS | {
        "big_unsigned": "it binds a number over 2^63 as a negative one",
        "double_width": "it binds a DOUBLE with fewer digits than it read",
        "time_long": "it binds a TIME of days as another than it read",
        "time_negative": "it binds a negative TIME as another than it read",
        "time_fine": "it binds a TIME without its microseconds",
    }

    def __init__(self, settings, *, account, database=None, tls=False):
        super().__init__(
            mysql.connector.connect,
            host=settings.host,
            port=account.port,
            user=account.user,
            password=account.password,
            database=database,
            ssl_ca=settings.ca if tls else None,
            ssl_disabled=not tls,
            autocommit=True,
            allow_local_infile=True,
            use_pure=self.is_pure,
        )

    def refusals(self):
        return refused_as(self.error_type, lambda error: (error.errno, error.msg))

    def prepare(self, sql):
        cursor = self.connection.cursor(prepared=True)

        def run(*args):
            with self.refusals():
                cursor.execute(sql, args)
                return self.result(cursor)

        return Statement(run, cursor.close)

    def stream(self, sql):
        return self.stream_from(self.connection.cursor(buffered=False), sql)

    def use(self, database):
        with self.refusals():
            self.connection.cmd_init_db(database)

    def ping(self):
        with self.refusals():
            self.connection.ping()

    def change_user(self, account, database):
        with self.refusals():
            self.connection.cmd_change_user(account.user, account.password, database)

    def reset(self):
        with self.refusals():
            self.connection.cmd_reset_connection()


class PureConnector(Connector):
    is_pure = True
    denied = (1045,)
    cannot_carry = SETS | {
        "years": "it reads a YEAR of the binary protocol as a string",
        "time_negative": "it negates only the days of a negative time",
    }
