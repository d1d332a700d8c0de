use subtle::{Choice, ConstantTimeEq};

use super::client::Derivation;
use super::keys::{KEY_LEN, Key, Keys, hash};
use super::message::{decoded, decoded_key, encoded, number};
use crate::{Malformed, Reader};

/// Bytes of salt in secrets that PostgreSQL makes.
pub const SALT_LEN: usize = 16;

/// What a server keeps, as in `pg_authid.rolpassword`. It does not show itself in logs.
/// <https://www.postgresql.org/docs/current/catalog-pg-authid.html>
#[derive(Clone)]
pub struct Secret {
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    pub(super) stored: Key,
    pub(super) server: Key,
    pub(super) owner: Owner,
}

/// Whose secret it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    User,
    /// Nobody's: no proof is right.
    Nobody,
}

const NAME: &str = "secret of SCRAM";

impl Secret {
    /// The secret of a user with those keys.
    pub fn of(keys: &Keys, salt: &[u8], iterations: u32) -> Self {
        Self {
            iterations,
            salt: salt.to_vec(),
            stored: keys.stored(),
            server: keys.server,
            owner: Owner::User,
        }
    }

    /// A secret for a user that does not exist, so that who asks cannot tell. `seed` is the guard's
    /// own and stays the same: the same user always sees the same salt. Every proof is wrong.
    pub fn mock(user: &[u8], seed: &[u8; KEY_LEN], iterations: u32) -> Self {
        let salt = hash(&[user, seed].concat());
        Self {
            iterations,
            salt: salt[..SALT_LEN].to_vec(),
            stored: Key::default(),
            server: Key::default(),
            owner: Owner::Nobody,
        }
    }

    /// Reads `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
    ///
    /// # Errors
    /// When it is another kind of secret, or none.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let mut parts = text.split(|&byte| byte == b'$');
        let wrong = Reader::new(NAME, text).err("not SCRAM-SHA-256$n:salt$key:key");
        let [Some(b"SCRAM-SHA-256"), Some(head), Some(keys), None] =
            [parts.next(), parts.next(), parts.next(), parts.next()]
        else {
            return Err(wrong);
        };
        let (iterations, salt) = halves(head).ok_or(wrong)?;
        let (stored, server) = halves(keys).ok_or(wrong)?;
        Ok(Self {
            iterations: number(NAME, iterations)?,
            salt: decoded(NAME, salt)?,
            stored: decoded_key(NAME, stored)?,
            server: decoded_key(NAME, server)?,
            owner: Owner::User,
        })
    }

    /// For which salt its keys are derived. The iterations are as many as the secret says, which
    /// may be more than [`ITERATIONS_MAX`](super::ITERATIONS_MAX).
    pub fn derivation(&self) -> Derivation {
        Derivation { salt: self.salt.clone(), iterations: self.iterations }
    }

    /// Whether `keys` are its keys; of nobody's secret none are.
    pub fn is_of(&self, keys: &Keys) -> bool {
        let known = Choice::from(u8::from(self.owner == Owner::User));
        let stored = keys.stored().ct_eq(&self.stored) & keys.server.ct_eq(&self.server);
        (stored & known).into()
    }

    /// The text that [`Secret::parse`] reads.
    pub fn text(&self) -> String {
        format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            encoded(&self.salt),
            encoded(&self.stored),
            encoded(&self.server)
        )
    }

    /// The keys, if `client_key`, which a proof has told, is of this secret. They log in wherever the
    /// same secret is kept.
    pub fn keys(&self, client_key: [u8; KEY_LEN]) -> Option<Keys> {
        let keys = Keys { client: client_key, server: self.server };
        bool::from(keys.stored().ct_eq(&self.stored)).then_some(keys)
    }
}

/// Of the keys, in the same time whatever differs.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let keys = self.stored.ct_eq(&other.stored) & self.server.ct_eq(&other.server);
        let open = (self.iterations, &self.salt, self.owner);
        open == (other.iterations, &other.salt, other.owner) && keys.into()
    }
}

impl Eq for Secret {}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} iterations)", self.iterations)
    }
}

fn halves(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = part.iter().position(|&byte| byte == b':')?;
    Some((&part[..colon], &part[colon + 1..]))
}
