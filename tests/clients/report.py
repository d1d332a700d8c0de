"""One line for each check, and the exit code."""

import os
import traceback
from contextlib import contextmanager

from adapter import Absent


class Report:
    def __init__(self):
        self.counts = {"ok": 0, "n/a": 0, "FAIL": 0}

    @contextmanager
    def judging(self, name):
        """Runs the body as the check `name` and says how it went."""
        try:
            yield
        except Absent as absent:
            self.say("n/a", f"{name}: {absent}")
        except Exception as error:  # Whatever the driver throws: the other checks still run.
            self.say("FAIL", f"{name}: {type(error).__name__}: {error}"[:2000])
            if os.environ.get("TG_TRACE"):
                traceback.print_exc()
        else:
            self.say("ok", name)

    def say(self, verdict, line):
        self.counts[verdict] += 1
        print(verdict, " ".join(line.split()), flush=True)

    def finish(self):
        """Prints the totals and returns the exit code."""
        print(", ".join(f"{count} {verdict}" for verdict, count in self.counts.items()), flush=True)
        return 1 if self.counts["FAIL"] or not self.counts["ok"] else 0
