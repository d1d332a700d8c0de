//! What a session has set or was given at login, and what a reset leaves of it.

use wire::mysql::command::Command;

use super::Case;
use super::Cursor::{ReadOnly, Without};
use super::Say::{Close, Command as Com, Execute, Prepare, Sql};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "what a reset forgets of the login",
        asks: false,
        steps: &[
            Sql("SELECT @@sql_mode, @@character_set_client, @@collation_connection"),
            Sql("SET sql_mode = 'ANSI_QUOTES', character_set_results = latin1"),
            Com(Command::ResetConnection, b""),
            Sql("SELECT @@sql_mode, @@character_set_client, @@collation_connection"),
            Sql("SELECT COUNT (*), 'a' FROM t"),
            Sql("SELECT @@sql_mode, @@character_set_client, @@collation_connection"),
        ],
    },
    Case {
        name: "a statement means what it meant where it was prepared",
        asks: false,
        steps: &[
            Prepare(0, "SELECT 'a' \"b\", COLLATION('a'), COUNT (*) FROM t"),
            Sql("SET NAMES utf8mb4 COLLATE utf8mb4_bin"),
            Execute(0, &[], Without),
            Execute(0, &[], ReadOnly),
            Sql("SET NAMES latin1"),
            Sql("SET sql_mode = 'ANSI_QUOTES'"),
            Execute(0, &[], Without),
            Sql("SELECT @@sql_mode, @@character_set_client, @@collation_connection"),
            Prepare(1, "SELECT COLLATION('a')"),
            Sql("SET collation_connection = utf8mb4_unicode_ci"),
            Execute(1, &[], Without),
            Sql("SELECT @@sql_mode, @@character_set_client, @@collation_connection"),
        ],
    },
    Case {
        name: "the collation of SET NAMES comes back with the session",
        asks: false,
        steps: &[
            Prepare(0, "SELECT ?"),
            Sql("BEGIN"),
            Sql("SELECT 1"),
            Sql("SET NAMES utf8mb4 COLLATE utf8mb4_bin"),
            Execute(0, &[1], Without),
            Sql("COMMIT"),
            Execute(0, &[1], Without),
            Sql("SELECT 'a', @@character_set_client"),
        ],
    },
    Case {
        name: "the collation of SET NAMES comes back in a session that is pinned",
        asks: false,
        steps: &[
            Prepare(0, "SELECT ? + 1"),
            Sql("CALL assigns()"),
            Sql("SET NAMES utf8mb4 COLLATE utf8mb4_bin"),
            Prepare(1, "SELECT ? + 1"),
            Execute(0, &[1], Without),
            Sql("SELECT @@collation_connection, COLLATION('a')"),
        ],
    },
    Case {
        name: "a function sets a variable among other statements",
        asks: false,
        steps: &[
            Sql("SELECT 1; SELECT notes(4); SELECT 2"),
            Sql("SELECT @noted"),
            Com(Command::ResetConnection, b""),
            Sql("PREPARE p FROM 'SELECT notes(5)'"),
            Sql("EXECUTE p"),
            Sql("DEALLOCATE PREPARE p"),
            Sql("SELECT @noted"),
            Com(Command::ResetConnection, b""),
            Prepare(0, "SELECT notes(?)"),
            Execute(0, &[6], Without),
            Sql("SELECT @noted"),
        ],
    },
    Case {
        name: "a reset keeps the schema, told or not",
        asks: false,
        steps: &[
            Sql("SET session_track_schema = OFF"),
            Sql("USE app"),
            Com(Command::ResetConnection, b""),
            Sql("SELECT DATABASE()"),
            Sql("SELECT DATABASE()"),
        ],
    },
    Case {
        name: "a reset keeps the choice of several statements",
        asks: false,
        steps: &[
            Com(Command::SetOption, b"\0\0"),
            Com(Command::ResetConnection, b""),
            Sql("SELECT 1; SELECT 2"),
            Com(Command::SetOption, b"\x01\0"),
            Com(Command::ResetConnection, b""),
            Sql("SELECT 1; SELECT 2"),
        ],
    },
    Case {
        name: "a character set among several statements",
        asks: true,
        steps: &[
            Sql("SET CHARACTER SET latin1; INSERT INTO t (a, b) VALUES (-1, 'row 2')"),
            Sql("SELECT ROW_COUNT()"),
            Sql("SELECT @@collation_connection"),
        ],
    },
    Case {
        name: "a transaction that has just begun survives the end of a cursor",
        asks: false,
        steps: &[
            Prepare(0, "SELECT id FROM t WHERE id > ? ORDER BY id"),
            Execute(0, &[0], ReadOnly),
            Sql("BEGIN"),
            Close(0),
            Sql("DELETE FROM t WHERE id = 1"),
            Sql("ROLLBACK"),
            Sql("BEGIN"),
            Sql("RENAME TABLE no TO no2"),
            Com(Command::Ping, b""),
        ],
    },
    Case {
        name: "a procedure sets variables in the places of its parameters",
        asks: false,
        steps: &[Sql("CALL outs(1, @y, @z)"), Sql("SELECT 1"), Sql("SELECT @y, @z")],
    },
    Case {
        name: "variables follow the session",
        asks: false,
        steps: &[
            Sql("SET NAMES utf8mb4 COLLATE utf8mb4_bin"),
            Sql("SELECT @@collation_connection, COLLATION('a')"),
            Sql("SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'"),
            Sql("SELECT 'a\\', \"a\" FROM t"),
            Sql("SELECT @@sql_mode"),
            Sql("SET character_set_results = NULL"),
            Sql("SELECT @@character_set_results"),
            Sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"),
            Sql("SELECT @@tx_isolation"),
            Sql("SET timestamp = 1656334800"),
            Sql("SELECT NOW()"),
            Sql("SET timestamp = DEFAULT"),
            Sql("SET sql_mode = DEFAULT"),
            Sql("SELECT @@sql_mode"),
        ],
    },
];
