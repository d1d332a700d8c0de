"""Runs a small real application against the endpoint: `application.py <name>`, as matrix.py does. It is
the one that MySQL's matrix runs. Then what its framework leaves to the driver, on connections out of the
framework's pool: COPY, LISTEN, timeouts and cancelling.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

import raw  # noqa: E402
from apps.dialect import POSTGRES  # noqa: E402
from apps.judge import judge  # noqa: E402
from report import Report  # noqa: E402
from settings import Settings  # noqa: E402
from world import World  # noqa: E402


def main(name):
    settings = Settings.from_environment()
    report = Report()
    judge(report, name, POSTGRES, settings.host, settings.port, settings.scram, settings.database)
    for variant, adapter in raw.WORLDS[name](settings):
        world = World(settings, adapter)
        for check in raw.checks():
            with report.judging(f"{variant}: {check.__name__.replace('_', ' ')}"), world:
                check(world)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
