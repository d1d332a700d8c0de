//! The console: whoever connects to the database `tidegate` speaks with the guard itself, by psql or
//! any driver, as PgBouncer's users do with the database `pgbouncer`.
//!
//! It has PgBouncer's words and column names where they mean the same. What the guard does not know
//! is NULL. Clients in `[admin] users` may do everything, those in `stats_users` may look; for all
//! others, and while neither key is set, there is no console, and a database of that name is a
//! database as any other. It needs no connection to the database, so it answers when that does not.
//!
//! | file | what |
//! |---|---|
//! | `command` | what can be said |
//! | `database` | what is done about one database |
//! | `show`, `overview` | what is shown, by command |
//! | `stats` | what was counted, out of the metrics |
//! | `table` | columns and values in both formats |
//! | `talk` | one client: the simple and the extended protocol |

mod command;
mod database;
mod overview;
mod show;
mod stats;
mod table;
mod talk;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::connect::Parameter;
use super::login::{Login, LoginError};
use super::{Postgres, Shared, let_in};
use crate::control::{Declined, Operations, PauseOrder};
use crate::listener::Arrival;

/// The database that is none.
pub const DATABASE: &[u8] = b"tidegate";

/// Who may use the console, and whom it asks.
#[derive(Default)]
pub struct Console {
    users: Vec<String>,
    watchers: Vec<String>,
    operations: OnceLock<Weak<dyn Operations>>,
}

/// How much somebody may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// `SHOW`.
    Look,
    /// Everything.
    Act,
}

/// What a login to the database `tidegate` comes to.
pub(super) enum Visit {
    /// There is no console: it is a database as any other.
    Database,
    /// This client may not use it.
    Stranger,
    /// It may.
    Guest(Guest),
}

/// Somebody who may use the console.
pub(super) struct Guest {
    rank: Rank,
    operations: Arc<dyn Operations>,
}

impl Console {
    /// For these accounts. It answers once it is [connected](Self::connect).
    pub fn new(users: Vec<String>, watchers: Vec<String>) -> Self {
        Self { users, watchers, operations: OnceLock::new() }
    }

    /// Says whom it asks. Only the first call counts.
    pub fn connect(&self, operations: Weak<dyn Operations>) {
        // It is called once, before the first client comes.
        let _first = self.operations.set(operations);
    }

    /// What `user` finds at the database `tidegate`.
    pub(super) fn visit(&self, user: &str) -> Visit {
        if self.users.is_empty() && self.watchers.is_empty() {
            return Visit::Database;
        }
        let is_in = |list: &[String]| list.iter().any(|name| name == user);
        let rank = match (is_in(&self.users), is_in(&self.watchers)) {
            (true, _) => Rank::Act,
            (false, true) => Rank::Look,
            (false, false) => return Visit::Stranger,
        };
        match self.operations.get().and_then(Weak::upgrade) {
            Some(operations) => Visit::Guest(Guest { rank, operations }),
            // The guard shuts down.
            None => Visit::Stranger,
        }
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("users", &self.users)
            .field("watchers", &self.watchers)
            .finish_non_exhaustive()
    }
}

/// Lets a guest in and serves it to its end.
///
/// # Errors
/// When it went away before it was in.
pub(super) async fn serve(
    mut arrival: Arrival<Postgres>,
    mut login: Login,
    guest: Guest,
) -> Result<(), LoginError> {
    let (entry, _listing, traffic) = let_in(&mut arrival, &mut login, &welcome()).await?;
    let Arrival { shared, door, .. } = arrival;
    talk::Talk::new(shared, door, (entry, traffic), login, guest).run().await;
    Ok(())
}

/// What drivers ask of every server. The version says who speaks.
fn welcome() -> Vec<Parameter> {
    let version = concat!(env!("CARGO_PKG_VERSION"), "/tidegate");
    [
        ("server_version", version),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", "UTC"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("is_superuser", "off"),
    ]
    .map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into()))
    .into()
}

impl Guest {
    /// Carries out a command that changes something. What it returns is told as notices.
    async fn act(&self, shared: &Shared, act: command::Act) -> Result<Vec<String>, Refused> {
        if self.rank < Rank::Act {
            let why = "permission denied: it takes an account of [admin] users";
            return Err(Refused { code: *b"42501", why: why.into(), hint: None });
        }
        match act {
            command::Act::Reload => {
                let operations = Arc::clone(&self.operations);
                // It reads files, so it may not hold up a worker.
                let reloaded = tokio::task::spawn_blocking(move || operations.reload()).await;
                let not_finished = |_| Declined("the reload did not finish".into());
                reloaded.map_err(not_finished).and_then(|done| done).map_err(|declined| Refused {
                    code: *b"F0000",
                    why: declined.to_string(),
                    hint: Some("the old configuration holds"),
                })
            }
            command::Act::Kill(id) => match shared.sessions.find(id) {
                Some(card) => {
                    card.kill_connection();
                    Ok(Vec::new())
                }
                None => Err(Refused {
                    code: *b"42704",
                    why: format!("no client has the id {id}"),
                    hint: Some("SHOW CLIENTS has their ids"),
                }),
            },
            command::Act::Pause(None) => self.pause().await,
            command::Act::Resume(None) => match self.operations.resume() {
                Ok(_) => Ok(Vec::new()),
                Err(declined) => Err(not_done(declined.to_string())),
            },
            command::Act::Pause(Some(name)) => database::pause(shared, &name).await,
            command::Act::Resume(Some(name)) => database::resume(shared, &name),
            command::Act::KillDatabase(name) => database::kill(shared, &name),
        }
    }
}

/// How often is looked whether what runs is over.
const PAUSE_LOOK: Duration = Duration::from_millis(20);

impl Guest {
    /// Holds new transactions, and waits until what runs is over and its connections are closed.
    async fn pause(&self) -> Result<Vec<String>, Refused> {
        let paused = self.operations.pause(PauseOrder::default());
        let mut status = paused.map_err(|declined| not_done(declined.to_string()))?;
        while !status.is_settled() {
            if status.ends_in_ms.is_none() {
                return Err(not_settled(status.in_flight));
            }
            tokio::time::sleep(PAUSE_LOOK).await;
            status = self.operations.pause_status();
        }
        Ok(told_of_pinned(status.pinned))
    }
}

fn not_settled(count: u32) -> Refused {
    not_done(format!("the pause is over, and {count} transactions still run"))
}

fn told_of_pinned(pinned: u32) -> Vec<String> {
    let told =
        || format!("{pinned} clients are pinned and keep their connections; SHOW PINS has them");
    (pinned > 0).then(told).into_iter().collect()
}

fn not_done(why: String) -> Refused {
    Refused { code: *b"55000", why, hint: None }
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refused {
    code: [u8; 5],
    why: String,
    hint: Option<&'static str>,
}
