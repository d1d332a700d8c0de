"""Who gets in, by which plugin and over what."""

from adapter import Absent
from world import Checks, expect, expect_refused

check = CHECKS = Checks()


def with_tls(world):
    if not world.settings.ca:
        raise Absent("TG_CA is not set")
    return {"tls": True}


def with_sha2(world):
    if not world.settings.sha2_account:
        raise Absent("TG_SHA2_USER is not set")
    return {"account": world.settings.sha2_account}


def log_in(world, **wishes):
    """Logs in twice, since a server that has seen the password once may take a shorter path."""
    account = wishes.get("account", world.settings.account)
    for _ in range(2):
        session = world.open(**wishes)
        expect(session.run("SELECT DATABASE()").value, world.home)
        expect(session.run("SELECT SUBSTRING_INDEX(USER(), '@', 1)").value, account.user)


@check
def native_password_logs_in_over_plain_text(world):
    log_in(world)


@check
def native_password_logs_in_over_tls(world):
    log_in(world, **with_tls(world))


@check
def caching_sha2_password_logs_in_over_plain_text(world):
    log_in(world, **with_sha2(world))


@check
def caching_sha2_password_logs_in_over_tls(world):
    log_in(world, **with_sha2(world), **with_tls(world))


def refuses_a_wrong_password(world, account):
    wrong = type(account)(account.user, f"{account.password}?")
    expect_refused(1045, lambda: world.open(account=wrong))
    empty = type(account)(account.user, "")
    expect_refused(1045, lambda: world.open(account=empty))


@check
def a_wrong_password_is_refused(world):
    refuses_a_wrong_password(world, world.settings.account)


@check
def a_wrong_caching_sha2_password_is_refused(world):
    refuses_a_wrong_password(world, with_sha2(world)["account"])


@check
def an_unknown_user_is_refused(world):
    account = world.settings.account
    expect_refused(1045, lambda: world.open(account=type(account)("nobody_at_all", "x")))


@check
def an_unknown_database_is_refused_at_login(world):
    expect_refused(1049, lambda: world.open(database="no_such_database"))


@check
def a_login_needs_no_database(world):
    session = world.open(database=None)
    expect(session.run("SELECT DATABASE()").value, None)
    expect_refused(1046, session.run, "SELECT * FROM anything")
    session.run(f"USE {world.home}")
    expect(session.run("SELECT DATABASE()").value, world.home)


@check
def ping_is_answered(world):
    session = world.open()
    session.ping()
    session.run("BEGIN")
    session.ping()
    session.run("COMMIT")


@check
def change_user_starts_a_new_session(world):
    session = world.open()
    session.run("SET @kept = 1")
    session.run("CREATE TEMPORARY TABLE passing (id INT)")
    session.change_user(world.settings.account, world.other)
    expect(session.run("SELECT DATABASE()").value, world.other)
    expect(session.run("SELECT @kept").value, None)
    expect_refused(1146, session.run, f"SELECT * FROM {world.home}.passing")


@check
def change_user_to_a_wrong_password_is_refused(world):
    account = world.settings.account
    session = world.open()
    wrong = type(account)(account.user, "wrong")
    expect_refused(1045, session.change_user, wrong, world.other)


@check
def reset_connection_clears_the_session(world):
    session = world.table("kept", "id INT PRIMARY KEY")
    session.run("SET @kept = 1, SESSION sql_mode = 'ANSI_QUOTES', SESSION time_zone = '+05:00'")
    session.run("CREATE TEMPORARY TABLE passing (id INT)")
    session.run("BEGIN")
    session.run("INSERT INTO kept VALUES (1)")
    session.reset()
    expect(session.run("SELECT @kept").value, None)
    expect(session.run("SELECT @@sql_mode = @@GLOBAL.sql_mode").value, "1")
    expect(session.run("SELECT @@time_zone = @@GLOBAL.time_zone").value, "1")
    expect_refused(1146, session.run, "SELECT * FROM passing")
    expect(session.run("SELECT COUNT(*) FROM kept").value, "0")
