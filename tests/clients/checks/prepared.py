"""Prepared statements of the binary protocol, and those of SQL."""

from expect import Checks, expect, expect_refused

check = CHECKS = Checks()

# More than any proxy or server is likely to keep for one connection by default.
MANY = 320


@check
def a_prepared_statement_is_used_a_thousand_times(world):
    session = world.table("thousand", "id INT PRIMARY KEY, n VARCHAR(20)")
    insert = session.prepare("INSERT INTO thousand VALUES (?, ?)")
    for number in range(1000):
        insert.run(number, f"n{number}")
    select = session.prepare("SELECT n FROM thousand WHERE id = ?")
    for number in range(0, 1000, 7):
        expect(select.run(number).value, f"n{number}")
    expect(select.run(-1).rows, [])


@check
def hundreds_of_prepared_statements_live_at_once(world):
    session = world.open()
    statements = [session.prepare(f"SELECT {number}, ?") for number in range(MANY)]
    for argument in ("first", "second"):
        for number, statement in enumerate(statements):
            expect(statement.run(argument).texts, [(str(number), argument)])
    for statement in statements:
        statement.close()
    expect(session.run("SELECT 1").value, "1")


@check
def prepared_statements_of_two_sessions_do_not_mix(world):
    sessions = [world.open() for _ in range(4)]
    statements = [session.prepare(f"SELECT 'session {number}', ?") for number, session in enumerate(sessions)]
    for round_ in range(50):
        for number, statement in enumerate(statements):
            expect(statement.run(round_).texts, [(f"session {number}", str(round_))])


@check
def parameters_may_change_their_types(world):
    statement = world.open().prepare("SELECT CONCAT('<', COALESCE(?, 'nothing'), '>')")
    for argument in (1, "one", None, -123456789012, "", 2):
        shown = "nothing" if argument is None else argument
        expect(statement.run(argument).value, f"<{shown}>")


@check
def preparing_bad_sql_is_refused(world):
    session = world.open()
    expect_refused(1064, lambda: session.prepare("SELECT FROM WHERE ?").run(1))
    expect_refused(1146, lambda: session.prepare("SELECT * FROM no_such_table WHERE id = ?").run(1))
    expect(session.prepare("SELECT ?").run(5).value, "5")


@check
def a_prepared_statement_outlives_its_error(world):
    session = world.table("twice", "id INT PRIMARY KEY")
    insert = session.prepare("INSERT INTO twice VALUES (?)")
    insert.run(1)
    expect_refused(1062, insert.run, 1)
    insert.run(2)
    expect(session.run("SELECT COUNT(*) FROM twice").value, "2")


@check
def a_prepared_statement_outlives_transactions(world):
    session = world.table("spanning", "id INT PRIMARY KEY")
    insert = session.prepare("INSERT INTO spanning VALUES (?)")
    for number, end in enumerate(("COMMIT", "ROLLBACK") * 3):
        session.run("BEGIN")
        insert.run(number)
        session.run(end)
    expect(session.run("SELECT GROUP_CONCAT(id ORDER BY id) FROM spanning").value, "0,2,4")


@check
def a_prepared_statement_follows_its_table(world):
    session = world.table("altered", "id INT PRIMARY KEY, n INT")
    session.run("INSERT INTO altered VALUES (1, 5)")
    select = session.prepare("SELECT n FROM altered WHERE id = ?")
    expect(select.run(1).value, "5")
    world.open().run("ALTER TABLE altered ADD COLUMN first_of_all INT FIRST")
    expect(select.run(1).value, "5")


@check
def a_procedure_can_be_called_prepared(world):
    session = world.table("called", "id INT PRIMARY KEY")
    session.run("DROP PROCEDURE IF EXISTS note")
    session.run("CREATE PROCEDURE note(number INT) INSERT INTO called VALUES (number)")
    call = session.prepare("CALL note(?)")
    for number in range(3):
        call.run(number)
    expect(session.run("SELECT COUNT(*) FROM called").value, "3")


@check
def sql_prepare_lasts_until_deallocate(world):
    session, neighbour = world.open(), world.open()
    session.run("PREPARE twofold FROM 'SELECT ? * 2'")
    for number in range(20):
        neighbour.run("SELECT 1")
        session.run(f"SET @n = {number}")
        expect(session.run("EXECUTE twofold USING @n").value, str(number * 2))
        expect_refused(1243, neighbour.run, "EXECUTE twofold USING @n")
    session.run("DEALLOCATE PREPARE twofold")
    expect_refused(1243, session.run, "EXECUTE twofold USING @n")
