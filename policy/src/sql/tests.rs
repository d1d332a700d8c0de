//! One `check` per subject: digests, kinds, tables, effects, subjects; then what holds for any
//! bytes.

use super::*;

mod postgres;
mod properties;

fn judge(sql: &str) -> std::sync::Arc<Shape> {
    Statements::new(16).judge(sql.as_bytes(), Dialect::default(), &mut Scratch::default())
}

fn check_text(sql: &str, expect: &str) {
    assert_eq!(&*judge(sql).text, expect, "{sql}");
}

fn check_same(texts: &[&str]) {
    for text in texts {
        let (first, shape) = (judge(texts[0]), judge(text));
        assert_eq!(shape.digest, first.digest, "{text} is {:?}, not {:?}", shape.text, first.text);
        assert_eq!(shape.text, first.text);
    }
}

fn check_different(a: &str, b: &str) {
    assert_ne!(judge(a).digest, judge(b).digest, "{a} and {b}: {}", judge(a).text);
}

fn check_kind(sql: &str, expect: Kind) {
    assert_eq!(judge(sql).kind, expect, "{sql}");
}

fn check_tables(sql: &str, expect: &[&str]) {
    let shape = judge(sql);
    let tables = shape.tables.iter().map(|table| match &table.schema {
        Some(schema) => format!("{schema}.{}", table.name),
        None => table.name.to_string(),
    });
    assert_eq!(tables.collect::<Vec<_>>(), expect, "{sql}");
}

fn check_effects(sql: &str, expect: Effects) {
    assert_eq!(judge(sql).effects, expect, "{sql}");
}

fn check_begin(sql: &str, expect: Option<Begin>) {
    assert_eq!(judge(sql).begin, expect, "{sql}");
}

#[test]
fn only_what_reads_and_calls_nothing_unknown_takes_no_locks() {
    for sql in [
        "SELECT a FROM t WHERE id = 1",
        "select count(*), max(a) from t join u using (id)",
        "SHOW TABLES",
        "SET NAMES utf8mb4",
        "COMMIT",
    ] {
        assert!(judge(sql).takes_no_locks(), "{sql}");
    }
    for sql in [
        "SELECT a FROM t WHERE id = 1 FOR UPDATE",
        "SELECT a FROM t LOCK IN SHARE MODE",
        "UPDATE t SET a = 1",
        "SELECT GET_LOCK('a', 1)",
        "SELECT of_our_own(1)",
        "SELECT 1; UPDATE t SET a = 1",
        "BEGIN; SELECT a FROM t",
        "BEGIN",
        "ANALYZE DELETE FROM t",
        "EXPLAIN ANALYZE DELETE FROM t",
        "CALL p()",
        "EXECUTE s",
        "LOCK TABLES t READ",
    ] {
        assert!(!judge(sql).takes_no_locks(), "{sql}");
    }
}

