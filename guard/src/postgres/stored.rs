//! What is kept of a user's password, and how a proof is held against it.
//!
//! ```text
//! kept            proved by                the account then has
//! the password    SCRAM, the password      the password
//! SCRAM-SHA-256$  SCRAM                    the keys that the proof has told
//!                 the password             the password
//! md5…            md5                      what is kept
//!                 the password             the password
//! ```

use std::sync::Arc;

use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tokio::sync::{OnceCell, Semaphore};
use wire::postgres::auth::md5;
use wire::postgres::auth::scram::{self, Derivation, ITERATIONS_MAX, Keys, Proven};
use zeroize::Zeroizing;

use crate::account::{Account, Credential, derive};
use crate::secret::Secret;

/// How many iterations the guard's own secrets have; PostgreSQL's default.
const ITERATIONS: u32 = 4096;

/// What makes the guard's own salts, and those of users that do not exist. It should be the same as
/// long as the guard runs: whoever asks twice sees the same salt.
pub type Seed = Zeroizing<[u8; scram::KEY_LEN]>;

/// A new seed.
pub fn random_seed() -> Seed {
    let mut seed = Seed::default();
    aws_lc_rs::rand::fill(&mut *seed).expect("aws-lc aborts rather than run out of randomness");
    seed
}

/// What is kept of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// The password itself.
    Plain(Secret),
    /// What PostgreSQL keeps for `md5`.
    Md5(Zeroizing<[u8; md5::LEN]>),
    /// What PostgreSQL keeps for SCRAM.
    Scram(scram::Secret),
}

impl From<Secret> for Stored {
    /// Tells by its looks what a text is, as PostgreSQL does.
    /// (postgres:src/backend/libpq/crypt.c `get_password_type`)
    fn from(text: Secret) -> Self {
        let bytes = text.expose();
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if let Some(hex) = bytes.strip_prefix(b"md5")
            && hex.iter().all(is_hex)
            && let Ok(stored) = bytes.try_into()
        {
            return Self::Md5(Zeroizing::new(stored));
        }
        match scram::Secret::parse(bytes) {
            Ok(secret) => Self::Scram(secret),
            Err(_) => Self::Plain(text),
        }
    }
}

/// A user, what is kept of its password, and what was computed from that.
#[derive(Debug)]
pub struct Known {
    user: Arc<str>,
    stored: Stored,
    /// What the guard knows without any proof.
    account: Arc<Account>,
    /// What a proof by SCRAM is held against, once it was needed.
    secret: OnceCell<scram::Secret>,
    /// What the last proof has made of it: all who prove the same share one account.
    proved: Mutex<Option<Arc<Account>>>,
}

impl Known {
    /// A user of which `stored` is kept.
    pub fn new(user: impl Into<Arc<str>>, stored: Stored) -> Self {
        let user = user.into();
        let credential = match &stored {
            Stored::Plain(password) => Credential::Password(password.clone()),
            Stored::Md5(stored) => Credential::Md5(stored.clone()),
            Stored::Scram(_) => Credential::Password(Secret::default()),
        };
        let account = Arc::new(Account::with(Arc::clone(&user), credential));
        Self { user, stored, account, secret: OnceCell::new(), proved: Mutex::default() }
    }

    /// A user that does not exist: nothing proves it.
    pub fn nobody(user: &str, seed: &Seed) -> Self {
        Self::new(user, Stored::Scram(mock(user, seed)))
    }

    /// What is kept.
    pub const fn stored(&self) -> &Stored {
        &self.stored
    }

    /// The account of a client that need not prove anything. Of those that are kept by SCRAM only,
    /// the database must not want a proof either.
    pub fn trusted(&self) -> Arc<Account> {
        Arc::clone(&self.account)
    }

    /// What a proof by SCRAM is held against. Where the password is kept it is computed, once; that
    /// takes a place of `pacing`. Dropping the future leaves it to the next.
    pub async fn secret(&self, seed: &Seed, pacing: &Arc<Semaphore>) -> scram::Secret {
        let secret = self.secret.get_or_init(async || match &self.stored {
            Stored::Scram(secret) => secret.clone(),
            // Nobody has an empty password; PostgreSQL takes it for none.
            Stored::Plain(password) if !password.is_empty() => {
                let derivation =
                    Derivation { salt: salt(&self.user, seed), iterations: ITERATIONS };
                let keys = paced(password.clone(), derivation.clone(), pacing).await;
                scram::Secret::of(&keys, &derivation.salt, ITERATIONS)
            }
            Stored::Plain(_) | Stored::Md5(_) => mock(&self.user, seed),
        });
        secret.await.clone()
    }

    /// The account of a client whose proof by SCRAM was right.
    pub fn proved_by_scram(&self, proven: &Proven) -> Option<Arc<Account>> {
        match &self.stored {
            Stored::Plain(_) => Some(Arc::clone(&self.account)),
            Stored::Scram(secret) => {
                secret.keys(proven.client_key).map(|keys| self.proved(Credential::Scram(keys)))
            }
            Stored::Md5(_) => None,
        }
    }

    /// The account, if `reply` to `salt` proves it.
    pub fn proved_by_md5(&self, reply: &[u8], salt: [u8; 4]) -> Option<Arc<Account>> {
        match &self.stored {
            Stored::Md5(stored) if md5::verify(reply, stored, salt) => {
                Some(Arc::clone(&self.account))
            }
            _ => None,
        }
    }

    /// Whether that password was right before, or is known to be: then no work is needed to tell.
    pub fn recall(&self, password: &Secret) -> Option<Arc<Account>> {
        let is_right = |account: &&Arc<Account>| account.password() == Some(password);
        if password.is_empty() {
            return None;
        }
        let proved = self.proved.lock();
        [Some(&self.account), proved.as_ref()].into_iter().flatten().find(is_right).cloned()
    }

