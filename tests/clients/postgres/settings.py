"""Where the server under test is and who may log in, read from the environment.

    TG_HOST TG_PORT               the endpoint: a server, or the guard in front of one
    TG_USER TG_PASSWORD           an account with a SCRAM password that may make tables
    TG_MD5_USER TG_MD5_PASSWORD   one with an md5 password; unset where the endpoint takes none
    TG_CA                         the certificate authority of the endpoint; unset where TLS is off
    TG_DATABASE                   a database that is theirs
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
    scram: Account
    md5: Account | None
    ca: str | None
    database: str

    @classmethod
    def from_environment(cls):
        env = os.environ
        md5 = env.get("TG_MD5_USER")
        return cls(
            host=env.get("TG_HOST", "127.0.0.1"),
            port=int(env["TG_PORT"]),
            scram=Account(env["TG_USER"], env["TG_PASSWORD"]),
            md5=Account(md5, env["TG_MD5_PASSWORD"]) if md5 else None,
            ca=env.get("TG_CA") or None,
            database=env["TG_DATABASE"],
        )
