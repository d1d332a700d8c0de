"""Transactions, their locks, and the errors that locks give."""

from adapter import Refused
from expect import Behind, Checks, expect, expect_refused

check = CHECKS = Checks()

LOCK_WAIT, DEADLOCK, READ_ONLY = 1205, 1213, 1792


def accounts(world):
    """Two sessions, and a table with the rows 1 and 2 of 100 each."""
    session = world.table("account", "id INT PRIMARY KEY, amount INT")
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
    writer.run("ROLLBACK TO SAVEPOINT here")
    writer.run("RELEASE SAVEPOINT here")
    expect_refused(1305, writer.run, "ROLLBACK TO SAVEPOINT here")
    writer.run("COMMIT")
    expect(amount(reader), "101")


@check
def without_autocommit_each_statement_joins_a_transaction(world):
    writer, reader = accounts(world)
    writer.run("SET autocommit = 0")
    for round_ in range(1, 4):
        add(writer, 1, 1)
        expect(amount(reader), str(99 + round_))
        writer.run("COMMIT")
        expect(amount(reader), str(100 + round_))
    add(writer, 1, 1)
    writer.run("ROLLBACK")
    expect(amount(writer), "103")
    add(writer, 1, 1)
    writer.run("SET autocommit = 1")
    expect(amount(reader), "104")


@check
def ddl_commits_what_was_open(world):
    writer, reader = accounts(world)
    writer.run("BEGIN")
    add(writer, 1, 5)
    writer.run("CREATE TABLE IF NOT EXISTS beside (id INT)")
    writer.run("ROLLBACK")
    expect(amount(reader), "105")


@check
def a_read_only_transaction_writes_nothing(world):
    writer, _ = accounts(world)
    writer.run("START TRANSACTION READ ONLY")
    expect_refused(READ_ONLY, add, writer, 1, 5)
    writer.run("COMMIT")
    add(writer, 1, 5)
    expect(amount(writer), "105")


@check
def isolation_set_for_one_transaction_ends_with_it(world):
    reader, writer = accounts(world)
    seen = []
    reader.run("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    for _ in range(2):
        reader.run("BEGIN")
        seen.append(amount(reader))
        add(writer, 1, 1)
        seen.append(amount(reader))
        reader.run("COMMIT")
    expect(seen, ["100", "101", "101", "101"])


@check
def a_consistent_snapshot_is_taken_at_once(world):
    reader, writer = accounts(world)
    reader.run("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    add(writer, 1, 1)
    expect(amount(reader), "100")
    reader.run("COMMIT AND CHAIN")
    expect(amount(reader), "101")
    add(reader, 1, 1)
    reader.run("ROLLBACK")
    expect(amount(reader), "101")


@check
def a_lock_wait_ends_with_its_error(world):
    holder, waiter = accounts(world)
    holder.run("BEGIN")
    add(holder, 1, 1)
    waiter.run("SET innodb_lock_wait_timeout = 1")
    waiter.run("BEGIN")
    add(waiter, 2, 1)
    expect_refused(LOCK_WAIT, add, waiter, 1, 10)
    # The statement was undone, the transaction was not.
    waiter.run("COMMIT")
    holder.run("COMMIT")
    expect((amount(waiter, 1), amount(waiter, 2)), ("101", "101"))


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
    expect(sorted([outcome(add, two, 1, 1), waiting.result()]), [0, DEADLOCK])
    one.run("COMMIT")
    two.run("COMMIT")
    expect((amount(one, 1), amount(two, 2)), ("101", "101"))


def outcome(action, *args):
    """The code of the error that the action ended with; 0 if it succeeded."""
    try:
        action(*args)
    except Refused as refused:
        return refused.code
    return 0


@check
def xa_prepares_and_commits(world):
    writer, reader = accounts(world)
    branch = f"'{world.home}'"
    writer.run(f"XA START {branch}")
    add(writer, 1, 7)
    writer.run(f"XA END {branch}")
    writer.run(f"XA PREPARE {branch}")
    expect(amount(reader), "100")
    writer.run(f"XA COMMIT {branch}")
    expect(amount(reader), "107")
