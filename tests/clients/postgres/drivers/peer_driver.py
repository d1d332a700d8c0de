"""Clients of other languages: child processes that speak JSON, a line each way.

    {"open": {host, port, user, password, database, ca, tls}}
    {"run": sql}  {"run_all": sql}  {"bind": [sql, args]}  {"stream": sql}
    {"prepare": sql}  {"execute": [statement, args]}  {"close": statement}
    {"carry": [select, insert, binary]}  {"pipeline": [[sql, args], …]}
    {"copy_in": [sql, data]}  {"copy_out": sql}
    {"listen": channel}  {"notification": null}  {"abandon": sql}
    {"pooled": [size, [[sql, …], …], at_once]}
    {"cancel": null}     at any time, without an answer of its own
    {"quit": null}       of a process with many sessions; their lines both ways have {"session": number}

The answer is `{"results": [{rows, affected}]}`, where a result of a pipeline may be `{refused}` too,
`{"statement": number}`, `{"copied": text}`, `{"notified": [channel, payload]}`, `{"refused": [code,
message]}`, `{"absent": why}`, or `{}`. A row's values are text or null; `carry` lets the peer hand its
driver's own values from one statement to the next.
"""

import json
import os
import subprocess
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread

from adapter import Absent, Refused, Result, Statement
from session import Session

PEERS = Path(__file__).parent.parent / "peers"


class Peer(Session):
    # The command that starts the peer.
    program = []

    def __init__(self, settings, *, account, database, tls=False):
        self.start()
        try:
            self.ask(
                open={
                    "host": settings.host,
                    "port": settings.port,
                    "user": account.user,
                    "password": account.password,
                    "database": database,
                    "ca": settings.ca,
                    "tls": tls,
                }
            )
        except Exception:
            self.close()
            raise

    def start(self):
        """A process of its own."""
        self.writing = Lock()
        self.child = start(self.program)

    def tell(self, request):
        with self.writing:
            send(self.child, request)

    def hear(self):
        return self.child.stdout.readline()

    def close(self):
        self.child.communicate()

    def ask(self, **request):
        self.tell(request)
        line = self.hear()
        if not line:
            raise EOFError(f"the peer ended during {list(request)}")
        answer = json.loads(line)
        if refused := answer.get("refused"):
            raise Refused(*refused)
        if absent := answer.get("absent"):
            raise Absent(absent)
        return answer

    def results(self, **request):
        return [result(part) for part in self.ask(**request)["results"]]

    def run(self, sql):
        return self.results(run=sql)[-1]

    def run_all(self, sql):
        return self.results(run_all=sql)

    def bind(self, sql, *args):
        return self.results(bind=[sql, args])[-1]

    def prepare(self, sql):
        number = self.ask(prepare=sql)["statement"]
        return Statement(
            run=lambda *args: self.results(execute=[number, args])[-1],
            close=lambda: self.ask(close=number),
        )

    def carry(self, select, insert, *, binary):
        self.ask(carry=[select, insert, binary])

    def stream(self, sql):
        yield from self.results(stream=sql)[-1].rows

    def copy_in(self, sql, data):
        self.ask(copy_in=[sql, data])

    def copy_out(self, sql):
        return self.ask(copy_out=sql)["copied"]

    def listen(self, channel):
        self.ask(listen=channel)

    def notification(self):
        return tuple(self.ask(notification=None)["notified"])

    def pipeline(self, statements):
        return self.results(pipeline=statements)

    def abandon(self, sql):
        self.ask(abandon=sql)

    def pooled(self, size, tasks, *, at_once=True):
        return self.results(pooled=[size, tasks, at_once])

    def cancel(self):
        self.tell({"cancel": None})


class Housemate(Peer):
    """A session among many in one process."""

    def start(self):
        self.host = Host.of(self.program)
        self.number = self.host.enter()

    def tell(self, request):
        self.host.tell({"session": self.number} | request)

    def hear(self):
        return self.host.answers[self.number].get()

    def close(self):
        self.tell({"quit": None})
        self.hear()


class Host:
    """The process of all sessions of a program."""

    running = {}

    @classmethod
    def of(cls, program):
        name = " ".join(program)
        if name not in cls.running:
            cls.running[name] = cls(program)
        return cls.running[name]

    def __init__(self, program):
        self.child = start(program)
        self.lock = Lock()
        self.answers = []
        Thread(target=self.listen, daemon=True).start()

    def enter(self):
        with self.lock:
            self.answers.append(SimpleQueue())
            return len(self.answers) - 1

    def tell(self, request):
        with self.lock:
            send(self.child, request)

    def listen(self):
        for line in self.child.stdout:
            self.answers[json.loads(line)["session"]].put(line)
        for answers in self.answers:
            answers.put("")


def start(program):
    return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")


def send(child, request):
    child.stdin.write(json.dumps(request) + "\n")
    child.stdin.flush()


def result(part):
    if refused := part.get("refused"):
        return Refused(*refused)
    return Result(rows=[tuple(row) for row in part.get("rows") or []], affected=part.get("affected"))


class NodePostgres(Housemate):
    program = ["node", str(PEERS / "node-postgres.cjs")]
    pool_resets = False


class PostgresJs(Housemate):
    program = ["node", str(PEERS / "postgres.js.cjs")]
    pool_resets = False
    cannot_carry = {
        "moment": "it makes a moment of it, with milliseconds in the zone of the client",
        "stamp": "it makes a moment of it, with milliseconds",
        "document": "it writes NULL for the JSON null",
        "words": "it writes a NULL in an array as the word",
    }
    faults = {
        "a_bad_line_ends_a_copy": "it waits for ever for the end of a COPY that failed",
        "a_terminated_session_fails_and_its_client_connects_again": (
            "where it has noticed the loss, it goes on on another connection without a word"
        ),
    }


# The program of both Rust drivers, which the tests build and name.
RUST_PEER = os.environ.get("TG_RUST_PEER", "rust-peer-postgres")

# Both go on as if the server had begun the COPY, and take one answer for another from then on.
LOST = "it loses its place among the answers when the server refuses a COPY"


class TokioPostgres(Peer):
    program = [RUST_PEER, "tokio-postgres"]
    faults = {"a_copy_of_no_table_is_refused": LOST}


class Sqlx(Peer):
    program = [RUST_PEER, "sqlx"]
    pool_resets = False
    faults = {
        "a_copy_of_no_table_is_refused": LOST,
        "a_statement_is_cancelled_from_another_thread": "it sends no CancelRequest",
        "cancelling_an_idle_session_harms_nothing": "it sends no CancelRequest",
    }
