//! Who holds the database up, as the API tells it.

use std::{sync::Arc, time::Instant};

use observe::server::Server;
use policy::{
    class::Policy,
    locks::{Activity, Branch, Locks, Root, Transaction},
    sql::{Dialect, LexMode, Scratch, Shape, Statements},
};
use serde::{Deserialize, Serialize};

use super::whole_ms;
use crate::{observer::Seen, session::registry::Card};

/// The most transactions that are told, roots and waiters together.
const NODES_MAX: usize = 200;

/// Who waits for whom in the database.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LocksStatus {
    /// Which server it is, as `MariaDB 10.11.6`; none before the first connection.
    pub server: Option<String>,
    /// How old this is, in milliseconds; none if nobody has looked since the last trouble.
    pub seen_ms_ago: Option<u64>,
    /// Why one sees no more: a missing privilege, for one.
    pub trouble: Option<String>,
    /// Transactions that are open.
    pub open: usize,
    /// Of these, the ones that wait for a lock.
    pub blocked: usize,
    /// Of these, the ones being undone.
    pub rolling_back: usize,
    /// The longest wait, in milliseconds.
    pub oldest_wait_ms: u64,
    /// Row locks of all over those of the ones that do not wait.
    pub conflict_ratio: f64,
    /// Those that others wait for and that wait for nobody, most waiters first.
    pub roots: Vec<LockHolder>,
}

/// A transaction, and those that wait for it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LockHolder {
    /// The thread or process that serves it in the database; 0 for one that was prepared.
    pub backend: u32,
    /// What it does: `runs`, `idle`, `waits`, `commits`, `rolls back`, `prepared`.
    pub activity: String,
    /// Milliseconds since it began.
    pub age_ms: u64,
    /// Milliseconds since it began to do what it does.
    pub for_ms: u64,
    /// Row locks that it holds, where the server counts them.
    pub rows_locked: u64,
    /// Rows that a rollback would have to undo, where the server counts them.
    pub rows_modified: u64,
    /// Its account in the database.
    pub user: String,
    /// Where it works.
    pub database: String,
    /// The statement that it runs or ran last, normalised.
    pub statement: String,
    /// Whose it is, if it came through this guard.
    pub client: Option<LockClient>,
    /// What it waits for, as `row shop.orders PRIMARY 7`.
    pub waits_for: Option<String>,
    /// How many wait behind it in all; fewer may be listed.
    pub behind: usize,
    /// Whether it waits itself, for one of those behind it.
    pub in_circle: bool,
    /// Who waits for it.
    pub waiters: Vec<Self>,
}

/// A client of this guard.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LockClient {
    /// The id that the client knows.
    pub session: u32,
    /// Its address.
    pub address: String,
    /// The class of what it does.
    pub class: String,
}

impl LockClient {
    /// The client of this session, by the names of this policy.
    pub fn of(card: &Card, policy: &Policy) -> Self {
        let class = policy.class(card.class()).name.clone();
        Self { session: card.id, address: card.peer.to_string(), class }
    }
}

/// Makes a status of what was seen.
pub struct Describe<'a, F> {
    /// What was seen.
    pub seen: &'a Seen,
    /// What normalises statements, so that no values of anybody's are shown.
    pub statements: &'a Statements,
    /// Whose a backend is.
    pub client: F,
}

impl<F: Fn(u32) -> Option<LockClient>> Describe<'_, F> {
    /// What is told at `now`.
    pub fn status(&self, now: Instant) -> LocksStatus {
        let trouble = self.seen.trouble.as_deref().map(str::to_owned);
        let server = self.seen.server.map(server_name);
        let Some((at, locks)) = &self.seen.locks else {
            return LocksStatus { server, trouble, ..LocksStatus::default() };
        };
        let seen = locks.contention();
        let mut room = NODES_MAX;
        let roots = locks.roots();
        let roots = roots.iter().map_while(|root| self.root(locks, root, &mut room));
        LocksStatus {
            server,
            trouble,
            seen_ms_ago: Some(whole_ms(now.saturating_duration_since(*at))),
            open: locks.transactions.len(),
            blocked: seen.blocked as usize,
            rolling_back: seen.rolling_back as usize,
            oldest_wait_ms: whole_ms(seen.longest_wait),
            conflict_ratio: seen.conflict_ratio,
            roots: roots.collect(),
        }
    }

    /// One transaction without those behind it; none if it is not listed.
    pub fn alone(&self, locks: &Locks, backend: u32) -> Option<LockHolder> {
        let mut holder = self.transaction(locks.transaction(backend)?);
        holder.backend = backend;
        holder.client = (self.client)(backend);
        Some(holder)
    }

    fn root(&self, locks: &Arc<Locks>, root: &Root, room: &mut usize) -> Option<LockHolder> {
        let holder = self.holder(locks, &locks.tree(root.backend), room)?;
        Some(LockHolder { in_circle: root.in_circle, ..holder })
    }

    fn holder(&self, locks: &Locks, branch: &Branch, room: &mut usize) -> Option<LockHolder> {
        *room = room.checked_sub(1)?;
        let mut holder = match locks.transaction(branch.backend) {
            Some(one) => self.transaction(one),
            // It began, or ended, between two questions.
            None => LockHolder { activity: "unknown".into(), ..LockHolder::default() },
        };
        holder.backend = branch.backend;
        holder.client = (self.client)(branch.backend);
        let wait = locks.waits.iter().find(|wait| wait.waiter == branch.backend);
        holder.waits_for = wait.map(|wait| wait.object.to_string());
        holder.behind = size(branch) - 1;
        let waiters = branch.waiters.iter();
        holder.waiters = waiters.map_while(|waiter| self.holder(locks, waiter, room)).collect();
        Some(holder)
    }

    fn transaction(&self, one: &Transaction) -> LockHolder {
        let statement = match one.activity {
            // What is there is its name.
            Activity::Prepared => one.statement.clone(),
            _ => self.normalised(&one.statement),
        };
        LockHolder {
            activity: one.activity.name().into(),
            age_ms: whole_ms(one.age),
            for_ms: whole_ms(one.for_time),
            rows_locked: one.rows_locked,
            rows_modified: one.rows_modified,
            user: one.user.clone(),
            database: one.database.clone(),
            statement,
            ..LockHolder::default()
        }
    }

    fn normalised(&self, statement: &str) -> String {
        judge(self.statements, self.seen.server, statement).text.to_string()
    }
}

/// What a statement does that a server told of.
pub fn judge(statements: &Statements, server: Option<Server>, statement: &str) -> Arc<Shape> {
    statements.judge(statement.as_bytes(), dialect(server), &mut Scratch::default())
}

/// How a statement is read that a server told of: nobody knows its session's settings.
pub fn dialect(server: Option<Server>) -> Dialect {
    match server {
        Some(Server::Postgres(_)) => Dialect::Postgres { standard_conforming_strings: true },
        _ => Dialect::MySql(LexMode::default()),
    }
}

fn size(branch: &Branch) -> usize {
    1 + branch.waiters.iter().map(size).sum::<usize>()
}

/// A server and its version, as `MariaDB 10.11.6`.
pub fn server_name(server: Server) -> String {
    let (name, version) = match server {
        Server::MariaDb(version) => ("MariaDB", version),
        Server::MySql(version) => ("MySQL", version),
        Server::Postgres(version) => ("PostgreSQL", version),
    };
    format!("{name} {}.{}.{}", version.0, version.1, version.2)
}
