"""What does not wait for its turn: notifications, pipelines, cancelling."""

from adapter import Refused
from expect import Behind, Checks, eventually, expect, expect_refused

check = CHECKS = Checks()

CANCELLED = "57014"


@check
def a_notification_reaches_its_listeners(world):
    listener, other, speaker = world.open(), world.open(), world.open()
    for number in range(3):
        listener.listen("news")
        speaker.run(f"NOTIFY news, 'number {number}'")
        expect(listener.notification(), ("news", f"number {number}"))
    other.listen("weather")
    speaker.run("BEGIN")
    speaker.run("SELECT pg_notify('weather', 'never')")
    speaker.run("ROLLBACK")
    speaker.run("SELECT pg_notify('weather', 'rain')")
    expect(other.notification(), ("weather", "rain"))


@check
def a_pipeline_answers_in_order(world):
    session = world.table("piped", "id int PRIMARY KEY")
    for _ in range(5):
        answers = session.pipeline([("SELECT $1::int", [number]) for number in range(100)])
        expect([answer.value for answer in answers], [str(number) for number in range(100)])
    expect(session.run("SELECT 1").value, "1")


@check
def an_error_in_a_pipeline_is_told_first(world):
    session = world.table("piped", "id int PRIMARY KEY")
    insert = "INSERT INTO piped VALUES ($1::int)"
    answers = session.pipeline([(insert, [1]), (insert, [1]), ("SELECT $1::int", [7])])
    codes = [answer.code for answer in answers if isinstance(answer, Refused)]
    expect(codes[:1], ["23505"])
    expect(session.run("SELECT 1").value, "1")


@check
def a_statement_is_cancelled_from_another_thread(world):
    victim, other = world.open(), world.open()
    for number in range(3):
        slow = Behind(victim.run, f"SELECT pg_sleep(50), 'to be cancelled {number}'")
        busy = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' "
            f"AND query LIKE '%cancelled {number}%'"
        )
        eventually("1", lambda: other.run(busy).value)
        victim.cancel()
        expect_refused(CANCELLED, slow.result)
        expect(victim.run("SELECT 1").value, "1")


@check
def a_statement_is_cancelled_by_its_process(world):
    victim, other = world.open(), world.open()
    process = victim.run("SELECT pg_backend_pid()").value
    for _ in range(3):
        slow = Behind(victim.run, "SELECT pg_sleep(50)")
        busy = f"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid = {process}"
        eventually("1", lambda: other.run(busy).value)
        expect(other.run(f"SELECT pg_cancel_backend({process})::int").value, "1")
        expect_refused(CANCELLED, slow.result)
        expect(victim.run("SELECT pg_backend_pid()").value, process)


@check
def a_query_that_was_dropped_answers_nobody(world):
    session = world.open()
    for number in range(3):
        session.abandon("SELECT pg_sleep(0.02), 'nobody'")
        expect(session.run(f"SELECT {number}").value, str(number))


@check
def cancelling_an_idle_session_harms_nothing(world):
    session = world.open()
    for number in range(10):
        session.cancel()
        expect(answer_to(session, number), str(number))


def answer_to(session, number):
    """A cancel that comes late may hit the statement after it: nothing but that may go wrong."""
    try:
        return session.run(f"SELECT {number}").value
    except Refused as refused:
        expect(refused.code, CANCELLED)
        return session.run(f"SELECT {number}").value
