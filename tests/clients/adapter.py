"""What the checks ask of a client, and what an adapter fills in.

An adapter is one subclass of `Session` in `drivers/`. A method it leaves alone raises `Absent`, and
the check that needed it is reported as `n/a` with the reason: a driver without a binary protocol has
no failing check, and no silently passing one either.
"""

from contextlib import contextmanager
from dataclasses import dataclass, field


class Refused(Exception):
    """The server answered a statement or a login with an error."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


class Absent(Exception):
    """The client offers no such thing."""


@dataclass
class Result:
    """One result: the rows as the driver made them, or the counts of a statement without rows."""

    rows: list = field(default_factory=list)
    affected: int | None = None
    last_id: int | None = None

    @property
    def texts(self):
        """The rows with every value but NULL as text, so that all clients can be compared."""
        return [tuple(text(value) for value in row) for row in self.rows]

    @property
    def value(self):
        """The single value of a result with one row and one column, as text."""
        ((value,),) = self.texts
        return value


def text(value):
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "surrogateescape")
    return str(value)


class Session:
    """One connection of the client under test, in autocommit mode unless a check changes that."""

    # Columns of `columns.COLUMNS` whose values the driver itself cannot read and write back
    # unchanged, each with the reason.
    cannot_carry = {}

    # Checks that the driver fails by a fault of its own, by the name of their function, with the fault.
    faults = {}

    # The errors that say that a name or a password is wrong.
    denied = (1045,)

    # Whether it changes the database with COM_CHANGE_USER: when that fails, MySQL hangs up.
    uses_by_change_of_user = False

    # Whether the client can prove a password to the plugin mysql_native_password.
    speaks_native = True

    def __init__(self, settings, *, account, database=None, tls=False):
        """Connects, or raises `Refused`."""
        raise NotImplementedError

    def run(self, sql):
        """One statement in the text protocol; its last `Result`."""
        raise NotImplementedError

    def run_all(self, sql):
        """A call or several statements: all results, in order."""
        raise Absent("it shows only one result of a statement")

    def bind(self, sql, *args):
        """A statement with `?` for its parameters, passed the way the driver's users pass them."""
        raise Absent("it has no parameters")

    def prepare(self, sql):
        """A `Statement` of the binary protocol."""
        raise Absent("it has no binary protocol")

    def carry(self, select, insert, *, binary):
        """Reads one row with `select` and gives its values, as they are, to `insert`."""
        if binary:
            row = self.prepare(select).run().rows[0]
            return self.prepare(insert).run(*row)
        return self.bind(insert, *self.run(select).rows[0])

    def load(self, sql):
        """LOAD DATA LOCAL INFILE."""
        return self.run(sql)

    def stream(self, sql):
        """An iterator over the rows that reads them from the server as it goes."""
        raise Absent("it always reads whole results")

    def use(self, database):
        """Changes the database with the driver's own call."""
        raise Absent("it changes the database only with USE")

    def ping(self):
        raise Absent("it has no ping")

    def change_user(self, account, database):
        raise Absent("it has no change of user")

    def reset(self):
        """COM_RESET_CONNECTION."""
        raise Absent("it has no reset of the connection")

    def close(self):
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Statement:
    """A prepared statement."""

    def __init__(self, run, close):
        self.run = run
        self.close = close


@contextmanager
def refused_as(error_type, describe=lambda error: error.args[:2]):
    """Turns the driver's error into `Refused`; `describe` takes code and message out of it."""
    try:
        yield
    except error_type as error:
        raise Refused(*describe(error)) from error
