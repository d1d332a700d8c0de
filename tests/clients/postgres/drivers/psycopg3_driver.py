"""psycopg 3, over libpq."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
from psycopg import RawCursor
from psycopg_pool import ConnectionPool

from adapter import Refused, Result, Statement, refused_as
from expect import PATIENCE_S
from session import Session, plain_rows


def refusals():
    return refused_as(psycopg.Error, describe)


def describe(error):
    code = error.sqlstate or ""
    if not code:  # libpq keeps no code of a login that failed, only its words.
        code = code_of_login(str(error))
    return code, str(error)


def code_of_login(words):
    """The code of an error at login, by the server's words: libpq tells nothing else."""
    if "password authentication failed" in words:
        return "28P01"
    return "3D000" if "does not exist" in words else ""


class Psycopg(Session):
    cannot_carry = {
        "document": "it reads a document as a list or a dict, which it writes as an array or not at all",
        "documents": "as document",
    }

    def __init__(self, settings, *, account, database, tls=False):
        self.where = {
            "host": settings.host,
            "port": settings.port,
            "user": account.user,
            "password": account.password,
            "dbname": database,
            "sslmode": "verify-full" if tls else "disable",
            "sslrootcert": settings.ca if tls else None,
            "autocommit": True,
            "cursor_factory": RawCursor,
        }
        with refusals():
            self.connection = psycopg.connect(**self.where)

    def run(self, sql):
        with refusals():
            return self.result(self.connection.execute(sql))

    def run_all(self, sql):
        with refusals():
            cursor = self.connection.execute(sql)
            results = [self.result(cursor)]
            while cursor.nextset():
                results.append(self.result(cursor))
            return results

    def bind(self, sql, *args):
        with refusals():
            return self.result(self.connection.execute(sql, args))

    def prepare(self, sql):
        def run(*args):
            with refusals():
                return self.result(self.connection.execute(sql, args, prepare=True))

        return Statement(run=run, close=lambda: None)

    def carry(self, select, insert, *, binary):
        with refusals():
            row = self.connection.cursor(binary=binary).execute(select).fetchone()
            self.connection.execute(insert, row, binary=binary)

    def stream(self, sql):
        with refusals():
            yield from self.connection.cursor().stream(sql)

    def copy_in(self, sql, data):
        with refusals(), self.connection.cursor().copy(sql) as copy:
            copy.write(data)

    def copy_out(self, sql):
        with refusals(), self.connection.cursor().copy(sql) as copy:
            return b"".join(copy).decode()

    def notification(self):
        for notify in self.connection.notifies(timeout=PATIENCE_S, stop_after=1):
            return notify.channel, notify.payload
        raise TimeoutError("no notification came")

    def many(self, sql, rows):
        with refusals(), self.connection.cursor() as cursor:
            cursor.executemany(sql, rows)

    def pooled(self, size, tasks, *, at_once=True):
        def work(statements):
            with pool.connection() as connection:
                for sql in statements:
                    cursor = connection.execute(sql)
                return self.result(cursor)

        def reset(connection):
            # It resets nothing by itself. This is what asyncpg does; DISCARD ALL would take away statements
            # that the driver believes to be prepared.
            connection.execute("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL")

        usual = {"min_size": 1, "max_size": size, "timeout": PATIENCE_S, "open": True}
        pool = ConnectionPool(kwargs=self.where, reset=reset, **usual)
        with refusals(), pool, ThreadPoolExecutor(len(tasks) if at_once else 1) as threads:
            return list(threads.map(work, tasks))

    def pipeline(self, statements):
        answers, cursors, early = [], [], []
        try:
            with self.connection.pipeline():
                try:
                    for sql, args in statements:
                        cursors.append(self.connection.execute(sql, args))
                except psycopg.Error as error:
                    # It came while more was sent, and is told only once: not with its own statement.
                    early = [Refused(*describe(error))]
                answers = [self.outcome(cursor) for cursor in cursors] + early
        except psycopg.Error:
            pass  # The end of the block repeats an error that an answer has already told.
        return answers

    @staticmethod
    def outcome(cursor):
        try:
            return Result(rows=plain_rows(cursor.fetchall()))
        except psycopg.Error as error:
            # Without a code it says that there is nothing to fetch, or nothing was run.
            return Refused(*describe(error)) if error.sqlstate else Result(affected=cursor.rowcount)

    def cancel(self):
        self.connection.cancel_safe()

    @staticmethod
    def result(cursor):
        if cursor.description is None:
            return Result(affected=cursor.rowcount)
        return Result(rows=plain_rows(cursor.fetchall()))

    def close(self):
        self.connection.close()
