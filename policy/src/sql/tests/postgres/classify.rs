//! Kinds, tables, effects and subjects of PostgreSQL.

use super::*;

fn check_tables(sql: &str, expect: &[&str]) {
    let shape = judge(sql);
    let tables = shape.tables.iter().map(|table| match &table.schema {
        Some(schema) => format!("{schema}.{}", table.name),
        None => table.name.to_string(),
    });
    assert_eq!(tables.collect::<Vec<_>>(), expect, "{sql}");
}

#[test]
fn kinds() {
    for (sql, expect) in [
        ("", Kind::Empty),
        ("-- nothing\n/* /* at */ all */;", Kind::Empty),
        ("((SELECT 1) UNION (SELECT 2))", Kind::Select),
        ("SELECT 1 FOR UPDATE", Kind::LockingSelect),
        ("SELECT 1 FROM t FOR NO KEY UPDATE NOWAIT", Kind::LockingSelect),
        ("SELECT 1 FROM t FOR SHARE", Kind::LockingSelect),
        ("SELECT 1 FROM t FOR KEY SHARE SKIP LOCKED", Kind::LockingSelect),
        ("SELECT substring(a FOR 2) FROM t", Kind::Select),
        ("SELECT * INTO t FROM u", Kind::Ddl),
        ("SELECT * INTO TEMP t FROM u", Kind::Ddl),
        ("WITH a AS (SELECT 1) SELECT * INTO t FROM a", Kind::Ddl),
        ("TABLE t", Kind::Select),
        ("VALUES (1), (2)", Kind::Select),
        ("WITH a AS (SELECT 1) SELECT * FROM a", Kind::Select),
        ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", Kind::Delete),
        ("WITH a AS MATERIALIZED (UPDATE t SET b = 1 RETURNING *) SELECT 1", Kind::Update),
        ("WITH a AS (INSERT INTO t VALUES (1) RETURNING *) TABLE a", Kind::Insert),
        ("WITH a AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM a", Kind::Delete),
        ("WITH a AS (SELECT 1) MERGE INTO t USING a ON true WHEN MATCHED THEN DELETE", Kind::Merge),
        ("WITH a AS (SELECT 1) SELECT * FROM t FOR UPDATE", Kind::LockingSelect),
        ("insert into t (delete, update) values (1, 2)", Kind::Insert),
        ("insert into t values (1) on conflict (a) do update set b = 1", Kind::Insert),
        ("update t set a = 1", Kind::Update),
        ("delete from t", Kind::Delete),
        ("merge into t using u on true when not matched then insert values (1)", Kind::Merge),
        ("replace into t values (1)", Kind::Other),
        ("copy t from stdin", Kind::CopyFrom),
        ("copy s.t (a, b) from program 'x' with (format csv)", Kind::CopyFrom),
        ("copy t to stdout", Kind::CopyTo),
        ("copy (select a from t) to stdout", Kind::CopyTo),
        ("copy (delete from t returning *) to stdout", Kind::Delete),
        ("copy binary t to '/x'", Kind::CopyTo),
        ("call p(1)", Kind::Call),
        ("do $$ begin perform 1; end $$", Kind::Call),
        ("begin", Kind::Begin),
        ("begin isolation level serializable", Kind::Begin),
        ("start transaction read only", Kind::Begin),
        ("start_replication slot a logical 0/0", Kind::Other),
        ("identify_system", Kind::Other),
        ("commit and chain", Kind::Commit),
        ("end transaction", Kind::Commit),
        ("rollback", Kind::Rollback),
        ("abort work", Kind::Rollback),
        ("rollback to a", Kind::Savepoint),
        ("rollback work to savepoint a", Kind::Savepoint),
        ("savepoint a", Kind::Savepoint),
        ("release a", Kind::Savepoint),
        ("prepare transaction 'a'", Kind::Xa),
        ("commit prepared 'a'", Kind::Xa),
        ("rollback prepared 'a'", Kind::Xa),
        ("set a = 1", Kind::Set),
        ("set constraints all deferred", Kind::Set),
        ("set transaction isolation level serializable", Kind::Set),
        ("reset all", Kind::Reset),
        ("show a", Kind::Show),
        ("discard all", Kind::Discard),
        ("discard plans", Kind::Discard),
        ("listen a", Kind::Listen),
        ("unlisten *", Kind::Unlisten),
        ("notify a, 'b'", Kind::Notify),
        ("prepare a (int) as select $1", Kind::Prepare),
        ("execute a (1)", Kind::Execute),
        ("deallocate a", Kind::Deallocate),
        ("deallocate prepare all", Kind::Deallocate),
        ("declare a cursor for select 1", Kind::Declare),
        ("fetch 5 from a", Kind::Fetch),
        ("move all in a", Kind::Fetch),
        ("close a", Kind::Close),
        ("explain select 1", Kind::Explain),
        ("explain verbose delete from t", Kind::Explain),
        ("explain (costs off) delete from t", Kind::Explain),
        ("explain (analyze false) delete from t", Kind::Explain),
        ("explain (analyze off, verbose) delete from t", Kind::Explain),
        ("explain (select 1)", Kind::Explain),
        ("explain analyze delete from t", Kind::Delete),
        ("explain analyse verbose select 1", Kind::Select),
        ("explain (analyze, buffers) update t set a = 1", Kind::Update),
        ("explain (buffers, analyze true) select 1 for update", Kind::LockingSelect),
        ("explain analyze execute a", Kind::Execute),
        ("lock table t in share mode", Kind::LockTables),
        ("lock t", Kind::LockTables),
        ("vacuum", Kind::Admin),
        ("vacuum (analyze) t", Kind::Admin),
        ("analyze t", Kind::Admin),
        ("cluster t using i", Kind::Admin),
        ("reindex table concurrently t", Kind::Admin),
        ("checkpoint", Kind::Admin),
        ("load 'plpgsql'", Kind::Admin),
        ("create table t (a int)", Kind::Ddl),
        ("create table t as select 1", Kind::Ddl),
        ("create function f() returns int language sql begin atomic select 1; end", Kind::Ddl),
        ("alter system set a = 1", Kind::Ddl),
        ("drop owned by a", Kind::Ddl),
        ("truncate t", Kind::Ddl),
        ("grant select on t to u", Kind::Ddl),
        ("comment on table t is 'x'", Kind::Ddl),
        ("security label on table t is 'x'", Kind::Ddl),
        ("refresh materialized view v", Kind::Ddl),
        ("import foreign schema a from server b into c", Kind::Ddl),
        ("reassign owned by a to b", Kind::Ddl),
        ("use db", Kind::Other),
        ("kill 5", Kind::Other),
        ("select 1; delete from t; select 2", Kind::Delete),
        ("begin; drop table t; commit", Kind::Ddl),
    ] {
        assert_eq!(judge(sql).kind, expect, "{sql}");
    }
}