#[test]
fn a_plain_read_is_answered_alike_by_every_server_with_the_same_data() {
    for sql in [
        "SELECT a FROM t WHERE id = 1",
        "(SELECT a FROM t) UNION (SELECT b FROM u)",
        "WITH c AS (SELECT a FROM t) SELECT * FROM c JOIN u",
        "SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1",
        "SELECT NOW(), COUNT(*), CONCAT(a, 'x') FROM t",
        "TABLE t",
    ] {
        assert!(judge(sql).is_plain_read(), "{sql}");
    }
    for sql in [
        "SELECT 1",
        "SELECT @@server_id",
        "SELECT a FROM t FOR UPDATE",
        "SELECT a FROM t LOCK IN SHARE MODE",
        "SELECT a FROM t FOR SHARE",
        "SELECT @a := a FROM t",
        "SELECT a INTO @a FROM t",
        "SELECT a INTO OUTFILE '/tmp/x' FROM t",
        "SELECT a INTO DUMPFILE '/tmp/x' FROM t",
        "SELECT of_our_own(a) FROM t",
        "SELECT app.f(a) FROM t",
        "SELECT NEXTVAL(s), a FROM t",
        "SELECT NEXT VALUE FOR s, a FROM t",
        "SELECT PREVIOUS VALUE FOR s, a FROM t",
        "SELECT LASTVAL(s), a FROM t",
        "SELECT SETVAL(s, 5), a FROM t",
        "SELECT s.nextval, a FROM t",
        "SELECT GET_LOCK('a', 1) FROM t",
        "SELECT IS_FREE_LOCK('a') FROM t",
        "SELECT is_used_lock('a') FROM t",
        "SELECT CONNECTION_ID() FROM t",
        "SELECT a FROM t WHERE id = LAST_INSERT_ID()",
        "SELECT LAST_INSERT_ID(5) FROM t",
        "SELECT FOUND_ROWS() FROM t",
        "SELECT ROW_COUNT() FROM t",
        "SELECT a FROM t; SELECT a FROM u",
        "SELECT a FROM t PROCEDURE ANALYSE()",
        "INSERT INTO t SELECT a FROM u",
        "SHOW TABLES",
        "EXPLAIN SELECT a FROM t",
        "SELECT MASTER_POS_WAIT('f', 4) FROM t",
        "SELECT RELEASE_ALL_LOCKS() FROM t",
        "SELECT LOAD_FILE('/etc/x') FROM t",
        "SELECT UUID_SHORT() FROM t",
    ] {
        assert!(!judge(sql).is_plain_read(), "{sql}: {:?}", judge(sql));
    }
    let told = |sql, home| judge(sql).tells_of_the_server(home);
    assert!(told("SELECT * FROM information_schema.PROCESSLIST", "app"));
    assert!(told("SELECT * FROM t JOIN Performance_Schema.threads", "app"));
    assert!(told("SELECT * FROM user", "mysql") && !told("SELECT * FROM user", "app"));
}

#[test]
fn the_text_is_the_statement_without_its_literals() {
    check_text("select c from sbtest1 where id=4990", "SELECT c FROM sbtest1 WHERE id = ?");
    check_text("SELECT `a`.`b`, count( * )  FROM a -- x", "SELECT a.b, COUNT (*) FROM a");
    check_text("insert into t values (1,'a'),(2,'b')", "INSERT INTO t VALUES (?)");
    check_text(
        "select * from t where a in (1,2,3) limit 10,20",
        "SELECT * FROM t WHERE a IN (?) LIMIT ?, ?",
    );
    check_text("select 1; select 2;", "SELECT ?; SELECT ?");
    check_text("set @a := 1", "SET @a := ?");
    check_text("/*!40001 select */ 1", "/*! SELECT */ ?");
    check_text("", "");
    assert_eq!(judge(&"a ".repeat(5000)).text.len(), 1024);
}

#[test]
fn a_digest_ignores_literals_layout_and_the_case_of_keywords() {
    check_same(&[
        "SELECT c FROM t WHERE id=1",
        "select c from t where id = 'x'",
        "select\n\tc from/* ? */`t` where id=?;",
        "/* job='a' */ select c from t where id = -1 -- end",
        "SELECT c FROM t WHERE id = _utf8mb4'x' ;; ",
        "SELECT c FROM t WHERE id = 'x' 'y'",
        "SELECT c FROM t WHERE id = NULL",
        "SELECT c FROM t WHERE id = + 0x1F",
    ]);
    check_same(&[
        "SELECT * FROM t WHERE a IN (1)",
        "SELECT * FROM t WHERE a IN (1, -2, 'c', NULL, ?)",
    ]);
    check_same(&[
        "INSERT INTO t (a, b) VALUES (1, NOW())",
        "INSERT INTO t (a, b) VALUES (2, now()), (3,NOW( )) , (NULL, now())",
    ]);
    check_same(&["SELECT 1 WHERE (a,b) IN ((1,2))", "SELECT 1 WHERE (a,b) IN ((1,2),(3,4),(?,?))"]);
    check_same(&["VALUES ROW(1,2)", "VALUES ROW(1,2), ROW(3,4)"]);
    check_same(&["SELECT @@AUTOCOMMIT", "select @@autocommit"]);
}

