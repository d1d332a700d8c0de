//! What the drill tells: a line per second while it runs, then a table.

use super::{Habit, Outcome, Report, Scene, Way};
use crate::screen::{Paint, Screen};
use crate::sheet::table::Row;
use crate::sheet::{self, Plot, Series, Sheet, Table, Tone};

/// One look at the server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Backends that wait for the lock.
    pub(super) lock_queue: u32,
    /// Backends of the clients' account.
    pub(super) backends: u32,
}

/// Tells what happens, line by line, on the error output: the result alone goes to the output.
#[derive(Debug)]
pub struct Show {
    screen: Screen,
    pool: u32,
    second: u32,
}

impl Show {
    /// Colourful on a terminal, plain elsewhere; respects `NO_COLOR`.
    #[must_use]
    pub fn new() -> Self {
        Self { screen: Screen::new(), pool: 0, second: 0 }
    }

    /// Says nothing.
    #[must_use]
    pub fn quiet() -> Self {
        Self { screen: Screen::quiet(), pool: 0, second: 0 }
    }

    pub(super) fn begin(&mut self, way: Way, scene: &Scene) {
        (self.pool, self.second) = (scene.pool, 0);
        let title = match way {
            Way::PgBouncer => "behind PgBouncer, which closes sockets",
            Way::Guard => "behind the guard, which cancels",
        };
        self.screen.title(title);
        let tried = match scene.habit {
            Habit::Single => "is ended",
            Habit::Savepoint => "comes behind a savepoint, is ended",
            Habit::Vanish => "is given up by its client within 0.3 s, would be ended",
        };
        self.screen.line(&format!(
            "{} clients want one row, which is locked for {:?}; each update {tried} after {:?}, and \
             tried again. A private PostgreSQL, {} connections to it.",
            scene.clients, scene.hold, scene.limit, scene.pool
        ));
        let failed = scene.habit.failed();
        let head = format!(" sec  lock queue{failed:>45}{:>8}", "done");
        self.screen.line(&self.screen.paint(Paint::Dim, &head));
    }

    pub(super) fn second(&mut self, seen: Seen, failures: usize, successes: usize) {
        self.second += 1;
        let colour = if seen.lock_queue > self.pool { Paint::Red } else { Paint::Green };
        let width = usize::try_from(seen.lock_queue.min(BAR) / 2).unwrap_or(0);
        let bar = format!("{:<33}", "█".repeat(width));
        self.screen.line(&format!(
            "{:>4}  {:>5} {} {:>15} {:>7}",
            self.second,
            seen.lock_queue,
            self.screen.paint(colour, &bar),
            failures,
            successes,
        ));
    }
}

impl Default for Show {
    fn default() -> Self {
        Self::new()
    }
}

/// The longest queue that has room in the bar; two backends are a column.
const BAR: u32 = 66;

impl sheet::Report for Report {
    fn sheet(&self) -> Sheet {
        let rows: [Row<'_, Outcome>; 5] = [
            ("lock queue on the server, at most", |it| cell(Some(it.lock_queue_max.into()))),
            ("connections to the server, at most", |it| cell(Some(it.backends_max.into()))),
            (self.habit.updates_failed(), |it| cell(u64::try_from(it.failures_told).ok())),
            ("  of these, committed", |it| cell(u64::try_from(it.failed_applied).ok())),
            ("first success behind the lock (ms)", |it| cell(it.back_after_ms)),
        ];
        let outcomes = [("PgBouncer", &self.pgbouncer), ("guard", &self.guard)];
        Sheet {
            name: "zombie",
            about: self.habit.about(),
            scene: format!(
                "{} connections to a private PostgreSQL for each of the two.",
                self.pool
            ),
            promise: "never more backends wait for the lock than its pool has connections, and nothing is committed whose \
                      client was told that it had failed, or had hung up",
            is_kept: self.guard_keeps_its_word(),
            tables: vec![Table::of("", &outcomes, &rows)],
            notes: Vec::new(),
            plots: vec![self.plot()],
        }
    }
}

impl Report {
    fn plot(&self) -> Plot {
        let ways =
            [("PgBouncer", Tone::Usual, &self.pgbouncer), ("guard", Tone::Guarded, &self.guard)];
        Plot {
            title: "backends that wait for the lock".into(),
            x: "second",
            y: "backends",
            series: ways
                .map(|(name, tone, one)| Series::by_second(name, tone, &one.lock_queue))
                .into(),
            ..Plot::default()
        }
    }
}

impl Habit {
    /// What happens.
    fn about(self) -> &'static str {
        match self {
            Self::Single => {
                "A row is locked, clients retry for ever, and each update has a time limit: PgBouncer's, which closes the \
                 client's socket, and the guard's, which cancels."
            }
            Self::Savepoint => {
                "A row is locked, clients retry for ever, each update comes behind a savepoint and has a time limit: \
                 PgBouncer's, which closes the client's socket, and the guard's, which cancels and rolls back."
            }
            Self::Vanish => {
                "A row is locked, and clients that ask for it hang up soon and come again: PgBouncer then closes the \
                 server's socket, and the guard cancels."
            }
        }
    }

    /// The head of the column that counts what did not succeed.
    fn failed(self) -> &'static str {
        match self {
            Self::Single | Self::Savepoint => "told: failed",
            Self::Vanish => "given up",
        }
    }

    /// The same as a line of the table.
    fn updates_failed(self) -> &'static str {
        match self {
            Self::Single | Self::Savepoint => "updates told as failed",
            Self::Vanish => "updates given up",
        }
    }
}

fn cell(value: Option<u64>) -> String {
    value.map_or("none".to_owned(), |value| value.to_string())
}
