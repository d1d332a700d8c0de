//! Statements that ask about the one before: `LAST_INSERT_ID()`, `ROW_COUNT()`, `FOUND_ROWS()`,
//! `SHOW WARNINGS`.
//!
//! What they ask for lives in the server's session. Inside a transaction, and while a session is
//! pinned, they simply run there. Outside:
//!
//! - **Lingering.** As long as there are connections enough, a session's next statement runs on the
//!   same one anyway (`upstream::linger`).
//! - **Held.** After a statement that is likely to be asked about (it had warnings, or
//!   `SQL_CALC_FOUND_ROWS`), the connection lingers on hold until the next statement, at most
//!   [`HOLD_MAX`], and no longer once somebody has waited for [`PATIENCE`](crate::gate::PATIENCE).
//! - **Learnt.** An account that was once seen to ask has its connections held after every
//!   statement. MariaDB keeps warnings behind statements that use no tables, and so do these then run
//!   on the same connection.
//! - **Set.** `LAST_INSERT_ID()` can be set on another connection, so it is: the value is the one
//!   the OK packet told, or, for an account that asks, the one read before the connection was given
//!   back (an explicit id is told in the packet, but does not change the function).
//! - **Refused.** When the connection is gone and the value cannot be set, the client is told so.
//!   A wrong answer would be worse.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use policy::{
    admission::Outcome,
    sql::{Effects, Kind, Shape},
};

use wire::mysql::command::Command;

use super::{
    answered::Answered,
    refuse::Error,
    relay::Reply,
    task::Task,
    warnings::{Warnings, keeps_warnings},
};
use crate::mysql::{
    Habits, Pool,
    connection::{Connection, Lost},
};

/// How long a connection is kept for a question that may never come.
pub const HOLD_MAX: Duration = Duration::from_secs(1);

/// Questions whose answer cannot be brought to another connection.
const UNMOVABLE: [(Effects, &str); 3] = [
    (Effects::ROW_COUNT, "ROW_COUNT()"),
    (Effects::FOUND_ROWS, "FOUND_ROWS()"),
    (Effects::WARNINGS, "the warnings"),
];

/// Whether a statement asks about the one before it what only its connection can tell.
pub fn asks(effects: Effects) -> bool {
    UNMOVABLE.iter().any(|(effect, _)| effects.contains(*effect))
}

/// What may be asked about a session's last statement.
#[derive(Debug)]
pub struct LookBack {
    mariadb: bool,
    /// The session's `LAST_INSERT_ID()`.
    last_insert: u64,
    /// The lease carries a newer one than `last_insert` may be.
    is_unsaved: bool,
    /// It must be read before the connection goes: no packet told it.
    is_untold: bool,
    warnings: Warnings,
    /// Whether `FOUND_ROWS()`, on the connection of the last statement, tells of this session's. A
    /// statement that finds nothing leaves it as it was.
    is_found_here: bool,
    /// What the guard has answered since.
    pub answered: Answered,
    /// Whether a statement ran whose connection was given back.
    has_left: bool,
    /// A question about the last statement is likely.
    is_likely: bool,
    held_until: Option<Instant>,
    outcome: Option<Outcome>,
}

impl LookBack {
    /// Of a session that has done nothing yet.
    pub fn new(mariadb: bool) -> Self {
        Self {
            mariadb,
            last_insert: 0,
            is_unsaved: false,
            is_untold: false,
            warnings: Warnings::NONE,
            is_found_here: false,
            answered: Answered::default(),
            has_left: false,
            is_likely: false,
            held_until: None,
            outcome: None,
        }
    }

    /// Whether a statement asks about one before it, where there was none: the answer must be that
    /// of a fresh connection.
    pub fn is_blank(&self, effects: Effects) -> bool {
        !self.has_left && asks(effects)
    }

    /// What `LAST_INSERT_ID()` must return on another connection.
    pub fn last_insert(&self) -> u64 {
        self.last_insert
    }

    /// Whether the last statement has left warnings on its connection.
    pub fn leaves_warnings(&self) -> bool {
        matches!(self.warnings, Warnings::Here(count) if count > 0)
    }

    /// How many warnings are told in the answer to a command without SQL.
    pub fn warnings_to_tell(&self) -> u16 {
        if self.mariadb { 0 } else { self.warnings.count() }
    }

    /// Notes an OK of the guard's own to a statement, such as the end of an empty transaction.
    pub fn succeed(&mut self) {
        self.warnings.add_ok(self.mariadb);
        self.answered.ok(self.mariadb);
    }

    /// Notes that a BEGIN was answered, which the server will be told yet. What it was not told before comes behind
    /// that.
    pub fn begin(&mut self) {
        self.warnings.add_ok(self.mariadb);
        if !self.answered.is_nothing() {
            self.answered.ok(self.mariadb);
        }
    }

    /// Notes that COM_STMT_RESET was answered.
    pub fn reset_statement(&mut self) {
        self.warnings.add_ok(self.mariadb);
        self.answered.command(Command::StmtReset);
    }

    /// Notes an error of the guard's own.
    pub fn fail(&mut self, error: Error) {
        self.warnings.add_error(self.mariadb, error.is_about_command());
        self.answered.error(error);
    }

    /// Whether a statement must run on the connection that is held: it asks, or it leaves for later
    /// what may be asked.
    pub fn needs_held(&self, shape: &Shape, habits: &Habits) -> bool {
        let finds_warnings = self.warnings.are_some()
            && keeps_warnings(self.mariadb, shape)
            && habits.warnings.load(Ordering::Relaxed);
        let keeps_found =
            self.is_found_here && !finds_rows(shape) && habits.found_rows.load(Ordering::Relaxed);
        asks(shape.effects) || finds_warnings || keeps_found
    }

