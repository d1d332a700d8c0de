"""What a session remembers from one statement to the next, while others use other settings."""

from concurrent.futures import ThreadPoolExecutor

from expect import Checks, expect, expect_refused

check = CHECKS = Checks()

NEIGHBOURS = 8
ROUNDS = 25


def crowded(world, session, statement):
    """Runs the statement while other sessions use the connections that the server may share."""
    result = session.run(statement)
    for neighbour in world.sessions:
        if neighbour is not session:
            neighbour.run("SELECT 1")
    return result


@check
def last_insert_id_is_that_of_the_own_insert(world):
    session = world.table("numbered", "id INT AUTO_INCREMENT PRIMARY KEY, n INT")
    other = world.open()
    for number in range(1, 11):
        crowded(world, session, "INSERT INTO numbered (n) VALUES (1)")
        own = 2 * number - 1
        other.run("INSERT INTO numbered (n) VALUES (2)")
        expect(session.run("SELECT LAST_INSERT_ID()").value, str(own))
        expect(other.run("SELECT LAST_INSERT_ID()").value, str(own + 1))


@check
def row_count_is_that_of_the_own_statement(world):
    session = world.table("touched", "id INT PRIMARY KEY, n INT")
    world.open()
    session.run("INSERT INTO touched VALUES (1, 0), (2, 0), (3, 0)")
    for limit in (1, 2, 3):
        crowded(world, session, f"UPDATE touched SET n = n + 1 WHERE id <= {limit}")
        expect(session.run("SELECT ROW_COUNT()").value, str(limit))


@check
def found_rows_is_that_of_the_own_select(world):
    session = world.table("found", "id INT PRIMARY KEY")
    world.open()
    session.run("INSERT INTO found VALUES (1), (2), (3), (4), (5)")
    for limit in (1, 2):
        crowded(world, session, f"SELECT SQL_CALC_FOUND_ROWS id FROM found LIMIT {limit}")
        expect(session.run("SELECT FOUND_ROWS()").value, "5")


@check
def warnings_are_those_of_the_own_statement(world):
    session = world.table("calm", "id INT")
    world.open()
    for word in ("one", "two"):
        crowded(world, session, f"SELECT CAST('{word}' AS SIGNED)")
        ((level, code, message),) = session.run("SHOW WARNINGS").texts
        expect((level, code, word in message), ("Warning", "1292", True))
    # A statement without a table would leave the warnings as they are.
    session.run("SELECT * FROM calm")
    expect(session.run("SHOW WARNINGS").rows, [])


@check
def errors_are_shown_after_they_happened(world):
    session = world.open()
    world.open()
    expect_refused(1146, crowded, world, session, "SELECT * FROM no_such_table")
    rows = session.run("SHOW ERRORS").texts
    expect([(level, code) for level, code, _ in rows], [("Error", "1146")])


@check
def user_variables_stay(world):
    sessions = [world.open() for _ in range(4)]
    for number, session in enumerate(sessions):
        session.run(f"SET @mine = {number}")
    for round_ in range(10):
        for number, session in enumerate(sessions):
            expect(session.run("SELECT @mine := @mine + 1").value, str(number + round_ + 1))


@check
def temporary_tables_stay_and_are_private(world):
    sessions = [world.open() for _ in range(4)]
    for number, session in enumerate(sessions):
        session.run("CREATE TEMPORARY TABLE scratch (n INT)")
        session.run(f"INSERT INTO scratch VALUES ({number})")
    for _ in range(5):
        for number, session in enumerate(sessions):
            expect(session.run("SELECT n FROM scratch").value, str(number))
    sessions[0].run("DROP TEMPORARY TABLE scratch")
    expect_refused(1146, sessions[0].run, "SELECT n FROM scratch")
    expect(sessions[1].run("SELECT n FROM scratch").value, "1")


