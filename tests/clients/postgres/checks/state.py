"""What a session remembers from one statement to the next, while others use other settings."""

from concurrent.futures import ThreadPoolExecutor

from expect import Checks, expect, expect_refused

check = CHECKS = Checks()

NEIGHBOURS = 8
ROUNDS = 25


class Setting:
    """Settings unlike those of the neighbours, and what statements must show under them."""

    STYLES = ("ISO, MDY", "German, DMY", "SQL, MDY", "SQL, DMY")
    SHOWN = ("2024-02-03", "03.02.2024", "02/03/2024", "03/02/2024")

    def __init__(self, world, number):
        self.session = world.open()
        self.style = self.STYLES[number % 4]
        self.day = self.SHOWN[number % 4]
        self.hour = number
        self.name = f"neighbour {number}"
        self.path = f"public, path_{number}"
        self.lock_timeout = f"{100 + number}s"

    def make(self):
        run = self.session.run
        run(f"SET DateStyle = '{self.style}'")
        run(f"SET TimeZone = 'Etc/GMT-{self.hour}'")
        run(f"SET application_name = '{self.name}'")
        run(f"SET search_path = {self.path}")
        run(f"SELECT set_config('lock_timeout', '{self.lock_timeout}', false)")
        run(f"SET my.own = '{self.hour}'")

    def verify(self):
        run = self.session.run
        names = ("DateStyle", "application_name", "search_path", "lock_timeout", "my.own")
        shown = run("SELECT " + ", ".join(f"current_setting('{name}')" for name in names)).texts
        expect(shown, [(self.style, self.name, self.path, self.lock_timeout_shown, str(self.hour))])
        # What they do, not only what they say.
        expect(run("SELECT date '2024-02-03'::text").value, self.day)
        expect(run("SELECT extract(hour FROM to_timestamp(0))::int").value, str(self.hour))

    @property
    def lock_timeout_shown(self):
        return self.lock_timeout if self.lock_timeout != "120s" else "2min"


@check
def settings_stay_while_eight_sessions_take_turns(world):
    settings = [Setting(world, number) for number in range(NEIGHBOURS)]
    for setting in settings:
        setting.make()
    for _ in range(ROUNDS):
        for setting in settings:
            setting.verify()


@check
def settings_stay_while_eight_sessions_run_at_once(world):
    settings = [Setting(world, number) for number in range(NEIGHBOURS)]

    def work(setting):
        setting.make()
        for _ in range(ROUNDS):
            setting.verify()

    with ThreadPoolExecutor(NEIGHBOURS) as pool:
        list(pool.map(work, settings))


@check
def a_local_setting_ends_with_its_transaction(world):
    session = world.open()
    session.run("BEGIN")
    session.run("SET LOCAL work_mem = '1234kB'")
    expect(session.run("SHOW work_mem").value, "1234kB")
    session.run("COMMIT")
    expect(session.run("SHOW work_mem").value == "1234kB", False)


@check
def a_rollback_undoes_a_setting(world):
    session = world.open()
    session.run("SET work_mem = '1MB'")
    session.run("BEGIN")
    session.run("SET work_mem = '2MB'")
    session.run("ROLLBACK")
    expect(session.run("SHOW work_mem").value, "1MB")
    session.run("RESET work_mem")
    expect(session.run("SHOW work_mem").value == "1MB", False)


@check
def a_statement_timeout_of_the_client_ends_its_statement(world):
    session, other = world.open(), world.open()
    before = other.run("SHOW statement_timeout").value
    session.run("SET statement_timeout = '200ms'")
    for _ in range(3):
        expect_refused("57014", session.run, "SELECT pg_sleep(60)")
        expect(session.run("SELECT 1").value, "1")
        expect(other.run("SHOW statement_timeout").value, before)
    session.run("SET statement_timeout = 0")
    session.run("SELECT pg_sleep(0.3)")


@check
def temporary_tables_stay_and_are_private(world):
    sessions = [world.open() for _ in range(4)]
    for number, session in enumerate(sessions):
        session.run("CREATE TEMPORARY TABLE scratch (n int)")
        session.run(f"INSERT INTO scratch VALUES ({number})")
    for _ in range(5):
        for number, session in enumerate(sessions):
            expect(session.run("SELECT n FROM scratch").value, str(number))
    sessions[0].run("DROP TABLE scratch")
    expect_refused("42P01", sessions[0].run, "SELECT n FROM scratch")
    expect(sessions[1].run("SELECT n FROM scratch").value, "1")


@check
def advisory_locks_belong_to_their_session(world):
    owner, other = world.open(), world.open()
    expect(owner.run("SELECT pg_try_advisory_lock(7)::int").value, "1")
    for _ in range(5):
        owner.run("SELECT 1")
        expect(other.run("SELECT pg_try_advisory_lock(7)::int").value, "0")
    expect(owner.run("SELECT pg_advisory_unlock(7)::int").value, "1")
    expect(other.run("SELECT pg_try_advisory_lock(7)::int").value, "1")
    expect(other.run("SELECT pg_advisory_unlock(7)::int").value, "1")


@check
def the_last_number_of_a_sequence_is_the_sessions_own(world):
    sessions = [world.table("numbered", "id serial PRIMARY KEY"), world.open()]
    for number in range(1, 11):
        sessions[number % 2].run("INSERT INTO numbered DEFAULT VALUES")
        expect(sessions[number % 2].run("SELECT currval('numbered_id_seq')").value, str(number))
    expect(sessions[1].run("SELECT currval('numbered_id_seq')").value, "9")


@check
def a_cursor_with_hold_outlives_its_transaction(world):
    session, other = world.open(), world.open()
    session.run("BEGIN")
    session.run("DECLARE held CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 10) n")
    session.run("COMMIT")
    for number in range(1, 6):
        other.run("SELECT 1")
        expect(session.run("FETCH 1 FROM held").value, str(number))
    expect_refused("34000", other.run, "FETCH 1 FROM held")
    session.run("CLOSE held")


@check
def discard_all_clears_the_session(world):
    session = world.open()
    session.run("CREATE TEMPORARY TABLE scratch (n int)")
    session.run("SET work_mem = '1MB'")
    session.run("DISCARD ALL")
    expect(session.run("SHOW work_mem").value == "1MB", False)
    expect_refused("42P01", session.run, "SELECT n FROM scratch")
