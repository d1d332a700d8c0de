//! The same for PostgreSQL: what is read otherwise, and the statements that only it has.

use super::*;

mod classify;

const PG: Dialect = Dialect::Postgres { standard_conforming_strings: true };
const PG_ESCAPES: Dialect = Dialect::Postgres { standard_conforming_strings: false };

fn judge(sql: &str) -> std::sync::Arc<Shape> {
    Statements::new(16).judge(sql.as_bytes(), PG, &mut Scratch::default())
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

#[test]
fn the_text_is_the_statement_without_its_literals() {
    check_text("select C from T where id = $1", "SELECT c FROM t WHERE id = ?");
    check_text("select \"C\" from \"T\".U", "SELECT C FROM T.u");
    check_text(
        "SELECT a::int, b->>'c', d @> $1, e #> '{f}'",
        "SELECT a :: int, b ->> ?, d @> ?, e #> ?",
    );
    check_text("SELECT a ? 'b'", "SELECT a ? ?");
    check_text("SELECT a IN (1, 2), 3", "SELECT a IN (?), ?");
    check_text("SELECT a IN (1::int, 2::int, b)", "SELECT a IN (? :: int, b)");
    check_text("SELECT f(a := 1)", "SELECT f (a := ?)");
    check_text("COPY t FROM stdin", "COPY t FROM stdin");
    check_text("SELECT $$it's$$ # 1", "SELECT ? # ?");
}

#[test]
fn a_digest_ignores_literals_layout_and_the_case_of_what_is_not_quoted() {
    check_same(&[
        "SELECT c FROM t WHERE id=1",
        "select C from T where ID = $17",
        "SELECT c FROM t WHERE id = 'it''s'",
        "SELECT c FROM t WHERE id = E'it\\'s'",
        "SELECT c FROM t WHERE id = $$it's$$",
        "SELECT c FROM t WHERE id = $x$ $$ $y$ $x$",
        "SELECT c FROM t WHERE id = U&'d\\0061t'",
        "SELECT c FROM t WHERE id = B'01'",
        "SELECT c FROM t WHERE id = X'1F'",
        "SELECT c FROM t WHERE id = N'a'",
        "SELECT c FROM t WHERE id = 'a'\n  'b'",
        "SELECT c FROM t WHERE id = E'a' -- more\n 'b\\''",
        "SELECT c FROM t WHERE id = -1_000",
        "SELECT c FROM t WHERE id = 0x1F",
        "SELECT c FROM t WHERE id = 1.5e-3",
        "SELECT c FROM t WHERE id = .5",
        "SELECT c FROM t WHERE id = 'ends in a backslash\\'",
        "SELECT \"c\" FROM \"t\" WHERE id = NULL;",
        "SELECT c FROM t--a\n/* b /* c */ d */ WHERE id=1",
    ]);
    check_same(&["SELECT 1 WHERE a IN ($1)", "SELECT 1 WHERE a IN ($1, $2, -3, 'd')"]);
    check_same(&["SELECT a = ANY (ARRAY[1])", "SELECT a = ANY (ARRAY[1, -2, NULL])"]);
    check_same(&["SELECT ARRAY[[1,2]]", "SELECT ARRAY[[1,2],[3,4],[$1,$2]]"]);
    check_same(&["SELECT ARRAY[(1,a)]", "SELECT array[(1,a),(2,a)]"]);
    check_same(&[
        "SELECT a IN ($1::int)",
        "SELECT a IN ($1::INT, $2::int, $3::int)",
        "SELECT a IN ('1'::int, -1::int)",
    ]);
    check_same(&[
        "SELECT a = ANY (ARRAY[$1::numeric(5, 2)]), 1",
        "SELECT a = ANY (ARRAY[$1::numeric(9, 3), $2::NUMERIC(5, 2)]), 1",
    ]);
    check_same(&["SELECT a[1]", "SELECT a[2]"]);
    check_same(&[
        "INSERT INTO t VALUES ($1::int, now())",
        "INSERT INTO t VALUES ($1::int, now()), ($2::INT, NOW())",
    ]);
    check_same(&["SET a = TRUE", "SET a = 'x'"]);
}

#[test]
fn a_digest_keeps_what_matters() {
    check_different("SELECT a FROM t", "SELECT \"A\" FROM t");
    check_different("SELECT a FROM t", "SELECT `a` FROM t");
    check_different("SELECT a ? 'b'", "SELECT a 'b'");
    check_different("SELECT a @> 'b'", "SELECT a <@ 'b'");
    check_different("SELECT a::int", "SELECT a::text");
    check_different("SELECT 1 # 2", "SELECT 1");
    check_different("SELECT a IN (1)", "SELECT a IN (1, b)");
    check_different("SELECT a IN (1)", "SELECT a IN (1::int)");
    check_different("SELECT a IN (1, b)", "SELECT a IN (1, c)");
    check_different("SELECT a IN (1", "SELECT a IN (1)");
    check_different("SELECT 1", "/* /* */ SELECT 1");
    check_different("SELECT set_config('a', 'b', true)", "SELECT set_config('a', 'b', false)");
    let mysql = super::judge("SELECT 1");
    assert_ne!(judge("SELECT 1").digest, mysql.digest);
}

/// Rules name digests, so they must be the same in every release.
#[test]
fn digests_are_stable() {
    for (sql, expect) in [
        ("SELECT c FROM sbtest1 WHERE id=$1", "227b8c73e4e10cb8"),
        ("COPY t FROM STDIN", "278196e1707ab497"),
        ("SELECT \"A\" FROM b WHERE c @> ARRAY[1, 2]", "63c07093f84b4fbc"),
    ] {
        assert_eq!(judge(sql).digest.to_string(), expect, "{sql}");
    }
}

#[test]
fn backslashes_follow_the_parameter() {
    let (statements, scratch) = (Statements::new(16), &mut Scratch::default());
    for (sql, dialect, expect) in [
        (r"SELECT 'a\' FROM t -- '", PG, "SELECT ? FROM t"),
        (r"SELECT 'a\' FROM t -- '", PG_ESCAPES, "SELECT ?"),
        (r"SELECT E'a\' FROM t -- '", PG, "SELECT ?"),
        (r"SELECT N'a\' FROM t -- '", PG_ESCAPES, "SELECT ?"),
        (r"SELECT X'a\' FROM t -- '", PG_ESCAPES, "SELECT ? FROM t"),
    ] {
        assert_eq!(&*statements.judge(sql.as_bytes(), dialect, scratch).text, expect, "{sql}");
    }
}

#[test]
fn tags_are_read_from_comments() {
    let sql = b"/*job='a%20b' /* prose */*/ SELECT $1 /*app:shop*/--class:batch\n/*x='y'*/";
    let mut scratch = Scratch::default();
    Statements::new(1).judge(sql, PG, &mut scratch);
    let tags: Vec<_> = scratch.tags(sql).map(|(key, value)| (key, value.into_owned())).collect();
    assert_eq!(
        tags,
        [(&b"app"[..], b"shop".to_vec()), (b"class", b"batch".to_vec()), (b"x", b"y".to_vec())]
    );
}
