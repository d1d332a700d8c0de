//! Statements that read and write, and those that fail.

use super::Generator;

impl Generator {
    pub(super) fn read(&mut self) -> String {
        let n = self.number();
        match self.rng.u8(..20) {
            0..3 => format!("SELECT * FROM t WHERE id > {n} ORDER BY id"),
            3..5 => self.one_of(&[
                "SELECT * FROM kinds ORDER BY id",
                "SELECT id, dt, tm, ts FROM kinds ORDER BY id DESC",
                "SELECT a, b, u FROM t WHERE b LIKE 't%' FOR UPDATE",
                "SELECT COUNT(*), MAX(a), MIN(b) FROM t",
                "SELECT * FROM v ORDER BY id",
                "SELECT id FROM t WHERE id < 0",
                "SELECT id FROM t WHERE a = 1 LOCK IN SHARE MODE",
            ]),
            5..8 => {
                format!("SELECT {n} AS n, 'text', NULL, {n} / 3, 1.5e0, x'00ff', DATE'2022-06-27'")
            }
            8..10 => self.one_of(&[
                "SELECT DATABASE(), USER(), SCHEMA()",
                "SELECT @@sql_mode, @@time_zone, @@autocommit, @@tx_isolation",
                "SELECT @@character_set_client, @@collation_connection, @@character_set_results",
                "SELECT @@in_transaction, @@sql_select_limit, @@max_join_size",
                "SELECT @x, @y, @assigned, @noted, @seen",
                "SELECT FROM_UNIXTIME(1656334800), @@lc_time_names",
                "SELECT COLLATION('a'), CHARSET('ü'), 'ü' = 'U', LENGTH('ü')",
                "SELECT 1 / 0, CAST('12x' AS INT)",
                "SELECT 'it''s', 'back\\\\slash', \"double\"",
                "SELECT doubles(21), notes(4)",
                "SELECT NEXTVAL(seq)",
                "SELECT 1 UNION SELECT 2 ORDER BY 1",
                "SELECT SLEEP(0), BENCHMARK(1, 1)",
                "SELECT REPEAT('long', 3000)",
            ]),
            10..12 => self.one_of(&[
                "SHOW TABLES",
                "SHOW CREATE TABLE child",
                "SHOW COLUMNS FROM t",
                "DESCRIBE kinds",
                "SHOW VARIABLES LIKE 'sql_mode'",
                "SHOW VARIABLES LIKE 'c%n_connection'",
                "SHOW INDEX FROM child",
                "EXPLAIN SELECT 1",
                "SHOW CREATE DATABASE app",
            ]),
            12 => "/* shop='eu' */ SELECT /*!50000 1 + */ 2 -- done".into(),
            13 => "(SELECT a FROM t ORDER BY id LIMIT 1)".into(),
            14 => {
                "WITH few AS (SELECT id FROM t WHERE id < 3) SELECT * FROM few ORDER BY id".into()
            }
            15 => format!("DO {n} + 1"),
            16 => "TABLE_IS_NO_STATEMENT".into(),
            17 => "VALUES (1, 'a'), (2, 'b')".into(),
            18 => "SELECT * FROM made".into(),
            _ => "SELECT 1".into(),
        }
    }

    pub(super) fn write(&mut self) -> String {
        let (n, m) = (self.number(), self.number());
        match self.rng.u8(..18) {
            0..4 => format!("INSERT INTO t (a, b) VALUES ({n}, 'row {m}')"),
            4..6 => format!("INSERT INTO t (a, u) VALUES ({n}, {m}), ({m}, NULL)"),
            6..9 => format!("UPDATE t SET a = {m} WHERE id <= {n}"),
            9..11 => format!("DELETE FROM t WHERE id = {n}"),
            11 => format!("REPLACE INTO t (id, a, u) VALUES ({n}, {m}, {n})"),
            12 => {
                format!("INSERT INTO t (id, a) VALUES ({n}, {m}) ON DUPLICATE KEY UPDATE a = a + 1")
            }
            13 => format!("INSERT IGNORE INTO t (a, b, u) VALUES ({n}, REPEAT('x', 30), {m})"),
            14 => format!("INSERT INTO t (a, b) SELECT a, b FROM t WHERE id < {n}"),
            15 => format!("INSERT INTO t (a) VALUES ({n}) RETURNING id, a"),
            16 => format!("INSERT INTO child VALUES ({n}, {m})"),
            _ => format!("DELETE FROM t WHERE a > {n} ORDER BY id LIMIT 2"),
        }
    }

