"""PyMySQL: pure Python, text protocol only."""

import pymysql
from pymysql.constants import CLIENT
from pymysql.cursors import SSCursor

from drivers.dbapi import DbApi


class PyMySql(DbApi):
    error_type = pymysql.Error
    cannot_carry = {"time_negative": "it writes negative times wrongly"}

    def __init__(self, settings, *, account, database=None, tls=False):
        super().__init__(
            pymysql.connect,
            host=settings.host,
            port=account.port,
            user=account.user,
            password=account.password,
            database=database,
            ssl={"ca": settings.ca} if tls else None,
            ssl_disabled=not tls,
            autocommit=True,
            local_infile=True,
            client_flag=CLIENT.MULTI_STATEMENTS,
        )

    def stream(self, sql):
        return self.stream_from(self.connection.cursor(SSCursor), sql)

    def use(self, database):
        with self.refusals():
            self.connection.select_db(database)

    def ping(self):
        with self.refusals():
            self.connection.ping(reconnect=False)
