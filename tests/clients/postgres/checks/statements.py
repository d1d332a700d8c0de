"""Statements, their results and their errors."""

from expect import Checks, expect, expect_refused

check = CHECKS = Checks()


@check
def a_statement_returns_its_rows(world):
    session = world.open()
    rows = session.run("SELECT 1, NULL, '', 'zażółć 😀', -5, true").texts
    expect(rows, [("1", None, "", "zażółć 😀", "-5", "t")])
    expect(session.run("SELECT 1 WHERE false").texts, [])


@check
def parameters_arrive_as_they_were_given(world):
    session = world.open()
    odd = "it's \\ \"quoted\" ? \n \x1a 😀"
    rows = session.bind("SELECT $1::int, $2::text, $3::text", 7, odd, None).texts
    expect(rows, [("7", odd, None)])


@check
def a_result_may_have_a_thousand_columns(world):
    columns = ", ".join(f"{i} AS c{i}" for i in range(1000))
    expect(world.open().run(f"SELECT {columns}").texts, [tuple(str(i) for i in range(1000))])


@check
def the_driver_learns_counts(world):
    session = world.table("counted", "id serial PRIMARY KEY, n int")
    inserted = session.run("INSERT INTO counted (n) VALUES (1), (1), (1)")
    updated = session.run("UPDATE counted SET n = 2 WHERE id > 1")
    if inserted.affected is not None:
        expect((inserted.affected, updated.affected), (3, 2))
    expect(session.run("INSERT INTO counted (n) VALUES (9) RETURNING id").value, "4")


ERRORS = {
    "42601": "SELECT FROM WHERE",
    "42P01": "SELECT * FROM no_such_table",
    "42703": "SELECT no_such_column FROM known",
    "23505": "INSERT INTO known VALUES (1)",
    "22P02": "INSERT INTO known VALUES ('x')",
    "23502": "INSERT INTO known VALUES (NULL)",
    "22012": "SELECT 1 / 0",
}


@check
def a_session_outlives_every_error(world):
    session = world.table("known", "id int PRIMARY KEY")
    session.run("INSERT INTO known VALUES (1)")
    for code, statement in ERRORS.items():
        expect_refused(code, session.run, statement)
        expect(session.run("SELECT count(*) FROM known").value, "1")


@check
def an_error_with_parameters_leaves_the_session_alive(world):
    session = world.table("bound", "id int PRIMARY KEY")
    session.bind("INSERT INTO bound VALUES ($1::int)", 1)
    for _ in range(5):
        expect_refused("23505", session.bind, "INSERT INTO bound VALUES ($1::int)", 1)
        expect_refused("42P01", session.bind, "SELECT $1::int FROM no_such_table", 1)
        expect(session.bind("SELECT $1::int + 1", 1).value, "2")


@check
def several_statements_give_several_results(world):
    session = world.table("several", "id int PRIMARY KEY")
    results = session.run_all("SELECT 1; SELECT 2, 3; INSERT INTO several VALUES (4); SELECT id FROM several")
    rows = [result.texts for result in results if result.rows]
    expect(rows, [[("1",)], [("2", "3")], [("4",)]])


@check
def an_error_undoes_several_statements(world):
    session = world.table("ended", "id int PRIMARY KEY")
    statements = "INSERT INTO ended VALUES (1); INSERT INTO ended VALUES (1); INSERT INTO ended VALUES (2)"
    expect_refused("23505", session.run_all, statements)
    expect(session.run("SELECT count(*) FROM ended").value, "0")


@check
def several_statements_may_hold_a_transaction(world):
    session = world.table("inside", "id int PRIMARY KEY")
    session.run_all("BEGIN; INSERT INTO inside VALUES (1); COMMIT; BEGIN; INSERT INTO inside VALUES (2)")
    expect(session.run("SELECT count(*) FROM inside").value, "2")
    session.run_all("ROLLBACK; SELECT 1")
    expect(session.run("SELECT count(*) FROM inside").value, "1")


@check
def rows_can_be_read_as_they_come(world):
    session = world.open()
    count = 0
    for row in session.stream("SELECT n FROM generate_series(1, 20000) AS n"):
        count += 1
        expect(int(row[0]), count)
    expect(count, 20_000)
    expect(session.run("SELECT 1").value, "1")