#[test]
fn tables() {
    check_tables(
        "SELECT * FROM A, \"B\" x, c.D JOIN ONLY e ON f(g, h), LATERAL i",
        &["a", "B", "c.d", "e", "i"],
    );
    check_tables("UPDATE ONLY a SET b = 1 FROM c, d WHERE e", &["a", "c", "d"]);
    check_tables("DELETE FROM a USING b, c WHERE d", &["a", "b", "c"]);
    check_tables("SELECT 1 FROM a JOIN b USING (c) ORDER BY d USING >", &["a", "b"]);
    check_tables("MERGE INTO a USING b ON c WHEN MATCHED THEN UPDATE SET d = 1", &["a", "b"]);
    check_tables("MERGE INTO a USING (SELECT 1 FROM b) x ON c", &["a", "b"]);
    check_tables("INSERT INTO a AS b (c) SELECT d FROM e ON CONFLICT DO NOTHING", &["a", "e"]);
    check_tables("WITH A AS NOT MATERIALIZED (SELECT 1 FROM b) SELECT * FROM a", &["b"]);
    check_tables(
        "WITH a AS (UPDATE b SET c = 1 FROM d RETURNING *) SELECT * FROM a, e",
        &["b", "d", "e"],
    );
    check_tables("SELECT EXTRACT(year FROM a), trim(both FROM b) FROM c", &["c"]);
    check_tables("SELECT 1 FROM generate_series(1, 2) AS a (b), c", &["c"]);
    check_tables("SELECT * INTO TEMP TABLE a FROM b", &["a", "b"]);
    check_tables("COPY a.b (c, d) FROM STDIN", &["a.b"]);
    check_tables("COPY (SELECT 1 FROM a) TO STDOUT", &["a"]);
    check_tables("LOCK TABLE ONLY a, b IN ACCESS EXCLUSIVE MODE", &["a", "b"]);
    check_tables("DECLARE a CURSOR WITH HOLD FOR SELECT 1 FROM b", &["b"]);
    check_tables("PREPARE a (int) AS DELETE FROM b WHERE c = $1", &["b"]);
    check_tables("PREPARE a AS WITH b AS (SELECT 1 FROM c) INSERT INTO d TABLE b", &["c", "d"]);
    check_tables("EXPLAIN (COSTS OFF) UPDATE a SET b = 1", &["a"]);
    check_tables("EXPLAIN ANALYZE INSERT INTO a VALUES (1)", &["a"]);
    check_tables("CREATE TABLE IF NOT EXISTS a (b int REFERENCES c (d))", &["a", "c"]);
    check_tables("CREATE UNLOGGED TABLE a AS SELECT 1 FROM b", &["a", "b"]);
    check_tables("CREATE MATERIALIZED VIEW a AS SELECT 1 FROM b", &["a", "b"]);
    check_tables("CREATE UNIQUE INDEX CONCURRENTLY a ON ONLY b USING btree (c)", &["b"]);
    check_tables("CREATE TRIGGER a BEFORE UPDATE ON b EXECUTE FUNCTION c()", &["b"]);
    check_tables("ALTER TABLE ONLY a ALTER b TYPE int USING b::int", &["a"]);
    check_tables("ALTER TABLE IF EXISTS a.b RENAME TO c", &["a.b"]);
    check_tables("DROP TABLE IF EXISTS a, b CASCADE", &["a", "b"]);
    check_tables("TRUNCATE TABLE ONLY a, b RESTART IDENTITY", &["a", "b"]);
    check_tables("GRANT SELECT, UPDATE (a) ON b, c.d TO e", &["b", "c.d"]);
    check_tables("REVOKE ALL ON TABLE a FROM b", &["a"]);
    check_tables("GRANT USAGE ON SCHEMA a TO b", &[]);
    check_tables("GRANT a TO b", &[]);
    check_tables("COMMENT ON TABLE a IS 'x'", &["a"]);
    check_tables("COMMENT ON COLUMN a.b IS 'x'", &[]);
    check_tables("REFRESH MATERIALIZED VIEW CONCURRENTLY a", &["a"]);
    check_tables("VACUUM (FULL, VERBOSE) a (b, c), d", &["a", "d"]);
    check_tables("VACUUM FULL a", &["a"]);
    check_tables("ANALYZE VERBOSE a", &["a"]);
    check_tables("CLUSTER a USING b", &["a"]);
    check_tables("REINDEX INDEX a", &[]);
    check_tables("REINDEX TABLE CONCURRENTLY a", &["a"]);
}

