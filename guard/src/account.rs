//! What proves an account to a database, whichever protocol that speaks.
//!
//! A password serves everywhere. What a client's proof has told instead serves where the database
//! keeps the same hash of the password, and nowhere else.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use wire::mysql::auth::native;
use wire::postgres::auth::md5;
use wire::postgres::auth::scram::{Derivation, Keys};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// An account, and what proves it.
pub struct Account {
    /// Its name.
    pub user: Arc<str>,
    credential: Credential,
    fingerprint: u64,
    /// The keys of the password, as the database asked for them last: a herd of connections
    /// computes them once.
    derived: Mutex<Option<(Derivation, Keys)>>,
}

/// What proves an account.
pub enum Credential {
    /// The password; if it is empty, none is asked for, or none is known.
    Password(Secret),
    /// SHA1(password), as good as the password for MySQL's `mysql_native_password`.
    NativeStage1(Zeroizing<[u8; native::LEN]>),
    /// The hash that PostgreSQL stores for `md5`, as good as the password for that.
    Md5(Zeroizing<[u8; md5::LEN]>),
    /// The keys of SCRAM for the salt of the secret that they were learnt from: as good as the
    /// password wherever the same secret is stored.
    Scram(Keys),
}

impl Account {
    /// An account whose password is known.
    pub fn new(user: impl Into<Arc<str>>, password: Secret) -> Self {
        Self::with(user, Credential::Password(password))
    }

    /// An account of which only SHA1(password) is known.
    pub fn from_native_stage1(user: impl Into<Arc<str>>, stage1: [u8; native::LEN]) -> Self {
        Self::with(user, Credential::NativeStage1(Zeroizing::new(stage1)))
    }

    /// An account that is proved by `credential`.
    pub fn with(user: impl Into<Arc<str>>, credential: Credential) -> Self {
        let user = user.into();
        let fingerprint = credential.fingerprint(&user);
        Self { user, credential, fingerprint, derived: Mutex::default() }
    }

    /// What proves it.
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The password, if it is known.
    pub const fn password(&self) -> Option<&Secret> {
        match &self.credential {
            Credential::Password(password) => Some(password),
            _ => None,
        }
    }

    /// SHA1(password), if it is known.
    pub fn native_stage1(&self) -> Option<Zeroizing<[u8; native::LEN]>> {
        match &self.credential {
            Credential::Password(password) => {
                Some(Zeroizing::new(native::stage1(password.expose())))
            }
            Credential::NativeStage1(stage1) => Some(stage1.clone()),
            Credential::Md5(_) | Credential::Scram(_) => None,
        }
    }

    /// The keys of SCRAM, if they are known or can be computed. Keys that were learnt may turn out
    /// to be of another salt than `derivation`'s.
    ///
    /// Computing them takes milliseconds of a thread that is not the runtime's. Whoever asks for
    /// the same meanwhile waits and finds them. Dropping the future does not stop it.
    pub async fn scram_keys(&self, derivation: Derivation) -> Option<Keys> {
        let password = match &self.credential {
            Credential::Password(password) if !password.is_empty() => password.clone(),
            Credential::Scram(keys) => return Some(keys.clone()),
            _ => return None,
        };
        let mut derived = self.derived.lock().await;
        if let Some((of, keys)) = &*derived
            && *of == derivation
        {
            return Some(keys.clone());
        }
        let keys = derive(password, derivation.clone(), ()).await;
        Some(derived.insert((derivation, keys)).1.clone())
    }

    /// Whether the account is known to have an empty password.
    pub fn has_no_password(&self) -> bool {
        self.password().is_some_and(Secret::is_empty)
    }

    /// Differs between accounts, and between the passwords of one account: a key for connections
    /// that may be shared.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

// === impl Credential ===

impl Credential {
    fn fingerprint(&self, user: &str) -> u64 {
        let hash = Sha256::new().chain_update(user.as_bytes());
        let hash = match self {
            Self::Password(password) => hash.chain_update(b"\0p").chain_update(password.expose()),
            Self::NativeStage1(stage1) => hash.chain_update(b"\0s").chain_update(&stage1[..]),
            Self::Md5(stored) => hash.chain_update(b"\0m").chain_update(&stored[..]),
            Self::Scram(keys) => {
                hash.chain_update(b"\0k").chain_update(keys.client).chain_update(keys.server)
            }
        };
        let hash: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = hash;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::NativeStage1(_) => "NativeStage1(..)",
            Self::Md5(_) => "Md5(..)",
            Self::Scram(_) => "Scram(..)",
        })
    }
}

/// Computes keys beside the runtime's threads, and drops `place` when that is done, even if nobody
/// waits for them any more.
pub(crate) async fn derive(
    password: Secret,
    derivation: Derivation,
    place: impl Send + 'static,
) -> Keys {
    let Derivation { salt, iterations } = derivation;
    let work = move || {
        let keys = Keys::derive(password.expose(), &salt, iterations);
        drop(place);
        keys
    };
    tokio::task::spawn_blocking(work).await.expect("hashing does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_differ_by_user_and_by_credential() {
        let account = |user: &str, password: &str| Account::new(user, password.into());
        assert_eq!(account("app", "a").fingerprint(), account("app", "a").fingerprint());
        let keys = |client: u8| Keys { client: [client; 32], server: [0; 32] };
        let with = |credential| Account::with("app", credential);
        let accounts = [
            account("app", "secret"),
            account("app", "secret2"),
            account("app", ""),
            account("report", "secret"),
            account("", "secret"),
            Account::from_native_stage1("app", native::stage1(b"secret")),
            with(Credential::Md5(Zeroizing::new(md5::stored(b"secret", b"app")))),
            with(Credential::Scram(keys(1))),
            with(Credential::Scram(keys(2))),
        ];
        let mut all: Vec<_> = accounts.iter().map(Account::fingerprint).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), accounts.len());
    }

    #[test]
    fn an_account_shows_its_name_only() {
        let account = Account::new("app", "hunter2".into());
        assert_eq!(format!("{account:?}"), "Account { user: \"app\", .. }");
        assert_eq!(format!("{:?}", account.credential()), "Password(..)");
    }

    #[tokio::test]
    async fn keys_are_computed_from_the_password_or_are_those_that_were_learnt() {
        let derivation = |salt: &[u8]| Derivation { salt: salt.to_vec(), iterations: 2 };
        let account = Account::new("app", "secret".into());
        for salt in [b"one", b"one", b"two"] {
            let keys = account.scram_keys(derivation(salt)).await.unwrap();
            assert_eq!(keys, Keys::derive(b"secret", salt, 2));
        }
        let keys = Keys::derive(b"secret", b"one", 2);
        let learnt = Account::with("app", Credential::Scram(keys.clone()));
        assert_eq!(learnt.scram_keys(derivation(b"one")).await, Some(keys));
        let md5 = Credential::Md5(Zeroizing::new(md5::stored(b"secret", b"app")));
        assert_eq!(Account::with("app", md5).scram_keys(derivation(b"one")).await, None);
        assert_eq!(Account::new("app", "".into()).scram_keys(derivation(b"one")).await, None);
    }
}
