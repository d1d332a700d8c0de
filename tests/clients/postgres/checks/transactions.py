"""Transactions, their locks, and the errors that locks give."""

from adapter import Refused
from expect import Behind, Checks, eventually, expect, expect_refused

check = CHECKS = Checks()

FAILED, READ_ONLY, NO_LOCK, DEADLOCK = "25P02", "25006", "55P03", "40P01"


def accounts(world):
    """Two sessions, and a table with the rows 1 and 2 of 100 each."""
    session = world.table("account", "id int PRIMARY KEY, amount int")
    session.run("INSERT INTO account VALUES (1, 100), (2, 100)")
    return session, world.open()


def amount(session, account=1):
    return session.run(f"SELECT amount FROM account WHERE id = {account}").value


def add(session, account, sum_):
    session.run(f"UPDATE account SET amount = amount + {sum_} WHERE id = {account}")


@check
def commit_makes_changes_seen(world):
    writer, reader = accounts(world)
    writer.run("BEGIN")
    add(writer, 1, 5)
    expect((amount(writer), amount(reader)), ("105", "100"))
    writer.run("COMMIT")
    expect(amount(reader), "105")


@check
def rollback_undoes_changes(world):
    writer, reader = accounts(world)
    writer.run("START TRANSACTION")
    add(writer, 1, 5)
    writer.run("ROLLBACK")
    expect((amount(writer), amount(reader)), ("100", "100"))


@check
def a_savepoint_undoes_a_part(world):
    writer, reader = accounts(world)
    writer.run("BEGIN")
    add(writer, 1, 1)
    writer.run("SAVEPOINT here")
    add(writer, 1, 10)
    expect_refused("22012", writer.run, "SELECT 1 / 0")
    expect_refused(FAILED, writer.run, "SELECT 1")
    writer.run("ROLLBACK TO SAVEPOINT here")
    writer.run("COMMIT")
    expect(amount(reader), "101")


@check
def a_failed_transaction_answers_only_its_end(world):
    writer, reader = accounts(world)
    for end in ("ROLLBACK", "COMMIT"):
        writer.run("BEGIN")
        add(writer, 1, 5)
        expect_refused("42P01", writer.run, "SELECT * FROM no_such_table")
        expect_refused(FAILED, writer.run, "SELECT 1")
        writer.run(end)
        expect((amount(writer), amount(reader)), ("100", "100"))


@check
def a_read_only_transaction_writes_nothing(world):
    writer, _ = accounts(world)
    writer.run("START TRANSACTION READ ONLY")
    expect_refused(READ_ONLY, add, writer, 1, 5)
    writer.run("ROLLBACK")
    add(writer, 1, 5)
    expect(amount(writer), "105")


@check
def a_repeatable_read_keeps_its_snapshot(world):
    reader, writer = accounts(world)
    reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    expect(amount(reader), "100")
    add(writer, 1, 1)
    expect(amount(reader), "100")
    expect_refused("40001", add, reader, 1, 1)
    reader.run("ROLLBACK")
    expect(amount(reader), "101")


@check
def a_lock_wait_ends_with_its_error(world):
    holder, waiter = accounts(world)
    before = waiter.run("SHOW lock_timeout").value
    holder.run("BEGIN")
    add(holder, 1, 1)
    waiter.run("BEGIN")
    waiter.run("SET LOCAL lock_timeout = '300ms'")
    expect_refused(NO_LOCK, add, waiter, 1, 10)
    waiter.run("ROLLBACK")
    holder.run("COMMIT")
    expect(amount(waiter), "101")
    expect(waiter.run("SHOW lock_timeout").value, before)


@check
def a_waiter_goes_on_when_the_holder_ends(world):
    holder, waiter = accounts(world)
    holder.run("BEGIN")
    holder.run("SELECT * FROM account WHERE id = 1 FOR UPDATE")
    waiting = Behind(add, waiter, 1, 1)
    add(holder, 1, 10)
    holder.run("COMMIT")
    waiting.result()
    expect(amount(waiter), "111")


@check
def a_deadlock_ends_with_its_error(world):
    one, two = accounts(world)
    one.run("BEGIN")
    two.run("BEGIN")
    add(one, 1, 1)
    add(two, 2, 1)
    waiting = Behind(outcome, add, one, 2, 1)
    expect(sorted([outcome(add, two, 1, 1), waiting.result()]), ["", DEADLOCK])
    one.run("COMMIT")
    two.run("COMMIT")
    expect((amount(one, 1), amount(two, 2)), ("101", "101"))


def outcome(action, *args):
    """The code of the error that the action ended with; empty if it succeeded."""
    try:
        action(*args)
    except Refused as refused:
        return refused.code
    return ""


@check
def two_phases_prepare_and_commit(world):
    writer, reader = accounts(world)
    for end, wanted in (("COMMIT", "107"), ("ROLLBACK", "107")):
        writer.run("BEGIN")
        add(writer, 1, 7)
        writer.run("PREPARE TRANSACTION 'two phases'")
        reader.run(f"{end} PREPARED 'two phases'")
        eventually(wanted, lambda: amount(reader))
