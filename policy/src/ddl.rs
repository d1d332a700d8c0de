//! Tables that a statement waits to have for itself.
//!
//! A DDL that waits for a table behind a long transaction has everybody queue behind it in the database who
//! comes for that table after it, readers too, each with a connection and perhaps with locks that others
//! want. So new transactions that name the table are parked outside, where they hold nothing, until
//! the DDL is done or has gone.
//!
//! ```text
//!  seen waiting ──long enough──► parking ──gone at a look──► forgotten
//!                                   └──out of time, or nobody looks──► let alone, until it has gone
//! ```
//!
//! Nothing here depends on a look that does not come: see [`LAPSE`]. There is no line and no order. All
//! are let go at once, and go to the gate, which bounds them.
//!
//! Deliberately absent: the catalogue. A view, a function, a rule or a trigger may reach a table that the
//! statement does not name.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::class::Mode;
use crate::sql::{Effects, Kind, Shape, Table};

/// What has waited for less when it is seen is left alone: most go on by themselves, and would have others
/// wait until the next look.
pub const PATIENCE: Duration = Duration::from_millis(150);
/// How long a look holds good. Without another one everybody is let go. Looks come five times a second
/// while somebody waits, and less often where they take long.
pub const LAPSE: Duration = Duration::from_secs(5);
/// How long one may have others parked.
pub const TIME: Duration = Duration::from_secs(30);
/// Transactions that may be parked for all tables together.
pub const PARKED_MAX: u32 = 1000;
/// Backends that are watched at most. For a later one nobody is parked.
pub const DDLS_MAX: usize = 16;
/// Tables of one backend that are watched at most. For a later one nobody is parked.
pub const TABLES_MAX: usize = 64;

/// How it is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Whether it is looked for, and whether anybody is parked.
    pub mode: Mode,
    /// How long one DDL may have others parked; afterwards they go to the database all the same.
    pub time: Duration,
    /// Transactions that may be parked.
    pub parked_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Off, time: TIME, parked_max: PARKED_MAX }
    }
}

/// What a statement does with the tables that it names, from the least that gets in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// It reads.
    Read,
    /// It reads, and locks rows.
    Lock,
    /// It writes.
    Write,
}

impl Access {
    /// What a statement of this shape does; `None` where it is not for the guard to keep it: another
    /// DDL, or something that is not known. Of several in one text, the worst is taken for all; and
    /// what a statement only reads of is taken for written if it writes elsewhere.
    #[must_use]
    pub fn of(shape: &Shape) -> Option<Self> {
        match shape.kind {
            Kind::Select | Kind::CopyTo | Kind::Declare | Kind::Explain
                if !shape.effects.intersects(Effects::MULTI) =>
            {
                Some(Self::Read)
            }
            Kind::LockingSelect => Some(Self::Lock),
            Kind::Select
            | Kind::CopyTo
            | Kind::Declare
            | Kind::Explain
            | Kind::Insert
            | Kind::Replace
            | Kind::Update
            | Kind::Delete
            | Kind::Merge
            | Kind::CopyFrom
            | Kind::Load => Some(Self::Write),
            _ => None,
        }
    }
}

/// One table that a backend wants for itself or has, as a look at the database shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Who.
    pub backend: u32,
    /// Whether it waits for it.
    pub is_waiting: bool,
    /// How long its statement has run.
    pub for_time: Duration,
    /// From which access on others wait for it.
    pub from: Access,
    /// Where it works: a schema of MySQL, a database of PostgreSQL.
    pub home: String,
    /// Which; `None` where the server does not tell, and only the statement does.
    pub table: Option<Table>,
    /// Its statement, as it was sent; it may be cut off.
    pub statement: String,
}

/// A statement that begins a transaction, by what it is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What it does, and the tables that it names.
    pub shape: &'a Shape,
    /// As [`Want::home`].
    pub home: &'a [u8],
    /// How names are compared.
    pub names: Names,
}

/// Whose names are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Those of MySQL and MariaDB. Whether case counts depends on the server; tables that differ in nothing
    /// else are rare.
    MySql,
    /// Those of PostgreSQL. One without a schema is looked for along a path that is not known here: it may be
    /// that of any schema.
    Postgres,
}