#[test]
fn a_digest_keeps_what_matters() {
    check_different("SELECT a FROM t", "SELECT a FROM T");
    check_different("SELECT a FROM t", "SELECT b FROM t");
    check_different("SELECT a FROM t", "SELECT 'a' FROM t");
    check_different("SELECT a IS NULL", "SELECT a IS NOT NULL");
    check_different("SELECT a - 1", "SELECT a 1");
    check_different("SELECT a - 1", "SELECT a + 1");
    check_different("SELECT `select` FROM t", "SELECT select FROM t");
    check_different("SELECT 1", "SELECT 1; SELECT 2");
    check_different("SELECT 1 LIMIT 1", "SELECT 1 LIMIT 1, 2");
    check_different("COMMIT", "/*!99999 COMMIT */");
    check_different("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1), (@a)");
    check_different("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1");
    check_different("INSERT INTO t VALUES (1", "INSERT INTO u VALUES (1");
    check_different("INSERT INTO t VALUES (1; COMMIT", "INSERT INTO u VALUES (1; COMMIT");
    check_different("SELECT ab, c", "SELECT a, bc");
}

#[test]
fn a_sign_at_the_end_is_not_lost() {
    assert_ne!(judge("").digest, judge("-").digest);
    assert_ne!(judge("SELECT").digest, judge("SELECT +").digest);
    assert_ne!(judge("BEGIN;").digest, judge("BEGIN; -- a").digest);
}

/// Rules name digests, so they must be the same in every release.
#[test]
fn digests_are_stable() {
    let expect = "SELECT c FROM sbtest1 WHERE id=?";
    assert_eq!(judge(expect).digest.to_string(), "31e1cbdabf97de72");
    let digest: Digest = "00000000000000ff".parse().unwrap();
    assert_eq!((digest, digest.to_string().as_str()), (Digest(255), "00000000000000ff"));
    for wrong in ["", "ff", "00000000000000fg", "+0000000000000ff"] {
        assert_eq!(wrong.parse::<Digest>(), Err(InvalidDigest));
    }
}

#[test]
fn quotes_follow_the_mode() {
    let scratch = &mut Scratch::default();
    let ansi = Dialect::MySql(LexMode { ansi_quotes: true, ..LexMode::default() });
    let raw = Dialect::MySql(LexMode { no_backslash_escapes: true, ..LexMode::default() });
    let statements = Statements::new(16);
    let sql = br#"SELECT "a" FROM t"#;
    assert_eq!(&*statements.judge(sql, Dialect::default(), scratch).text, "SELECT ? FROM t");
    assert_eq!(&*statements.judge(sql, ansi, scratch).text, "SELECT a FROM t");
    let sql = br"SELECT 'a\' FROM t -- '";
    assert_eq!(&*statements.judge(sql, Dialect::default(), scratch).text, "SELECT ?");
    assert_eq!(&*statements.judge(sql, raw, scratch).text, "SELECT ? FROM t");
}

#[test]
fn literals_and_tags_are_where_they_are() {
    let sql = b"/*job='a%20b',x='y'*/ SELECT -1, 'two' /*app:shop*/ WHERE a=?";
    let mut scratch = Scratch::default();
    Statements::new(1).judge(sql, Dialect::default(), &mut scratch);
    let literals: Vec<&[u8]> = scratch.literals().iter().map(|span| span.of(sql)).collect();
    assert_eq!(literals, [&b"-1"[..], b"'two'"]);
    let tags: Vec<_> = scratch.tags(sql).map(|(key, value)| (key, value.into_owned())).collect();
    assert_eq!(
        tags,
        [(&b"job"[..], b"a b".to_vec()), (b"x", b"y".to_vec()), (b"app", b"shop".to_vec())]
    );
}