@check
def named_locks_belong_to_their_session(world):
    owner, other = world.open(), world.open()
    name = f"'{world.home}'"
    expect(owner.run(f"SELECT GET_LOCK({name}, 0)").value, "1")
    for _ in range(5):
        owner.run("SELECT 1")
        expect(other.run(f"SELECT GET_LOCK({name}, 0)").value, "0")
    expect(other.run(f"SELECT RELEASE_LOCK({name})").value, "0")
    expect(owner.run(f"SELECT RELEASE_LOCK({name})").value, "1")
    expect(other.run(f"SELECT GET_LOCK({name}, 0)").value, "1")
    expect(other.run(f"SELECT RELEASE_LOCK({name})").value, "1")


@check
def table_locks_last_until_unlock(world):
    owner = world.table("guarded", "id INT PRIMARY KEY")
    other = world.open()
    owner.run("LOCK TABLES guarded WRITE")
    owner.run("INSERT INTO guarded VALUES (1)")
    expect_refused(1100, owner.run, "SELECT * FROM elsewhere")
    other.run("SET lock_wait_timeout = 1")
    expect_refused(1205, other.run, "SELECT * FROM guarded")
    owner.run("UNLOCK TABLES")
    expect(other.run("SELECT id FROM guarded").value, "1")


@check
def the_database_is_changed_and_stays(world):
    session, neighbour = world.open(), world.open()
    for name in (world.other, world.home) * 3:
        session.run(f"USE {name}")
        for _ in range(3):
            expect(session.run("SELECT DATABASE()").value, name)
            expect(neighbour.run("SELECT DATABASE()").value, world.home)


@check
def the_drivers_own_change_of_database_stays(world):
    session, neighbour = world.open(), world.open()
    for name in (world.other, world.home) * 3:
        session.use(name)
        expect(session.run("SELECT DATABASE()").value, name)
        expect(neighbour.run("SELECT DATABASE()").value, world.home)
    expect_refused(1049, session.use, world.missing)
    if not (world.adapter.uses_by_change_of_user and world.settings.engine == "mysql"):
        expect(session.run("SELECT DATABASE()").value, world.home)


class Setting:
    """Settings unlike those of the neighbours, and what statements must show under them."""

    MODES = ("", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT")
    COLLATIONS = ("utf8mb4_bin", "utf8mb4_general_ci")

    def __init__(self, world, number):
        self.session = world.open()
        self.mode = self.MODES[number % 4]
        self.collation = self.COLLATIONS[number % 2]
        self.hour = number
        self.database = (world.home, world.other)[number // 4 % 2]
        self.lock_wait = 10 + number

    def make(self):
        run = self.session.run
        run(f"SET NAMES utf8mb4 COLLATE {self.collation}")
        run(f"SET sql_mode = '{self.mode}'")
        run(f"SET time_zone = '+0{self.hour}:00', SESSION innodb_lock_wait_timeout = {self.lock_wait}")
        run(f"USE {self.database}")

    def verify(self):
        run = self.session.run
        shown = run("SELECT @@sql_mode, @@time_zone, @@collation_connection, DATABASE(), @@innodb_lock_wait_timeout")
        wanted = (self.mode, f"+0{self.hour}:00", self.collation, self.database, str(self.lock_wait))
        expect(shown.texts, [wanted])
        # What they do, not only what they say.
        expect(run("SELECT CAST(FROM_UNIXTIME(86400) AS CHAR)").value, f"1970-01-02 0{self.hour}:00:00")
        expect(run("SELECT 'a' = 'A'").value, "1" if self.collation.endswith("_ci") else "0")
        expect(run(r"SELECT LENGTH('\n')").value, "2" if self.mode == "NO_BACKSLASH_ESCAPES" else "1")
        expect(run("SELECT '1' || '0'").value, "10" if self.mode == "PIPES_AS_CONCAT" else "1")
        if self.mode == "ANSI_QUOTES":
            expect_refused(1054, run, 'SELECT "word"')
        else:
            expect(run('SELECT "word"').value, "word")


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
