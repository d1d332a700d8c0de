//! Accounts that no list holds: the database is asked, and what it said is remembered for a while.
//!
//! ```text
//!            right                      fresh over            still right
//! unknown ──────────► known, fresh ────────────────► stale ──────────────► known, fresh
//!    │                                                 │  wrong now, or twice as old
//!    └─ wrong: remembered for DENIED                   └──────────────────► unknown
//! ```
//!
//! While an account is stale it is still believed, and one connection asks again meanwhile: so a
//! login never waits for a database that is slow, but a password that was changed dies out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wire::mysql::code;

use super::{Account, Denial};
use crate::mysql::connect::{self, ConnectError, Wishes};
use crate::secret::Secret;
use crate::upstream::target::Target;

/// How many accounts are remembered. At the bound the one verified longest ago is forgotten, and is
/// verified again at its next login.
const KNOWN_MAX: usize = 10_000;

/// How many wrong passwords are remembered. At the bound all are forgotten.
const DENIED_MAX: usize = 4096;

/// How long a wrong password is remembered. Within it, a client that repeats it costs the database
/// nothing; and whoever set it meanwhile waits no longer than this.
const DENIED: Duration = Duration::from_secs(3);

/// How many connections ask the database at once. They come on top of the pools'.
const AT_ONCE: usize = 2;

/// What a verifier is made with.
#[derive(Debug)]
pub struct VerifierOptions {
    /// The database to ask.
    pub target: Arc<Target>,
    /// How long it is believed without asking again. Default 5 minutes.
    pub fresh: Duration,
}

impl VerifierOptions {
    /// Asks `target` every 5 minutes.
    pub const fn new(target: Arc<Target>) -> Self {
        Self { target, fresh: Duration::from_secs(300) }
    }
}

/// Verifies accounts against the database. Keep it across reloads, for what it remembers.
#[derive(Debug)]
pub struct Verifier {
    options: VerifierOptions,
    memory: Mutex<Memory>,
    at_once: Semaphore,
}

#[derive(Debug, Default)]
struct Memory {
    known: HashMap<Box<str>, Record>,
    /// When wrong passwords are forgotten, by their hash together with the user.
    denied: HashMap<[u8; 32], Instant>,
}

#[derive(Debug)]
struct Record {
    account: Arc<Account>,
    verified_at: Instant,
    check: Check,
}

/// Whether somebody asks the database about a stale account already.
#[derive(Debug, PartialEq, Eq)]
enum Check {
    Due,
    UnderWay,
}

impl Verifier {
    /// A verifier that knows nobody yet.
    pub fn new(options: VerifierOptions) -> Arc<Self> {
        Arc::new(Self { options, memory: Mutex::default(), at_once: Semaphore::new(AT_ONCE) })
    }

    /// The account of that name, if it is remembered. A stale one is verified again meanwhile.
    pub(super) fn recall(self: &Arc<Self>, user: &str) -> Option<Arc<Account>> {
        let now = Instant::now();
        let mut memory = self.memory.lock();
        let record = memory.known.get_mut(user)?;
        let age = now.saturating_duration_since(record.verified_at);
        if age >= self.options.fresh * 2 {
            memory.known.remove(user);
            return None;
        }
        if age >= self.options.fresh && record.check == Check::Due {
            record.check = Check::UnderWay;
            tokio::spawn(Arc::clone(self).check_again(Arc::clone(&record.account)));
        }
        Some(Arc::clone(&record.account))
    }

    /// Asks the database whether `password` is right, unless it said so a moment ago.
    pub(super) async fn verify(
        &self,
        user: &str,
        password: Secret,
    ) -> Result<Arc<Account>, Denial> {
        let key = denied_key(user, &password);
        if let Some(answer) = self.remembered(user, &password, &key) {
            return answer;
        }
        let _turn = self.at_once.acquire().await.expect("the semaphore is never closed");
        // A herd asks the same thing at once: whoever comes second finds the first one's answer.
        if let Some(answer) = self.remembered(user, &password, &key) {
            return answer;
        }
        let account = Arc::new(Account::new(user, password));
        let answer = self.ask(&account).await;
        let mut memory = self.memory.lock();
        match &answer {
            Ok(()) => memory.remember(Arc::clone(&account), Instant::now()),
            Err(Denial::Wrong) => memory.deny(key, Instant::now()),
            Err(_) => {}
        }
        answer.map(|()| account)
    }

    async fn check_again(self: Arc<Self>, account: Arc<Account>) {
        let _turn = self.at_once.acquire().await.expect("the semaphore is never closed");
        let answer = self.ask(&account).await;
        let mut memory = self.memory.lock();
        match answer {
            Ok(()) => memory.remember(account, Instant::now()),
            Err(Denial::Wrong | Denial::Refused(_)) => drop(memory.known.remove(&*account.user)),
            // The database could not be asked: the next login has it asked again.
            Err(error) => {
                tracing::warn!(user = &*account.user, %error, "an account was not verified again");
                if let Some(record) = memory.known.get_mut(&*account.user) {
                    record.check = Check::Due;
                }
            }
        }
    }

    /// What was answered a moment ago, if anything.
    fn remembered(
        &self,
        user: &str,
        password: &Secret,
        key: &[u8; 32],
    ) -> Option<Result<Arc<Account>, Denial>> {
        let now = Instant::now();
        let memory = self.memory.lock();
        if memory.denied.get(key).is_some_and(|until| now < *until) {
            return Some(Err(Denial::Wrong));
        }
        let record = memory.known.get(user)?;
        let fresh = now.saturating_duration_since(record.verified_at) < self.options.fresh;
        (fresh && record.account.password() == Some(password))
            .then(|| Ok(Arc::clone(&record.account)))
    }

    /// Logs in at the database and out again.
    async fn ask(&self, account: &Account) -> Result<(), Denial> {
        match connect::connect(&self.options.target, account, &Wishes::control()).await {
            Ok(connected) => {
                if let Err(error) = connected.quit().await {
                    tracing::debug!(%error, "a verified connection broke before it was closed");
                }
                Ok(())
            }
            Err(error) if !error.is_refusal() => Err(Denial::Unverifiable(error)),
            Err(ConnectError::Refused(error)) if error.code != code::ACCESS_DENIED => {
                Err(Denial::Refused(error))
            }
            // Also where the guard cannot speak the account's plugin: for an account that does not
            // exist, MySQL asks for whichever, so the two must look alike.
            Err(error) => {
                tracing::info!(user = &*account.user, %error, "an account was not verified");
                Err(Denial::Wrong)
            }
        }
    }
}

impl Memory {
    fn remember(&mut self, account: Arc<Account>, now: Instant) {
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(&*account.user) {
            let oldest = self.known.iter().min_by_key(|(_, record)| record.verified_at);
            if let Some(oldest) = oldest.map(|(user, _)| user.clone()) {
                self.known.remove(&oldest);
            }
        }
        let record = Record { account, verified_at: now, check: Check::Due };
        self.known.insert((&*record.account.user).into(), record);
    }

    fn deny(&mut self, key: [u8; 32], now: Instant) {
        if self.denied.len() >= DENIED_MAX {
            self.denied.retain(|_, until| now < *until);
        }
        if self.denied.len() >= DENIED_MAX {
            self.denied.clear();
        }
        self.denied.insert(key, now + DENIED);
    }
}

fn denied_key(user: &str, password: &Secret) -> [u8; 32] {
    Sha256::new()
        .chain_update(user)
        .chain_update([0])
        .chain_update(password.expose())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests;