    /// Whether the connection should be held for a question.
    pub fn is_likely(&self) -> bool {
        self.is_likely
    }

    /// Until when the connection lingers.
    pub fn held_until(&self) -> Option<Instant> {
        self.held_until
    }

    /// How the last statement ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome.unwrap_or(Outcome::Success)
    }

    /// Sets how the last statement ended, where the guard ended it.
    pub fn set_outcome(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Lets the connection linger until `until`, unless it does for longer.
    pub fn linger(&mut self, until: Instant) {
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }

    /// The connection does not linger, or no longer.
    pub fn forget(&mut self) {
        self.held_until = None;
        self.is_likely = false;
    }

    /// Forgets the session's past: it was reset.
    pub fn clear(&mut self) {
        *self = Self::new(self.mariadb);
    }

    /// Notes that the client asks, for all sessions of its account. Returns what cannot be answered
    /// any more, when the connection `is_kept` no longer.
    pub fn ask(
        &mut self,
        effects: Effects,
        habits: &Habits,
        is_kept: bool,
    ) -> Result<(), &'static str> {
        if !is_kept && self.has_left && !self.answered.is_error() {
            self.warnings.leave();
        }
        self.is_found_here &= is_kept;
        if effects.contains(Effects::LAST_INSERT_ID) {
            habits.last_insert.store(true, Ordering::Relaxed);
            if !is_kept && self.is_untold {
                return Err("LAST_INSERT_ID()");
            }
        }
        for (effect, name) in UNMOVABLE {
            if effects.contains(effect) {
                let habit = match effect {
                    Effects::ROW_COUNT => &habits.row_count,
                    Effects::FOUND_ROWS => &habits.found_rows,
                    _ => &habits.warnings,
                };
                habit.store(true, Ordering::Relaxed);
                let is_lost = match self.warnings {
                    Warnings::Elsewhere(_) if effect == Effects::WARNINGS => true,
                    _ if effect == Effects::FOUND_ROWS => self.has_left && !self.is_found_here,
                    _ => !is_kept && self.has_left && !self.answered.covers(effect),
                };
                if is_lost {
                    return Err(name);
                }
            }
        }
        Ok(())
    }

    /// Notes a finished statement.
    pub fn note(&mut self, now: Instant, task: &Task, reply: &Reply, habits: &Habits) {
        let shape = &*task.shape;
        if let Some(id) = reply.last_insert_id {
            self.last_insert = id;
        }
        let is_untold = may_insert_untold(shape, reply);
        self.is_untold |= is_untold;
        self.is_unsaved |= is_untold || reply.last_insert_id.is_some();
        self.outcome = Some(super::outcome_of(reply.error));
        self.warnings.note(self.mariadb, task.command, shape, reply);
        self.is_found_here |= reply.error.is_none() && reply.has_rows && finds_rows(shape);
        self.has_left = true;
        let is_asked = |habit: &std::sync::atomic::AtomicBool| habit.load(Ordering::Relaxed);
        self.is_likely = reply.warnings > 0
            || shape.effects.contains(Effects::CALC_FOUND_ROWS)
            || is_asked(&habits.warnings)
            || is_asked(&habits.found_rows)
            || is_asked(&habits.row_count);
        self.held_until = self.is_likely.then_some(now + HOLD_MAX);
    }
}

/// Whether a statement that brings rows sets `FOUND_ROWS()`; SHOW does by being a query inside.
fn finds_rows(shape: &Shape) -> bool {
    matches!(shape.kind, Kind::Select | Kind::LockingSelect | Kind::Show | Kind::Call | Kind::Other)
        && !shape.effects.contains(Effects::WARNINGS)
}

/// Whether a statement may have set `LAST_INSERT_ID()` although no packet tells: rows came back
/// instead, as from `INSERT … RETURNING`, or an error did, behind a row that had drawn an id; or an
/// expression set it.
pub fn may_insert_untold(shape: &Shape, reply: &Reply) -> bool {
    let inserts =
        matches!(shape.kind, Kind::Insert | Kind::Replace | Kind::Load | Kind::Call | Kind::Other)
            || shape.effects.contains(Effects::LAST_INSERT_ID);
    // Each of several statements that succeeded has told by itself.
    let fails = reply.error.is_some() && (inserts || shape.effects.contains(Effects::MULTI));
    fails || inserts && reply.has_rows
}

/// Reads `LAST_INSERT_ID()` from a connection that is about to be given back, for an account that
/// asks for it.
///
/// # Errors
/// [`Lost`]: the connection must be closed.
pub async fn save(
    look_back: &mut LookBack,
    connection: &mut Connection,
    pool: &Pool,
) -> Result<(), Lost> {
    let is_asked = pool.memory.habits.last_insert.load(Ordering::Relaxed);
    let is_untold = std::mem::take(&mut look_back.is_untold);
    if !std::mem::take(&mut look_back.is_unsaved) || !(is_asked || is_untold) {
        return Ok(());
    }
    let Ok(rows) = connection.query(b"SELECT LAST_INSERT_ID()").await? else { return Ok(()) };
    let value = rows.first().and_then(|row| row.first()).and_then(Option::as_ref);
    if let Some(id) = value.and_then(|v| std::str::from_utf8(v).ok()).and_then(|v| v.parse().ok()) {
        look_back.last_insert = id;
    }
    Ok(())
}
