use subtle::ConstantTimeEq;

use super::keys::{ITERATIONS_MAX, Key, Keys, hmac, xor};
use super::message::{attribute, decoded, decoded_key, encoded, is_nonce, number};
use super::{Binding, Failure, Mechanism, NONCE_LEN};
use crate::Reader;

/// What a server's first message asks the keys for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    /// The salt.
    pub salt: Vec<u8>,
    /// How many iterations: at least 1, at most [`ITERATIONS_MAX`].
    pub iterations: u32,
}

/// What a client proves itself with.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// The password. The keys are computed from it, which takes milliseconds.
    Password(&'a [u8]),
    /// The keys, for the salt and iterations that the server is known to have.
    Keys(&'a Keys),
}

/// The client's side, once its first message is made.
#[derive(Debug, Clone)]
pub struct Client {
    mechanism: Mechanism,
    first: String,
    /// Where in `first` what is proved begins: behind the header.
    bare: usize,
    nonce: String,
    covered: String,
}

impl Client {
    /// Begins an exchange. `random` must be new each time.
    ///
    /// The user is not named: the server knows it from the StartupMessage.
    pub fn new(binding: Binding<'_>, random: [u8; NONCE_LEN]) -> Self {
        Self::named("", encoded(&random), binding)
    }

    pub(super) fn named(user: &str, nonce: String, binding: Binding<'_>) -> Self {
        let mechanism = match binding {
            Binding::EndPoint(_) => Mechanism::ScramSha256Plus,
            Binding::Unsupported | Binding::NotOffered => Mechanism::ScramSha256,
        };
        let header = binding.header();
        let first = format!("{header}n={user},r={nonce}");
        Self { mechanism, first, bare: header.len(), nonce, covered: binding.covered() }
    }

    /// The mechanism to choose.
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// What to send first.
    pub const fn message(&self) -> &[u8] {
        self.first.as_bytes()
    }

    /// For which salt the server's first message asks the keys: who keeps them, or computes them
    /// elsewhere, looks here before the [`Client::answer`].
    ///
    /// # Errors
    /// As [`Client::answer`].
    pub fn derivation(&self, server_first: &[u8]) -> Result<Derivation, Failure> {
        self.read(server_first).map(|(_, derivation)| derivation)
    }

    /// Answers the server's first message.
    ///
    /// # Errors
    /// When it is malformed, does not go on with our nonce, or wants too many iterations.
    pub fn answer(
        self,
        server_first: &[u8],
        credential: Credential<'_>,
    ) -> Result<Answer, Failure> {
        let (nonce, Derivation { salt, iterations }) = self.read(server_first)?;
        let keys = match credential {
            Credential::Password(password) => &Keys::derive(password, &salt, iterations),
            Credential::Keys(keys) => keys,
        };
        let bare = &self.first.as_bytes()[self.bare..];
        let unproved = [b"c=", self.covered.as_bytes(), b",r=", nonce].concat();
        let said: [&[u8]; 5] = [bare, b",", server_first, b",", &unproved];
        let proof = xor(keys.client, &hmac(&keys.stored(), &said));
        let message = [&unproved, &b",p="[..], encoded(&proof).as_bytes()].concat();
        Ok(Answer { message, signature: hmac(&keys.server, &said) })
    }

    /// The server's nonce, and what it wants.
    fn read<'m>(&self, server_first: &'m [u8]) -> Result<(&'m [u8], Derivation), Failure> {
        const NAME: &str = "first message of a SCRAM server";
        let mut reader = Reader::new(NAME, server_first);
        if reader.peek_u8() == Some(b'm') {
            return Err(Failure::Unsupported);
        }
        let nonce = attribute(&mut reader, b'r')?;
        let salt = decoded(NAME, attribute(&mut reader, b's')?)?;
        let iterations = number(NAME, attribute(&mut reader, b'i')?)?;
        // Extensions may follow, which nobody has defined.
        let longer = nonce.len() > self.nonce.len() && nonce.starts_with(self.nonce.as_bytes());
        if !longer || !is_nonce(nonce) {
            return Err(Failure::Nonce);
        }
        if !(1..=ITERATIONS_MAX).contains(&iterations) {
            return Err(Failure::Iterations(iterations));
        }
        Ok((nonce, Derivation { salt, iterations }))
    }
}

/// The client's side, once it has proved itself.
#[derive(Debug, Clone)]
pub struct Answer {
    message: Vec<u8>,
    signature: Key,
}

impl Answer {
    /// What to send next.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Checks the server's last message, which proves that it knows the secret.
    ///
    /// # Errors
    /// When it is malformed, refuses our proof, or proves nothing.
    pub fn verify(self, server_final: &[u8]) -> Result<(), Failure> {
        const NAME: &str = "last message of a SCRAM server";
        let mut reader = Reader::new(NAME, server_final);
        if reader.peek_u8() == Some(b'e') {
            return Err(Failure::Refused);
        }
        let signature = decoded_key(NAME, attribute(&mut reader, b'v')?)?;
        let right = signature.ct_eq(&self.signature).into();
        if right { Ok(()) } else { Err(Failure::Signature) }
    }
}