/// Why a transaction is parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The table.
    pub table: Table,
    /// Who waits for it, or has it.
    pub backend: u32,
    /// Its statement, as [`Tables::observe`] was told it.
    pub statement: Arc<str>,
    /// How long that has run, as far as it was seen.
    pub waited: Duration,
    /// Until when others are parked for it, as things stand.
    pub until: Instant,
}

/// What an arrival is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passage {
    /// It goes on.
    Free,
    /// It waits outside, until [`Tables::cause`] tells none, and [leaves](Tables::leave) then.
    Park(Cause),
    /// And too many do: the bound.
    Full(Cause, u32),
}

/// What was done since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Transactions that were parked.
    pub parked: u64,
    /// Transactions that found no room, or waited as long as they may.
    pub refused: u64,
    /// Transactions that would have been parked, if the mode were enforce.
    pub would_park: u64,
}

/// How one that was parked goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It was let go, or its client has gone.
    Free,
    /// It has waited for as long as it may.
    GaveUp,
}

/// One backend that wants tables for itself.
#[derive(Debug)]
struct Ddl {
    since: Instant,
    /// At which look it was there last.
    seen: Instant,
    /// Since when others are parked for it.
    parks_from: Option<Instant>,
    statement: Arc<str>,
    home: String,
    /// Each with the access from which on others wait. Bounded by [`TABLES_MAX`].
    tables: Vec<(Table, Access)>,
}

impl Ddl {
    fn parks_until(&self, config: &Config) -> Option<Instant> {
        let by_look = self.seen + LAPSE;
        let by_time = self.parks_from?.checked_add(config.time);
        Some(by_time.map_or(by_look, |by_time| by_time.min(by_look)))
    }

    fn is_about(&self, subject: Subject<'_>, access: Access) -> Option<&Table> {
        let mut wanted = self.tables.iter().filter(|(_, from)| access >= *from);
        let is_named = |table: &Table| {
            subject.shape.tables.iter().any(|named| is_same(subject, named, &self.home, table))
        };
        wanted.find(|(table, _)| is_named(table)).map(|(table, _)| table)
    }
}

/// Whether a statement means this table of somebody who works in `home`.
fn is_same(subject: Subject<'_>, named: &Table, home: &str, table: &Table) -> bool {
    match subject.names {
        Names::MySql => {
            let here = String::from_utf8_lossy(subject.home);
            let named_in = named.schema.as_deref().unwrap_or(&here);
            named_in.eq_ignore_ascii_case(table.schema.as_deref().unwrap_or(home))
                && named.name.eq_ignore_ascii_case(&table.name)
        }
        Names::Postgres => {
            let is_open = named.schema.is_none() || table.schema.is_none();
            subject.home == home.as_bytes()
                && named.name == table.name
                && (is_open || named.schema == table.schema)
        }
    }
}

/// All tables that somebody waits to have for himself.
#[derive(Debug, Default)]
pub struct Tables {
    config: Config,
    /// By backend. Bounded by [`DDLS_MAX`].
    ddls: HashMap<u32, Ddl>,
    parked: u32,
    counts: Counts,
}

impl Tables {
    /// Nobody wants any.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Other bounds from now on. Who is parked must ask again for its [cause](Self::cause).
    pub fn reconfigure(&mut self, config: Config) {
        self.config = config;
        if config.mode == Mode::Off {
            self.ddls.clear();
        }
    }

    /// A look has shown all that want tables for themselves, or have them. Who is parked must ask again for
    /// its [cause](Self::cause).
    pub fn observe(&mut self, now: Instant, wants: &[Want]) {
        if self.config.mode == Mode::Off {
            return;
        }
        for ddl in self.ddls.values_mut() {
            ddl.tables.clear();
        }
        // Who has all it wants when it is first seen keeps nobody waiting for long, as a rule.
        for want in wants.iter().filter(|want| want.is_waiting) {
            self.meet(now, want);
        }
        for want in wants {
            let Some(ddl) = self.ddls.get_mut(&want.backend) else { continue };
            ddl.seen = now;
            if let Some(table) = &want.table
                && ddl.tables.len() < TABLES_MAX
            {
                ddl.tables.push((table.clone(), want.from));
            }
        }
        self.ddls.retain(|_, ddl| ddl.seen == now);
        for ddl in self.ddls.values_mut() {
            let is_due = now.saturating_duration_since(ddl.since) >= PATIENCE;
            ddl.parks_from = ddl.parks_from.or(is_due.then_some(now));
        }
    }

