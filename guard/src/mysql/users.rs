//! Who may log in, and with what the guard logs in at the database for them.
//!
//! An account is *listed* (in the configuration or the password file), with its password or with
//! the hash that `mysql_native_password` stores; or it is not, and then the database is asked
//! ([`Verifier`]), if that is wanted. Names that nobody knows are treated as a listed account with a
//! password that nobody can know: same steps, same time, same words.

mod verify;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;
use wire::mysql::auth::{Plugin, Scramble, caching_sha2, native};
use zeroize::Zeroizing;

pub use self::verify::{Verifier, VerifierOptions};
use super::connect::{ConnectError, ServerError};
use crate::account::Account;
use crate::secret::Secret;
use crate::users::{Entry, Failures};

/// Whether `reply` proves that account's password.
fn is_proved_by(account: &Account, plugin: Plugin, reply: &[u8], scramble: &Scramble) -> bool {
    if is_empty_reply(plugin, reply) {
        return account.has_no_password();
    }
    match plugin {
        Plugin::NativePassword => account.native_stage1().is_some_and(|stage1| {
            native::verify(reply, scramble, &native::stage2(&stage1)).is_some()
        }),
        Plugin::CachingSha2Password => account.password().is_some_and(|password| {
            caching_sha2::verify(reply, scramble, &caching_sha2::digest(password.expose()))
        }),
        _ => false,
    }
}

/// Whether a reply says that the password is empty.
fn is_empty_reply(plugin: Plugin, reply: &[u8]) -> bool {
    reply.is_empty() || (plugin == Plugin::CachingSha2Password && reply == [0])
}

/// All accounts that may log in.
#[derive(Debug)]
pub struct Users {
    listed: HashMap<Box<str>, Listed>,
    decoy: Account,
    verifier: Option<Arc<Verifier>>,
    failures: Failures,
    /// Whether some accounts can be checked only by their password itself. If so, every wrong proof
    /// leads to being asked for it, lest one could tell which these are.
    full: bool,
}

#[derive(Debug)]
enum Listed {
    Known(Arc<Account>),
    Hashed([u8; native::LEN]),
}

/// What a first proof is worth.
#[derive(Debug)]
pub enum Verdict {
    /// It is right.
    Right(Arc<Account>),
    /// It is wrong.
    Wrong,
    /// Only the password itself can tell.
    Unclear,
}

/// Why a password does not let its owner in.
#[derive(Debug, Error)]
pub enum Denial {
    /// It is wrong, or the account does not exist.
    #[error("wrong user name or password")]
    Wrong,
    /// Too many were wrong from that address.
    #[error("too many wrong passwords from this address")]
    TooMany {
        /// When the next attempt is looked at.
        retry_after: Duration,
    },
    /// The database refused the account for another reason, such as that it is locked.
    #[error("the database refused: {0}")]
    Refused(ServerError),
    /// The database could not be asked.
    #[error("the password could not be verified: {0}")]
    Unverifiable(ConnectError),
}

impl Users {
    /// The accounts `listed`, of which a later one replaces an earlier one of the same name; and
    /// all those that `verifier` finds in the database.
    pub fn new(listed: impl IntoIterator<Item = Entry>, verifier: Option<Arc<Verifier>>) -> Self {
        let listed: HashMap<_, _> = listed
            .into_iter()
            .map(|entry| {
                let text = str::from_utf8(entry.secret.expose()).ok();
                let listed = match text.and_then(native::parse_hash) {
                    Some(hash) => Listed::Hashed(hash),
                    None => Listed::Known(Arc::new(Account::new(&*entry.user, entry.secret))),
                };
                (entry.user, listed)
            })
            .collect();
        let full =
            verifier.is_some() || listed.values().any(|listed| matches!(listed, Listed::Hashed(_)));
        let decoy = Account::new("", random_secret());
        Self { listed, decoy, verifier, failures: Failures::default(), full }
    }

    /// Looks at a proof over `scramble`; costs a few microseconds.
    pub fn judge(&self, user: &str, plugin: Plugin, reply: &[u8], scramble: &Scramble) -> Verdict {
        let wrong = match self.full && plugin == Plugin::CachingSha2Password {
            true => Verdict::Unclear,
            false => Verdict::Wrong,
        };
        match self.listed.get(user) {
            Some(Listed::Hashed(stage2)) if plugin == Plugin::NativePassword => {
                native::verify(reply, scramble, stage2)
                    .map(|stage1| Arc::new(Account::from_native_stage1(user, stage1)))
                    .map_or(wrong, Verdict::Right)
            }
            Some(Listed::Hashed(_)) => Verdict::Unclear,
            Some(Listed::Known(account)) if is_proved_by(account, plugin, reply, scramble) => {
                Verdict::Right(Arc::clone(account))
            }
            Some(Listed::Known(_)) => wrong,
            None => {
                let remembered = self.verifier.as_ref().map(|verifier| verifier.recall(user));
                match remembered {
                    Some(Some(account)) if is_proved_by(&account, plugin, reply, scramble) => {
                        Verdict::Right(account)
                    }
                    Some(_) => Verdict::Unclear,
                    None => {
                        is_proved_by(&self.decoy, plugin, reply, scramble);
                        wrong
                    }
                }
            }
        }
    }

    /// Whether passwords from `from` are looked at now: decrypting and asking the database are work
    /// that nobody shall make the guard do for nothing.
    ///
    /// # Errors
    /// [`Denial::TooMany`].
    pub fn admit(&self, from: IpAddr) -> Result<(), Denial> {
        self.failures
            .check(from, Instant::now())
            .map_err(|retry_after| Denial::TooMany { retry_after })
    }

    /// Looks at a password; may ask the database.
    ///
    /// # Errors
    /// [`Denial`]; wrong ones are counted against `from`.
    pub async fn verify(
        &self,
        user: &str,
        password: Secret,
        from: IpAddr,
    ) -> Result<Arc<Account>, Denial> {
        let result = match (self.listed.get(user), &self.verifier) {
            (Some(Listed::Known(account)), _) if account.password() == Some(&password) => {
                Ok(Arc::clone(account))
            }
            (Some(Listed::Hashed(stage2)), _)
                if native::stage2(&native::stage1(password.expose())) == *stage2 =>
            {
                Ok(Arc::new(Account::new(user, password)))
            }
            (None, Some(verifier)) => verifier.verify(user, password).await,
            _ => Err(Denial::Wrong),
        };
        if matches!(result, Err(Denial::Wrong)) {
            self.failures.note(from, Instant::now());
        }
        result
    }
}

/// A password that nobody can know.
fn random_secret() -> Secret {
    let mut bytes = Zeroizing::new(vec![0; 32]);
    aws_lc_rs::rand::fill(&mut bytes).expect("aws-lc aborts rather than run out of randomness");
    bytes.into()
}

#[cfg(test)]
mod tests;
