//! Proofs of a password: challenge and secret in, reply out, and the other way round.
//!
//! Pure functions over bytes; who may log in is decided elsewhere. All comparisons take the same
//! time whatever differs. Encrypting a password for the server's RSA key is not here either: it
//! needs randomness.

pub mod caching_sha2;
pub mod ed25519;
pub mod native;

/// Bytes of the challenge in a greeting and for all plugins but ed25519.
pub const SCRAMBLE_LEN: usize = 20;

/// A challenge: random, without NUL.
pub type Scramble = [u8; SCRAMBLE_LEN];

/// An authentication method that we can speak, on at least one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plugin {
    /// SHA-1, MariaDB's default; gone in MySQL 9.
    NativePassword,
    /// SHA-256, MySQL's default since 8.0.
    CachingSha2Password,
    /// The password as it is, for PAM and LDAP behind the server.
    ClearPassword,
    /// MariaDB's, since 10.1.22.
    Ed25519,
}

impl Plugin {
    const ALL: [Self; 4] =
        [Self::NativePassword, Self::CachingSha2Password, Self::ClearPassword, Self::Ed25519];

    /// The plugin of that name on the wire, if we speak it.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|plugin| plugin.name().as_bytes() == name)
    }

    /// The name on the wire, which is that of the plugin's client half.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NativePassword => "mysql_native_password",
            Self::CachingSha2Password => "caching_sha2_password",
            Self::ClearPassword => "mysql_clear_password",
            Self::Ed25519 => "client_ed25519",
        }
    }
}

fn xor<const N: usize>(mut left: [u8; N], right: &[u8; N]) -> [u8; N] {
    left.iter_mut().zip(right).for_each(|(left, right)| *left ^= right);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_known_by_their_name() {
        for plugin in Plugin::ALL {
            assert_eq!(Plugin::from_name(plugin.name().as_bytes()), Some(plugin));
        }
        assert_eq!(Plugin::from_name(b"dialog"), None);
        assert_eq!(Plugin::from_name(b""), None);
    }
}
