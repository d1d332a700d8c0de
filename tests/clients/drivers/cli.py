"""The MariaDB and the MySQL command-line client, fed through a pipe and read back as XML.

`\\! echo` marks the end of each answer: it is the client's own command, so that nothing but the
check's statements reaches the server.
"""

import os
import re
import shlex
import subprocess
from xml.etree import ElementTree

from adapter import Absent, Refused, Result, Session

DELIMITER = "$$"
END = "--- end of the answer ---"
ERROR = re.compile(r"^ERROR (\d+) \(\w+\)(?: at line \d+)?: (.*)", re.MULTILINE)
XML_HEAD = '<?xml version="1.0"?>'


class Cli(Session):
    # The command that starts the client, its option for a connection without TLS, and further ones.
    program = []
    without_tls = None
    options = []

    def __init__(self, settings, *, account, database=None, tls=False):
        self.client = subprocess.Popen(
            [
                *self.program,
                "--no-defaults",
                f"--host={settings.host}",
                f"--port={account.port}",
                "--protocol=tcp",
                f"--user={account.user}",
                f"--password={account.password}",
                f"--database={database or ''}",
                "--default-character-set=utf8mb4",
                "--max-allowed-packet=256M",
                "--local-infile=1",
                "--comments",
                "--skip-reconnect",
                "--force",
                "--xml",
                "--unbuffered",
                f"--delimiter={DELIMITER}",
                f"--ssl-ca={settings.ca}" if tls else self.without_tls,
                *self.options,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self.tell("")

    def run(self, sql):
        return self.run_all(sql)[-1]

    def run_all(self, sql):
        return self.tell(sql + DELIMITER)

    def carry(self, select, insert, *, binary):
        raise Absent("it has no parameters")

    def use(self, database):
        self.tell(f"use {database}")

    def tell(self, line):
        """Gives the client one line and returns what it answered."""
        try:
            self.client.stdin.write(f"{line}\n\\! echo {END}\n")
            self.client.stdin.flush()
        except BrokenPipeError:
            pass  # It has said why before it left.
        answer = "".join(iter(self.next_line, ""))
        if error := ERROR.search(answer):
            raise Refused(int(error[1]), error[2])
        return [parse(part) for part in answer.split(XML_HEAD)[1:]] or [Result()]

    def next_line(self):
        """The next line of an answer; empty at its end and at the end of the client."""
        line = self.client.stdout.readline()
        return "" if line.rstrip("\n") == END else line

    def close(self):
        self.client.communicate()


class MariaDbCli(Cli):
    program = ["mariadb"]
    without_tls = "--skip-ssl"


class MySqlCli(Cli):
    speaks_native = False  # MySQL 9 has no such plugin.
    program = shlex.split(os.environ.get("TG_MYSQL_CLI", "mysql"))
    without_tls = "--ssl-mode=DISABLED"
    # `\!` is off by default; the last asks for the key that hides a password sent without TLS.
    options = ["--commands", "--system-command", "--get-server-public-key"]


def parse(resultset):
    rows = ElementTree.fromstring(resultset).iter("row")
    return Result(rows=[tuple(field_text(field) for field in row) for row in rows])


def field_text(field):
    is_null = any(name.endswith("}nil") for name in field.attrib)
    return None if is_null else field.text or ""
