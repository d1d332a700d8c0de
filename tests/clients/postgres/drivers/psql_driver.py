"""psql, fed through a pipe and read back as unaligned text.

`\\echo` marks the end of each answer: it is the client's own command, so that nothing but the check's
statements reaches the server. `\\warn` marks it among the errors.
"""

import os
import re
import signal
import subprocess
import tempfile
from contextlib import suppress
from queue import Queue
from threading import Thread

from adapter import Refused, Result
from expect import PATIENCE_S
from session import Session

END = "--- end of the answer ---"
NULL = "--- null ---"
FIELD, ROW = "\x1f", "\x1e"
ERROR = re.compile(r"^(?:psql:.*?)?(?:ERROR|FATAL):  (?:([0-9A-Z]{5}): )?(.*)", re.MULTILINE)
NOTICE = re.compile(r'Asynchronous notification "(\w+)" with payload "(.*)" received')
LOGINS = {"password authentication failed": "28P01", "does not exist": "3D000"}
TAG = re.compile(r"(?:INSERT 0|UPDATE|DELETE|COPY|SELECT) (\d+)")


class Psql(Session):
    faults = {"cancelling_an_idle_session_harms_nothing": "it ends after Ctrl-C, unless a person types"}

    def __init__(self, settings, *, account, database, tls=False):
        connect = {
            "host": "localhost",
            "hostaddr": settings.host,
            "port": settings.port,
            "user": account.user,
            "dbname": database,
            "sslmode": "verify-full" if tls else "disable",
        }
        if tls:
            connect["sslrootcert"] = settings.ca
        self.command = [
            "psql",
            "--no-psqlrc",
            "--no-password",
            "--no-align",
            f"--field-separator={FIELD}",
            f"--record-separator={ROW}",
            f"--pset=null={NULL}",
            "--set=VERBOSITY=verbose",
            "--set=SHOW_ALL_RESULTS=on",
            " ".join(f"{name}={value}" for name, value in connect.items()),
        ]
        self.environment = os.environ | {"PGPASSWORD": account.password, "PGOPTIONS": ""}
        self.heard = Queue()
        self.start()
        self.tell("")

    def start(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.client = subprocess.Popen(self.command, env=self.environment, text=True, encoding="utf-8", **pipes)
        self.errors = Queue()
        self.is_interrupted = False
        Thread(target=self.read_errors, args=(self.client.stderr, self.errors), daemon=True).start()

    @staticmethod
    def read_errors(lines, errors):
        for line in lines:
            errors.put(line)
        errors.put("")

    def run(self, sql):
        results = self.run_all(sql)
        # After the rows of RETURNING comes the command's own line.
        return next((result for result in reversed(results) if result.rows), results[-1])

    def run_all(self, sql):
        # `\;` keeps psql from sending the parts one by one.
        return parse(self.tell(sql.replace(";", "\\;") + "\n;"))

    def copy_in(self, sql, data):
        # From a file: of a COPY that is refused, data in line would be taken for statements.
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(data)
            file.flush()
            self.tell("\\" + sql.replace("COPY", "copy").replace("STDIN", f"'{file.name}'"))

    def copy_out(self, sql):
        return self.tell(f"{sql};")

    def notification(self):
        while self.heard.empty():
            self.tell("SELECT 1;")  # It looks for notifications only after a statement.
        return self.heard.get(timeout=PATIENCE_S)

    def tell(self, lines):
        """Gives the client some lines and returns what it answered."""
        if self.is_interrupted:
            self.close()
            self.start()
        try:
            self.client.stdin.write(f"{lines}\n\\echo '{END}'\n\\warn '{END}'\n")
            self.client.stdin.flush()
        except BrokenPipeError:
            pass  # It has said why before it left.
        answer = "".join(iter(self.next_line, ""))
        errors = "".join(iter(self.next_error, ""))
        if error := ERROR.search(errors):
            code = error[1] or next((code for words, code in LOGINS.items() if words in error[2]), "")
            raise Refused(code, error[2])
        return self.hear(answer)

    def hear(self, answer):
        for channel, payload in NOTICE.findall(answer):
            self.heard.put((channel, payload))
        return re.sub(NOTICE.pattern + r".*\n", "", answer)

    def next_line(self):
        """The next line of an answer; empty at its end and at the end of the client."""
        line = self.client.stdout.readline()
        return "" if line.rstrip("\n") == END else line

    def next_error(self):
        line = self.errors.get(timeout=PATIENCE_S)
        return "" if line.rstrip("\n") == END else line

    def cancel(self):
        # Ctrl-C. It cancels the statement, tells its error, and ends unless a person types: whoever goes on
        # does so with another.
        self.client.send_signal(signal.SIGINT)
        self.is_interrupted = True

    def close(self):
        with suppress(BrokenPipeError):
            self.client.stdin.close()
        self.client.wait(PATIENCE_S)


# A command without rows, or a head, rows, and the count of rows, parted by the separator.
PART = re.compile(rf"(?P<tag>[A-Z][A-Z0-9 ]*)\n|(?P<table>.*?){ROW}\(\d+ rows?\)\n", re.DOTALL)


def parse(answer):
    """The results of a query."""
    parts = [result(part) for part in PART.finditer(answer)]
    return parts or [Result()]


def result(part):
    if tag := part["tag"]:
        count = TAG.fullmatch(tag)
        return Result(affected=int(count[1]) if count else None)
    rows = part["table"].split(ROW)[1:]
    return Result(rows=[tuple(None if field == NULL else field for field in row.split(FIELD)) for row in rows])
