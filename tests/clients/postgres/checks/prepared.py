"""Statements that the server keeps under a name, and those of SQL."""

from expect import Checks, expect, expect_refused

check = CHECKS = Checks()

# More than any pool is likely to keep for one connection by default.
MANY = 320


@check
def a_prepared_statement_is_used_a_thousand_times(world):
    session = world.table("thousand", "id int PRIMARY KEY, n text")
    insert = session.prepare("INSERT INTO thousand VALUES ($1::int, $2::text)")
    for number in range(1000):
        insert.run(number, f"n{number}")
    select = session.prepare("SELECT n FROM thousand WHERE id = $1::int")
    for number in range(0, 1000, 7):
        expect(select.run(number).value, f"n{number}")
    expect(select.run(-1).rows, [])


@check
def hundreds_of_prepared_statements_live_at_once(world):
    session = world.open()
    statements = [session.prepare(f"SELECT {number}, $1::text") for number in range(MANY)]
    for argument in ("first", "second"):
        for number, statement in enumerate(statements):
            expect(statement.run(argument).texts, [(str(number), argument)])
    for statement in statements:
        statement.close()
    expect(session.run("SELECT 1").value, "1")


@check
def prepared_statements_of_two_sessions_do_not_mix(world):
    # Drivers count their names from one in every session: the same name, another text.
    sessions = [world.open() for _ in range(4)]
    statements = [session.prepare(f"SELECT 'session {number}', $1::int") for number, session in enumerate(sessions)]
    for round_ in range(50):
        for number, statement in enumerate(statements):
            expect(statement.run(round_).texts, [(f"session {number}", str(round_))])


@check
def preparing_bad_sql_is_refused(world):
    session = world.open()
    expect_refused("42601", lambda: session.prepare("SELECT FROM WHERE $1").run(1))
    expect_refused("42P01", lambda: session.prepare("SELECT * FROM no_such_table WHERE id = $1::int").run(1))
    expect(session.prepare("SELECT $1::int").run(5).value, "5")


@check
def a_prepared_statement_outlives_its_error(world):
    session = world.table("twice", "id int PRIMARY KEY")
    insert = session.prepare("INSERT INTO twice VALUES ($1::int)")
    insert.run(1)
    expect_refused("23505", insert.run, 1)
    insert.run(2)
    expect(session.run("SELECT count(*) FROM twice").value, "2")


@check
def a_prepared_statement_outlives_transactions(world):
    session = world.table("spanning", "id int PRIMARY KEY")
    session.run("BEGIN")
    insert = session.prepare("INSERT INTO spanning VALUES ($1::int)")
    insert.run(100)
    session.run("ROLLBACK")
    for number, end in enumerate(("COMMIT", "ROLLBACK") * 5):
        session.run("BEGIN")
        insert.run(number)
        session.run(end)
    expect(session.run("SELECT string_agg(id::text, ',' ORDER BY id) FROM spanning").value, "0,2,4,6,8")


@check
def a_prepared_statement_follows_its_table(world):
    session = world.table("altered", "id int PRIMARY KEY, n int")
    session.run("INSERT INTO altered VALUES (1, 5)")
    select = session.prepare("SELECT n FROM altered WHERE id = $1::int")
    for _ in range(8):  # From the sixth on the server may use a plan that fits all values.
        expect(select.run(1).value, "5")
    world.open().run("ALTER TABLE altered ADD COLUMN another int")
    expect(select.run(1).value, "5")


@check
def sql_prepare_lasts_until_deallocate(world):
    session, neighbour = world.open(), world.open()
    session.run("PREPARE twofold (int) AS SELECT $1 * 2")
    for number in range(20):
        neighbour.run("SELECT 1")
        expect(session.run(f"EXECUTE twofold({number})").value, str(number * 2))
        expect_refused("26000", neighbour.run, f"EXECUTE twofold({number})")
    session.run("DEALLOCATE twofold")
    expect_refused("26000", session.run, "EXECUTE twofold(1)")
