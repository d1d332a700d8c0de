//! Who may log in, and what a proof is held against.
//!
//! A user is *listed* (in the configuration or the password file), with its password or what
//! PostgreSQL keeps of it; or it is not, and then the database is asked ([`Lookup`]), if that is
//! wanted. Names that nobody knows are treated as a user whose password nobody can know: same
//! steps, same words.

mod lookup;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use self::lookup::{Asked, DEFAULT_QUERY, Found, Looking, Lookup, LookupError};
use super::stored::{Known, Seed, Stored};
use crate::account::Account;
use crate::secret::Secret;
use crate::users::{Entry, Failures};

/// The longest that a wrong proof has to wait for its answer.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The longest name that the database is asked for, in bytes. Servers have names of 63.
const ASKED_LEN_MAX: usize = 255;

/// All users that may log in.
#[derive(Debug)]
pub struct Users {
    listed: HashMap<Box<str>, Arc<Known>>,
    asked: Option<Arc<Asked>>,
    pub(super) seed: Seed,
    failures: Failures,
}

/// Why it is not known who a user is.
#[derive(Debug)]
pub enum Unknown {
    /// Too many proofs from that address were wrong for the database to be asked.
    TooMany {
        /// When it is asked again.
        retry_after: Duration,
    },
    /// The database could not be asked.
    Unasked(LookupError),
}

impl Users {
    /// The users `listed`, of which a later one replaces an earlier one of the same name; and all
    /// those that `asked` finds. Keep `asked` and `seed` across reloads.
    pub fn new(
        listed: impl IntoIterator<Item = Entry>,
        asked: Option<Arc<Asked>>,
        seed: Seed,
    ) -> Self {
        let listed = listed
            .into_iter()
            .map(|Entry { user, secret }| {
                let known = Known::new(&*user, Stored::from(secret));
                (user, Arc::new(known))
            })
            .collect();
        Self { listed, asked, seed, failures: Failures::default() }
    }

    /// What is kept of `user`, of one that does not exist as well. May ask the database.
    ///
    /// # Errors
    /// [`Unknown`]. Dropping the future gives a question up that nobody else waits for.
    pub async fn find(&self, user: &str, from: IpAddr) -> Result<Arc<Known>, Unknown> {
        if let Some(known) = self.listed.get(user) {
            return Ok(Arc::clone(known));
        }
        let nobody = || Arc::new(Known::nobody(user, &self.seed));
        let asked = self.asked.as_ref().filter(|_| user.len() <= ASKED_LEN_MAX);
        let Some(asked) = asked else { return Ok(nobody()) };
        let known = match asked.recall(user) {
            Some(known) => known,
            None => {
                self.admit(from)?;
                asked.ask(user).await.map_err(Unknown::Unasked)?
            }
        };
        Ok(known.unwrap_or_else(nobody))
    }

    /// The account of a client that need not prove anything: what the list says of it. Whether there
    /// is such a user, the database finds out.
    pub fn trusted(&self, user: &Arc<str>) -> Arc<Account> {
        match self.listed.get(&**user) {
            Some(known) => known.trusted(),
            None => Arc::new(Account::new(Arc::clone(user), Secret::default())),
        }
    }

    /// Whether work that nobody shall make the guard do for nothing is done for `from` now.
    ///
    /// # Errors
    /// [`Unknown::TooMany`].
    pub fn admit(&self, from: IpAddr) -> Result<(), Unknown> {
        self.failures
            .check(from, Instant::now())
            .map_err(|retry_after| Unknown::TooMany { retry_after })
    }

    /// Counts a wrong proof, and says how long its answer should wait: not at all, unless too many
    /// came from there. What the database said of that user is forgotten soon, for it may be the
    /// guard that is wrong.
    pub fn failed(&self, user: &str, from: IpAddr) -> Duration {
        let now = Instant::now();
        if let Some(asked) = &self.asked {
            asked.doubt(user);
        }
        self.failures.note(from, now);
        self.failures.check(from, now).err().unwrap_or_default().min(PAUSE_MAX)
    }
}