    fn meet(&mut self, now: Instant, want: &Want) {
        let since = now.checked_sub(want.for_time).unwrap_or(now);
        if let Some(known) = self.ddls.get_mut(&want.backend) {
            // The next one of a session that goes on with another has a time of its own.
            if *known.statement != *want.statement {
                known.statement = want.statement.as_str().into();
                known.since = since;
                known.parks_from = known.parks_from.map(|_| now);
            }
        } else if self.ddls.len() < DDLS_MAX {
            let ddl = Ddl {
                since,
                seen: now,
                parks_from: None,
                statement: want.statement.as_str().into(),
                home: want.home.clone(),
                tables: Vec::new(),
            };
            self.ddls.insert(want.backend, ddl);
        }
    }

    /// A transaction begins that holds no locks; `mode` is how far the limits of its class go.
    pub fn arrive(&mut self, now: Instant, subject: Subject<'_>, mode: Mode) -> Passage {
        let Some(cause) = self.seen_cause(now, subject) else { return Passage::Free };
        if mode.min(self.config.mode) != Mode::Enforce {
            self.counts.would_park += 1;
            return Passage::Free;
        }
        if self.parked >= self.config.parked_max {
            self.counts.refused += 1;
            return Passage::Full(cause, self.config.parked_max);
        }
        self.parked += 1;
        self.counts.parked += 1;
        Passage::Park(cause)
    }

    /// Why a transaction that was parked still is; `None` when it may go on.
    #[must_use]
    pub fn cause(&self, now: Instant, subject: Subject<'_>) -> Option<Cause> {
        let is_enforced = self.config.mode == Mode::Enforce;
        is_enforced.then(|| self.seen_cause(now, subject)).flatten()
    }

    /// One that was parked goes away.
    pub fn leave(&mut self, left: Left) {
        self.parked = self.parked.saturating_sub(1);
        self.counts.refused += u64::from(left == Left::GaveUp);
    }

    /// Whether anybody may be parked now.
    #[must_use]
    pub fn is_holding(&self, now: Instant) -> bool {
        self.ddls.values().any(|ddl| ddl.parks_until(&self.config).is_some_and(|until| until > now))
    }

    /// How far it goes.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.config.mode
    }

    /// What was done.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Transactions that are parked.
    #[must_use]
    pub fn parked(&self) -> u32 {
        self.parked
    }

    /// The tables that others are kept from, or would be, those first that have been for longest.
    #[must_use]
    pub fn causes(&self, now: Instant) -> Vec<Cause> {
        let mut causes: Vec<_> = self
            .ddls
            .iter()
            .flat_map(|(backend, ddl)| {
                let tables = ddl.tables.iter();
                tables.filter_map(move |(table, _)| self.explain(now, *backend, ddl, table))
            })
            .collect();
        causes.sort_by(|a, b| {
            let name = |cause: &Cause| (cause.backend, cause.table.name.clone());
            b.waited.cmp(&a.waited).then_with(|| name(a).cmp(&name(b)))
        });
        causes
    }

    /// Of all that keep it waiting, the one for which it will be longest.
    fn seen_cause(&self, now: Instant, subject: Subject<'_>) -> Option<Cause> {
        let access = Access::of(subject.shape)?;
        let causes = self.ddls.iter().filter_map(|(backend, ddl)| {
            let table = ddl.is_about(subject, access)?;
            self.explain(now, *backend, ddl, table)
        });
        causes.max_by_key(|cause| (cause.until, cause.backend))
    }

    fn explain(&self, now: Instant, backend: u32, ddl: &Ddl, table: &Table) -> Option<Cause> {
        let until = ddl.parks_until(&self.config).filter(|until| *until > now)?;
        Some(Cause {
            table: table.clone(),
            backend,
            statement: Arc::clone(&ddl.statement),
            waited: now.saturating_duration_since(ddl.since),
            until,
        })
    }
}