    pub(super) fn mistake(&mut self) -> String {
        self.one_of(&[
            "SELEC 1",
            "SELECT * FROM no_such_table",
            "SELECT no_such_column FROM t",
            "SELECT no_such_function(1)",
            "INSERT INTO t (id, a) VALUES (1, 1), (1, 2)",
            "INSERT INTO t (b) VALUES (REPEAT('x', 100))",
            "INSERT INTO t (a) VALUES (99999999999)",
            "UPDATE t SET a = 'no number' WHERE id = 1",
            "UPDATE t SET u = 10",
            "DELETE FROM no_such_schema.t",
            "SELECT * FROM mysql.global_priv",
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine', MYSQL_ERRNO = 5000",
            "SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'a warning'",
            "CALL no_such_procedure()",
            "CALL results(1)",
            "SELECT (SELECT id FROM t)",
            "SET no_such_variable = 1",
            "SET sql_mode = 'NO_SUCH_MODE'",
            "SET GLOBAL max_connections = 5",
            "USE no_such_schema",
            "ROLLBACK TO SAVEPOINT never_set",
            "EXECUTE never_prepared",
            "DEALLOCATE PREPARE never_prepared",
            "DROP TABLE no_such_table",
            "DROP TABLE IF EXISTS no_such_table",
            "CREATE TABLE t (a INT)",
            "SELECT 'open",
            "",
            ";",
            "-- nothing",
            "SELECT 1; SELECT 2; SELEC 3",
            "KILL 4000000000",
            "LOCK TABLES no_such_table READ",
            "FLUSH TABLES WITH READ LOCK",
            "START TRANSACTION READ ONLY, READ WRITE",
            "XA START '$schema'; SELECT 1",
            "XA END 'never'",
        ])
    }

    pub(super) fn change_of_tables(&mut self) -> String {
        self.one_of(&[
            "CREATE TABLE extra (a INT PRIMARY KEY, b TEXT)",
            "CREATE TABLE IF NOT EXISTS extra (a INT)",
            "INSERT INTO extra VALUES (1, 'b')",
            "SELECT * FROM extra",
            "DROP TABLE IF EXISTS extra",
            "ALTER TABLE t ADD COLUMN IF NOT EXISTS extra INT DEFAULT 3",
            "ALTER TABLE t DROP COLUMN IF EXISTS extra",
            "CREATE INDEX a ON t (a)",
            "DROP INDEX a ON t",
            "TRUNCATE TABLE t",
            "ANALYZE TABLE child",
            "OPTIMIZE TABLE kinds",
            "CHECK TABLE t",
            "CREATE OR REPLACE VIEW v AS SELECT id, 1 AS n FROM t",
            "RENAME TABLE extra TO extra2, extra2 TO extra",
        ])
    }

    pub(super) fn call(&mut self) -> String {
        let n = self.number();
        match self.rng.u8(..9) {
            0..2 => "CALL results()".into(),
            2 => "CALL fails()".into(),
            3 => "CALL makes()".into(),
            4 => "CALL assigns()".into(),
            5 => "CALL chooses()".into(),
            6 => format!("CALL outs({n}, @y, @z)"),
            7 => "BEGIN NOT ATOMIC DECLARE x INT DEFAULT 3; SELECT x; SET @x = x; END".into(),
            _ => "CALL inserts()".into(),
        }
    }
}