#[test]
fn kinds() {
    for (sql, expect) in [
        ("", Kind::Empty),
        (" /* nothing */ ; -- at all", Kind::Empty),
        ("((SELECT 1) UNION (SELECT 2))", Kind::Select),
        ("SELECT 1 FOR UPDATE", Kind::LockingSelect),
        ("SELECT 1 FROM t FOR SHARE SKIP LOCKED", Kind::LockingSelect),
        ("SELECT 1 FROM t LOCK IN SHARE MODE", Kind::LockingSelect),
        ("TABLE t", Kind::Select),
        ("VALUES ROW(1)", Kind::Select),
        ("WITH a AS (SELECT 1) SELECT * FROM a", Kind::Select),
        ("WITH a AS (SELECT 1) SELECT * FROM a, b FOR UPDATE", Kind::LockingSelect),
        ("WITH a AS (SELECT 1) UPDATE t SET x=1", Kind::Update),
        ("WITH RECURSIVE a (n) AS (SELECT 1 UNION SELECT n FROM a) DELETE FROM t", Kind::Delete),
        ("insert into t values (1)", Kind::Insert),
        ("replace t set a=1", Kind::Replace),
        ("load data local infile 'x' into table t", Kind::Load),
        ("load index into cache t", Kind::Admin),
        ("call p(1)", Kind::Call),
        ("begin", Kind::Begin),
        ("start transaction with consistent snapshot", Kind::Begin),
        ("start slave", Kind::Admin),
        ("begin not atomic select 1; end", Kind::Other),
        ("commit work and chain", Kind::Commit),
        ("rollback", Kind::Rollback),
        ("rollback work to savepoint a", Kind::Savepoint),
        ("savepoint a", Kind::Savepoint),
        ("release savepoint a", Kind::Savepoint),
        ("set names utf8", Kind::Set),
        ("set statement max_statement_time=1 for delete from t", Kind::Delete),
        ("use db", Kind::Use),
        ("show tables", Kind::Show),
        ("explain select 1", Kind::Explain),
        ("desc t", Kind::Explain),
        ("explain analyze select 1 for update", Kind::LockingSelect),
        ("analyze format=json update t set a=1", Kind::Update),
        ("analyze table t", Kind::Admin),
        ("prepare a from 'select 1'", Kind::Prepare),
        ("execute a using @x", Kind::Execute),
        ("drop prepare a", Kind::Deallocate),
        ("lock tables t write", Kind::LockTables),
        ("flush tables with read lock", Kind::LockTables),
        ("flush tables t for export", Kind::LockTables),
        ("flush logs", Kind::Admin),
        ("unlock tables", Kind::UnlockTables),
        ("handler t open", Kind::Handler),
        ("xa start 'a'", Kind::Xa),
        ("kill query 5", Kind::Kill),
        ("do sleep(1)", Kind::Do),
        ("truncate t", Kind::Ddl),
        ("create table t (a int)", Kind::Ddl),
        ("/*!50001 create view v as select 1 */", Kind::Ddl),
        ("optimize table t", Kind::Admin),
        ("get diagnostics @a = row_count", Kind::Other),
        ("1 + 1", Kind::Other),
        ("select 1; delete from t; select 2", Kind::Delete),
        ("set @a=1; drop table t; commit", Kind::Ddl),
    ] {
        check_kind(sql, expect);
    }
}

