//! `tidegate locks`: who holds the database up, and who waits behind.

use std::fmt::Write as _;

use clap::Args;
use guard::control::{LockHolder, LocksStatus};

use crate::client::Client;
use crate::exit::Failure;
use crate::show::{plain, time};

/// Show who waits for whom in the database, and what holds them up.
#[derive(Debug, Args)]
pub(crate) struct Locks {
    #[command(flatten)]
    client: Client,
}

impl Locks {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.client.print("GET", "/api/v1/locks", None, show)
    }
}

/// Waiters of one holder that are shown; the rest is a number.
const WAITERS_MAX: usize = 8;

fn show(locks: &LocksStatus) -> String {
    let mut text = String::new();
    if let Some(trouble) = &locks.trouble {
        let _infallible = writeln!(text, "cannot see all: {}", plain(trouble, 200));
    }
    let server = locks.server.as_deref().unwrap_or("the database");
    if locks.seen_ms_ago.is_none() {
        let _infallible = writeln!(text, "{server} has not been looked at yet");
        return text;
    }
    if locks.blocked == 0 {
        let _infallible = writeln!(text, "nobody waits for a lock in {server}");
        return text;
    }
    let _infallible = writeln!(
        text,
        "{} of {} open transactions wait for a lock in {server}, the longest for {}; {} being undone",
        locks.blocked,
        locks.open,
        time(locks.oldest_wait_ms),
        locks.rolling_back,
    );
    for root in &locks.roots {
        text.push('\n');
        holder(&mut text, root, 0);
    }
    text
}

fn holder(text: &mut String, one: &LockHolder, depth: usize) {
    let indent = "   ".repeat(depth);
    let branch = if depth == 0 { "" } else { "└─ " };
    let whose = match &one.client {
        Some(client) => format!("{} of {} in class {}", one.user, client.address, client.class),
        None if one.user.is_empty() => "nobody known".into(),
        None => format!("{}, not through this guard", one.user),
    };
    let _infallible = writeln!(
        text,
        "{}{branch}{} {} for {} · open {} · {}{}",
        indent.get(3..).unwrap_or_default(),
        one.backend,
        one.activity,
        time(one.for_ms),
        time(one.age_ms),
        plain(&whose, 80),
        if one.in_circle { " · in a circle" } else { "" },
    );
    let mut notes = Vec::new();
    notes.extend(one.waits_for.as_ref().map(|object| format!("waits for {}", plain(object, 80))));
    if one.behind > 0 {
        notes.push(format!("{} behind it", one.behind));
    }
    if one.rows_locked > 0 {
        notes.push(format!("{} row locks", one.rows_locked));
    }
    if one.rows_modified > 0 {
        notes.push(format!("a rollback undoes {} rows", one.rows_modified));
    }
    let mut line = |what: &str| {
        if !what.is_empty() {
            let _infallible = writeln!(text, "{indent}   {what}");
        }
    };
    line(&notes.join(" · "));
    line(&plain(&one.statement, 100));
    for waiter in one.waiters.iter().take(WAITERS_MAX) {
        holder(text, waiter, depth + 1);
    }
    let shown: usize = one.waiters.iter().take(WAITERS_MAX).map(|waiter| waiter.behind + 1).sum();
    if one.behind > shown {
        let _infallible = writeln!(text, "{indent}└─ and {} more", one.behind - shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guard::control::LockClient;

    #[test]
    fn it_looks_like_this() {
        let waiter = |backend, behind, waiters| LockHolder {
            backend,
            activity: "waits".into(),
            age_ms: 1200,
            for_ms: 1100,
            user: "web".into(),
            statement: "update account set n = n + ? where id = ?".into(),
            waits_for: Some("row shop.account PRIMARY 7".into()),
            client: Some(LockClient {
                session: 1,
                address: "10.0.0.7:5123".into(),
                class: "checkout".into(),
            }),
            behind,
            waiters,
            ..LockHolder::default()
        };
        let status = LocksStatus {
            server: Some("MariaDB 10.11.6".into()),
            seen_ms_ago: Some(30),
            open: 4,
            blocked: 2,
            oldest_wait_ms: 1100,
            roots: vec![LockHolder {
                backend: 88,
                activity: "idle".into(),
                age_ms: 61_000,
                for_ms: 60_000,
                rows_modified: 3,
                user: "batch".into(),
                statement: "select * from account for update".into(),
                behind: 2,
                waiters: vec![waiter(12, 1, vec![waiter(13, 0, vec![])])],
                ..LockHolder::default()
            }],
            ..LocksStatus::default()
        };
        assert_eq!(
            show(&status),
            "2 of 4 open transactions wait for a lock in MariaDB 10.11.6, the longest for 1.1s; 0 being undone\n\
             \n\
             88 idle for 1m00s · open 1m01s · batch, not through this guard\n   \
                2 behind it · a rollback undoes 3 rows\n   \
                select * from account for update\n\
             └─ 12 waits for 1.1s · open 1.2s · web of 10.0.0.7:5123 in class checkout\n      \
                   waits for row shop.account PRIMARY 7 · 1 behind it\n      \
                   update account set n = n + ? where id = ?\n   \
                └─ 13 waits for 1.1s · open 1.2s · web of 10.0.0.7:5123 in class checkout\n         \
                      waits for row shop.account PRIMARY 7\n         \
                      update account set n = n + ? where id = ?\n"
        );
        assert!(show(&LocksStatus::default()).contains("not been looked at"));
    }
}
