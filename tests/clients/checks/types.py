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
def every_type_reads_as_its_value(world):
    session = held(world, COLUMNS)
    for number, bound in enumerate(("low", "high"), 1):
        for column in COLUMNS:
            # The server's own comparison of the stored value with its literal, and both as text.
            shown = column.shown.format(column.name)
            stored = session.run(f"SELECT {shown} FROM held WHERE id = {number}").value
            cast = session.run(f"SELECT CAST({shown} AS CHAR) FROM held WHERE id = {number}").value
            expect_alike(column, bound, stored, cast)


def expect_alike(column, bound, stored, cast):
    """Drivers write some types their own way as text; the others must be equal to the letter."""
    own_way = column.name in ("exact", "single", "double_width") or column.name.startswith(("time_", "stamp", "moment", "many"))
    if not own_way and stored != cast:
        raise AssertionError(f"{column.name} {bound}: read {stored!r:.80}, stored {cast!r:.80}")


def carries_every_type(world, *, binary):
    session = held(world, COLUMNS)
    columns = [column for column in COLUMNS if column.name not in session.cannot_carry]
    holes = ", ".join("?" for _ in columns)
    for number in (1, 2, 3):
        session.carry(
            f"SELECT {names(columns)} FROM held WHERE id = {number}",
            f"INSERT INTO held (id, {names(columns)}) VALUES ({number + 10}, {holes})",
            binary=binary,
        )
        same = ", ".join(f"a.{column.name} <=> b.{column.name}" for column in columns)
        (row,) = session.run(f"SELECT {same} FROM held a, held b WHERE a.id = {number} AND b.id = {number + 10}").texts
        expect([column.name for column, is_same in zip(columns, row) if is_same != "1"], [])


@check
def every_type_is_carried_through_text(world):
    carries_every_type(world, binary=False)


@check
def every_type_is_carried_through_binary(world):
    carries_every_type(world, binary=True)
