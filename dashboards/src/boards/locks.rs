//! Locks and transactions: in the database, and what is done about those that hold others up.

use crate::board::{Board, Choice, Row};
use crate::panel::{Look, Panel, Unit};
use crate::query::quantile;

pub(super) fn board() -> Board {
    Board {
        slug: "locks",
        title: "Locks & transactions",
        description: "Who waits for whom in the database, pile-ups, hot rows, and tables that somebody wants for himself.",
        choices: &[Choice::Job, Choice::Instance, Choice::Class],
        rows: vec![
            Row { title: "The database", panels: database() },
            Row { title: "Who waits for whom", panels: waits() },
            Row { title: "Transactions through the guard", panels: transactions() },
            Row { title: "Pile-ups", panels: pile_ups() },
            Row { title: "Rows that everybody wants", panels: hot_rows() },
            Row { title: "Tables that somebody wants for himself", panels: tables() },
        ],
    }
}

fn database() -> Vec<Panel> {
    vec![
        Panel::new(
            "Connections of the server",
            Unit::Count,
            "Of whatever clients: all, those it works for, those that wait for a lock, and those whose client \
             leaves a transaction open (PostgreSQL).",
        )
        .line("connected", "max(guard_database_connected{@})")
        .line("running", "max(guard_database_running{@})")
        .line("waiting for a lock", "max(guard_database_lock_waiting{@})")
        .line("idle in transaction", "max(guard_database_idle_in_transaction{@})"),
        Panel::new(
            "Waits and deadlocks",
            Unit::PerSecond,
            "As the server counts them. MySQL does not tell deadlocks, PostgreSQL does not count waits.",
        )
        .line("waits for row locks", "max(rate(guard_database_lock_waits_total{@}[@]))")
        .line("deadlocks", "max(rate(guard_database_deadlocks_total{@}[@]))"),
        Panel::new(
            "Sessions that wait for row locks",
            Unit::Count,
            "On average, from the time that InnoDB has counted: one session that waits all the time is 1.",
        )
        .line("waiting", "max(rate(guard_database_lock_wait_milliseconds_total{@}[@])) / 1000"),
        Panel::new(
            "History list",
            Unit::Count,
            "Transactions whose old versions InnoDB keeps. It grows while one transaction stays open, and makes \
             everything slower.",
        )
        .line("length", "max(guard_database_history_length{@})"),
        Panel::new(
            "Looks at the database",
            Unit::PerSecond,
            "Questions that the guard puts to it, by outcome. More often while somebody waits; never more than a \
             tenth of one connection.",
        )
        .line("{{outcome}}", "sum by (outcome) (rate(guard_database_looks_total{@}[@]))"),
        Panel::new("Time of a look", Unit::Seconds, "How long the server took to answer: half, and 99 of a hundred.")
            .line("p50", quantile("0.5", "guard_database_look_seconds", "", ""))
            .line("p99", quantile("0.99", "guard_database_look_seconds", "", "")),
    ]
}

fn waits() -> Vec<Panel> {
    vec![
        Panel::new("Open transactions", Unit::Count, "By what they do, at the last look; looked at while somebody waits.")
            .line("{{activity}}", "max by (activity) (guard_database_transactions{@})")
            .shown(Look::Stack),
        Panel::new(
            "Who holds the others up",
            Unit::Count,
            "Transactions that others wait for and that wait for nobody, those whose client is silent, and how \
             many wait behind the worst.",
        )
        .line("roots", "max(guard_database_root_blockers{@})")
        .line("silent roots", "max(guard_database_idle_root_blockers{@})")
        .line("behind the worst", "max(guard_database_most_waiters{@})"),
        Panel::new("Longest", Unit::Seconds, "The longest wait for a lock, and the oldest open transaction meanwhile.")
            .line("wait", "max(guard_database_oldest_lock_wait_seconds{@})")
            .line("transaction", "max(guard_database_oldest_transaction_seconds{@})"),
        Panel::new("Blocked", Unit::Share, "Transactions that wait for a lock, of all that are open. Above half, it tips over.")
            .line("blocked", "max(guard_database_blocked_share{@})")
            .steps(0.25, 0.5),
        Panel::new(
            "Conflict ratio",
            Unit::Number,
            "Row locks of all transactions over those of the ones that do not wait. Above 1.3 a database is taken \
             to thrash (Mönkeberg and Weikum).",
        )
        .line("ratio", "max(guard_database_conflict_ratio{@})")
        .steps(1.3, 2.0),
    ]
}