#[test]
fn effects() {
    use Effects as E;
    let both = E::SETS_SESSION | E::SETS_LOCAL;
    for (sql, expect) in [
        ("SELECT 1", E::NONE),
        ("SELECT 1; SELECT 2", E::MULTI),
        ("SELECT @a, a @ b, @@c", E::NONE),
        ("CREATE TEMP TABLE a (b int)", E::CREATES_TEMPORARY),
        ("CREATE LOCAL TEMPORARY VIEW a AS SELECT 1", E::CREATES_TEMPORARY),
        ("CREATE OR REPLACE TEMP VIEW a AS SELECT 1", E::CREATES_TEMPORARY),
        ("CREATE TEMP SEQUENCE a", E::CREATES_TEMPORARY),
        ("CREATE TABLE pg_temp.a (b int)", E::CREATES_TEMPORARY),
        ("CREATE TEMP TABLE a ON COMMIT DROP AS SELECT 1", E::NONE),
        ("CREATE TEMP TABLE a (b int) ON COMMIT DELETE ROWS", E::CREATES_TEMPORARY),
        ("SELECT 1 INTO TEMP a", E::CREATES_TEMPORARY),
        ("SELECT 1 INTO pg_temp.a", E::CREATES_TEMPORARY),
        ("SELECT 1 INTO a", E::NONE),
        ("CREATE TABLE a (b int)", E::NONE),
        ("DROP TABLE a", E::DROPS_TEMPORARY),
        ("DROP TABLE pg_temp.a", E::DROPS_TEMPORARY),
        ("DROP TABLE b.a", E::NONE),
        ("SELECT pg_advisory_lock(1)", E::GET_LOCK),
        ("SELECT pg_catalog.pg_try_advisory_lock(1, 2)", E::GET_LOCK),
        ("SELECT pg_advisory_lock_shared(1)", E::GET_LOCK),
        ("SELECT \"pg_try_advisory_lock_shared\"(1)", E::GET_LOCK),
        ("SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2)", E::OF_THE_SERVER),
        ("SELECT pg_notify('a', 'b'), txid_current()", E::OF_THE_SERVER),
        ("SELECT pg_is_in_recovery()", E::OF_THE_SERVER),
        ("SELECT PG_ADVISORY_UNLOCK(1)", E::RELEASE_LOCK),
        ("SELECT pg_advisory_unlock_shared(1)", E::RELEASE_LOCK),
        ("SELECT pg_advisory_unlock_all()", E::RELEASE_ALL_LOCKS),
        ("SELECT pg_advisory_lock FROM t", E::NONE),
        ("SELECT 'pg_advisory_lock(1)'", E::NONE),
        ("LISTEN a", E::LISTENS),
        ("UNLISTEN *", E::UNLISTENS),
        ("NOTIFY a", E::NONE),
        ("DECLARE a CURSOR FOR SELECT 1", E::NONE),
        ("DECLARE a CURSOR WITHOUT HOLD FOR SELECT 1", E::NONE),
        ("DECLARE a NO SCROLL CURSOR WITH HOLD FOR SELECT 1", E::HOLDS_CURSOR),
        ("PREPARE a AS SELECT 1", E::PREPARES),
        ("PREPARE a (int) AS SELECT pg_advisory_lock($1)", E::PREPARES | E::GET_LOCK),
        ("EXECUTE a (1)", E::DYNAMIC),
        ("DEALLOCATE a", E::NONE),
        ("SET a = 1", E::SETS_SESSION),
        ("SET SESSION a TO 1", E::SETS_SESSION),
        ("SET LOCAL a = 1", E::SETS_LOCAL),
        ("SET TIME ZONE 'UTC'", E::SETS_SESSION),
        ("SET LOCAL TIME ZONE 'UTC'", E::SETS_LOCAL),
        ("SET NAMES 'utf8'", E::SETS_SESSION),
        ("SET TRANSACTION READ ONLY", E::SETS_LOCAL),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", E::SETS_SESSION),
        ("SET CONSTRAINTS ALL DEFERRED", E::NONE),
        ("SET ROLE a", E::SETS_SESSION | E::SETS_ROLE),
        ("SET LOCAL ROLE a", E::SETS_LOCAL | E::SETS_ROLE),
        ("SET SESSION AUTHORIZATION a", E::SETS_SESSION | E::SETS_ROLE),
        ("SET SESSION SESSION AUTHORIZATION a", E::SETS_SESSION | E::SETS_ROLE),
        ("SET role TO a", E::SETS_SESSION | E::SETS_ROLE),
        ("RESET ROLE", E::SETS_SESSION | E::SETS_ROLE),
        ("RESET a", E::SETS_SESSION),
        ("RESET ALL", E::SETS_SESSION),
        ("SELECT set_config('a', 'b', false)", E::SETS_SESSION),
        ("SELECT pg_catalog.set_config('a', f(1, 2), true)", E::SETS_LOCAL | E::CALLS),
        ("SELECT SET_CONFIG('a', $1, True)", E::SETS_LOCAL),
        ("SELECT \"set_config\"('a', $1, NULL)", E::SETS_SESSION),
        ("SELECT set_config($1, $2, $3)", both),
        ("SELECT set_config('a', 'b', 't')", both),
        ("SELECT set_config('a', 'b', true AND c)", both),
        ("SELECT set_config('a', 'b', true), set_config('c', 'd', false)", both),
        ("DISCARD ALL", E::DISCARDS_ALL),
        ("DISCARD TEMP", E::NONE),
        ("SELECT currval('a'), lastval()", E::LAST_INSERT_ID),
        ("SELECT nextval('a')", E::DRAWS),
        ("SELECT pg_catalog.setval('a', 7)", E::DRAWS),
        ("SELECT pg_backend_pid()", E::CONNECTION_ID),
        ("LOAD 'x'", E::LOADS_LIBRARY),
        ("COMMIT AND CHAIN", E::CHAINS),
        ("ABORT TRANSACTION AND CHAIN", E::CHAINS),
        ("COMMIT AND NO CHAIN", E::NONE),
        ("PREPARE TRANSACTION 'a'", E::NONE),
        ("DO 'BEGIN END'", E::CALLS),
        ("CALL p()", E::CALLS),
        ("SELECT f(1)", E::CALLS),
        ("SELECT pg_catalog.f(1)", E::NONE),
        ("SELECT s.count(1)", E::CALLS),
        ("SELECT count(*)::numeric(10, 2), CAST(a AS varchar(5)) FROM b AS c (d)", E::NONE),
        ("INSERT INTO t (a) VALUES (1)", E::NONE),
        ("COPY t (a) FROM STDIN", E::NONE),
        ("EXPLAIN ANALYZE SELECT f(1)", E::CALLS),
        ("CREATE FUNCTION f() RETURNS int AS $$ SELECT 1; SELECT 2 $$ LANGUAGE sql", E::NONE),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END", E::MULTI),
        ("LOCK TABLE a", E::NONE),
    ] {
        assert_eq!(judge(sql).effects, expect, "{sql}");
    }
}

