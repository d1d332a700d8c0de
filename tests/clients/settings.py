"""Where the server under test is and who may log in, read from the environment.

    TG_HOST TG_PORT            the endpoint: a server, or the guard in front of one
    TG_USER TG_PASSWORD        an account with mysql_native_password that may create databases
    TG_SHA2_USER, _PASSWORD    one with caching_sha2_password; unset where the server lacks it
    TG_CA                      the certificate authority of the endpoint; unset where TLS is off
    TG_DATABASE                an existing database; each client makes its own beside it
    TG_ENGINE                  mariadb (the default) or mysql
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Account:
    user: str
    password: str


@dataclass(frozen=True)
class Settings:
    host: str
    port: int
    account: Account
    sha2_account: Account | None
    ca: str | None
    database: str
    engine: str

    @classmethod
    def from_environment(cls):
        env = os.environ
        sha2_user = env.get("TG_SHA2_USER")
        return cls(
            host=env.get("TG_HOST", "127.0.0.1"),
            port=int(env["TG_PORT"]),
            account=Account(env["TG_USER"], env["TG_PASSWORD"]),
            sha2_account=Account(sha2_user, env["TG_SHA2_PASSWORD"]) if sha2_user else None,
            ca=env.get("TG_CA") or None,
            database=env["TG_DATABASE"],
            engine=env.get("TG_ENGINE", "mariadb"),
        )
