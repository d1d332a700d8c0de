"""psycopg2, over libpq: simple queries only, parameters become literals in the client."""

import io
import re
import select

import psycopg2

from adapter import Result, refused_as
from drivers.psycopg3_driver import code_of_login
from expect import PATIENCE_S
from session import Session, plain_rows


def refusals():
    return refused_as(psycopg2.Error, lambda error: (error.pgcode or code_of_login(str(error)), str(error)))


class Psycopg2(Session):
    cannot_carry = {
        "document": "it reads a document as a dict, which it cannot write",
        "documents": "it reads a document as a dict, which it cannot write",
    }

    def __init__(self, settings, *, account, database, tls=False):
        with refusals():
            self.connection = psycopg2.connect(
                host=settings.host,
                port=settings.port,
                user=account.user,
                password=account.password,
                dbname=database,
                sslmode="verify-full" if tls else "disable",
                sslrootcert=settings.ca if tls else None,
            )
            self.connection.autocommit = True

    def run(self, sql):
        return self.execute(sql, None)

    def bind(self, sql, *args):
        return self.execute(percent(sql), args)

    def execute(self, sql, args):
        with refusals(), self.connection.cursor() as cursor:
            cursor.execute(sql, args)
            if cursor.description is None:
                return Result(affected=cursor.rowcount)
            return Result(rows=plain_rows(cursor.fetchall()))

    def carry(self, select, insert, *, binary):
        if binary:
            return super().carry(select, insert, binary=binary)
        with refusals(), self.connection.cursor() as cursor:
            cursor.execute(select)
            cursor.execute(percent(insert), cursor.fetchone())

    def stream(self, sql):
        with refusals(), self.connection.cursor("streamed", withhold=True) as cursor:
            cursor.execute(sql)
            yield from cursor

    def copy_in(self, sql, data):
        with refusals(), self.connection.cursor() as cursor:
            cursor.copy_expert(sql, io.StringIO(data))

    def copy_out(self, sql):
        with refusals(), self.connection.cursor() as cursor:
            text = io.StringIO()
            cursor.copy_expert(sql, text)
            return text.getvalue()

    def notification(self):
        self.connection.poll()
        while not self.connection.notifies:
            if not select.select([self.connection], [], [], PATIENCE_S)[0]:
                raise TimeoutError("no notification came")
            self.connection.poll()
        notify = self.connection.notifies.pop(0)
        return notify.channel, notify.payload

    def many(self, sql, rows):
        with refusals(), self.connection.cursor() as cursor:
            cursor.executemany(percent(sql), rows)

    def cancel(self):
        self.connection.cancel()

    def close(self):
        self.connection.close()


def percent(sql):
    return re.sub(r"\$\d+", "%s", sql.replace("%", "%%"))
