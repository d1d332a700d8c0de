//! What guards see of the database.

use super::ticket;
use crate::alert::{Alert, Scene, Severity};

const LOOKS: &str = r#"guard_database_looks_total{job="shop",instance="a",outcome="ok"}"#;
const FAILED: &str = r#"guard_database_looks_total{job="shop",instance="a",outcome="failed"}"#;
const BLOCKED: &str = r#"guard_database_blocked_share{job="shop",instance="a"}"#;
const ROLLS_BACK: &str =
    r#"guard_database_transactions{job="shop",instance="a",activity="rolls_back"}"#;

pub(super) fn alerts() -> Vec<Alert> {
    vec![
        blind(),
        melt_fails(),
        rollback(),
        long_transaction(),
        history_long(),
        deadlocks(),
        role_changed(),
    ]
}

fn of(name: &'static str, hold: &'static str, expr: &str) -> Alert {
    Alert { board: "locks", ..ticket(name, hold, expr) }
}

fn blind() -> Alert {
    Alert {
        summary: "guard {{ $labels.instance }} cannot see into the database of {{ $labels.job }}",
        meaning: "Most of the guard's questions to the database fail: it sees neither locks nor pile-ups, and the limit does not learn.",
        steps: &[
            "The guard's log says what is refused; mostly a grant is missing. docs/operations.md has the least grants for each server.",
            "If it does not want to look: `[observe] enabled = false`.",
        ],
        proof: vec![
            Scene::fires("all fail", "5m", &[(LOOKS, "0x40"), (FAILED, "0+3x40")]),
            Scene::quiet("a tenth fails", "5m", &[(LOOKS, "0+27x40"), (FAILED, "0+3x40")]),
            Scene::quiet("it does not look", "5m", &[(LOOKS, "0x40"), (FAILED, "0x40")]),
        ],
        ..of(
            "TidegateBlind",
            "1m",
            "sum by (job, instance) (rate(guard_database_looks_total{outcome=\"failed\"}[1m]))\n\
                 / sum by (job, instance) (rate(guard_database_looks_total[1m])) > 0.5",
        )
    }
}

fn melt_fails() -> Alert {
    Alert {
        summary: "what guard {{ $labels.instance }} rolls back does not go away",
        meaning: "A transaction that was to be rolled back was still there two seconds later, or the database refused to end it.",
        steps: &[
            "`tidegate incidents` shows which. A rollback of many rows takes its time; a second kill does not help.",
            "`refused`: a grant is missing (docs/operations.md).",
        ],
        proof: vec![
            Scene::fires(
                "one stays",
                "5m",
                &[(
                    r#"guard_melt_outcomes_total{job="shop",instance="a",outcome="stayed"}"#,
                    "0x10 1x30",
                )],
            ),
            Scene::quiet(
                "one goes",
                "5m",
                &[(
                    r#"guard_melt_outcomes_total{job="shop",instance="a",outcome="gone"}"#,
                    "0x10 1x30",
                )],
            ),
        ],
        ..of(
            "TidegateMeltFails",
            "",
            "sum by (job, instance) (increase(guard_melt_outcomes_total{outcome=~\"stayed|refused\"}[10m])) > 0",
        )
    }
}

fn rollback() -> Alert {
    Alert {
        summary: "a rollback in the database of {{ $labels.job }} holds others up",
        meaning: "A transaction has been rolled back for a minute while others wait for locks. Nothing makes it quicker.",
        steps: &[
            "Wait. Do not restart the database: the rollback begins again then, before anybody is served.",
            "`tidegate locks` shows how many rows it has still to undo, where the server tells.",
        ],
        proof: vec![
            Scene::fires(
                "for two minutes, and others wait",
                "3m",
                &[(ROLLS_BACK, "1x20"), (BLOCKED, "0.3x20")],
            ),
            Scene::quiet("nobody waits", "3m", &[(ROLLS_BACK, "1x20"), (BLOCKED, "0x20")]),
        ],
        ..of(
            "TidegateRollback",
            "1m",
            "max by (job) (guard_database_transactions{activity=\"rolls_back\"}) > 0\n\
                 and max by (job) (guard_database_blocked_share) > 0",
        )
    }
}

