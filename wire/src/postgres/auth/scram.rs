//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS: both sides know that the other knows, and neither can be
//! replayed. <https://www.postgresql.org/docs/current/sasl-authentication.html>, RFC 5802, RFC 7677
//!
//! ```text
//! client  n,,n=,r=NONCE                          or y,, or p=tls-server-end-point,,
//! server  r=NONCE+ITS OWN,s=SALT,i=ITERATIONS
//! client  c=BINDING,r=BOTH NONCES,p=PROOF        ClientKey XOR HMAC(StoredKey, all that was said)
//! server  v=SIGNATURE                            HMAC(ServerKey, all that was said)
//! ```
//!
//! A server keeps a [`Secret`], from which nobody can log in. But the proof tells it the ClientKey:
//! with that and the ServerKey, the [`Keys`], it can log in elsewhere as the same user, wherever the
//! same secret is kept, without ever knowing the password.
//!
//! PLUS binds the exchange to the TLS connection, by a hash of the server's certificate. So it
//! cannot pass through anyone who ends TLS: each leg has its own binding, or none.

mod client;
mod keys;
mod message;
mod secret;
mod server;

pub use client::{Answer, Client, Credential, Derivation};
pub use keys::{ITERATIONS_MAX, KEY_LEN, Keys, prepared};
pub use secret::{SALT_LEN, Secret};
pub use server::{Proven, Server, Start};

use thiserror::Error;

use crate::Malformed;

/// Bytes of randomness in each side's nonce, as PostgreSQL has them.
pub const NONCE_LEN: usize = 18;

/// The mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Without channel binding.
    ScramSha256,
    /// With channel binding; over TLS only.
    ScramSha256Plus,
}

impl Mechanism {
    /// The mechanism of that name on the wire.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::ScramSha256, Self::ScramSha256Plus]
            .into_iter()
            .find(|mechanism| mechanism.name().as_bytes() == name)
    }

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
        }
    }
}

/// What a client says of channel binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding<'a> {
    /// It cannot bind, as without TLS: `n`.
    Unsupported,
    /// It could, but the server did not offer it: `y`. A server that did knows by this that someone
    /// has changed its offer.
    NotOffered,
    /// It binds to this hash of the server's certificate: `p=tls-server-end-point`.
    EndPoint(&'a [u8]),
}

impl Binding<'_> {
    /// What stands before a client's first message.
    const fn header(self) -> &'static str {
        match self {
            Self::Unsupported => "n,,",
            Self::NotOffered => "y,,",
            Self::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    /// What the proof covers: the header again, and what is bound to.
    fn covered(self) -> String {
        let data = match self {
            Self::EndPoint(hash) => hash,
            Self::Unsupported | Self::NotOffered => &[],
        };
        message::encoded(&[self.header().as_bytes(), data].concat())
    }
}

/// Why an exchange has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Failure {
    /// A message is not what it should be.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The client wants something that is not spoken here: another kind of binding, to act as
    /// another user, a mandatory extension.
    #[error("the other side wants an extension of SCRAM")]
    Unsupported,
    /// The binding does not fit the mechanism, or the connection: someone may be in between.
    #[error("channel binding does not match")]
    Binding,
    /// The nonce is not the one that was given.
    #[error("the nonce does not match")]
    Nonce,
    /// The server wants more iterations than [`ITERATIONS_MAX`], or none.
    #[error("{0} iterations are out of bounds")]
    Iterations(u32),
    /// The client does not know the password, or there is no such user.
    #[error("the proof is wrong")]
    Proof,
    /// The server does not know the secret: it is not the one it says.
    #[error("the server's signature is wrong")]
    Signature,
    /// The server has refused the proof.
    #[error("the server refused the proof")]
    Refused,
}

#[cfg(test)]
mod tests;