#[test]
fn a_begin_with_modes_is_carried_out_as_it_is_written() {
    for (sql, expect) in [
        ("BEGIN", Some(Begin::Plain)),
        ("begin work;", Some(Begin::Plain)),
        ("/* job:a */ START TRANSACTION -- go", Some(Begin::Plain)),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", Some(Begin::Modes)),
        ("BEGIN TRANSACTION READ ONLY", Some(Begin::ReadOnly)),
        ("START TRANSACTION READ ONLY;", Some(Begin::ReadOnly)),
        ("BEGIN READ WRITE", Some(Begin::Modes)),
        ("BEGIN READ ONLY READ WRITE", Some(Begin::Modes)),
        (
            "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE NOT DEFERRABLE;",
            Some(Begin::Modes),
        ),
        ("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY, DEFERRABLE", Some(Begin::Modes)),
        ("START", None),
        ("START SLAVE", None),
        ("BEGIN READ ONLY,", None),
        ("BEGIN READ", None),
        ("BEGIN NOT ATOMIC", None),
        ("BEGIN; SELECT 1", None),
        ("BEGIN READ ONLY; SELECT 1", None),
        ("COMMIT", None),
    ] {
        assert_eq!(judge(sql).begin, expect, "{sql}");
    }
}

#[test]
fn a_plain_read_is_answered_alike_by_every_server_with_the_same_data() {
    for sql in [
        "SELECT a FROM t WHERE id = $1",
        "WITH c AS (SELECT a FROM t) SELECT count(*), now() FROM c JOIN s.u USING (a)",
        "(SELECT a FROM t) UNION ALL TABLE u",
    ] {
        assert!(judge(sql).is_plain_read(), "{sql}: {:?}", judge(sql));
        assert!(!judge(sql).reads_the_catalog(), "{sql}");
    }
    for sql in [
        "SELECT 1",
        "VALUES (1)",
        "SELECT a FROM t FOR UPDATE",
        "SELECT a FROM t FOR KEY SHARE",
        "SELECT a INTO u FROM t",
        "WITH c AS (DELETE FROM t RETURNING a) SELECT a FROM c",
        "SELECT of_our_own(a) FROM t",
        "SELECT nextval('s'), a FROM t",
        "SELECT currval('s'), a FROM t",
        "SELECT set_config('a.b', 'c', false) FROM t",
        "SELECT pg_advisory_lock(1) FROM t",
        "SELECT pg_try_advisory_xact_lock(a) FROM t",
        "SELECT pg_notify('a', b) FROM t",
        "SELECT txid_current(), a FROM t",
        "SELECT pg_backend_pid(), a FROM t",
        "SELECT pg_is_in_recovery(), a FROM t",
        "SELECT pg_export_snapshot(), a FROM t",
        "SELECT a FROM t; SELECT a FROM u",
        "COPY t TO STDOUT",
        "DECLARE c CURSOR FOR SELECT a FROM t",
        "EXECUTE s",
        "SHOW work_mem",
    ] {
        assert!(!judge(sql).is_plain_read(), "{sql}: {:?}", judge(sql));
    }
    for sql in [
        "SELECT * FROM pg_stat_activity",
        "SELECT * FROM pg_catalog.pg_locks",
        "SELECT * FROM t, information_schema.tables",
    ] {
        assert!(judge(sql).reads_the_catalog(), "{sql}");
    }
    assert!(!judge("SELECT * FROM app.pg_own").reads_the_catalog());
}