#[test]
fn tables() {
    check_tables(
        "SELECT * FROM a, b AS x, `c`.`d` JOIN e ON f(g, h) = 1, i WHERE j, k",
        &["a", "b", "c.d", "e", "i"],
    );
    check_tables(
        "SELECT (SELECT max(x) FROM a) FROM (b LEFT JOIN c USING (d)) WHERE e IN (SELECT f FROM g)",
        &["a", "b", "c", "g"],
    );
    check_tables("SELECT * FROM (SELECT 1 FROM a) AS b, (SELECT 2 FROM c) d", &["a", "c"]);
    check_tables(
        "INSERT IGNORE INTO a.b (c, d) SELECT e, f FROM g ON DUPLICATE KEY UPDATE h = 1",
        &["a.b", "g"],
    );
    check_tables("INSERT a VALUES (1)", &["a"]);
    check_tables("REPLACE INTO a SET b = 1, c = 2", &["a"]);
    check_tables("UPDATE LOW_PRIORITY a, b JOIN c ON d SET e = 1, f = 2 WHERE g", &["a", "b", "c"]);
    check_tables("DELETE FROM a WHERE b", &["a"]);
    check_tables("DELETE a, b FROM a JOIN b JOIN c", &["a", "b", "c"]);
    check_tables("DELETE FROM a USING a JOIN b", &["a", "b"]);
    check_tables("SELECT EXTRACT(YEAR FROM a), TRIM(BOTH 'x' FROM b) FROM c", &["c"]);
    check_tables("SELECT a IS NOT DISTINCT FROM b FROM c", &["c"]);
    check_tables("SELECT 1 FROM DUAL", &[]);
    check_tables("SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (a INT PATH '$')) AS t, b", &["b"]);
    check_tables(
        "WITH a AS (SELECT 1 FROM x), b (c) AS (SELECT 2 FROM a) SELECT * FROM a, b, d",
        &["x", "d"],
    );
    check_tables("SELECT 1 FROM a FOR UPDATE", &["a"]);
    check_tables("SELECT 1 FROM a PARTITION (p0, p1) x, b", &["a", "b"]);
    check_tables("SELECT a INTO @b FROM c", &["c"]);
    check_tables("SELECT 1 FROM status, date", &["status", "date"]);
    check_tables(
        "LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE a FIELDS TERMINATED BY ','",
        &["a"],
    );
    check_tables("LOCK TABLES a READ, b AS c WRITE", &["a", "b"]);
    check_tables("DROP TABLE IF EXISTS a, b", &["a", "b"]);
    check_tables("ALTER TABLE a ADD COLUMN b INT, ADD c INT", &["a"]);
    check_tables("CREATE TABLE IF NOT EXISTS a (b INT REFERENCES c (d), e INT)", &["a", "c"]);
    check_tables("CREATE UNIQUE INDEX a ON b (c)", &["b"]);
    check_tables("TRUNCATE a", &["a"]);
    check_tables("TRUNCATE TABLE a", &["a"]);
    check_tables("CREATE TEMPORARY TABLE a SELECT * FROM b", &["a", "b"]);
    check_tables("OPTIMIZE TABLE a, b", &["a", "b"]);
    check_tables("SHOW FULL COLUMNS FROM a", &["a"]);
    check_tables("SHOW CREATE TABLE a", &["a"]);
    check_tables("SHOW TABLES FROM db", &[]);
    check_tables("DESCRIBE a", &["a"]);
    check_tables("EXPLAIN UPDATE a SET b=1", &["a"]);
    check_tables("HANDLER a OPEN", &["a"]);
    check_tables("TABLE a", &["a"]);
    check_tables("SELECT 1 FROM a; UPDATE b SET c=1", &["a", "b"]);
    check_tables("SET STATEMENT max_statement_time=1 FOR SELECT 1 FROM a", &["a"]);
}

