//! Series of the extended protocol: pipelining, Flush, errors and what they skip, portals.

use wire::postgres::list::Format;

use super::super::script::{
    Bind, Message, Step, bind, bind_to, close, describe, execute, fetch, parse, q, query, run, say,
    series,
};
use super::Case;

pub(super) fn cases() -> Vec<Case> {
    [series_cases(), portal_cases()].concat()
}

fn series_cases() -> Vec<Case> {
    use Message::{Flush, Sync};
    let one = |sql: &str| [parse("", sql), bind("", &[]), execute("")];
    vec![
        (
            "drivers' queries",
            vec![
                run("SELECT $1::int + 1", &["4"]),
                run("SELECT * FROM t WHERE id = $1", &["2"]),
                run("SELECT * FROM kinds ORDER BY id", &[]),
                series([parse("", "SELECT * FROM kinds ORDER BY id"), binary(""), execute("")]),
                run("INSERT INTO t (a, b) VALUES ($1, $2)", &["5", "five"]),
                run("UPDATE t SET b = $1", &["all"]),
                run("SELECT 1; SELECT 2", &[]),
                run("SELECT $1", &["x"]),
                run("SELECT $1::int", &["x"]),
                run("SELECT $2::int", &["1"]),
                run("SELECT $1::int", &[]),
                run("SELEC", &[]),
                run("SELECT 1 / $1::int", &["0"]),
                run("CREATE TABLE made (a int)", &[]),
                run("DROP TABLE made", &[]),
                series([describe('S', "")]),
                series([]),
                say([Sync, Sync, Sync]),
            ],
        ),
        (
            "many Syncs in one write",
            vec![
                say([one("SELECT 1").to_vec(), vec![Sync], one("SELECT 2").to_vec(), vec![Sync]]
                    .concat()),
                say([
                    one("SELECT 1 / 0").to_vec(),
                    vec![Sync],
                    one("SELECT 2").to_vec(),
                    vec![Sync],
                ]
                .concat()),
                say([
                    one("BEGIN").to_vec(),
                    vec![Sync],
                    one("INSERT INTO t (a) VALUES (1)").to_vec(),
                    vec![Sync],
                    one("COMMIT").to_vec(),
                    vec![Sync],
                ]
                .concat()),
                say([
                    vec![Sync],
                    one("SELECT 1").to_vec(),
                    vec![Sync, Sync],
                    vec![query("SELECT 2"), Sync],
                ]
                .concat()),
                say([
                    vec![query("SELECT 1")],
                    one("SELECT 2").to_vec(),
                    vec![Sync, query("SELECT 3")],
                ]
                .concat()),
            ],
        ),
        (
            "a long series",
            vec![
                series(
                    [
                        one("SELECT 1"),
                        one("SELECT 2"),
                        one("INSERT INTO t (a) VALUES (9)"),
                        one("SELECT 3"),
                    ]
                    .concat(),
                ),
                series(
                    [one("INSERT INTO t (a) VALUES (10)"), one("SELECT 1 / 0"), one("SELECT 3")]
                        .concat(),
                ),
                q("SELECT count(*) FROM t WHERE a >= 9"),
                series((0..200).flat_map(|n| one(&format!("SELECT {n}"))).collect::<Vec<_>>()),
                say((0..200)
                    .flat_map(|n| [&one(&format!("SELECT {n}"))[..], &[Sync]].concat())
                    .collect::<Vec<_>>()),
                series(
                    [
                        one("BEGIN"),
                        one("INSERT INTO t (a) VALUES (11)"),
                        one("COMMIT"),
                        one("SELECT 4"),
                    ]
                    .concat(),
                ),
                series([one("BEGIN"), one("SELECT 1 / 0"), one("COMMIT")].concat()),
                q("SELECT 5"),
                q("ROLLBACK"),
                series([one("SELECT 1"), one("BEGIN"), one("SELECT 2")].concat()),
                q("ROLLBACK"),
                series(
                    [one("INSERT INTO t (a) VALUES (12)"), one("ROLLBACK"), one("SELECT 2")]
                        .concat(),
                ),
                q("SELECT count(*) FROM t WHERE a >= 9"),
            ],
        ),
        (
            "an error skips to the Sync",
            vec![
                series([parse("", "SELEC"), bind("", &[]), describe('P', ""), execute("")]),
                series([parse("a", "SELECT 1"), parse("", "SELEC"), parse("b", "SELECT 2")]),
                series([bind("a", &[]), execute("")]),
                series([bind("b", &[]), execute("")]),
                series([close('S', "a"), parse("", "SELEC"), close('S', "b")]),
                series([bind("a", &[]), execute("")]),
                say([parse("", "SELEC"), Flush]),
                say([parse("", "SELECT 1"), Flush]),
                say([bind("", &[]), execute(""), Flush]),
                say([Sync]),
                q("SELECT 1"),
                say([parse("", "SELEC"), Flush]),
                series([parse("", "SELECT 1"), bind("", &[]), execute("")]),
                series([parse("", "SELECT 1"), bind("", &[]), execute("")]),
            ],
        ),
        (
            "a query in the middle of a series",
            vec![
                say([parse("", "SELECT 1"), query("SELECT 2"), Sync]),
                say([parse("", "SELECT 1"), bind("", &[]), query("SELECT 2"), execute(""), Sync]),
                say([
                    parse("a", "INSERT INTO t (a) VALUES (5)"),
                    bind("a", &[]),
                    execute(""),
                    query("SELECT 2"),
                    Sync,
                ]),
                Step::SayFor(1, vec![parse("", "SELEC"), query("SELECT 2"), Sync]),
                q("SELECT count(*) FROM t"),
            ],
        ),
        (
            "Flush",
            vec![
                say([parse("", "SELECT $1::int"), describe('S', ""), Flush]),
                say([bind("", &["1"]), describe('P', ""), Flush]),
                say([execute(""), Flush]),
                say([Sync]),
                say([parse("a", "INSERT INTO t (a) VALUES ($1)"), Flush]),
                say([bind("a", &["7"]), execute(""), Flush]),
                say([bind("a", &["8"]), execute(""), Flush]),
                say([parse("", "SELECT count(*) FROM t"), bind("", &[]), execute(""), Flush]),
                say([Sync]),
                say([Flush]),
                say([bind("a", &["x"]), Flush]),
                say([Sync]),
                say([one("BEGIN").to_vec(), vec![Flush]].concat()),
                say([one("SELECT 1").to_vec(), vec![Flush]].concat()),
                say([one("COMMIT").to_vec(), vec![Flush]].concat()),
                say([Sync]),
                say([one("BEGIN").to_vec(), vec![Flush]].concat()),
                say([Sync]),
                say([one("COMMIT").to_vec(), vec![Flush]].concat()),
                say([Sync]),
            ],
        ),
        (
            "transactions in series",
            vec![
                series(one("BEGIN")),
                series(one("SELECT 1")),
                series(one("COMMIT")),
                run("BEGIN", &[]),
                run("ROLLBACK", &[]),
                run("BEGIN ISOLATION LEVEL SERIALIZABLE", &[]),
                run("SHOW transaction_isolation", &[]),
                run("COMMIT", &[]),
                run("BEGIN", &[]),
                run("SELECT 1 / 0", &[]),
                run("SELECT 1", &[]),
                series([parse("a", "SELECT 1")]),
                series([parse("b", "ROLLBACK"), describe('S', "b"), bind("b", &[]), execute("")]),
                run("COMMIT", &[]),
                run("ROLLBACK", &[]),
                run("START TRANSACTION READ ONLY", &[]),
                run("INSERT INTO t (a) VALUES (1)", &[]),
                run("COMMIT", &[]),
                run("BEGIN", &["1"]),
                run("BEGIN", &[]),
                run("BEGIN", &[]),
                run("SAVEPOINT a", &[]),
                run("SELECT nothing", &[]),
                run("ROLLBACK TO a", &[]),
                run("RELEASE a", &[]),
                run("COMMIT", &[]),
                series([describe('S', "b")]),
            ],
        ),
        (
            "a prepared BEGIN",
            vec![
                series([
                    parse("begin", "BEGIN"),
                    parse("commit", "COMMIT"),
                    parse("one", "SELECT 1"),
                ]),
                series([bind("begin", &[]), execute("")]),
                series([bind("one", &[]), execute("")]),
                series([bind("commit", &[]), execute("")]),
                series([
                    bind("begin", &[]),
                    execute(""),
                    bind("one", &[]),
                    execute(""),
                    bind("commit", &[]),
                    execute(""),
                ]),
                series([describe('S', "begin"), describe('S', "commit"), describe('S', "one")]),
                series([bind("begin", &[]), describe('P', ""), execute("")]),
                series([bind("commit", &[]), describe('P', ""), execute("")]),
                q("COMMIT"),
                series([parse("begin", "BEGIN")]),
                series([close('S', "begin"), parse("begin", "BEGIN")]),
                series([bind("begin", &[])]),
                series([execute("")]),
                series([bind_to("p", "begin", &[]), execute("p"), bind_to("q", "one", &[])]),
                q("ROLLBACK"),
                series([bind_to("p", "begin", &[]), close('P', "p"), execute("p")]),
                series([bind_to("p", "begin", &[]), execute("p"), bind_to("p", "one", &[])]),
                q("ROLLBACK"),
                series([bind_to("p", "begin", &[]), execute("p"), execute("p")]),
                q("ROLLBACK"),
                series([bind_to("p", "begin", &[]), execute("p")]),
                series([bind_to("p", "one", &[])]),
                q("ROLLBACK"),
                series([bind_to("p", "commit", &[]), execute("p"), execute("p")]),
                series([bind_to("p", "commit", &[]), bind_to("p", "commit", &[])]),
                q("; START TRANSACTION"),
                q("COMMIT"),
                series([bind("begin", &[]), execute(""), execute("")]),
                q("ROLLBACK"),
                series([bind("begin", &[]), execute("")]),
                series([describe('P', ""), execute("")]),
                q("ROLLBACK"),
                series([bind("begin", &[]), execute(""), bind("commit", &[]), execute("")]),
                series([bind("begin", &[]), execute(""), close('P', ""), execute("")]),
                q("ROLLBACK"),
                series([bind("begin", &[]), execute("")]),
                q("COMMIT"),
                series([execute("")]),
                series([bind("begin", &[]), execute("")]),
                q("SELECT 1"),
                series([execute("")]),
                q("ROLLBACK"),
            ],
        ),
        (
            "messages that are wrong",
            vec![
                series([Message::Describe('X', String::new())]),
                series([Message::Close('X', String::new())]),
                series([fetch("missing", 1)]),
                series([describe('P', "missing")]),
                series([describe('S', "missing")]),
                series([close('P', "missing"), close('S', "missing")]),
                series([bind("missing", &[])]),
                series([
                    Message::Parse(String::new(), "SELECT $1".into(), vec![23]),
                    bind("", &["5"]),
                    execute(""),
                ]),
                series([
                    Message::Parse(String::new(), "SELECT $1".into(), vec![4_000_000]),
                    bind("", &["5"]),
                    execute(""),
                ]),
                series([parse("", "SELECT $1::int"), bind("", &["1", "2"]), execute("")]),
                q("SELECT 1"),
            ],
        ),
    ]
}

