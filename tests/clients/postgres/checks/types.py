"""Every column type, read as text and carried through the driver's own values."""

from columns import COLUMNS, definition, fill, names
from expect import Checks, expect

check = CHECKS = Checks()


def held(world, columns):
    session = world.table("held", definition(columns))
    for statement in fill(columns):
        session.run(statement)
    return session


@check
def null_stays_null_in_every_type(world):
    session = held(world, COLUMNS)
    (row,) = session.run(f"SELECT {names(COLUMNS)} FROM held WHERE id = 3").texts
    expect(row, (None,) * len(COLUMNS))


@check
def every_type_reads_as_its_text(world):
    session = held(world, COLUMNS)
    for number, bound in enumerate(("low", "high"), 1):
        for column in COLUMNS:
            shown = session.run(f"SELECT {column.name}::text FROM held WHERE id = {number}").value
            literal = getattr(column, bound)
            wanted = session.run(f"SELECT ({literal})::{column.type}::text").value
            expect((column.name, shown), (column.name, wanted))


def carries_every_type(world, *, binary):
    session = held(world, COLUMNS)
    columns = [column for column in COLUMNS if column.name not in session.cannot_carry]
    holes = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    for number in (1, 2, 3):
        session.carry(
            f"SELECT {names(columns)} FROM held WHERE id = {number}",
            f"INSERT INTO held (id, {names(columns)}) VALUES ({number + 10}, {holes})",
            binary=binary,
        )
        same = ", ".join(f"(a.{c.name}::text IS NOT DISTINCT FROM b.{c.name}::text)::int" for c in columns)
        (row,) = session.run(f"SELECT {same} FROM held a, held b WHERE a.id = {number} AND b.id = {number + 10}").texts
        expect([column.name for column, is_same in zip(columns, row) if is_same != "1"], [])


@check
def every_type_is_carried_through_text(world):
    carries_every_type(world, binary=False)


@check
def every_type_is_carried_through_binary(world):
    carries_every_type(world, binary=True)
