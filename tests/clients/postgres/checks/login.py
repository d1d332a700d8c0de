"""Who gets in, by which proof and over what."""

from dataclasses import replace

from expect import Checks, absent, expect, expect_refused

check = CHECKS = Checks()

WRONG_PASSWORD, NO_DATABASE = "28P01", "3D000"


def with_tls(world):
    return {"tls": True} if world.settings.ca else absent("TG_CA is not set")


def log_in(world, account, **wishes):
    for _ in range(2):
        session = world.open(account=account, **wishes)
        expect(session.run("SELECT current_database()::text, current_user::text").texts, [
            (world.settings.database, account.user),
        ])


@check
def scram_logs_in_over_plain_text(world):
    log_in(world, world.settings.scram)


@check
def scram_logs_in_over_tls(world):
    log_in(world, world.settings.scram, **with_tls(world))


@check
def md5_logs_in_over_plain_text(world):
    log_in(world, world.md5)


@check
def md5_logs_in_over_tls(world):
    log_in(world, world.md5, **with_tls(world))


@check
def a_wrong_password_is_refused(world):
    wrong = replace(world.settings.scram, password="wrong")
    expect_refused(WRONG_PASSWORD, lambda: world.open(account=wrong))


@check
def a_wrong_md5_password_is_refused(world):
    wrong = replace(world.md5, password="wrong")
    expect_refused(WRONG_PASSWORD, lambda: world.open(account=wrong))


@check
def an_unknown_user_is_refused(world):
    nobody = replace(world.settings.scram, user="nobody_at_all")
    expect_refused(WRONG_PASSWORD, lambda: world.open(account=nobody))


@check
def an_unknown_database_is_refused(world):
    expect_refused(NO_DATABASE, lambda: world.open(database="no_such_database"))
