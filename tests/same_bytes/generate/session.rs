//! What changes a session, what asks about the statement before, and commands without SQL.

use harness::{APP, Engine, OTHER};
use wire::mysql::command::Command;

use super::super::script::Step;
use super::Generator;

impl Generator {
    pub(super) fn transaction(&mut self) -> String {
        let n = self.number();
        match self.rng.u8(..24) {
            0..6 => self.one_of(&["BEGIN", "BEGIN WORK", "START TRANSACTION", "begin"]),
            6..10 => self.one_of(&["COMMIT", "COMMIT WORK", "commit"]),
            10..14 => self.one_of(&["ROLLBACK", "ROLLBACK WORK"]),
            14 => self.one_of(&[
                "START TRANSACTION READ ONLY",
                "START TRANSACTION READ WRITE",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT",
            ]),
            15 => "SAVEPOINT s".into(),
            16 => "ROLLBACK TO SAVEPOINT s".into(),
            17 => "RELEASE SAVEPOINT s".into(),
            18 => self.one_of(&[
                "COMMIT AND CHAIN",
                "ROLLBACK AND CHAIN",
                "COMMIT AND NO CHAIN NO RELEASE",
            ]),
            19 => self.one_of(&["SET autocommit = 0", "SET @@session.autocommit = OFF"]),
            20..22 => self.one_of(&["SET autocommit = 1", "SET autocommit = ON"]),
            22 => self.one_of(&[
                "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
                "SET TRANSACTION READ ONLY",
                "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                "SET SESSION TRANSACTION READ WRITE",
                "SET tx_isolation = 'REPEATABLE-READ'",
            ]),
            _ => format!("INSERT INTO t (a) VALUES ({n})"),
        }
    }

    pub(super) fn setting(&mut self) -> String {
        self.one_of(&[
            "SET NAMES utf8mb4",
            "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci, time_zone = '+03:00', sql_notes = 1",
            "SET transaction_isolation = 'READ-COMMITTED'",
            "SET SESSION max_execution_time = 20000",
            "SET sql_mode = (SELECT @@global.sql_mode), @x = 5",
            "SET lock_wait_timeout = 9, max_sort_length = 2000, sort_buffer_size = 300000",
            "SET NAMES utf8mb4; SET @@session.time_zone = DEFAULT",
            "SET NAMES latin1",
            "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
            "SET NAMES DEFAULT",
            "SET CHARACTER SET latin1",
            "SET CHARACTER SET DEFAULT",
            "SET character_set_results = NULL",
            "SET collation_connection = utf8mb4_unicode_ci",
            "SET collation_connection = DEFAULT",
            "SET character_set_client = latin1, character_set_connection = utf8mb3",
            "SET sql_mode = ''",
            "SET sql_mode = DEFAULT",
            "SET sql_mode = 'ANSI_QUOTES'",
            "SET sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES'",
            "SET sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')",
            "SET SESSION sql_mode = 'TRADITIONAL', time_zone = '-03:00'",
            "SET time_zone = '+02:00'",
            "SET time_zone = SYSTEM",
            "SET timestamp = 1656334800.5",
            "SET timestamp = DEFAULT",
            "SET lc_time_names = 'de_DE'",
            "SET sql_select_limit = 2",
            "SET sql_select_limit = DEFAULT",
            "SET sql_safe_updates = 1",
            "SET sql_safe_updates = 0",
            "SET foreign_key_checks = 0, unique_checks = OFF",
            "SET foreign_key_checks = DEFAULT",
            "SET auto_increment_increment = 5",
            "SET auto_increment_increment = DEFAULT, div_precision_increment = 6",
            "SET max_statement_time = 20.5",
            "SET innodb_lock_wait_timeout = 7",
            "SET wait_timeout = 3000, net_write_timeout = 50",
            "SET group_concat_max_len = 100000",
            "SET optimizer_switch = 'index_merge=off'",
            "SET insert_id = 1000",
            "SET @@rand_seed1 = 5, @@rand_seed2 = 6",
            "SET last_insert_id = 77",
            // Not `sql_mode`: a client that tracks it would be told late of its return.
            "SET STATEMENT max_sort_length = 2000 FOR SELECT @@max_sort_length, @@sql_mode",
            "SET ROLE NONE",
            "SET DEFAULT_STORAGE_ENGINE = 'Aria'",
            "SET sql_warnings = 1, sql_notes = 0",
            "SET session_track_schema = OFF",
            "SET session_track_system_variables = 'sql_mode'",
            "SET session_track_state_change = ON",
            "USE $schema_b",
        ])
    }

