"""What the checks ask of a PostgreSQL client, and what an adapter fills in.

As with MySQL's, a method that an adapter leaves alone raises `Absent`, and the check that needed it is
reported as `n/a` with the reason. Parameters are `$1`, `$2`; a driver with another way rewrites them.
Values arrive as text: `plain` says how the drivers' own become so.
"""

from adapter import Absent


class Session:
    """One connection of the client under test, in autocommit mode unless a check changes that."""

    # Columns of `columns.COLUMNS` whose values the driver itself cannot read and write back
    # unchanged, each with the reason.
    cannot_carry = {}

    # Checks that the driver fails by a fault of its own, by the name of their function, with the fault.
    faults = {}

    def __init__(self, settings, *, account, database, tls=False):
        """Connects, or raises `Refused`."""
        raise NotImplementedError

    def run(self, sql):
        """One statement without parameters, the way the driver's users send it; its `Result`."""
        raise NotImplementedError

    def run_all(self, sql):
        """Several statements in one simple query: all results, in order."""
        raise Absent("it shows only one result of a query")

    def bind(self, sql, *args):
        """A statement with parameters, passed the way the driver's users pass them."""
        raise Absent("it has no parameters")

    def prepare(self, sql):
        """A `Statement` that the server keeps under a name."""
        raise Absent("it prepares nothing on the server")

    def carry(self, select, insert, *, binary):
        """Reads one row with `select` and gives its values, as they are, to `insert`."""
        raise Absent("it does not hand values on")

    def stream(self, sql):
        """An iterator over the rows that reads them from the server as it goes."""
        raise Absent("it always reads whole results")

    def copy_in(self, sql, data):
        """COPY … FROM STDIN with this text."""
        raise Absent("it has no COPY")

    def copy_out(self, sql):
        """The text of COPY … TO STDOUT."""
        raise Absent("it has no COPY")

    def listen(self, channel):
        """LISTEN, with the driver's own call where it has one."""
        self.run(f"LISTEN {channel}")

    def notification(self):
        """Waits for the next notification: channel and payload."""
        raise Absent("it shows no notifications")

    def many(self, sql, rows):
        """One statement with each of many rows of parameters, by the driver's own call for that."""
        raise Absent("it has no batches")

    def pipeline(self, statements):
        """Sends all `(sql, args)` before it reads; a list of `Result` or `Refused`."""
        raise Absent("it sends nothing ahead")

    def cancel(self):
        """Cancels the running statement, called from another thread than the one that waits."""
        raise Absent("it cannot cancel")

    def abandon(self, sql):
        """Sends a statement, and drops what would have read its answer."""
        raise Absent("what it has sent it awaits")

    # Whether the driver's pool resets a connection that is given back, by itself or as its users have it do.
    pool_resets = True

    def pooled(self, size, tasks, *, at_once=True):
        """Runs each of the tasks, lists of statements, on a connection of the driver's own pool of so many;
        all at once or one after the other. Of each the last `Result`.
        """
        raise Absent("it has no pool")

    def close(self):
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def plain(value):
    """A driver's value as PostgreSQL would write it, for the types that the checks look at."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    return str(value)


def plain_rows(rows):
    return [tuple(plain(value) for value in row) for row in rows]
