"""Clients of other languages: a child process per connection that speaks JSON, a line each way.

    {"open": {host, port, user, password, database, ca, tls}}
    {"run": sql}  {"run_all": sql}  {"bind": [sql, args]}  {"load": sql}  {"stream": sql}
    {"prepare": sql}  {"execute": [statement, args]}  {"close": statement}
    {"carry": [select, insert, binary]}
    {"use": database}  {"ping": null}  {"reset": null}  {"change_user": [user, password, database]}
    {"leave": null}    ends the connection without a word and waits for another `open`

The answer is `{"results": [{rows, affected, last_id}]}`, `{"statement": number}`, `{"refused": [code,
message]}` or `{"absent": why}`. A row's values arrive as text, numbers or null; `carry` lets the peer
hand its driver's own values from one statement to the next.
"""

import json
import os
import subprocess
from pathlib import Path

from adapter import Absent, Refused, Result, Session, Statement


class Peer(Session):
    # The command that starts the peer.
    program = []
    # Where children that may leave their connection wait for another; None where they end with it.
    idle = None

    def __init__(self, settings, *, account, database=None, tls=False):
        self.child = self.idle.pop() if self.idle else self.start()
        self.ask(
            open={
                "host": settings.host,
                "port": account.port,
                "user": account.user,
                "password": account.password,
                "database": database or "",
                "ca": settings.ca,
                "tls": tls,
            }
        )

    def start(self):
        return subprocess.Popen(
            self.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def ask(self, **request):
        self.child.stdin.write(json.dumps(request) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise EOFError(f"the peer ended during {list(request)}")
        answer = json.loads(line)
        if refused := answer.get("refused"):
            raise Refused(*refused)
        if absent := answer.get("absent"):
            raise Absent(absent)
        return answer

    def results(self, **request):
        return [Result(**result) for result in self.ask(**request)["results"]]

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

    def load(self, sql):
        return self.results(load=sql)[-1]

    def stream(self, sql):
        yield from self.results(stream=sql)[-1].rows

    def use(self, database):
        self.ask(use=database)

    def ping(self):
        self.ask(ping=None)

    def change_user(self, account, database):
        self.ask(change_user=[account.user, account.password, database])

    def reset(self):
        self.ask(reset=None)

    def close(self):
        if self.idle is None:
            self.child.communicate()
        else:
            self.ask(leave=None)
            self.idle.append(self.child)


class MySql2(Peer):
    program = ["node", str(Path(__file__).parent.parent / "peers" / "mysql2.cjs")]
    idle = []  # A start takes a quarter of a second.
    uses_by_change_of_user = True
    cannot_carry = {"spot": "it reads a point as an object, which it cannot bind"}
    faults = {
        "a_statement_of_exactly_a_packet_is_understood": "it sends no empty packet after a full one"
    }


# The program of both Rust drivers, which the tests build and name.
RUST_PEER = os.environ.get("TG_RUST_PEER", "rust-peer")


class MySqlAsync(Peer):
    program = [RUST_PEER, "mysql_async"]
    # The second is its own: MySQL asks names that it does not know by plugins of all kinds.
    denied = (1045, 0)


class Sqlx(Peer):
    program = [RUST_PEER, "sqlx"]
    cannot_carry = {"time_negative": "it loses the sign of a TIME in text"}
    faults = {"rows_at_the_edge_of_a_packet_arrive_whole": "it takes a row of 16 MiB for the last packet"}
