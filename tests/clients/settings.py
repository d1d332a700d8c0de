"""Where the server under test is and who may log in, read from the environment.

    TG_HOST TG_PORT                 the endpoint: a server, or the guard in front of one
    TG_USER TG_PASSWORD             an account with mysql_native_password that may create databases
    TG_SHA2_USER TG_SHA2_PASSWORD   one with caching_sha2_password
                                    (either is unset where the endpoint lacks the plugin)
    TG_SHA2_PORT                    where that account logs in, if not at TG_PORT
    TG_CA                           the certificate authority of the endpoint; unset where TLS is off
    TG_DATABASE                     an existing database; each client makes its own beside it
    TG_ENGINE                       mariadb (the default) or mysql
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Account:
    user: str
    password: str
    # The endpoint may ask for each plugin at a port of its own.
    port: int

    @classmethod
    def named(cls, prefix):
        """The account in `<prefix>_USER`, `_PASSWORD` and `_PORT`, if there is one."""
        env = os.environ
        if user := env.get(f"{prefix}_USER"):
            port = env.get(f"{prefix}_PORT") or env["TG_PORT"]
            return cls(user, env[f"{prefix}_PASSWORD"], int(port))
        return None


@dataclass(frozen=True)
class Settings:
    host: str
    native: Account | None
    sha2: Account | None
    ca: str | None
    database: str
    engine: str

    @classmethod
    def from_environment(cls):
        env = os.environ
        return cls(
            host=env.get("TG_HOST", "127.0.0.1"),
            native=Account.named("TG"),
            sha2=Account.named("TG_SHA2"),
            ca=env.get("TG_CA") or None,
            database=env["TG_DATABASE"],
            engine=env.get("TG_ENGINE", "mariadb"),
        )
