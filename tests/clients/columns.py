"""Every column type, with its extreme values as SQL and as the text that a client must see."""

from typing import NamedTuple


class Column(NamedTuple):
    name: str
    type: str
    # The values of two rows, as SQL; a third row is all NULL.
    low: str
    high: str
    # How a check reads the column as plain text, `{}` being its name.
    shown: str = "{}"


BYTES = "X'00FF27225C0A0D1A'"
DOUBLES = ("-1.7976931348623157e308", "2.2250738585072014e-308")
TIMES = ("'00:00:00'", "'838:59:59'")

COLUMNS = [
    Column("tiny", "TINYINT", "-128", "127"),
    Column("tiny_unsigned", "TINYINT UNSIGNED", "0", "255"),
    Column("small", "SMALLINT", "-32768", "32767"),
    Column("small_unsigned", "SMALLINT UNSIGNED", "0", "65535"),
    Column("medium", "MEDIUMINT", "-8388608", "8388607"),
    Column("medium_unsigned", "MEDIUMINT UNSIGNED", "0", "16777215"),
    Column("whole", "INT", "-2147483648", "2147483647"),
    Column("whole_unsigned", "INT UNSIGNED", "0", "4294967295"),
    Column("big", "BIGINT", "-9223372036854775808", "9223372036854775807"),
    Column("big_unsigned", "BIGINT UNSIGNED", "0", "18446744073709551615"),
    Column("exact", "DECIMAL(30,10)", f"-{'9' * 20}.{'9' * 10}", "0.0000000001"),
    Column("single", "FLOAT", "-1.5", "1024.25"),
    Column("double_width", "DOUBLE", *DOUBLES),
    Column("truth", "BOOLEAN", "FALSE", "TRUE"),
    Column("flag", "BIT(1)", "b'0'", "b'1'", "HEX({})"),
    Column("flags", "BIT(13)", "b'1'", "b'1000000000001'", "HEX({})"),
    Column("years", "YEAR", "1901", "2155"),
    Column("days", "DATE", "'1000-01-01'", "'9999-12-31'"),
    Column("time_long", "TIME", *TIMES),
    Column("time_negative", "TIME", "'-838:59:59'", "'-00:00:01'"),
    Column("time_fine", "TIME(6)", "'00:00:00.000001'", "'23:59:59.999999'"),
    Column("moment", "DATETIME", "'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"),
    Column("moment_fine", "DATETIME(6)", "'2024-02-29 00:00:00.000001'", "'9999-12-31 23:59:59.999999'"),
    Column("stamp", "TIMESTAMP NULL", "'1970-01-02 00:00:01'", "'2038-01-18 03:14:07'"),
    Column("stamp_fine", "TIMESTAMP(6) NULL", "'2024-02-29 12:00:00.5'", "'2038-01-18 03:14:07.999999'"),
    Column("letters", "CHAR(10)", "''", "'zażółć'"),
    Column("line", "VARCHAR(200)", "''", "'it''s \\\\ \"quoted\" % ? 😀'"),
    Column("note_tiny", "TINYTEXT", "''", "REPEAT('é', 120)"),
    Column("note", "TEXT", "'a'", "REPEAT('text ', 1000)"),
    Column("note_medium", "MEDIUMTEXT", "'b'", "REPEAT('m', 70000)"),
    Column("note_long", "LONGTEXT", "'c'", "REPEAT('😀', 251)"),
    Column("octets", "BINARY(8)", "X'0000000000000000'", BYTES, "HEX({})"),
    Column("octets_many", "VARBINARY(300)", "''", f"REPEAT({BYTES}, 32)", "HEX({})"),
    Column("blob_tiny", "TINYBLOB", "''", BYTES, "HEX({})"),
    Column("blob_plain", "BLOB", BYTES, f"REPEAT({BYTES}, 8000)", "SHA2({}, 256)"),
    Column("blob_medium", "MEDIUMBLOB", BYTES, f"REPEAT({BYTES}, 9000)", "SHA2({}, 256)"),
    Column("blob_long", "LONGBLOB", BYTES, f"REPEAT({BYTES}, 10000)", "SHA2({}, 256)"),
    Column("one", "ENUM('', 'first', 'secönd')", "'first'", "'secönd'"),
    Column("many", "SET('a', 'b', 'c')", "''", "'a,c'"),
    Column("document", "JSON", "'null'", """'{"a": [1, null, "ż"]}'"""),
    Column("spot", "POINT", "ST_GeomFromText('POINT(0 0)')", "ST_GeomFromText('POINT(-1.5 2)')", "ST_AsText({})"),
]


def definition(columns):
    return "id INT PRIMARY KEY, " + ", ".join(f"{c.name} {c.type}" for c in columns)


def names(columns):
    return ", ".join(c.name for c in columns)


def fill(columns):
    """The statements that insert the rows 1 (low), 2 (high) and 3 (NULL)."""
    rows = [
        ", ".join(c.low for c in columns),
        ", ".join(c.high for c in columns),
        ", ".join("NULL" for _ in columns),
    ]
    return [f"INSERT INTO held VALUES ({number}, {row})" for number, row in enumerate(rows, 1)]
