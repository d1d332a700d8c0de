//! Texts of statements.
//!
//! Avoided, because it differs by itself: what depends on time, on process or transaction numbers, on
//! where in a table a server puts a row, or
//! on the order in which others are served. Avoided, because it is known to differ (docs/ARCHITECTURE.md,
//! "What is open"): `currval` and `lastval` outside the transaction that drew; RESET of
//! what the start-up packet has set, and RESET ALL, behind which statements no longer find what
//! they were prepared for; EXECUTE of what was prepared
//! with Parse, and DEALLOCATE of it in a series or among others; a plan whose columns change; PREPARE
//! TRANSACTION, for whose locks its own session would wait; and whether a parameter of the client's own is empty or
//! was never set.

use super::Generator;

pub(super) const BEGINS: &[&str] = &[
    "BEGIN",
    "BEGIN",
    "START TRANSACTION",
    "BEGIN READ ONLY",
    "BEGIN ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION READ WRITE",
];

pub(super) const ENDS: &[&str] = &["COMMIT", "COMMIT", "ROLLBACK", "END", "ABORT", "SELECT 1"];

pub(super) const LOOKS: &[&str] = &[
    "SHOW search_path",
    "SHOW work_mem",
    "SHOW TimeZone",
    "SHOW DateStyle",
    "SHOW application_name",
    "SHOW statement_timeout",
    "SHOW lock_timeout",
    "SHOW transaction_isolation",
    "SHOW transaction_read_only",
    "SELECT nullif(current_setting('a.b', true), '')",
    "SELECT session_user = current_user, current_setting('role')",
    "SELECT name, from_sql FROM pg_prepared_statements WHERE from_sql ORDER BY name",
    "SELECT name, is_holdable FROM pg_cursors WHERE name NOT IN ('', 'p') ORDER BY name",
    "SELECT pg_listening_channels()",
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() ORDER BY 1",
];

pub(super) const PARAMETERIZED: &[(&str, &[&str])] = &[
    ("SELECT $1::int + 1", &["4"]),
    ("SELECT * FROM t WHERE id = $1", &["2"]),
    ("SELECT * FROM kinds WHERE id = $1", &["1"]),
    ("SELECT n FROM generate_series(1, $1::int) AS n", &["5"]),
    ("INSERT INTO t (a, b) VALUES ($1, $2)", &["5", "five"]),
    ("INSERT INTO t (a) VALUES ($1) RETURNING *", &["6"]),
    ("INSERT INTO t (u) VALUES ($1)", &["10"]),
    ("UPDATE t SET b = $1 WHERE a = $2", &["changed", "5"]),
    ("DELETE FROM t WHERE a = $1", &["5"]),
    ("SELECT 1 / $1::int", &["0"]),
    ("SELECT set_config('work_mem', $1, false)", &["5MB"]),
    ("SELECT warns($1)", &["1"]),
    ("SELECT repeat($1, 40000)", &["ab"]),
];

/// What may come at any time, by how often.
const TEXTS: &[(u32, &[&str])] = &[
    (
        10,
        &[
            "SELECT 1",
            "SELECT * FROM t ORDER BY id",
            "SELECT * FROM v ORDER BY id",
            "SELECT * FROM kinds ORDER BY id",
            "SELECT doubles(4), count(*) FROM t",
            "SELECT repeat('x', 70000)",
            "SELECT n FROM generate_series(1, 30) AS n",
            "SELECT tz FROM kinds ORDER BY id",
            "COPY (SELECT a, b FROM t ORDER BY id) TO STDOUT",
            "SELECT warns(1)",
            "",
        ],
    ),
    (
        8,
        &[
            "INSERT INTO t (a, b) VALUES (5, 'five')",
            "INSERT INTO t (a) VALUES (6), (7) RETURNING id",
            "UPDATE t SET b = 'all'",
            "DELETE FROM t WHERE a > 5",
            "INSERT INTO child VALUES (1, 99)",
            "INSERT INTO child VALUES (2, 1)",
            "SELECT nextval('seq')",
        ],
    ),
    (8, &["BEGIN", "COMMIT", "ROLLBACK", "START TRANSACTION", "END", "ABORT"]),
    (4, &["SAVEPOINT a", "ROLLBACK TO a", "RELEASE a", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN"]),
    (
        4,
        &[
            "SELEC",
            "SELECT 1 / 0",
            "SELECT * FROM missing",
            "SELECT fails()",
            "INSERT INTO t (u) VALUES (10)",
            "SELECT 'open",
        ],
    ),
    (
        7,
        &[
            "SET work_mem = '5MB'",
            "SET TimeZone = 'Asia/Tokyo'",
            "SET DateStyle = 'German'",
            "SET LOCAL work_mem = '6MB'",
            "SET LOCAL TimeZone = 'Asia/Kathmandu'",
            "SET a.b = 'x'",
            "SET LOCAL a.b = 'y'",
            "RESET work_mem",
            "RESET TimeZone",
            "SELECT chooses()",
            "SELECT set_config('work_mem', '7MB', false)",
            "SELECT set_config('work_mem', '8MB', true)",
            "SET client_min_messages = warning",
            "SET application_name = 'named'",
            "SET search_path TO $schema, public",
            "SET nonsense = 1",
        ],
    ),
    (2, &["SET ROLE $schema_role", "RESET ROLE", "SET LOCAL ROLE $schema_role"]),
    (
        3,
        &[
            "CREATE TEMP TABLE made (a int)",
            "CREATE TEMP TABLE made AS SELECT 1 AS a, 'x' AS b",
            "CREATE TEMP TABLE made (a int) ON COMMIT DROP",
            "CREATE TABLE made (a int)",
            "DROP TABLE made",
            "ALTER TABLE made ADD COLUMN b text",
            "INSERT INTO made VALUES (1)",
            "SELECT a FROM made",
            "SELECT makes()",
        ],
    ),
    (3, &["PREPARE p AS SELECT $1::int + 1", "EXECUTE p(1)", "DEALLOCATE p", "DEALLOCATE ALL"]),
    (
        3,
        &[
            "DECLARE k CURSOR FOR SELECT id FROM t ORDER BY id",
            "DECLARE k CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id",
            "FETCH 2 FROM k",
            "CLOSE k",
            "CLOSE ALL",
        ],
    ),
    (
        2,
        &[
            "SELECT pg_advisory_lock(hashtext('$schema'))",
            "SELECT pg_advisory_unlock(hashtext('$schema'))",
            "SELECT pg_advisory_unlock_all()",
            "SELECT pg_advisory_xact_lock(hashtext('$schema'))",
        ],
    ),
    (2, &["LISTEN $schema", "NOTIFY $schema, 'payload'"]),
    (2, &["DISCARD TEMP", "DISCARD PLANS", "DISCARD SEQUENCES"]),
    (1, &["VACUUM t", "CALL commits()", "DO $$ BEGIN RAISE NOTICE 'done'; END $$"]),
];

impl Generator {
    /// Any statement without parameters.
    pub(super) fn text(&mut self) -> String {
        let total: u32 = TEXTS.iter().map(|(weight, _)| weight).sum();
        let mut at = self.rng.u32(..total);
        for (weight, texts) in TEXTS {
            match at.checked_sub(*weight) {
                None => return (*self.pick(texts)).to_owned(),
                Some(rest) => at = rest,
            }
        }
        String::new()
    }
}
