use subtle::{Choice, ConstantTimeEq};

use super::keys::{KEY_LEN, hash, hmac, xor};
use super::message::{attribute, decoded_key, encoded, is_nonce, up_to_comma};
use super::secret::{Owner, Secret};
use super::{Binding, Failure, Mechanism, NONCE_LEN};
use crate::Reader;

/// How a client began: what its SASLInitialResponse has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start<'a> {
    /// The mechanism that it chose.
    pub mechanism: Mechanism,
    /// Its first message.
    pub message: &'a [u8],
}

/// The server's side, once its first message is made.
#[derive(Debug, Clone)]
pub struct Server {
    secret: Secret,
    /// The client's first message without its header, a comma, and ours.
    said: Vec<u8>,
    /// Where in `said` ours begins.
    first: usize,
    nonce: Vec<u8>,
    covered: String,
}

impl Server {
    /// Answers a client's first message. `end_point` is the hash of our certificate, if PLUS was
    /// offered. `random` must be new each time.
    ///
    /// # Errors
    /// When it is malformed, wants what we do not speak, or does not fit the offer: a client that
    /// believes that PLUS was not offered when it was has been deceived.
    pub fn new(
        start: Start<'_>,
        secret: &Secret,
        end_point: Option<&[u8]>,
        random: [u8; NONCE_LEN],
    ) -> Result<Self, Failure> {
        Self::with_nonce(start, secret, end_point, encoded(&random).as_bytes())
    }

    pub(super) fn with_nonce(
        start: Start<'_>,
        secret: &Secret,
        end_point: Option<&[u8]>,
        nonce: &[u8],
    ) -> Result<Self, Failure> {
        let mut reader = Reader::new("first message of a SCRAM client", start.message);
        let binding = match (up_to_comma(&mut reader)?, start.mechanism, end_point) {
            (b"n", Mechanism::ScramSha256, _) => Binding::Unsupported,
            (b"y", Mechanism::ScramSha256, None) => Binding::NotOffered,
            (b"p=tls-server-end-point", Mechanism::ScramSha256Plus, Some(hash)) => {
                Binding::EndPoint(hash)
            }
            (b"n" | b"y" | b"p=tls-server-end-point", ..) => return Err(Failure::Binding),
            (flag, ..) if flag.starts_with(b"p=") => return Err(Failure::Unsupported),
            _ => return Err(reader.err("no word on channel binding").into()),
        };
        if !up_to_comma(&mut reader)?.is_empty() || reader.peek_u8() == Some(b'm') {
            return Err(Failure::Unsupported);
        }
        let bare = &start.message[reader.position()..];
        attribute(&mut reader, b'n')?;
        let client_nonce = attribute(&mut reader, b'r')?;
        if !is_nonce(client_nonce) {
            return Err(reader.err("no printable nonce").into());
        }
        let nonce = [client_nonce, nonce].concat();
        let mut said = [bare, b",r=", &nonce].concat();
        let rest = format!(",s={},i={}", encoded(&secret.salt), secret.iterations);
        said.extend_from_slice(rest.as_bytes());
        let secret = secret.clone();
        Ok(Self { secret, said, first: bare.len() + 1, nonce, covered: binding.covered() })
    }

    /// What to send first.
    pub fn message(&self) -> &[u8] {
        &self.said[self.first..]
    }

    /// Checks the client's last message.
    ///
    /// # Errors
    /// When it is malformed, is bound to something else, has another nonce, or proves nothing.
    pub fn verify(self, client_final: &[u8]) -> Result<Proven, Failure> {
        const NAME: &str = "last message of a SCRAM client";
        let mut reader = Reader::new(NAME, client_final);
        let covered = attribute(&mut reader, b'c')?;
        let nonce = attribute(&mut reader, b'r')?;
        let mut unproved = reader.position().saturating_sub(1);
        while reader.peek_u8().is_some_and(|name| name != b'p') {
            up_to_comma(&mut reader)?;
            unproved = reader.position().saturating_sub(1);
        }
        let proof = decoded_key(NAME, attribute(&mut reader, b'p')?)?;
        reader.end()?;
        if covered != self.covered.as_bytes() {
            return Err(Failure::Binding);
        }
        if nonce != self.nonce {
            return Err(Failure::Nonce);
        }
        let said: [&[u8]; 3] = [&self.said, b",", &client_final[..unproved]];
        let client_key = xor(proof, &hmac(&self.secret.stored, &said));
        let known = Choice::from(u8::from(self.secret.owner == Owner::User));
        if (hash(&client_key).ct_eq(&self.secret.stored) & known).into() {
            let signature = hmac(&self.secret.server, &said);
            let message = format!("v={}", encoded(&signature)).into_bytes();
            Ok(Proven { message, client_key })
        } else {
            Err(Failure::Proof)
        }
    }
}

/// The client knows the password. The key does not show itself in logs.
#[derive(Clone)]
pub struct Proven {
    /// What to send last: it proves us to the client.
    pub message: Vec<u8>,
    /// The key that the proof has told; see [`Secret::keys`].
    pub client_key: [u8; KEY_LEN],
}

impl std::fmt::Debug for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proven(..)")
    }
}
