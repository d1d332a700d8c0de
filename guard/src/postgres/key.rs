//! What a connection is cancelled by: a number and a secret. Databases give the guard such keys, and
//! the guard gives clients its own.
//!
//! ```text
//! version 3.0   process id: the session's   secret: 4 random bytes
//! version 3.2   process id: the session's   secret: 32 random bytes
//! ```
//!
//! The session's number carries which guard gave it (`session/registry.rs`), of those that clients reach under one
//! address: a client that asks another one to cancel is not mistaken for a session there, and the log says why
//! nothing was cancelled.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use wire::postgres::backend::BackendKeyData;
use wire::postgres::startup::{CANCEL_KEY_MIN, CancelKey, CancelRequest, Version};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// How long a secret for clients of version 3.2 is, in bytes; as PostgreSQL's own.
const LONG_LEN: usize = 32;

/// The number of a connection, and the secret that proves that one may cancel it. Keys are compared
/// in constant time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendKey {
    /// The number: a server's process id, unless a proxy made it up; a client's session.
    pub process_id: u32,
    secret: Secret,
}

impl BackendKey {
    /// A new key for the client of a session.
    pub fn of_session(id: u32, version: Version) -> Self {
        let long = version >= Version::V3_2;
        let mut secret = Zeroizing::new(vec![0; if long { LONG_LEN } else { CANCEL_KEY_MIN }]);
        aws_lc_rs::rand::fill(&mut secret)
            .expect("aws-lc aborts rather than run out of randomness");
        Self { process_id: id, secret: secret.into() }
    }

    /// The secret as it is sent.
    pub fn secret(&self) -> CancelKey<'_> {
        CancelKey::new(self.secret.expose()).expect("it was one when it was kept")
    }
}

/// The keys that clients were given.
#[derive(Debug, Default)]
pub struct Keys(Mutex<HashMap<u32, BackendKey>>);

impl Keys {
    /// Enters a key until the listing is dropped.
    pub fn list(self: &Arc<Self>, key: BackendKey) -> Listing {
        let session = key.process_id;
        self.0.lock().insert(session, key);
        Listing { keys: Arc::clone(self), session }
    }

    /// Whether a client was given this key, and is still there.
    pub fn has(&self, key: &BackendKey) -> bool {
        self.0.lock().get(&key.process_id).is_some_and(|own| own == key)
    }
}

/// A key's place among those by which sessions are cancelled; it leaves when dropped.
#[derive(Debug)]
pub struct Listing {
    keys: Arc<Keys>,
    session: u32,
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.keys.0.lock().remove(&self.session);
    }
}

/// Keeps what a server has sent.
impl From<BackendKeyData<'_>> for BackendKey {
    fn from(data: BackendKeyData<'_>) -> Self {
        Self { process_id: data.process, secret: data.key.as_bytes().into() }
    }
}

/// Keeps what a client has sent.
impl From<CancelRequest<'_>> for BackendKey {
    fn from(request: CancelRequest<'_>) -> Self {
        Self { process_id: request.process, secret: request.key.as_bytes().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_as_long_as_its_version_has_it_and_new_each_time() {
        let short = BackendKey::of_session(1 << 30, Version::V3_0);
        assert_eq!(short.secret().as_bytes().len(), 4);
        let long = BackendKey::of_session(1 << 30, Version::V3_2);
        assert_eq!(long.secret().as_bytes().len(), 32);
        assert_ne!(long, BackendKey::of_session(1 << 30, Version::V3_2));
        assert_eq!(long, BackendKey::from(CancelRequest { process: 1 << 30, key: long.secret() }));
        assert_ne!(long, BackendKey::from(CancelRequest { process: 1, key: long.secret() }));
    }
}