    /// What lives in one connection of the database only.
    pub(super) fn scratch(&mut self) -> String {
        let n = self.number();
        match self.rng.u8(..24) {
            0 => format!("SET @x = {n}"),
            1 => format!("SELECT @y := {n} + 1"),
            2 => "SELECT a INTO @x FROM t ORDER BY id LIMIT 1".into(),
            3 => "CREATE TEMPORARY TABLE scratch (a INT)".into(),
            4 => format!("INSERT INTO scratch VALUES ({n})"),
            5 => "SELECT * FROM scratch".into(),
            6 => "DROP TEMPORARY TABLE scratch".into(),
            7 => "DROP TABLE scratch".into(),
            8 => "CREATE TEMPORARY TABLE IF NOT EXISTS scratch SELECT a, b FROM t".into(),
            9 => "SELECT GET_LOCK(CONCAT(DATABASE(), 'l'), 0)".into(),
            10 => "SELECT RELEASE_LOCK(CONCAT(DATABASE(), 'l'))".into(),
            11 => "SELECT RELEASE_ALL_LOCKS()".into(),
            12 => "LOCK TABLES t WRITE".into(),
            13 => "LOCK TABLES t READ, child READ".into(),
            14..16 => "UNLOCK TABLES".into(),
            16 => "PREPARE p FROM 'SELECT a, ? FROM t WHERE id < 3'".into(),
            17 => "EXECUTE p USING @x".into(),
            18 => "DEALLOCATE PREPARE p".into(),
            19 => "EXECUTE IMMEDIATE 'SELECT 1 + ?' USING 2".into(),
            20 => "HANDLER t OPEN".into(),
            21 => "HANDLER t READ FIRST".into(),
            22 => "HANDLER t CLOSE".into(),
            _ => "SELECT LAST_INSERT_ID(123)".into(),
        }
    }

    /// XA in all its states, the right and the wrong way round.
    pub(super) fn xa(&mut self) -> String {
        self.one_of(&[
            "XA START '$schema'",
            "XA BEGIN '$schema'",
            "INSERT INTO t (a) VALUES (12)",
            "XA END '$schema'",
            "XA END '$schema'",
            "XA PREPARE '$schema'",
            "XA COMMIT '$schema' ONE PHASE",
            "XA COMMIT '$schema'",
            "XA ROLLBACK '$schema'",
            "XA ROLLBACK '$schema'",
        ])
    }

    /// A file of the client's.
    pub(super) fn load(&mut self) {
        let rows = ["21\tloaded\n22\tloaded\n", "", "1\ttwice\n", "x\ty\tz\n", "23"];
        let into =
            self.one_of(&["INTO TABLE t (id, b)", "REPLACE INTO TABLE t (id, b)", "INTO TABLE no"]);
        let sql = format!("LOAD DATA LOCAL INFILE 'file' {into}");
        let file = self.one_of(&rows).into_bytes();
        self.steps.push(Step::Load(sql, file));
    }

    /// The same client as before, or another.
    pub(super) fn change_user(&mut self) {
        self.prepared.clear();
        let account = if self.asks { OTHER } else { APP };
        self.steps.push(Step::ChangeUser(account));
    }

    /// About the statement before.
    pub(super) fn question(&mut self) -> String {
        if self.engine == Engine::MySql && !matches!(self.steps.last(), Some(Step::Query(_))) {
            // Errors about commands without SQL stand behind the warnings there were.
            self.query(Self::read);
        }
        self.one_of(&[
            "SELECT LAST_INSERT_ID()",
            "SELECT @@last_insert_id, @@identity",
            "SELECT ROW_COUNT()",
            "SHOW WARNINGS",
            "SHOW ERRORS",
            "SHOW COUNT(*) WARNINGS",
            "SELECT @@warning_count, @@error_count",
            "SELECT SQL_CALC_FOUND_ROWS id FROM t ORDER BY id LIMIT 1",
            "INSERT INTO t (a) VALUES (LAST_INSERT_ID())",
            "GET DIAGNOSTICS @x = NUMBER",
        ])
    }

    /// `FOUND_ROWS()` is asked right behind a SELECT that does not fail: elsewhere it counts rows that
    /// the server read for itself.
    pub(super) fn rows_found(&mut self) {
        self.query(|generator| {
            let n = generator.number();
            format!(
                "SELECT SQL_CALC_FOUND_ROWS n FROM (SELECT {n} AS n UNION SELECT 3) few LIMIT 1"
            )
        });
        self.query(|_| "SELECT FOUND_ROWS()".to_owned());
    }

    pub(super) fn several_statements(&mut self) {
        let makes = [Self::read, Self::write, Self::transaction, Self::setting, Self::mistake];
        let mut sql = String::new();
        for _ in 0..self.rng.usize(2..4) {
            let make = makes[self.rng.usize(..makes.len())];
            sql += &make(self);
            sql += "; ";
        }
        self.steps.push(Step::Query(sql));
    }

    pub(super) fn other_command(&mut self) {
        let command = |command: Command, rest: &[u8]| [&[command as u8], rest].concat();
        let payload = match self.rng.u8(..12) {
            0..3 => command(Command::Ping, b""),
            3 => command(Command::InitDb, b"$schema_b"),
            4 => command(Command::InitDb, b"no_such_schema"),
            5 => command(Command::Statistics, b""),
            6 if !self.asks => command(Command::ResetConnection, b""),
            7 => command(Command::SetOption, &[1, 0]),
            8 => command(Command::SetOption, &[0, 0]),
            9 => command(Command::FieldList, b"t\0%"),
            10 => command(Command::FieldList, b"no_such_table\0"),
            // In MySQL's warnings it stands behind what was there before.
            11 if self.engine == Engine::MariaDb || !self.asks => {
                command(Command::SetOption, &[9, 0])
            }
            _ => command(Command::Ping, b""),
        };
        self.steps.push(Step::Command(payload));
    }
}
