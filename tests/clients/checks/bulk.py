"""Results, parameters and files larger than a packet."""

import tempfile
from hashlib import sha256
from pathlib import Path

from expect import Checks, expect, expect_refused

check = CHECKS = Checks()

MIB = 1 << 20
# A payload of exactly this length is followed by another packet, if only an empty one.
PACKET = (1 << 24) - 1
# The length of a string of that size in a text row: one byte and three.
PREFIX = 4


@check
def a_result_of_64_mib_arrives_whole(world):
    session = world.open()
    rows = session.run(
        "WITH RECURSIVE page (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM page WHERE n < 64) "
        f"SELECT n, REPEAT(CHAR(64 + n % 26 USING ascii), {MIB}) FROM page"
    ).texts
    expect([number for number, _ in rows], [str(number) for number in range(1, 65)])
    for number, page in rows:
        expect(page == chr(64 + int(number) % 26) * MIB, True)
    expect(session.run("SELECT 1").value, "1")


@check
def rows_at_the_edge_of_a_packet_arrive_whole(world):
    session = world.open()
    for length in (PACKET - PREFIX - 1, PACKET - PREFIX, PACKET - PREFIX + 1, PACKET + 1, 2 * PACKET + 9):
        value = session.run(f"SELECT REPEAT('y', {length})").value
        expect(len(value), length)
        expect(value.strip("y"), "")
        expect(session.run("SELECT 1").value, "1")


def stores_17_mib(world, insert):
    session = world.table("large", "id INT PRIMARY KEY, body LONGTEXT")
    body = "0123456789abcdef" * (17 * MIB // 16) + "end"
    insert(session, body)
    expect(
        session.run("SELECT LENGTH(body), SHA2(body, 256) FROM large").texts,
        [(str(len(body)), sha256(body.encode()).hexdigest())],
    )


@check
def a_literal_over_16_mib_is_stored(world):
    stores_17_mib(world, lambda session, body: session.run(f"INSERT INTO large VALUES (1, '{body}')"))


@check
def a_parameter_over_16_mib_is_stored(world):
    stores_17_mib(world, lambda session, body: session.bind("INSERT INTO large VALUES (1, ?)", body))


@check
def a_prepared_parameter_over_16_mib_is_stored(world):
    stores_17_mib(world, lambda session, body: session.prepare("INSERT INTO large VALUES (?, ?)").run(1, body))


@check
def a_statement_of_exactly_a_packet_is_understood(world):
    session = world.open()
    for length in (PACKET - 1, PACKET, PACKET + 1):
        # The payload is the command's byte and the statement.
        statement = "SELECT LENGTH('{}')"
        filler = "z" * (length - 1 - len(statement) + len("{}"))
        expect(session.run(statement.format(filler)).value, str(len(filler)))


@check
def local_infile_loads_a_file(world):
    session = world.table("loaded", "id INT PRIMARY KEY, word VARCHAR(40)")
    count = 100_000
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "words.tsv"
        file.write_text("".join(f"{number}\tword number {number}\n" for number in range(count)))
        session.load(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE loaded")
        file.write_text("")
        session.load(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE loaded")
    expect(
        session.run("SELECT COUNT(*), SUM(word = CONCAT('word number ', id)) FROM loaded").texts,
        [(str(count), str(count))],
    )


@check
def local_infile_into_no_table_is_refused(world):
    session = world.open()
    with tempfile.NamedTemporaryFile("w") as file:
        expect_refused(1146, session.load, f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE no_such_table")
    expect(session.run("SELECT 1").value, "1")
