//! What a connection is cancelled by.

use wire::postgres::backend::BackendKeyData;
use wire::postgres::startup::CancelKey;

use crate::secret::Secret;

/// The number of a server's connection, and the secret that proves that one may cancel it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendKey {
    /// The number: a process id, unless a proxy made it up.
    pub process_id: u32,
    secret: Secret,
}

impl BackendKey {
    /// Keeps what a server has sent.
    pub(super) fn of(data: BackendKeyData<'_>) -> Self {
        Self { process_id: data.process, secret: data.key.as_bytes().into() }
    }

    /// The secret as it is sent.
    pub(super) fn secret(&self) -> CancelKey<'_> {
        CancelKey::new(self.secret.expose()).expect("it was one when it was kept")
    }
}
