"""What the applications must know of the database behind them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    # Of SQLAlchemy: the name before `+`, and the drivers that it runs on.
    name: str
    drivers: tuple[str, ...]
    # Of Django.
    backend: str
    # A connection's own number, and the statement that ends the connection with a number.
    identity: str
    kill: str
    # The code of a value that is there already, and where the drivers' errors have it.
    duplicate: int | str
    code: Callable
    isolation: str
    # The hour of noon in UTC when it is read in Warsaw's summer: MySQL stores no zone with it.
    noon_in_warsaw: int


MYSQL = Dialect(
    name="mysql",
    drivers=("pymysql", "mysqldb", "mysqlconnector"),
    backend="django.db.backends.mysql",
    identity="SELECT CONNECTION_ID()",
    kill="KILL {}",
    duplicate=1062,
    code=lambda error: error.args[0],
    isolation="REPEATABLE READ",
    noon_in_warsaw=12,
)

POSTGRES = Dialect(
    name="postgresql",
    drivers=("psycopg", "psycopg2", "asyncpg"),
    backend="django.db.backends.postgresql",
    identity="SELECT pg_backend_pid()",
    kill="SELECT pg_terminate_backend({})",
    duplicate="23505",
    code=lambda error: getattr(error, "sqlstate", None) or error.pgcode,
    isolation="READ COMMITTED",
    noon_in_warsaw=14,
)
