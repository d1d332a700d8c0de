use proptest::prelude::*;

use super::super::{LexMode, Scratch, Statements};
use super::*;

const MYSQL: Dialect = Dialect::MySql(LexMode { no_backslash_escapes: false, ansi_quotes: false });
const PG: Dialect = Dialect::Postgres { standard_conforming_strings: true };

fn row_with(sql: &str, dialect: Dialect, parameters: &[Value<'_>]) -> Option<Key> {
    let shape = Statements::new(1).judge(sql.as_bytes(), dialect, &mut Scratch::default());
    shape.row(sql.as_bytes(), dialect, b"shop", |number| parameters.get(number).copied())
}

fn mysql(sql: &str) -> Option<Key> {
    row_with(sql, MYSQL, &[])
}

fn pg(sql: &str) -> Option<Key> {
    row_with(sql, PG, &[])
}

#[test]
fn what_means_the_same_row_has_the_same_key() {
    let row = mysql("UPDATE account SET n = n + 1 WHERE id = 7");
    assert!(row.is_some());
    for same in [
        "update account set n = 0 where id = 7",
        "UPDATE `account` AS a SET n = 0 WHERE a.`ID` = 7 LIMIT 1;",
        "UPDATE shop.account SET n = 0 WHERE shop.account.id = '7'",
        "UPDATE account SET n = 0 WHERE (id = 007)",
        "UPDATE account SET n = 0 WHERE ((id = +7)) /* page */ ORDER BY n",
        "UPDATE account SET n = 0 WHERE n > 3 AND id = 7 AND (n = 1 OR n = 2)",
        "UPDATE account SET n = 0 WHERE n BETWEEN 3 AND 9 AND id = 7 AND NOT (n = 8)",
        "UPDATE account SET n = 0 WHERE id = 7 AND n IN (1, 2) AND n <> 3 AND n >= 4",
        "UPDATE account SET n = 0 WHERE id = 7 AND CASE WHEN n = 1 AND n = 2 THEN 1 END",
        "UPDATE account SET n = (3 + 4) WHERE id = 7 AND n = n + 1 AND n = -n",
        "DELETE FROM account WHERE id = 7",
        "SELECT * FROM account WHERE id = 7 FOR UPDATE",
        "SELECT n FROM account WHERE id = 7 LOCK IN SHARE MODE",
    ] {
        assert_eq!(mysql(same), row, "{same}");
    }
    for other in [
        "UPDATE account SET n = 0 WHERE id = 8",
        "UPDATE account SET n = 0 WHERE id = -7",
        "UPDATE account SET n = 0 WHERE id = 70",
        "UPDATE accounts SET n = 0 WHERE id = 7",
        "UPDATE bank.account SET n = 0 WHERE id = 7",
        "UPDATE account SET n = 0 WHERE n = 7",
        "UPDATE account SET n = 0 WHERE id = 7 AND n = 3",
        "UPDATE account SET n = 0 WHERE id = 'seven'",
    ] {
        assert!(mysql(other).is_some() && mysql(other) != row, "{other}");
    }
}

#[test]
fn what_names_no_row_or_does_not_wait_for_it_has_no_key() {
    for none in [
        "SELECT * FROM account WHERE id = 7",
        "INSERT INTO account VALUES (7, 0)",
        "UPDATE account SET n = 0",
        "UPDATE account SET n = 7 LIMIT 1",
        "UPDATE account SET n = 0 WHERE id > 7",
        "UPDATE account SET n = 0 WHERE id <=> 7",
        "UPDATE account SET n = 0 WHERE id = 7 OR id = 8",
        "UPDATE account SET n = 0 WHERE id = 7 || id = 8",
        "UPDATE account SET n = 0 WHERE (id = 7 OR id = 8) AND n > 3",
        "UPDATE account SET n = 0 WHERE id IN (7)",
        "UPDATE account SET n = 0 WHERE id = 7 + 1",
        "UPDATE account SET n = 0 WHERE id = @id",
        "UPDATE account SET n = 0 WHERE id = x'07'",
        "UPDATE account SET n = 0 WHERE id = 'a\\'b'",
        "UPDATE account SET n = 0 WHERE id = (SELECT 7)",
        "UPDATE account SET n = 0 WHERE (SELECT 1 WHERE 2 = 3 AND n = 7)",
        "UPDATE account SET n = 0 WHERE NOT (id = 7)",
        "UPDATE account SET n = 0 WHERE (id, n) = (7, 8)",
        "UPDATE account SET n = 0 WHERE (id = 7) IS FALSE",
        "UPDATE account SET n = 0 WHERE (id = 7",
        "UPDATE account SET n = 0 WHERE id = 7 /*!80000 OR 1 */",
        "UPDATE account a, branch b SET a.n = 0 WHERE a.id = 7 AND b.id = 7",
        "UPDATE account SET n = 0 WHERE id = 7; UPDATE account SET n = 0 WHERE id = 8",
        "SELECT * FROM account WHERE id = 7 FOR UPDATE SKIP LOCKED",
        "SELECT * FROM account WHERE id = 7 FOR UPDATE NOWAIT",
        "UPDATE account SET n = 0 WHERE id = ?",
    ] {
        assert_eq!(mysql(none), None, "{none}");
    }
}

#[test]
fn postgres_writes_the_same_otherwise() {
    let row = pg("UPDATE account SET n = n + 1 WHERE id = 7");
    assert!(row.is_some());
    for same in [
        "UPDATE ONLY Account SET n = 0 WHERE \"account\".\"id\" = '7'::bigint RETURNING n",
        "UPDATE account SET n = 0 WHERE id = 7::numeric(10) AND name = 'a' || 'b'",
        "DELETE FROM account WHERE id = E'7'",
        "SELECT * FROM account WHERE id = N'7' FOR NO KEY UPDATE OF account",
    ] {
        assert_eq!(pg(same), row, "{same}");
    }
    assert_ne!(pg("UPDATE public.account SET n = 0 WHERE id = 7"), row, "the path is not known");
    assert_eq!(pg("UPDATE account SET n = 0 WHERE id = $$7$$"), None);
    assert_eq!(pg("UPDATE account SET n = 0 WHERE name = 'a'\n'b'"), None);
}

#[test]
fn parameters_are_taken_by_their_number() {
    let row = mysql("UPDATE account SET n = 0 WHERE id = 7");
    let prepared = "UPDATE account SET n = ? WHERE n > ? AND id = ? AND n < ?";
    let with = |id| row_with(prepared, MYSQL, &[Value::Signed(1), Value::Text(b"2"), id]);
    let uuid = *b"\x12\x3e\x45\x67\xe8\x9b\x12\xd3\xa4\x56\x42\x66\x14\x17\x40\x00";
    for seven in [
        Value::Signed(7),
        Value::Unsigned(7),
        Value::Real(7.0),
        Value::Text(b"7"),
        Value::Text(b"+07"),
    ] {
        assert_eq!(with(seven), row, "{seven:?}");
    }
    for other in [
        Value::Signed(-7),
        Value::Real(7.5),
        Value::Text(b"7 "),
        Value::Uuid(uuid),
        Value::Text(b""),
    ] {
        assert!(with(other).is_some() && with(other) != row, "{other:?}");
    }
    let text = mysql("UPDATE account SET n = 0 WHERE id = '123e4567-e89b-12d3-a456-426614174000'");
    assert_eq!(with(Value::Uuid(uuid)), text);
    let zero = mysql("UPDATE account SET n = 0 WHERE id = 0");
    assert_eq!(with(Value::Text(b"-00")), zero);
    assert_eq!(with(Value::Signed(0)), zero);
    let fraction = mysql("UPDATE account SET n = 0 WHERE id = -7.5");
    assert_eq!(with(Value::Real(-7.5)), fraction);
    assert_ne!(with(Value::Real(7.5)), fraction);
    let quoted = mysql("UPDATE account SET n = 0 WHERE id = 'it''s'");
    assert_eq!(with(Value::Text(b"it's")), quoted);

    let row = pg("UPDATE account SET n = 0 WHERE id = 7 AND kind = 'a'");
    let prepared = "UPDATE account SET n = 0 WHERE kind = $2 AND id = $1::int";
    assert_eq!(row_with(prepared, PG, &[Value::Signed(7), Value::Text(b"a")]), row);
    assert_eq!(row_with(prepared, PG, &[Value::Signed(7)]), None, "one is NULL, or not known");
}

proptest! {
    /// Whatever the bytes are, nothing panics, and the numbers of parameters are within the text.
    #[test]
    fn no_bytes_make_it_panic(tail in "[a-z0-9 =()'\"?$.:;,|&+-]{0,40}", postgres: bool) {
        let dialect = if postgres { PG } else { MYSQL };
        for head in ["UPDATE t SET a = ? WHERE ", "INSERT INTO t (a, b) VALUES (1, ?)", "INSERT INTO t ("] {
            let sql = format!("{head}{tail}");
            let statements = Statements::new(1);
            let shape = statements.judge(sql.as_bytes(), dialect, &mut Scratch::default());
            let limit = if postgres { usize::MAX } else { sql.len() };
            shape.row(sql.as_bytes(), dialect, b"", |number| {
                assert!(number < limit);
                Some(Value::Signed(1))
            });
        }
    }

    #[test]
    fn numbers_are_the_same_in_text_and_as_parameters(number: i64) {
        let text = mysql(&format!("DELETE FROM t WHERE id = {number}"));
        prop_assert_eq!(row_with("DELETE FROM t WHERE id = ?", MYSQL, &[Value::Signed(number)]), text);
        let quoted = number.to_string();
        let quoted = Value::Text(quoted.as_bytes());
        prop_assert_eq!(row_with("DELETE FROM t WHERE id = ?", MYSQL, &[quoted]), text);
    }
}

#[test]
fn an_insert_that_changes_the_row_there_is_is_about_that_row() {
    let row = mysql("UPDATE account SET n = n + 1 WHERE id = 7");
    for same in [
        "INSERT INTO account (id, n) VALUES (7, 1) ON DUPLICATE KEY UPDATE n = n + 1",
        "INSERT INTO account (n, id) VALUE (1 + (2), '7') ON DUPLICATE KEY UPDATE account.n = VALUES(n)",
        "insert ignore shop.account partition (p0) (n, `ID`) values (now(), 7) as new (a, b) \
         on duplicate key update n = new.a, seen = now()",
        "INSERT INTO account SET id = 7, n = 1 ON DUPLICATE KEY UPDATE n = n + 1;",
    ] {
        assert!(mysql(same) == row && row.is_some(), "{same}");
    }
    let day = mysql("UPDATE seen SET n = 0 WHERE page = 7 AND day = '2022-06-27'");
    let upsert = "INSERT INTO seen (page, day, n) VALUES (7, '2022-06-27', 1) \
                  ON DUPLICATE KEY UPDATE n = n + 1";
    assert_eq!(mysql(upsert), day);
    let row = pg("UPDATE account SET n = n + 1 WHERE id = 7");
    for same in [
        "INSERT INTO account (id, n) VALUES (7, 1) ON CONFLICT (id) DO UPDATE SET n = account.n + 1",
        "INSERT INTO account AS a (n, id) OVERRIDING SYSTEM VALUE VALUES (now(), 7::bigint) \
         ON CONFLICT (ID) WHERE n > 3 DO UPDATE SET n = 0 RETURNING *",
        "WITH w AS (SELECT 1) INSERT INTO account (id) VALUES (7) ON CONFLICT (id) DO UPDATE SET n = 0",
    ] {
        assert!(pg(same) == row && row.is_some(), "{same}");
    }
    let bound = "INSERT INTO account (n, id) VALUES ($2, $1) ON CONFLICT (id) DO UPDATE SET n = $2";
    assert_eq!(row_with(bound, PG, &[Value::Signed(7), Value::Signed(1)]), row);
    let bound = "INSERT INTO account (n, id) VALUES (?, ?) ON DUPLICATE KEY UPDATE n = ?";
    let values = [Value::Signed(1), Value::Signed(7), Value::Signed(1)];
    assert_eq!(row_with(bound, MYSQL, &values), mysql("DELETE FROM account WHERE id = 7"));
}

#[test]
fn an_insert_that_names_no_row_has_no_key() {
    for none in [
        "INSERT INTO account (id, n) VALUES (7, 1)",
        "INSERT INTO account VALUES (7, 1) ON DUPLICATE KEY UPDATE n = n + 1",
        "INSERT INTO account (id, n) VALUES (7, 1), (8, 1) ON DUPLICATE KEY UPDATE n = n + 1",
        "INSERT INTO account (id, n) VALUES (7, 1, 2) ON DUPLICATE KEY UPDATE n = n + 1",
        "INSERT INTO account (id, n) VALUES (7) ON DUPLICATE KEY UPDATE n = n + 1",
        "INSERT INTO account (id, n) SELECT 7, 1 ON DUPLICATE KEY UPDATE n = n + 1",
        "INSERT INTO account (id, n) VALUES (UUID(), 1) ON DUPLICATE KEY UPDATE n = n + 1",
        "INSERT INTO account (id, n) VALUES (NULL, 1) ON DUPLICATE KEY UPDATE n = n + 1",
        "INSERT INTO account (id, n) VALUES (7 + 1, 1) ON DUPLICATE KEY UPDATE n = n + 1",
        "INSERT INTO account (id, n) VALUES (7, 1) ON DUPLICATE KEY UPDATE n = 1, id = 8",
        "INSERT INTO account (id, n) VALUES (7, 1) /*!80000 ON DUPLICATE KEY UPDATE n = 2 */",
        "REPLACE INTO account (id, n) VALUES (7, 1)",
    ] {
        assert_eq!(mysql(none), None, "{none}");
    }
    for none in [
        "INSERT INTO account (id, n) VALUES (7, 1) ON CONFLICT (id) DO NOTHING",
        "INSERT INTO account (id, n) VALUES (7, 1) ON CONFLICT DO NOTHING",
        "INSERT INTO account (n) VALUES (1) ON CONFLICT (id) DO UPDATE SET n = 0",
        "INSERT INTO account (id) VALUES (7) ON CONFLICT (lower(id)) DO UPDATE SET n = 0",
        "INSERT INTO account (id) VALUES (7) ON CONFLICT (id COLLATE \"C\") DO UPDATE SET n = 0",
        "INSERT INTO account (id) VALUES (7) ON CONFLICT ON CONSTRAINT k DO UPDATE SET n = 0",
        "INSERT INTO account (id) VALUES (DEFAULT) ON CONFLICT (id) DO UPDATE SET n = 0",
        "INSERT INTO account DEFAULT VALUES ON CONFLICT (id) DO UPDATE SET n = 0",
        "INSERT INTO account (id) VALUES (ARRAY[7, 8]) ON CONFLICT (id) DO UPDATE SET n = 0",
    ] {
        assert_eq!(pg(none), None, "{none}");
    }
    let many = (0..40).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",");
    let sql = format!(
        "INSERT INTO account ({many}) VALUES ({}) ON CONFLICT (c0) DO UPDATE SET n = 0",
        many.replace('c', "")
    );
    assert_eq!(pg(&sql), None, "more columns than are looked at");
    let bound = "INSERT INTO account (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET n = 0";
    assert_eq!(row_with(bound, PG, &[]), None, "NULL");
}