    /// The account, if `password` is right. To find out takes a place of `pacing`; and as long for
    /// users that do not exist.
    pub async fn proved_by_password(
        &self,
        password: Secret,
        seed: &Seed,
        pacing: &Arc<Semaphore>,
    ) -> Option<Arc<Account>> {
        if password.is_empty() {
            return None;
        }
        let is_right = if let Stored::Md5(stored) = &self.stored {
            md5::stored(password.expose(), self.user.as_bytes()).ct_eq(&**stored).into()
        } else {
            let secret = self.secret(seed, pacing).await;
            let derivation = secret.derivation();
            derivation.iterations <= ITERATIONS_MAX
                && secret.is_of(&paced(password.clone(), derivation, pacing).await)
        };
        is_right.then(|| self.proved(Credential::Password(password)))
    }

    /// The account with that credential; the one from before, if it has the same.
    fn proved(&self, credential: Credential) -> Arc<Account> {
        let account = Arc::new(Account::with(Arc::clone(&self.user), credential));
        let mut proved = self.proved.lock();
        match &*proved {
            Some(before) if before.fingerprint() == account.fingerprint() => Arc::clone(before),
            _ => Arc::clone(proved.insert(account)),
        }
    }
}

fn mock(user: &str, seed: &Seed) -> scram::Secret {
    scram::Secret::mock(user.as_bytes(), seed, ITERATIONS)
}

/// The salt that the guard gives a user.
fn salt(user: &str, seed: &Seed) -> Vec<u8> {
    mock(user, seed).derivation().salt
}

/// Computes keys when there is a place.
async fn paced(password: Secret, derivation: Derivation, pacing: &Arc<Semaphore>) -> Keys {
    let place = Arc::clone(pacing).acquire_owned().await;
    let place = place.expect("the semaphore is never closed");
    derive(password, derivation, place).await
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    const VERIFIER: &str = "SCRAM-SHA-256$4096:c2l4dGVlbiBieXRlcyBvaw==$\
                            AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\
                            AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    #[test]
    fn what_is_kept_is_told_by_its_looks() {
        let stored = |text: &str| Stored::from(Secret::from(text));
        assert!(matches!(stored("secret"), Stored::Plain(_)));
        assert!(matches!(stored("md506f5fd0a3579999fd5b25290c424281d"), Stored::Md5(_)));
        assert!(matches!(stored("md506F5FD0A3579999FD5B25290C424281D"), Stored::Plain(_)));
        assert!(matches!(stored("md506f5"), Stored::Plain(_)));
        assert!(matches!(stored(VERIFIER), Stored::Scram(_)));
        assert!(matches!(stored(&VERIFIER[..40]), Stored::Plain(_)));
        assert_eq!(format!("{:?}", stored("secret")), "Plain(***)");
    }

    #[tokio::test]
    async fn a_password_is_right_or_wrong_whatever_is_kept() {
        let (seed, pacing) = (random_seed(), Arc::new(Semaphore::new(1)));
        let keys = Keys::derive(b"secret", b"salt", 16);
        let scram = Stored::Scram(scram::Secret::of(&keys, b"salt", 16));
        let md5 = Stored::Md5(Zeroizing::new(md5::stored(b"secret", b"app")));
        for stored in [Stored::Plain("secret".into()), md5, scram] {
            let known = Known::new("app", stored);
            let check = async |password: &str| {
                let password = Secret::from(password);
                known.proved_by_password(password, &seed, &pacing).await
            };
            assert!(check("Secret").await.is_none());
            assert!(check("").await.is_none());
            let account = check("secret").await.unwrap();
            assert_eq!(account.password(), Some(&"secret".into()));
            assert!(known.recall(&"secret".into()).is_some(), "no work a second time");
            assert!(known.recall(&"Secret".into()).is_none());
        }
        let nobody = Known::nobody("nobody", &seed);
        assert!(nobody.proved_by_password("secret".into(), &seed, &pacing).await.is_none());
        assert!(nobody.recall(&"".into()).is_none());
        let locked = Known::new("locked", Stored::Plain("".into()));
        assert!(locked.proved_by_password("".into(), &seed, &pacing).await.is_none());
    }

    /// A herd's passwords are reckoned one after the other, however many come.
    #[tokio::test]
    async fn a_password_is_reckoned_in_its_turn() {
        let (seed, pacing) = (random_seed(), Arc::new(Semaphore::new(1)));
        let keys = Keys::derive(b"secret", b"salt", 16);
        let known = Known::new("app", Stored::Scram(scram::Secret::of(&keys, b"salt", 16)));
        let others = Arc::clone(&pacing).acquire_owned().await.unwrap();
        let mut proof = std::pin::pin!(known.proved_by_password("secret".into(), &seed, &pacing));
        let polled = std::future::poll_fn(|context| Poll::Ready(proof.as_mut().poll(context)));
        assert!(polled.await.is_pending(), "another has the turn");
        drop(others);
        assert!(proof.await.is_some());
        assert_eq!(pacing.available_permits(), 1);
    }

    /// Verifiers of a server's may say any number of iterations.
    #[tokio::test]
    async fn a_password_that_takes_for_ever_is_not_tried() {
        let (seed, pacing) = (random_seed(), Arc::new(Semaphore::new(1)));
        let text = VERIFIER.replace("4096", "4000000000");
        let known = Known::new("app", Stored::from(Secret::from(text)));
        assert!(known.proved_by_password("secret".into(), &seed, &pacing).await.is_none());
    }
}