fn long_transaction() -> Alert {
    Alert {
        summary: "a transaction in the database of {{ $labels.job }} has been open for {{ $value | humanizeDuration }}, and others wait",
        meaning: "A transaction has been open for more than a minute while somebody waits for a lock.",
        steps: &[
            "`tidegate locks` shows whose it is.",
            "A limit on `transaction_time` of its class ends such transactions.",
        ],
        proof: vec![
            Scene::fires(
                "two minutes old",
                "3m",
                &[(
                    r#"guard_database_oldest_transaction_seconds{job="shop",instance="a"}"#,
                    "120+15x20",
                )],
            ),
            Scene::quiet(
                "ten seconds old",
                "3m",
                &[(
                    r#"guard_database_oldest_transaction_seconds{job="shop",instance="a"}"#,
                    "10x20",
                )],
            ),
        ],
        ..of(
            "TidegateLongTransaction",
            "1m",
            "max by (job) (guard_database_oldest_transaction_seconds) > 60",
        )
    }
}

fn history_long() -> Alert {
    Alert {
        summary: "the history list of {{ $labels.job }} has {{ $value | humanize }} transactions",
        meaning: "InnoDB keeps the old versions of a million transactions, because one has been open since before them. Reads get slower.",
        steps: &[
            "Find the oldest transaction: `SELECT * FROM information_schema.INNODB_TRX ORDER BY trx_started LIMIT 1`. A backup, or a report?",
            "End it, or let it end; the list takes its time to shrink.",
        ],
        proof: vec![
            Scene::fires(
                "two million",
                "10m",
                &[(r#"guard_database_history_length{job="shop",instance="a"}"#, "2000000x60")],
            ),
            Scene::quiet(
                "two thousand",
                "10m",
                &[(r#"guard_database_history_length{job="shop",instance="a"}"#, "2000x60")],
            ),
        ],
        ..of("TidegateHistoryLong", "5m", "max by (job) (guard_database_history_length) > 1e6")
    }
}

fn deadlocks() -> Alert {
    Alert {
        summary: "{{ $value | humanize }} deadlocks a second in the database of {{ $labels.job }}",
        meaning: "Transactions take the same locks in different order; the server ends one of each two.",
        steps: &[
            "`SHOW ENGINE INNODB STATUS`, or PostgreSQL's log, has the last one with both statements.",
            "Have all transactions take rows in one order, or fewer of them at a time.",
        ],
        proof: vec![
            Scene::fires(
                "two a second",
                "15m",
                &[(r#"guard_database_deadlocks_total{job="shop",instance="a"}"#, "0+30x80")],
            ),
            Scene::quiet(
                "one a minute",
                "15m",
                &[(r#"guard_database_deadlocks_total{job="shop",instance="a"}"#, "0+0.25x80")],
            ),
        ],
        ..of(
            "TidegateDeadlocks",
            "5m",
            "max by (job) (rate(guard_database_deadlocks_total[5m])) > 1",
        )
    }
}

fn role_changed() -> Alert {
    Alert {
        severity: Severity::Info,
        summary: "the database of {{ $labels.job }} was restarted, or has changed its role",
        meaning: "The observer found another server behind the address, a restart, or a change of read-only. The limit begins anew.",
        steps: &["Nothing, if somebody knows of it. Else see the database's log."],
        proof: vec![
            Scene::fires(
                "one change",
                "3m",
                &[(r#"guard_database_role_changes_total{job="shop",instance="a"}"#, "0x5 1x30")],
            ),
            Scene::quiet(
                "none",
                "3m",
                &[(r#"guard_database_role_changes_total{job="shop",instance="a"}"#, "0x40")],
            ),
        ],
        board: "replicas",
        ..of(
            "TidegateRoleChanged",
            "",
            "max by (job) (increase(guard_database_role_changes_total[5m])) > 0",
        )
    }
}