#[test]
fn the_subject_is_the_name_a_statement_is_about() {
    for (sql, expect) in [
        ("SET Search_Path = a, b", Some("search_path")),
        ("SET SESSION my.\"Var\" TO 'x'", Some("my.var")),
        ("SET LOCAL statement_timeout = 5", Some("statement_timeout")),
        ("SET a FROM CURRENT", Some("a")),
        ("SET TIME ZONE LOCAL", Some("timezone")),
        ("SET SCHEMA 'a'", Some("search_path")),
        ("SET NAMES 'utf8'", Some("client_encoding")),
        ("SET ROLE NONE", Some("role")),
        ("SET SESSION AUTHORIZATION DEFAULT", Some("session_authorization")),
        ("SET LOCAL SESSION AUTHORIZATION a", Some("session_authorization")),
        ("SET XML OPTION DOCUMENT", Some("xmloption")),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", None),
        ("SET TRANSACTION READ ONLY", None),
        ("SET a = 1; SET b = 2", None),
        ("SET a = 1; RESET ALL", None),
        ("RESET Work_Mem", Some("work_mem")),
        ("RESET ALL", None),
        ("RESET TIME ZONE", Some("timezone")),
        ("RESET TRANSACTION ISOLATION LEVEL", Some("transaction_isolation")),
        ("SELECT set_config('app.user', '5', true)", Some("app.user")),
        ("SELECT set_config(E'app.user', $1, true)", Some("app.user")),
        ("SELECT set_config($1, '5', true)", None),
        ("SELECT set_config('a' || 'b', '5', true)", None),
        ("SELECT 1, set_config('a', '5', true)", None),
        ("SELECT pg_advisory_lock(42)", Some("42")),
        ("SELECT pg_advisory_unlock(42)", Some("42")),
        ("SELECT pg_advisory_lock($1)", None),
        ("SELECT pg_advisory_lock(1, 2)", None),
        ("SELECT pg_advisory_lock_shared(1)", None),
        ("SELECT pg_advisory_lock(hashtext('a'))", None),
        ("PREPARE \"A\" AS SELECT 1", Some("A")),
        ("PREPARE A (int) AS SELECT $1", Some("a")),
        ("EXECUTE a (1)", Some("a")),
        ("DEALLOCATE PREPARE a", Some("a")),
        ("DEALLOCATE ALL", None),
        ("DECLARE a CURSOR FOR SELECT 1", Some("a")),
        ("CLOSE a", Some("a")),
        ("CLOSE ALL", None),
        ("LISTEN \"Jobs\"", Some("Jobs")),
        ("UNLISTEN jobs", Some("jobs")),
        ("UNLISTEN *", None),
        ("NOTIFY jobs, 'x'", Some("jobs")),
        ("CREATE TEMP TABLE IF NOT EXISTS a (b int)", Some("a")),
        ("SELECT 1 FROM z; CREATE TEMP TABLE pg_temp.A (b int)", Some("a")),
        ("SELECT 1 INTO TEMP TABLE a", Some("a")),
        ("DROP TABLE IF EXISTS a CASCADE", Some("a")),
        ("DROP TABLE a, b", None),
        ("CREATE TABLE a (b int)", None),
        ("SELECT 1", None),
    ] {
        let mut scratch = Scratch::default();
        let shape = Statements::new(1).judge(sql.as_bytes(), PG, &mut scratch);
        let subject = shape.subject(sql.as_bytes(), &scratch);
        assert_eq!(subject, expect.map(str::as_bytes), "{sql}");
    }
}

