//! Tables that a statement waits to have for itself, for all sessions.
//!
//! `policy::ddl` decides; here is who is parked, and how it is woken. The observer tells who wants which
//! table ([`expand`] finds the tables of those that only their statement names). While nobody has to be
//! kept from one, a transaction costs one load of a flag.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use policy::{
    class::{Mode, Policy},
    ddl::{Cause, Config, Counts, Left, Passage, Subject, Tables, Want},
    sql::{Shape, Table},
};
use tokio::sync::Notify;

/// Tables that somebody wants for himself, shared by all sessions.
#[derive(Debug)]
pub struct Ddl {
    tables: Mutex<Tables>,
    /// Whether somebody may be kept from a table.
    is_holding: AtomicBool,
    /// It is worth asking again.
    changed: Notify,
}

/// What a transaction is told that names a table.
#[derive(Debug)]
pub enum Way {
    /// It goes on.
    Free,
    /// It waits outside: see [`Parked::wait`].
    Park(Parked),
    /// There is no room to wait: why it would have to, and the bound.
    Full(Cause, u32),
}

/// What is known of such tables.
#[derive(Debug)]
pub struct Report {
    /// How far it goes.
    pub mode: Mode,
    /// Transactions that are parked.
    pub parked: u32,
    /// What was done since the guard started.
    pub counts: Counts,
    /// The tables that others are kept from, or would be.
    pub causes: Vec<Cause>,
}

impl Ddl {
    /// No table is known.
    pub fn new(policy: &Policy) -> Arc<Self> {
        Arc::new(Self {
            tables: Mutex::new(Tables::new(config(policy))),
            is_holding: AtomicBool::new(false),
            changed: Notify::new(),
        })
    }

    /// Other bounds from now on. Who is parked goes on where nobody is parked any more.
    pub fn reconfigure(&self, policy: &Policy) {
        self.tables.lock().reconfigure(config(policy));
        self.changed.notify_waiters();
    }

    /// Whether the database is to be asked for it.
    pub fn is_looking(&self) -> bool {
        self.tables.lock().mode() != Mode::Off
    }

    /// Whether somebody may be kept from a table.
    pub fn is_holding(&self) -> bool {
        self.is_holding.load(Ordering::Relaxed)
    }

    /// A look at the database has shown who wants tables for himself, or has them.
    pub fn observe(&self, now: Instant, wants: &[Want]) {
        let mut tables = self.tables.lock();
        tables.observe(now, wants);
        self.is_holding.store(tables.is_holding(now), Ordering::Relaxed);
        drop(tables);
        self.changed.notify_waiters();
    }

    /// A transaction begins that holds no locks; `mode` is how far the limits of its class go.
    pub fn arrive(self: &Arc<Self>, now: Instant, subject: Subject<'_>, mode: Mode) -> Way {
        let mut tables = self.tables.lock();
        match tables.arrive(now, subject, mode) {
            Passage::Free => {
                // Where no look comes any more, nobody else notices.
                self.is_holding.store(tables.is_holding(now), Ordering::Relaxed);
                Way::Free
            }
            Passage::Park(cause) => {
                Way::Park(Parked { ddl: Arc::clone(self), cause, left: Left::Free })
            }
            Passage::Full(cause, bound) => Way::Full(cause, bound),
        }
    }

    /// What is known of such tables.
    pub fn report(&self, now: Instant) -> Report {
        let tables = self.tables.lock();
        Report {
            mode: tables.mode(),
            parked: tables.parked(),
            counts: tables.counts(),
            causes: tables.causes(now),
        }
    }
}

/// The milder of its own mode and the guard's holds.
fn config(policy: &Policy) -> Config {
    Config { mode: policy.ddl.mode.min(policy.mode), ..policy.ddl }
}

/// One that is kept from a table. Dropping it is right at any time: there is no line to leave.
#[derive(Debug)]
pub struct Parked {
    ddl: Arc<Ddl>,
    cause: Cause,
    left: Left,
}

impl Parked {
    /// Waits until it may go on. It ends by itself where no look comes any more. Cancel-safe.
    pub async fn wait(&mut self, subject: Subject<'_>) {
        loop {
            // What changes from here on is not missed.
            let changed = self.ddl.changed.notified();
            let now = Instant::now();
            let Some(cause) = self.ddl.tables.lock().cause(now, subject) else { return };
            self.cause = cause;
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(self.cause.until.into()) => {}
            }
        }
    }

    /// It has waited for as long as it may. Returns for what, as it was known last.
    pub fn give_up(mut self) -> Cause {
        self.left = Left::GaveUp;
        self.cause.clone()
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.ddl.tables.lock().leave(self.left);
    }
}

/// Puts tables into wants that have none, by their statements; statements are normalised, for everybody may
/// read them. `judge` tells what a statement is. One that names many tables wants them all.
pub fn expand(wants: Vec<Want>, judge: impl Fn(&str) -> Arc<Shape>) -> Vec<Want> {
    let mut expanded = Vec::with_capacity(wants.len());
    for want in wants {
        let shape = judge(&want.statement);
        let want = Want { statement: shape.text.to_string(), ..want };
        match &want.table {
            Some(_) => expanded.push(want),
            // One without any is told as well: it keeps what it is known to want.
            None if shape.tables.is_empty() => expanded.push(want),
            None => expanded.extend(
                shape
                    .tables
                    .iter()
                    .map(|table: &Table| Want { table: Some(table.clone()), ..want.clone() }),
            ),
        }
    }
    expanded
}

#[cfg(test)]
mod tests;
