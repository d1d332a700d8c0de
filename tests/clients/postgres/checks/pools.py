"""The drivers' own pools of connections, in front of the guard's."""

from expect import Checks, absent, expect

check = CHECKS = Checks()

SIZE = 3
TASKS = 40


@check
def a_pool_serves_more_tasks_than_it_has_connections(world):
    session = world.table("pooled", "id int PRIMARY KEY")
    tasks = [
        ["BEGIN", f"INSERT INTO pooled VALUES ({number})", "COMMIT", f"SELECT {number}"] for number in range(TASKS)
    ]
    answers = session.pooled(SIZE, tasks)
    expect([answer.value for answer in answers], [str(number) for number in range(TASKS)])
    expect(session.run("SELECT count(*), sum(id) FROM pooled").texts, [(str(TASKS), str(sum(range(TASKS))))])


@check
def a_pool_gives_a_connection_on_as_if_it_were_new(world):
    session = world.open()
    if not session.pool_resets:
        absent("its pool gives connections on as they are")
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4712"
    usual = session.run("SHOW work_mem").value
    leave = ["SET work_mem = '1234kB'", "SELECT pg_advisory_lock(4712)", "LISTEN pooled"]
    hold = ["BEGIN", "DECLARE held CURSOR WITH HOLD FOR SELECT 1", "COMMIT"]
    find = [
        ["SHOW work_mem"],
        [locks],
        ["SELECT count(*) FROM pg_listening_channels()"],
        ["SELECT count(*) FROM pg_cursors WHERE name = 'held'"],
    ]
    answers = session.pooled(1, 2 * [leave + hold + ["SHOW work_mem"], *find], at_once=False)
    expect([answer.value for answer in answers], 2 * ["1234kB", usual, "0", "0", "0"])
