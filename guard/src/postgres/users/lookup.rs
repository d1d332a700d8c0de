//! Users that no list holds: the database is asked, and what it said is remembered for a while.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::super::stored::{Known, Stored};
use crate::secret::Secret;

/// What the database is asked by default; `$1` is the user, and must be a parameter: its name is
/// whatever somebody sent who has proved nothing. The second column is what is kept of its
/// password, NULL if it has none.
///
/// A password that has expired is none (CVE-2025-2291). All names are qualified, those of operators
/// and functions too: with a `search_path` that a client could choose, an unqualified one might be
/// the client's own, and run with the rights of whoever asks (CVE-2025-12819).
pub const DEFAULT_QUERY: &str = "SELECT rolname, CASE WHEN rolvaliduntil OPERATOR(pg_catalog.<) \
                                 pg_catalog.now() THEN NULL ELSE rolpassword END \
                                 FROM pg_catalog.pg_authid \
                                 WHERE rolname OPERATOR(pg_catalog.=) $1 AND rolcanlogin";

/// How many users are remembered, those that do not exist included. At the bound the half that was
/// asked for longest ago is forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// How long it is remembered that a user does not exist, or what was kept of one whose proof was
/// wrong. Within it, a client that tries again and again costs the database nothing; and whoever created the user or
/// changed its password meanwhile waits no longer than this.
const BRIEF: Duration = Duration::from_secs(3);

/// How many questions are asked at once.
const AT_ONCE: usize = 2;

/// Why the database could not be asked.
pub type LookupError = Box<dyn std::error::Error + Send + Sync>;

/// What a question is answered: what is kept of the user's password, `None` if it may not log in.
pub type Found = Result<Option<Secret>, LookupError>;

/// A question under way.
pub type Looking<'a> = Pin<Box<dyn Future<Output = Found> + Send + 'a>>;

/// Asks for a user.
pub trait Lookup: Send + Sync {
    /// What is kept of `user`'s password. Expired ones must not be found; see [`DEFAULT_QUERY`].
    fn look_up<'a>(&'a self, user: &'a str) -> Looking<'a>;
}

/// Asks, and remembers. Keep it across reloads.
pub struct Asked {
    lookup: Box<dyn Lookup>,
    /// How long an answer is believed.
    fresh: Duration,
    memory: Mutex<HashMap<Box<str>, Record>>,
    at_once: Semaphore,
}

#[derive(Debug, Clone)]
struct Record {
    known: Option<Arc<Known>>,
    asked_at: Instant,
    /// When it is no longer believed.
    until: Instant,
}

impl Asked {
    /// Asks `lookup`, and believes what it says for `fresh`: so long may a user log in whose
    /// password has expired meanwhile.
    pub fn new(lookup: Box<dyn Lookup>, fresh: Duration) -> Arc<Self> {
        let (memory, at_once) = (Mutex::default(), Semaphore::new(AT_ONCE));
        Arc::new(Self { lookup, fresh, memory, at_once })
    }

    /// What was said of `user` a moment ago: that it does not exist, or what is kept of it. `None`
    /// if it is to be asked.
    pub(super) fn recall(&self, user: &str) -> Option<Option<Arc<Known>>> {
        let memory = self.memory.lock();
        let record = memory.get(user)?;
        (Instant::now() < record.until).then(|| record.known.clone())
    }

    /// Asks for `user`. A herd asks once: who comes second finds the first one's answer.
    pub(super) async fn ask(&self, user: &str) -> Result<Option<Arc<Known>>, LookupError> {
        let _turn = self.at_once.acquire().await.expect("the semaphore is never closed");
        if let Some(answer) = self.recall(user) {
            return Ok(answer);
        }
        let stored = self.lookup.look_up(user).await?.map(Stored::from);
        Ok(self.remember(user, stored, Instant::now()))
    }

    /// Has the database asked again for `user`, unless that was done a moment ago.
    pub(super) fn doubt(&self, user: &str) {
        if let Some(record) = self.memory.lock().get_mut(user) {
            record.until = record.until.min(record.asked_at + BRIEF);
        }
    }

    /// Keeps an answer; where it is as before, with what was computed from it.
    fn remember(&self, user: &str, stored: Option<Stored>, now: Instant) -> Option<Arc<Known>> {
        let mut memory = self.memory.lock();
        if memory.len() >= REMEMBERED_MAX && !memory.contains_key(user) {
            forget_oldest(&mut memory);
        }
        let before = memory.remove(user).and_then(|record| record.known);
        let known = stored.map(|stored| match before {
            Some(before) if *before.stored() == stored => before,
            _ => Arc::new(Known::new(user, stored)),
        });
        let fresh = if known.is_some() { self.fresh } else { BRIEF };
        let record = Record { known: known.clone(), asked_at: now, until: now + fresh };
        memory.insert(user.into(), record);
        known
    }
}

/// Forgets the older half.
fn forget_oldest(memory: &mut HashMap<Box<str>, Record>) {
    let mut times: Vec<_> = memory.values().map(|record| record.asked_at).collect();
    let (_, middle, _) = times.select_nth_unstable(memory.len() / 2);
    let middle = *middle;
    memory.retain(|_, record| record.asked_at > middle);
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("fresh", &self.fresh).finish_non_exhaustive()
    }
}
