"""Large results, statements and parameters."""

from hashlib import sha256

from expect import Checks, expect, expect_refused

check = CHECKS = Checks()

MIB = 1 << 20


@check
def a_result_of_64_mib_arrives_whole(world):
    session = world.open()
    rows = session.run(f"SELECT n, repeat(chr(64 + n % 26), {MIB}) FROM generate_series(1, 64) AS n").texts
    expect([number for number, _ in rows], [str(number) for number in range(1, 65)])
    for number, page in rows:
        expect(page == chr(64 + int(number) % 26) * MIB, True)
    expect(session.run("SELECT 1").value, "1")


@check
def a_value_of_20_mib_arrives_whole(world):
    session = world.open()
    value = session.run(f"SELECT repeat('y', {20 * MIB})").value
    expect((len(value), value.strip("y")), (20 * MIB, ""))
    expect(session.run("SELECT 1").value, "1")


@check
def many_rows_go_in_one_batch(world):
    session = world.table("batch", "id int PRIMARY KEY, word text")
    insert = "INSERT INTO batch VALUES ($1::int, $2::text)"
    session.many(insert, [(number, f"word {number}") for number in range(1000)])
    shown = session.run("SELECT count(*), count(*) FILTER (WHERE word = 'word ' || id) FROM batch")
    expect(shown.texts, [("1000", "1000")])
    expect_refused("23505", session.many, insert, [(number, "again") for number in range(1100, 990, -1)])
    expect(session.run("SELECT count(*) FROM batch WHERE id < 1000").value, "1000")


def stores_17_mib(world, insert):
    session = world.table("large", "id int PRIMARY KEY, body text")
    body = "0123456789abcdef" * (17 * MIB // 16) + "end"
    insert(session, body)
    shown = session.run("SELECT length(body), encode(sha256(convert_to(body, 'UTF8')), 'hex') FROM large")
    expect(shown.texts, [(str(len(body)), sha256(body.encode()).hexdigest())])


@check
def a_literal_over_16_mib_is_stored(world):
    stores_17_mib(world, lambda session, body: session.run(f"INSERT INTO large VALUES (1, '{body}')"))


@check
def a_parameter_over_16_mib_is_stored(world):
    stores_17_mib(world, lambda session, body: session.bind("INSERT INTO large VALUES (1, $1::text)", body))


@check
def a_prepared_parameter_over_16_mib_is_stored(world):
    insert = "INSERT INTO large VALUES ($1::int, $2::text)"
    stores_17_mib(world, lambda session, body: session.prepare(insert).run(1, body))