#[test]
fn effects() {
    use Effects as E;
    for (sql, expect) in [
        ("SELECT 1", E::NONE),
        ("SELECT 1; SELECT 2", E::MULTI),
        ("SELECT 1;", E::NONE),
        ("/* a */ SELECT 1 /* b */ ; ", E::NONE),
        ("SELECT 1; -- nothing", E::MULTI),
        ("SELECT 1;; /* a */ ;", E::MULTI),
        ("SELECT @a", E::USER_VARIABLE),
        ("SELECT@a", E::USER_VARIABLE),
        ("SELECT @a := 1", E::USER_VARIABLE | E::ASSIGNS_USER_VARIABLE),
        ("SET @a = 1", E::USER_VARIABLE | E::ASSIGNS_USER_VARIABLE),
        ("SET sql_mode='', @a = (SELECT 1, 2)", E::USER_VARIABLE | E::ASSIGNS_USER_VARIABLE),
        ("SET timestamp = @a", E::USER_VARIABLE),
        ("SELECT 1 INTO @a", E::USER_VARIABLE | E::ASSIGNS_USER_VARIABLE | E::INTO_VARIABLE),
        ("GRANT ALL ON *.* TO 'a'@'b', c@`d`", E::IMPLICIT_COMMIT),
        ("CREATE TEMPORARY TABLE a (b INT)", E::CREATES_TEMPORARY),
        ("CREATE OR REPLACE TEMPORARY TABLE a (b INT)", E::CREATES_TEMPORARY),
        ("DROP TEMPORARY TABLE a", E::DROPS_TEMPORARY),
        ("DROP TABLE a", E::IMPLICIT_COMMIT),
        ("SELECT GET_LOCK('a', 1)", E::GET_LOCK),
        ("DO RELEASE_LOCK('a')", E::RELEASE_LOCK),
        ("SELECT release_all_locks()", E::RELEASE_ALL_LOCKS),
        ("SELECT get_lock FROM t", E::NONE),
        ("SELECT LAST_INSERT_ID()", E::LAST_INSERT_ID),
        ("UPDATE t SET a = LAST_INSERT_ID(a+1)", E::LAST_INSERT_ID),
        ("SELECT @@identity", E::LAST_INSERT_ID),
        ("SELECT @@session.last_insert_id", E::LAST_INSERT_ID),
        ("SELECT ROW_COUNT()", E::ROW_COUNT),
        ("SELECT FOUND_ROWS()", E::FOUND_ROWS),
        ("SELECT SQL_CALC_FOUND_ROWS * FROM t", E::CALC_FOUND_ROWS),
        ("SHOW WARNINGS", E::WARNINGS),
        ("SHOW COUNT(*) ERRORS", E::WARNINGS),
        ("SELECT @@warning_count", E::WARNINGS),
        ("SELECT CONNECTION_ID()", E::CONNECTION_ID),
        ("SELECT @@pseudo_thread_id", E::CONNECTION_ID),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", E::NEXT_TRANSACTION),
        ("SET SESSION TRANSACTION READ ONLY", E::NONE),
        ("SET @@transaction_isolation = 'SERIALIZABLE'", E::NEXT_TRANSACTION),
        ("SET transaction_isolation = 'SERIALIZABLE'", E::NONE),
        ("SET GLOBAL TRANSACTION READ ONLY", E::SETS_GLOBAL),
        ("SET GLOBAL max_connections = 5", E::SETS_GLOBAL),
        ("SET a = 1, @@global.b = 2", E::SETS_GLOBAL),
        ("SET PERSIST a = 1", E::SETS_GLOBAL),
        ("SET autocommit=0", E::SETS_AUTOCOMMIT),
        ("SET NAMES utf8, @@session.AUTOCOMMIT = 0", E::SETS_AUTOCOMMIT),
        ("SET SESSION autocommit=0", E::SETS_AUTOCOMMIT),
        ("SET @@autocommit=0", E::SETS_AUTOCOMMIT),
        ("LOAD DATA LOCAL INFILE 'a' INTO TABLE t", E::INFILE_LOCAL),
        ("COMMIT AND CHAIN", E::CHAINS),
        ("COMMIT AND NO CHAIN", E::NONE),
        ("START TRANSACTION WITH CONSISTENT SNAPSHOT", E::SERIAL_SNAPSHOT),
        ("/*!50001 SET @a = 1 */", E::USER_VARIABLE | E::ASSIGNS_USER_VARIABLE),
        ("INSERT INTO t VALUES (1), (@a)", E::USER_VARIABLE),
        ("SELECT f(1)", E::CALLS),
        ("SELECT 1 FROM t WHERE a IN (1) AND (b = app.CONCAT ('x'))", E::CALLS),
        ("SELECT `concat`('x')", E::CALLS),
        ("SELECT 1; EXPLAIN ANALYZE SELECT status (1)", E::CALLS | E::MULTI),
        ("SELECT count(*), CONCAT (a, 'f(1)') FROM t JOIN (SELECT 1) x USING (a)", E::NONE),
        ("INSERT INTO t (a) SELECT f(1)", E::NONE),
        (
            "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN SET x = 1; END",
            E::IMPLICIT_COMMIT | E::MULTI,
        ),
    ] {
        check_effects(sql, expect);
    }
}

