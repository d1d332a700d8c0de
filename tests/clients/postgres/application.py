"""Runs a small real application against the endpoint: `application.py <name>`, as matrix.py does. It is
the one that MySQL's matrix runs.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

from apps.dialect import POSTGRES  # noqa: E402
from apps.judge import judge  # noqa: E402
from report import Report  # noqa: E402
from settings import Settings  # noqa: E402


def main(name):
    settings = Settings.from_environment()
    report = Report()
    judge(report, name, POSTGRES, settings.host, settings.port, settings.scram, settings.database)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
