"""Statements, their results and their errors."""

from expect import Checks, expect, expect_refused

check = CHECKS = Checks()


@check
def a_text_statement_returns_its_rows(world):
    session = world.open()
    rows = session.run("SELECT 1, NULL, '', 'zażółć 😀', -5").texts
    expect(rows, [("1", None, "", "zażółć 😀", "-5")])
    expect(session.run("SELECT 1 FROM DUAL WHERE 1 = 0").texts, [])


@check
def parameters_arrive_as_they_were_given(world):
    session = world.open()
    odd = "it's \\ \"quoted\" %s ? \n \x1a 😀"
    rows = session.bind("SELECT ?, ?, ?", 7, odd, None).texts
    expect(rows, [("7", odd, None)])


@check
def a_result_may_have_a_thousand_columns(world):
    columns = ", ".join(f"{i} AS c{i}" for i in range(1000))
    rows = world.open().run(f"SELECT {columns}").texts
    expect(rows, [tuple(str(i) for i in range(1000))])


@check
def the_driver_learns_counts_and_ids(world):
    session = world.table("counted", "id INT AUTO_INCREMENT PRIMARY KEY, n INT")
    inserted = session.run("INSERT INTO counted (n) VALUES (1), (1), (1)")
    updated = session.run("UPDATE counted SET n = 2 WHERE id > 1")
    if inserted.affected is not None:
        expect((inserted.affected, inserted.last_id), (3, 1))
        expect(updated.affected, 2)
    expect(session.run("SELECT SUM(n) FROM counted").value, "5")


ERRORS = {
    1064: "SELECT FROM WHERE",
    1146: "SELECT * FROM no_such_table",
    1054: "SELECT no_such_column FROM known",
    1062: "INSERT INTO known VALUES (1)",
    1366: "INSERT INTO known VALUES ('x')",
    1305: "CALL no_such_procedure()",
    1049: "USE {missing}",
}


@check
def a_session_outlives_every_error(world):
    session = world.table("known", "id INT PRIMARY KEY")
    session.run("INSERT INTO known VALUES (1)")
    for code, statement in ERRORS.items():
        expect_refused(code, session.run, statement.format(missing=world.missing))
        expect(session.run("SELECT COUNT(*) FROM known").value, "1")


@check
def several_statements_give_several_results(world):
    session = world.table("several", "id INT PRIMARY KEY")
    results = session.run_all("SELECT 1; SELECT 2, 3; INSERT INTO several VALUES (4); SELECT id FROM several")
    rows = [result.texts for result in results if result.rows]
    expect(rows, [[("1",)], [("2", "3")], [("4",)]])


@check
def an_error_ends_several_statements(world):
    session = world.table("ended", "id INT PRIMARY KEY")
    expect_refused(
        1062,
        session.run_all,
        "INSERT INTO ended VALUES (1); INSERT INTO ended VALUES (1); INSERT INTO ended VALUES (2)",
    )
    expect(session.run("SELECT COUNT(*) FROM ended").value, "1")


@check
def a_procedure_returns_many_results(world):
    session = world.open()
    session.run("DROP PROCEDURE IF EXISTS talk")
    session.run(
        "CREATE PROCEDURE talk(times INT) BEGIN "
        "SELECT times; WHILE times > 0 DO SELECT times, 'row'; SET times = times - 1; END WHILE; END"
    )
    for times in (0, 3, 50):
        results = [result.texts for result in session.run_all(f"CALL talk({times})") if result.rows]
        counted = [[(str(n), "row")] for n in range(times, 0, -1)]
        expect(results, [[(str(times),)], *counted])
    expect(session.run("SELECT 1").value, "1")


@check
def an_error_inside_a_procedure_ends_its_results(world):
    session = world.open()
    session.run("DROP PROCEDURE IF EXISTS stumble")
    session.run("CREATE PROCEDURE stumble() BEGIN SELECT 1; SELECT * FROM no_such_table; END")
    expect_refused(1146, session.run_all, "CALL stumble()")
    expect(session.run("SELECT 1").value, "1")


@check
def rows_can_be_read_as_they_come(world):
    session = world.open()
    count = 0
    for row in session.stream(numbers(20_000)):
        count += 1
        expect(int(row[0]), count)
    expect(count, 20_000)
    expect(session.run("SELECT 1").value, "1")


def numbers(count):
    """A statement with rows 1 to `count`, on either engine and without a table."""
    digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
    return (
        f"WITH ten AS ({digits}) SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d AS n "
        f"FROM ten a, ten b, ten c, ten d, ten e HAVING n <= {count} ORDER BY n"
    )
