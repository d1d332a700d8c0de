"""Connections that end: by the client, and by a KILL on the server."""

from expect import Behind, Checks, eventually, expect

check = CHECKS = Checks()


@check
def closing_in_a_transaction_rolls_it_back(world):
    session = world.table("departed", "id INT PRIMARY KEY")
    leaver = world.connect(database=world.home)
    leaver.run("BEGIN")
    leaver.run("INSERT INTO departed VALUES (1)")
    leaver.run("SELECT GET_LOCK('left behind', 0)")
    leaver.close()
    session.run("INSERT INTO departed VALUES (1)")
    eventually("1", lambda: session.run("SELECT GET_LOCK('left behind', 0)").value)
    session.run("SELECT RELEASE_LOCK('left behind')")


def ends_with_an_error(action, *args):
    try:
        action(*args)
    except Exception:  # Each driver has its own way to say that the connection is gone.
        return
    raise AssertionError("the statement of a killed session succeeded")


@check
def a_killed_session_fails_and_its_client_connects_again(world):
    session = world.table("killed", "id INT PRIMARY KEY")
    victim = world.open()
    victim.run("BEGIN")
    victim.run("INSERT INTO killed VALUES (1)")
    session.run(f"KILL {victim.run('SELECT CONNECTION_ID()').value}")
    ends_with_an_error(victim.run, "INSERT INTO killed VALUES (2)")
    again = world.open()
    again.run("INSERT INTO killed VALUES (1)")
    expect(again.run("SELECT COUNT(*) FROM killed").value, "1")


@check
def a_killed_statement_ends_and_its_session_lives(world):
    session, victim = world.open(), world.open()
    identity = victim.run("SELECT CONNECTION_ID()").value
    slow = Behind(victim.run, "SELECT SLEEP(50)")
    busy = f"SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(50)%' AND db = '{world.home}'"
    eventually("1", lambda: session.run(busy).value)
    session.run(f"KILL QUERY {identity}")
    expect_ended_early(slow)
    expect(victim.run("SELECT 1").value, "1")


def expect_ended_early(slow):
    """SLEEP answers 1 when it is interrupted, or the statement ends with error 1317."""
    try:
        expect(slow.result().value, "1")
    except Exception as error:
        if getattr(error, "code", None) != 1317:
            raise


@check
def connections_come_and_go(world):
    for number in range(20):
        with world.connect(database=world.home) as session:
            expect(session.run(f"SELECT {number}").value, str(number))
