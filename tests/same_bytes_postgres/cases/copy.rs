//! COPY, both ways and in both protocols, with what goes wrong in it.

use super::super::script::{Message, bind, copy_data, execute, parse, q, query, run, say, series};
use super::Case;

pub(super) fn cases() -> Vec<Case> {
    use Message::{CopyDone, Sync};
    let fail = || Message::CopyFail("changed my mind".into());
    let into = "COPY t (a, b) FROM STDIN";
    let count = || q("SELECT count(*) FROM t");
    vec![
        (
            "COPY out",
            vec![
                q("COPY t TO STDOUT"),
                q("COPY t TO STDOUT (FORMAT csv, HEADER)"),
                q("COPY (SELECT n, 1 / (n - 3) FROM generate_series(1, 5) AS n) TO STDOUT"),
                run("COPY t (a) TO STDOUT", &[]),
                q("COPY (SELECT n, repeat('x', 1000) FROM generate_series(1, 300) AS n) TO STDOUT"),
                q("COPY missing TO STDOUT"),
                q("COPY t (a) TO STDOUT; SELECT 1"),
                q("BEGIN"),
                q("COPY t (a) TO STDOUT (FORMAT binary)"),
                q("COMMIT"),
                q("COPY t TO '/tmp/none'"),
            ],
        ),
        (
            "COPY in",
            vec![
                q(into),
                say([
                    copy_data("80\teighty\n"),
                    copy_data("81\teigh"),
                    copy_data("ty-one\n"),
                    CopyDone,
                ]),
                count(),
                say([query(into), copy_data("82\tx\n"), CopyDone]),
                count(),
                q(into),
                say([CopyDone]),
                q(into),
                say([copy_data("83\tx\n"), fail()]),
                count(),
                q(into),
                say([copy_data("x\tx\n"), CopyDone]),
                count(),
                say([query(into), copy_data("84\tx\n"), fail(), query("SELECT 1")]),
                say([
                    query(into),
                    copy_data("x\tx\n"),
                    copy_data("85\tx\n"),
                    CopyDone,
                    query("SELECT 2"),
                ]),
                q("COPY missing FROM STDIN"),
                say([
                    query("COPY missing FROM STDIN"),
                    copy_data("1\n"),
                    CopyDone,
                    query("SELECT 3"),
                ]),
                count(),
                say([copy_data("1\n"), CopyDone, query("SELECT 4")]),
            ],
        ),
        (
            "COPY in, in a transaction",
            vec![
                q("BEGIN"),
                q(into),
                say([copy_data("90\tx\n"), CopyDone]),
                q("ROLLBACK"),
                count(),
                q("BEGIN"),
                q(into),
                say([fail()]),
                q("SELECT 1"),
                q("ROLLBACK"),
                say([query("BEGIN"), query(into), copy_data("91\tx\n"), CopyDone, query("COMMIT")]),
                count(),
                say([query("COPY t (a) FROM STDIN; SELECT 1"), copy_data("92\n"), CopyDone]),
            ],
        ),
        (
            "COPY in, in a series",
            vec![
                series([parse("", into), bind("", &[]), execute("")]),
                say([copy_data("80\tx\n"), CopyDone, Sync]),
                count(),
                series([
                    parse("", into),
                    bind("", &[]),
                    execute(""),
                    copy_data("81\tx\n"),
                    CopyDone,
                ]),
                count(),
                say([
                    parse("", into),
                    bind("", &[]),
                    execute(""),
                    Sync,
                    copy_data("82\tx\n"),
                    CopyDone,
                    Sync,
                ]),
                count(),
                series([parse("", into), bind("", &[]), execute("")]),
                say([copy_data("83\tx\n"), fail(), Sync]),
                series([parse("", into), bind("", &[]), execute("")]),
                say([copy_data("x\tx\n"), copy_data("84\tx\n"), CopyDone, Sync]),
                count(),
                series([parse("c", into)]),
                series([bind("c", &[]), execute("")]),
                say([copy_data("85\tx\n"), CopyDone, Sync]),
                say([
                    bind("c", &[]),
                    execute(""),
                    copy_data("86\tx\n"),
                    CopyDone,
                    Sync,
                    query("SELECT 1"),
                ]),
                count(),
                run("BEGIN", &[]),
                series([bind("c", &[]), execute("")]),
                say([fail(), Sync]),
                run("ROLLBACK", &[]),
                count(),
            ],
        ),
        // Each of these ends its session.
        (
            "a call in a COPY",
            vec![q(into), say([Message::Call(177, vec!["1".into(), "2".into()])])],
        ),
        (
            "a call in a COPY of a series",
            vec![
                series([parse("", into), bind("", &[]), execute("")]),
                say([Message::Call(177, vec!["1".into(), "2".into()])]),
            ],
        ),
        ("a query in a COPY of a transaction", vec![q("BEGIN"), q(into), q("SELECT 1")]),
        (
            "COPY of much",
            vec![
                q("COPY t (b) FROM STDIN"),
                say((0..100)
                    .map(|n| copy_data(&format!("{}{n}\n", "x".repeat(2000))))
                    .chain([CopyDone])),
                q("SELECT count(*), sum(length(b)) FROM t"),
                say([
                    query("COPY t (b) FROM STDIN"),
                    copy_data(&format!("{}\n", "y".repeat(500_000))),
                    CopyDone,
                ]),
                q("SELECT count(*), sum(length(b)) FROM t"),
                q("COPY t TO STDOUT"),
            ],
        ),
    ]
}
