"""How a check says what it expects; the same for every engine."""

import time
from concurrent.futures import ThreadPoolExecutor

from adapter import Absent, Refused

# Longer than any statement of the checks may take, on a slow machine through a busy guard.
PATIENCE_S = 60


def absent(why):
    raise Absent(why)


def expect(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {shorten(got)}, expected {shorten(wanted)}")


def expect_refused(code, action, *args):
    """Runs the action, which the server must answer with this error."""
    expect_any_of((code,), action, *args)


def expect_any_of(codes, action, *args):
    try:
        result = action(*args)
    except Refused as refused:
        if refused.code not in codes:
            raise AssertionError(f"got error {refused}, expected {codes}") from refused
    else:
        raise AssertionError(f"expected error {codes}, got {shorten(result)}")


def eventually(wanted, action):
    """Waits until the action returns what is wanted."""
    end = time.monotonic() + PATIENCE_S
    while (got := action()) != wanted:
        if time.monotonic() > end:
            expect(got, wanted)
        time.sleep(0.02)


def shorten(value):
    shown = repr(value)
    return shown if len(shown) <= 300 else f"{shown[:200]} … ({len(shown)} characters)"


class Behind:
    """Runs an action in a thread: a statement that is expected to wait."""

    def __init__(self, action, *args):
        self.pool = ThreadPoolExecutor(1)
        self.outcome = self.pool.submit(action, *args)
        self.pool.shutdown(wait=False)

    def result(self):
        return self.outcome.result(PATIENCE_S)


class Checks(list):
    """The checks of one module, in the order they are written."""

    def __call__(self, check):
        self.append(check)
        return check