fn transactions() -> Vec<Panel> {
    vec![
        Panel::new("Transactions", Unit::PerSecond, "By how they ended; a statement with autocommit is one.")
            .line("{{outcome}}", r#"sum by (outcome) (rate(guard_transactions_total{@,class=~"$class"}[@]))"#)
            .shown(Look::Stack),
        Panel::new(
            "How long they are open",
            Unit::Seconds,
            "From the first statement to the confirmed end, by class: 99 of a hundred take less. Statements with \
             autocommit are not counted here.",
        )
        .line("{{class}}", quantile("0.99", "guard_transaction_seconds", "class", r#",class=~"$class""#)),
        Panel::new("How long they are open", Unit::PerSecond, "The same as a heat map of all chosen classes.")
            .line("{{le}}", r#"sum by (le) (rate(guard_transaction_seconds_bucket{@,class=~"$class"}[@]))"#)
            .shown(Look::Heat),
    ]
}

fn pile_ups() -> Vec<Panel> {
    vec![
        Panel::new("Pile-up", Unit::Count, "When there was one, guard by guard.")
            .line("{{instance}}", "guard_melt_piled_up{@}")
            .shown(Look::Stripes)
            .word(0, "none", "green")
            .word(1, "pile-up", "red"),
        Panel::new(
            "Room for writers",
            Unit::Share,
            "Share of the limit that new transactions which write may use: 0 while a pile-up freezes them out.",
        )
        .line("{{instance}}", "guard_melt_write_share{@}")
        .shown(Look::Stripes)
        .steps(1.0, 0.5),
        Panel::new("Begun", Unit::PerSecond, "Pile-ups that began, and transactions that one made wait at the gate.")
            .line("pile-ups", "sum(rate(guard_melt_incidents_total{@}[@]))")
            .line("held at the gate", "sum(rate(guard_melt_held_total{@}[@]))"),
        Panel::new("Rolled back", Unit::PerSecond, "Why each was chosen; in mode observe, would have been.")
            .line("{{cause}}", "sum by (cause) (rate(guard_melt_acts_total{@}[@]))")
            .line("would: {{cause}}", "sum by (cause) (rate(guard_melt_would_acts_total{@}[@]))"),
        Panel::new(
            "What became of them",
            Unit::PerSecond,
            "gone: it helped. stayed: still there two seconds later. missed: it had ended by itself.",
        )
        .line("{{outcome}}", "sum by (outcome) (rate(guard_melt_outcomes_total{@}[@]))"),
    ]
}

fn hot_rows() -> Vec<Panel> {
    vec![
        Panel::new(
            "Rows",
            Unit::Count,
            "Rows that statements were seen to wait for, and those of them with a gate.",
        )
        .line("watched", "sum(guard_hot_watched{@})")
        .line("with a gate", "sum(guard_hot_gated{@})"),
        Panel::new(
            "Waiting for a row",
            Unit::Count,
            "Transactions that wait in the guard, by row; the rows that most wait for.",
        )
        .line("{{row}}", "sum by (row) (guard_hot_row_parked{@})")
        .line("all", "sum(guard_hot_parked{@})"),
        Panel::new(
            "Working on a row",
            Unit::Count,
            "Transactions that were let to it and have not ended, by row.",
        )
        .line("{{row}}", "sum by (row) (guard_hot_row_inside{@})"),
        Panel::new(
            "At the gates of rows",
            Unit::PerSecond,
            "Let in, made to wait, refused; or in mode observe, would have waited.",
        )
        .line("let in", "sum(rate(guard_hot_entered_total{@}[@]))")
        .line("made to wait", "sum(rate(guard_hot_parked_total{@}[@]))")
        .line("refused", "sum(rate(guard_hot_refused_total{@}[@]))")
        .line("would have waited", "sum(rate(guard_hot_would_park_total{@}[@]))"),
        Panel::new(
            "Wait for a row",
            Unit::Seconds,
            "In the guard: half of them, and 99 of a hundred, waited less.",
        )
        .line("p50", quantile("0.5", "guard_hot_wait_seconds", "", ""))
        .line("p99", quantile("0.99", "guard_hot_wait_seconds", "", "")),
    ]
}

fn tables() -> Vec<Panel> {
    vec![
        Panel::new(
            "Tables, and who waits for them",
            Unit::Count,
            "Tables that a statement such as ALTER TABLE waits to have for itself, and transactions kept from them.",
        )
        .line("tables", "sum(guard_ddl_tables{@})")
        .line("waiting", "sum(guard_ddl_parked{@})"),
        Panel::new("At the gates of tables", Unit::PerSecond, "Made to wait, refused; or in mode observe, would have waited.")
            .line("made to wait", "sum(rate(guard_ddl_parked_total{@}[@]))")
            .line("refused", "sum(rate(guard_ddl_refused_total{@}[@]))")
            .line("would have waited", "sum(rate(guard_ddl_would_park_total{@}[@]))"),
        Panel::new("Wait for a table", Unit::Seconds, "In the guard: half of them, and 99 of a hundred, waited less.")
            .line("p50", quantile("0.5", "guard_ddl_wait_seconds", "", ""))
            .line("p99", quantile("0.99", "guard_ddl_wait_seconds", "", "")),
    ]
}