#[test]
fn what_was_prepared_before_is_no_text_of_its_own() {
    let mut scratch = Scratch::default();
    let sql = b"EXECUTE a ('DELETE FROM t')";
    let shape = Statements::new(1).judge(sql, PG, &mut scratch);
    assert_eq!(shape.dynamic(sql, &scratch), Dynamic::Nothing);
}

#[test]
fn hostile_texts_end_in_linear_time() {
    let texts = [
        "$".repeat(1_000_000),
        "$a$".repeat(300_000),
        "$1".repeat(500_000),
        "/*".repeat(500_000),
        "/*/".repeat(300_000),
        "'a'\n".repeat(250_000),
        "'a'--\n".repeat(160_000),
        "E'\\''".repeat(200_000),
        "U&\"".repeat(300_000),
        "u&".repeat(500_000),
        "[".repeat(1_000_000),
        "ARRAY[(".repeat(140_000),
        "set_config(".repeat(90_000),
        "set_config((((".repeat(70_000),
        "WITH a AS (DELETE FROM t ".repeat(40_000),
        "EXPLAIN ANALYZE ".repeat(60_000),
        "EXPLAIN (".repeat(100_000),
        "PREPARE a AS WITH ".repeat(50_000),
        "SELECT 1 INTO ".repeat(70_000),
        "SET a.".repeat(160_000),
        "1_".repeat(500_000),
        "#`@?".repeat(250_000),
    ];
    for text in texts {
        assert!(judge(&text).text.len() <= 1024);
    }
}
