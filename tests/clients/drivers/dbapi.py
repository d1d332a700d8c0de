"""What the Python drivers share: PEP 249."""

from adapter import Result, Session, refused_as


class DbApi(Session):
    """A session over a PEP 249 connection.

    One cursor serves all statements: to make one, mysql-connector-python pings the server, and that
    would come between a statement and its ROW_COUNT().
    """

    error_type = None

    def __init__(self, connect, **options):
        with self.refusals():
            self.connection = connect(**options)
            self.cursor = self.connection.cursor()

    def refusals(self):
        return refused_as(self.error_type)

    def run(self, sql):
        return self.bind(sql)

    def bind(self, sql, *args):
        with self.refusals():
            # Without arguments the drivers leave a `%` in the statement alone.
            self.cursor.execute(sql.replace("?", "%s") if args else sql, args or None)
            return self.result(self.cursor)

    def run_all(self, sql):
        with self.refusals():
            self.cursor.execute(sql)
            results = [self.result(self.cursor)]
            while self.cursor.nextset():
                results.append(self.result(self.cursor))
            return results

    def stream_from(self, cursor, sql):
        with self.refusals(), cursor:
            cursor.execute(sql)
            yield from cursor

    @staticmethod
    def result(cursor):
        if cursor.description is None:
            return Result(affected=cursor.rowcount, last_id=cursor.lastrowid)
        return Result(rows=list(cursor.fetchall()))

    def close(self):
        self.connection.close()