#[test]
fn only_a_plain_begin_may_be_answered_locally() {
    for (sql, expect) in [
        ("BEGIN", Some(Begin::Plain)),
        ("begin work;", Some(Begin::Plain)),
        ("/* job:a */ START TRANSACTION -- go", Some(Begin::Plain)),
        ("START TRANSACTION READ ONLY", Some(Begin::ReadOnly)),
        ("START TRANSACTION READ WRITE", Some(Begin::ReadWrite)),
        ("START TRANSACTION WITH CONSISTENT SNAPSHOT", None),
        ("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", None),
        ("START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT", None),
        ("START TRANSACTION READ", None),
        ("BEGIN; SELECT 1", None),
        ("SELECT 1; BEGIN", None),
        ("/*!99999 BEGIN */", None),
        ("BEGIN WORK NOW", None),
        ("XA BEGIN 'a'", None),
        ("COMMIT", None),
    ] {
        check_begin(sql, expect);
    }
}

#[test]
fn the_subject_is_the_name_a_statement_is_about() {
    for (sql, expect) in [
        ("SELECT GET_LOCK('jobs', 10)", Some("jobs")),
        ("SELECT RELEASE_LOCK( \"jobs\" )", Some("jobs")),
        ("SELECT GET_LOCK(CONCAT('a', 'b'), 1)", None),
        ("SELECT GET_LOCK(?, 1)", None),
        ("SELECT 1, GET_LOCK('jobs', 1)", None),
        ("SELECT GET_LOCK('a', 1), GET_LOCK('b', 1)", None),
        ("PREPARE `a` FROM 'SELECT 1'", Some("a")),
        ("EXECUTE a", Some("a")),
        ("DEALLOCATE PREPARE a", Some("a")),
        ("DROP PREPARE a", Some("a")),
        ("HANDLER a READ FIRST", Some("a")),
        ("CREATE TEMPORARY TABLE IF NOT EXISTS db.a (b INT)", Some("a")),
        ("DROP TEMPORARY TABLE a", Some("a")),
        ("SELECT 1 FROM z; CREATE TEMPORARY TABLE a (b INT)", Some("a")),
        ("SELECT 1", None),
    ] {
        let mut scratch = Scratch::default();
        let shape = Statements::new(1).judge(sql.as_bytes(), Dialect::default(), &mut scratch);
        let subject = shape.subject(sql.as_bytes(), &scratch);
        assert_eq!(subject, expect.map(str::as_bytes), "{sql}");
    }
}

#[test]
fn sql_in_a_value_is_found_where_it_is_a_literal() {
    for (sql, expect) in [
        ("PREPARE a FROM 'SELECT ''x'''", Dynamic::Text(b"SELECT ''x''")),
        ("prepare `a` from \"LOCK TABLES t WRITE\"", Dynamic::Text(b"LOCK TABLES t WRITE")),
        ("EXECUTE IMMEDIATE 'SELECT ?' USING 1", Dynamic::Text(b"SELECT ?")),
        ("EXECUTE IMMEDIATE 'COMMIT'", Dynamic::Text(b"COMMIT")),
        ("EXECUTE a USING 'COMMIT'", Dynamic::Nothing),
        ("PREPARE a FROM @sql", Dynamic::Hidden),
        ("PREPARE a FROM CONCAT('SELECT ', '1')", Dynamic::Hidden),
        ("PREPARE a FROM 'SELECT \\'x\\''", Dynamic::Hidden),
        ("EXECUTE IMMEDIATE ?", Dynamic::Hidden),
        ("EXECUTE IMMEDIATE CONCAT('a', 'b')", Dynamic::Hidden),
        ("PREPARE a FROM 'SELECT 1'; EXECUTE a", Dynamic::Hidden),
    ] {
        let mut scratch = Scratch::default();
        let shape = Statements::new(1).judge(sql.as_bytes(), Dialect::default(), &mut scratch);
        assert!(shape.effects.contains(Effects::DYNAMIC), "{sql}");
        assert_eq!(shape.dynamic(sql.as_bytes(), &scratch), expect, "{sql}");
    }
}

