"""mysqlclient (MySQLdb): libmariadb from Python, text protocol only."""

import MySQLdb
from MySQLdb.constants import CLIENT
from MySQLdb.cursors import SSCursor

from drivers.dbapi import DbApi


class MySqlClient(DbApi):
    error_type = MySQLdb.Error

    def __init__(self, settings, *, account, database=None, tls=False):
        options = {"ssl": {"ca": settings.ca}} if tls else {"ssl_mode": "DISABLED"}
        super().__init__(
            MySQLdb.connect,
            host=settings.host,
            port=account.port,
            user=account.user,
            password=account.password,
            database=database or "",
            charset="utf8mb4",
            autocommit=True,
            local_infile=1,
            client_flag=CLIENT.MULTI_STATEMENTS,
            **options,
        )

    def stream(self, sql):
        return self.stream_from(self.connection.cursor(SSCursor), sql)

    def use(self, database):
        with self.refusals():
            self.connection.select_db(database)

    def ping(self):
        with self.refusals():
            self.connection.ping()

    def change_user(self, account, database):
        with self.refusals():
            self.connection.change_user(account.user, account.password, database)