/// Binds without parameters, for a binary result.
fn binary(statement: &str) -> Message {
    Message::Bind(Bind {
        portal: String::new(),
        statement: statement.to_owned(),
        values: Vec::new(),
        result: Format::Binary,
    })
}

fn portal_cases() -> Vec<Case> {
    use Message::{Flush, Sync};
    let rows = "SELECT n FROM generate_series(1, 10) AS n";
    vec![
        (
            "portals in a transaction",
            vec![
                q("BEGIN"),
                series([parse("a", rows), bind_to("p", "a", &[]), fetch("p", 3)]),
                series([fetch("p", 3)]),
                series([bind_to("p", "a", &[])]),
                q("SELECT 1"),
                q("ROLLBACK"),
                q("BEGIN"),
                series([bind_to("p", "a", &[]), fetch("p", 3)]),
                q("SELECT 1"),
                series([fetch("p", 4), describe('P', "p")]),
                series([fetch("p", 0), fetch("p", 0)]),
                series([close('P', "p"), fetch("p", 1)]),
                q("ROLLBACK"),
                q("BEGIN"),
                series([bind_to("p", "a", &[])]),
                q("FETCH 2 FROM p"),
                q("CLOSE p"),
                series([fetch("p", 1)]),
                q("COMMIT"),
                series([fetch("p", 1)]),
            ],
        ),
        (
            "portals without a transaction",
            vec![
                series([parse("a", rows), bind("a", &[]), fetch("", 3)]),
                series([fetch("", 3)]),
                series([
                    bind_to("p", "a", &[]),
                    fetch("p", 3),
                    fetch("p", 3),
                    bind("a", &[]),
                    fetch("", 2),
                ]),
                series([fetch("p", 3)]),
                say([bind_to("p", "a", &[]), fetch("p", 3), Flush]),
                say([fetch("p", 3), Flush]),
                say([bind_to("q", "a", &[]), fetch("q", 3), fetch("p", 1), Flush]),
                say([Sync]),
                say([bind_to("p", "a", &[]), fetch("p", 3), Flush]),
                say([query("SELECT 1")]),
                series([fetch("p", 3)]),
            ],
        ),
        (
            "portals of what changes nothing, and something else before they run",
            vec![
                series([parse("a", "ABORT"), parse("c", "COMMIT")]),
                series([bind("a", &[]), parse("", "SELECT 1"), describe('P', ""), execute("")]),
                series([bind("a", &[]), describe('S', "missing"), describe('P', "")]),
                series([bind("a", &[]), parse("b", "SELECT 2"), bind("b", &[]), execute("")]),
                series([
                    parse("", "BEGIN"),
                    bind("", &[]),
                    parse("", "SELECT 3"),
                    describe('P', ""),
                    execute(""),
                    bind("", &[]),
                    execute(""),
                ]),
                q("ROLLBACK"),
                q("BEGIN"),
                series([bind("c", &[]), parse("", rows), describe('P', ""), execute("")]),
                q("SELECT 1"),
            ],
        ),
        (
            "cursors",
            vec![
                q("DECLARE c CURSOR FOR SELECT * FROM t"),
                q("BEGIN"),
                q("DECLARE c CURSOR FOR SELECT * FROM t ORDER BY id"),
                q("FETCH 2 FROM c"),
                run("FETCH 1 FROM c", &[]),
                series([describe('P', "c"), fetch("c", 1)]),
                q("MOVE 1 FROM c"),
                q("CLOSE c"),
                q("FETCH c"),
                q("ROLLBACK"),
                q("FETCH c"),
            ],
        ),
    ]
}