/// A parameter has the digest of a literal, so the shape of one is that of the other.
#[test]
fn a_subject_is_that_of_its_text_whichever_text_came_first() {
    let texts = [
        (&b"SELECT GET_LOCK('jobs', 10)"[..], Some(&b"jobs"[..])),
        (b"SELECT GET_LOCK(?, 10)", None),
        (b"SELECT GET_LOCK(NULL, 10)", None),
        (b"SELECT GET_LOCK('mail', ?)", Some(b"mail")),
    ];
    for first in 0..texts.len() {
        let (statements, mut scratch) = (Statements::new(4), Scratch::default());
        statements.judge(texts[first].0, Dialect::default(), &mut scratch);
        for (sql, expect) in texts {
            let shape = statements.judge(sql, Dialect::default(), &mut scratch);
            assert_eq!(shape.subject(sql, &scratch), expect);
        }
        assert_eq!(statements.len(), 1);
    }
    let (statements, mut scratch) = (Statements::new(4), Scratch::default());
    for sql in [&b"SELECT f(NULL), GET_LOCK('a', 1)"[..], b"SELECT f('x'), GET_LOCK('a', 1)"] {
        let shape = statements.judge(sql, Dialect::default(), &mut scratch);
        assert_eq!(shape.subject(sql, &scratch), None);
    }
}

#[test]
fn shapes_are_shared_and_their_number_is_bounded() {
    let (statements, scratch) = (Statements::new(64), &mut Scratch::default());
    let first = statements.judge(b"SELECT 1", Dialect::default(), scratch);
    let second = statements.judge(b"select 2", Dialect::default(), scratch);
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    assert!(statements.find(first.digest).is_some());
    for column in 0..10_000 {
        statements.judge(format!("SELECT c{column}").as_bytes(), Dialect::default(), scratch);
    }
    assert!(statements.len() <= 128, "{}", statements.len());
}

#[test]
fn hostile_texts_end_in_linear_time() {
    let texts = [
        "(".repeat(100_000),
        "SELECT ".to_owned() + &"(SELECT ".repeat(50_000),
        format!("SELECT '{}'", "x".repeat(16 << 20)),
        "SELECT '".to_owned() + &"\\'".repeat(400_000),
        "/*".repeat(400_000),
        "/*!".repeat(300_000),
        "`".repeat(999_999),
        "_a ".repeat(300_000),
        "VALUES ((".repeat(100_000),
        "1,".repeat(500_000),
        "IN (".repeat(200_000),
        ";".repeat(1_000_000),
        "SELECT 1;".repeat(100_000),
        "SET STATEMENT a=1 FOR ".repeat(40_000),
        "EXPLAIN ANALYZE ".repeat(60_000),
        "WITH a AS (".repeat(90_000),
        "a.".repeat(400_000),
        "@".repeat(1_000_000),
        "--- ".repeat(250_000),
        "/*a='".repeat(150_000),
        "/*a=b,*/".repeat(120_000),
    ];
    for text in texts {
        let shape = judge(&text);
        assert!(shape.text.len() <= 1024);
        assert_eq!(shape.effects.contains(Effects::TRUNCATED), text.len() > TEXT_BYTES_MAX);
    }
}

#[test]
fn a_text_beyond_the_bound_keeps_one_digest_and_says_so() {
    let rows = |count: usize| format!("INSERT INTO t VALUES {}(1)", "(1, 'abc'),".repeat(count));
    let (long, longer) = (judge(&rows(100_000)), judge(&rows(150_000)));
    assert_eq!(long.digest, longer.digest);
    assert!(long.effects.contains(Effects::TRUNCATED));
    assert_ne!(long.digest, judge(&rows(10)).digest);
    assert_eq!(long.kind, Kind::Insert);
}
