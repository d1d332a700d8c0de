"""COPY, both ways."""

from expect import Checks, expect, expect_refused

check = CHECKS = Checks()

COUNT = 100_000


def lines(count):
    return "".join(f"{number}\tword number {number}\n" for number in range(count))


@check
def copy_goes_in_and_out(world):
    session = world.table("copied", "id int PRIMARY KEY, word text")
    session.copy_in("COPY copied FROM STDIN", lines(COUNT))
    shown = session.run("SELECT count(*), count(*) FILTER (WHERE word = 'word number ' || id) FROM copied")
    expect(shown.texts, [(str(COUNT), str(COUNT))])
    expect(session.copy_out("COPY (SELECT * FROM copied ORDER BY id) TO STDOUT") == lines(COUNT), True)
    expect(session.run("SELECT 1").value, "1")


@check
def an_empty_copy_copies_nothing(world):
    session = world.table("copied", "id int PRIMARY KEY, word text")
    session.copy_in("COPY copied FROM STDIN", "")
    expect(session.copy_out("COPY copied TO STDOUT"), "")
    expect(session.run("SELECT 1").value, "1")


@check
def a_bad_line_ends_a_copy(world):
    session = world.table("copied", "id int PRIMARY KEY, word text")
    expect_refused("22P02", session.copy_in, "COPY copied FROM STDIN", lines(1000) + "x\ty\n" + lines(5000))
    expect(session.run("SELECT count(*) FROM copied").value, "0")


@check
def a_copy_of_no_table_is_refused(world):
    session = world.open()
    expect_refused("42P01", session.copy_in, "COPY no_such_table FROM STDIN", lines(1))
    expect_refused("42P01", session.copy_out, "COPY no_such_table TO STDOUT")
    expect(session.run("SELECT 1").value, "1")


@check
def a_copy_in_a_transaction_is_undone_with_it(world):
    session = world.table("copied", "id int PRIMARY KEY, word text")
    for end, wanted in (("ROLLBACK", "0"), ("COMMIT", "10")):
        session.run("BEGIN")
        session.copy_in("COPY copied FROM STDIN", lines(10))
        session.run(end)
        expect(session.run("SELECT count(*) FROM copied").value, wanted)
