"""Connections that end: by the client, and by the server."""

from expect import Checks, eventually, expect

check = CHECKS = Checks()


@check
def closing_in_a_transaction_rolls_it_back(world):
    session = world.table("departed", "id int PRIMARY KEY")
    leaver = world.connect()
    leaver.run("BEGIN")
    leaver.run("INSERT INTO departed VALUES (1)")
    leaver.run("SELECT pg_advisory_lock(4711)")
    leaver.close()
    session.run("INSERT INTO departed VALUES (1)")
    eventually("1", lambda: session.run("SELECT pg_try_advisory_lock(4711)::int").value)
    session.run("SELECT pg_advisory_unlock(4711)")


def ends_with_an_error(action, *args):
    try:
        action(*args)
    except Exception:  # Each driver has its own way to say that the connection is gone.
        return
    raise AssertionError("the statement of a terminated session succeeded")


@check
def a_terminated_session_fails_and_its_client_connects_again(world):
    session = world.table("terminated", "id int PRIMARY KEY")
    victim = world.open()
    victim.run("BEGIN")
    victim.run("INSERT INTO terminated VALUES (1)")
    session.run(f"SELECT pg_terminate_backend({victim.run('SELECT pg_backend_pid()').value})")
    ends_with_an_error(victim.run, "INSERT INTO terminated VALUES (2)")
    again = world.open()
    again.run("INSERT INTO terminated VALUES (1)")
    expect(again.run("SELECT count(*) FROM terminated").value, "1")


@check
def connections_come_and_go(world):
    for number in range(20):
        with world.connect() as session:
            expect(session.run(f"SELECT {number}").value, str(number))
