"""Every common column type, with extreme values as SQL."""

from typing import NamedTuple


class Column(NamedTuple):
    name: str
    type: str
    # The values of two rows, as SQL; a third row is all NULL.
    low: str
    high: str


COLUMNS = [
    Column("truth", "boolean", "false", "true"),
    Column("small", "smallint", "-32768", "32767"),
    Column("whole", "integer", "-2147483648", "2147483647"),
    Column("big", "bigint", "-9223372036854775808", "9223372036854775807"),
    Column("exact", "numeric(30,10)", f"-{'9' * 20}.{'9' * 10}", "0.0000000001"),
    Column("single", "real", "-1.5", "1024.25"),
    Column("double_width", "double precision", "-1.7976931348623157e308", "2.2250738585072014e-308"),
    Column("letters", "char(10)", "'a'", "'zażółć'"),
    Column("line", "varchar(200)", "''", "E'it''s \\\\ \"quoted\" % ? $1 \\n 😀'"),
    Column("note", "text", "''", "repeat('text 😀', 1000)"),
    Column("octets", "bytea", "''", "decode(repeat('00ff27225c0a0d1a', 4000), 'hex')"),
    Column("days", "date", "'0001-01-01'", "'9999-12-31'"),
    Column("hours", "time", "'00:00:00'", "'23:59:59.999999'"),
    Column("moment", "timestamp", "'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'"),
    Column("stamp", "timestamptz", "'1970-01-02 00:00:01+00'", "'2038-01-18 03:14:07.999999+00'"),
    Column("span", "interval", "'0'", "'3 days 04:05:06.789'"),
    Column("identity", "uuid", "'00000000-0000-0000-0000-000000000000'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
    Column("document", "json", "'null'", """'{"a": [1, null, "ż"]}'"""),
    Column("documents", "jsonb", "'[]'", """'{"a": [1, null, "ż"]}'"""),
    Column("address", "inet", "'0.0.0.0'", "'2001:db8::1/64'"),
    Column("numbers", "integer[]", "'{}'", "'{1,-2,2147483647}'"),
    Column("words", "text[]", "'{}'", """'{a,"b c","ż\\"",NULL}'"""),
]


def definition(columns):
    return "id integer PRIMARY KEY, " + ", ".join(f"{c.name} {c.type}" for c in columns)


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
