"""Who gets in, by which plugin and over what."""

from dataclasses import replace

from expect import Checks, absent, expect, expect_any_of, expect_refused

check = CHECKS = Checks()


def with_tls(world):
    return {"tls": True} if world.settings.ca else absent("TG_CA is not set")


def log_in(world, account, **wishes):
    """Logs in twice, since a server that has seen the password once may take a shorter path."""
    for _ in range(2):
        session = world.open(account=account, **wishes)
        expect(session.run("SELECT DATABASE()").value, world.home)
        expect(session.run("SELECT SUBSTRING_INDEX(USER(), '@', 1)").value, account.user)


@check
def native_password_logs_in_over_plain_text(world):
    log_in(world, world.native)


@check
def native_password_logs_in_over_tls(world):
    log_in(world, world.native, **with_tls(world))


@check
def caching_sha2_password_logs_in_over_plain_text(world):
    log_in(world, world.sha2)


@check
def caching_sha2_password_logs_in_over_tls(world):
    log_in(world, world.sha2, **with_tls(world))


def expect_denied(world, action, *args):
    expect_any_of(world.adapter.denied, action, *args)


def refuses_a_wrong_password(world, account):
    for password in (f"{account.password}?", ""):
        wrong = replace(account, password=password)
        expect_denied(world, lambda: world.open(account=wrong))


@check
def a_wrong_password_is_refused(world):
    refuses_a_wrong_password(world, world.native)


@check
def a_wrong_caching_sha2_password_is_refused(world):
    refuses_a_wrong_password(world, world.sha2)


@check
def an_unknown_user_is_refused(world):
    nobody = replace(world.account, user="nobody_at_all")
    expect_denied(world, lambda: world.open(account=nobody))


@check
def an_unknown_database_is_refused_at_login(world):
    expect_refused(1049, lambda: world.open(database=world.missing))


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
    session.change_user(world.account, world.other)
    expect(session.run("SELECT DATABASE()").value, world.other)
    expect(session.run("SELECT @kept").value, None)
    expect_refused(1146, session.run, f"SELECT * FROM {world.home}.passing")


@check
def change_user_to_a_wrong_password_is_refused(world):
    session = world.open()
    wrong = replace(world.account, password="wrong")
    expect_denied(world, session.change_user, wrong, world.other)


@check
def reset_connection_clears_the_session(world):
    session = world.table("kept", "id INT PRIMARY KEY")
    session.run("SET @kept = 1, SESSION sql_mode = 'ANSI_QUOTES', SESSION time_zone = '+05:00'")
    session.run("CREATE TEMPORARY TABLE passing (id INT)")
    session.run("BEGIN")
    session.run("INSERT INTO kept VALUES (1)")
    session.reset()
    expect(session.run("SELECT @kept").value, None)
    # Not all of sql_mode: drivers may ask for IGNORE_SPACE at login, and MySQL keeps to it.
    expect(session.run("SELECT FIND_IN_SET('ANSI_QUOTES', @@sql_mode)").value, "0")
    expect(session.run("SELECT @@time_zone = @@GLOBAL.time_zone").value, "1")
    expect_refused(1146, session.run, "SELECT * FROM passing")
    expect(session.run("SELECT COUNT(*) FROM kept").value, "0")
