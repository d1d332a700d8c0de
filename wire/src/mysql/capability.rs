//! What client and server may say to each other, settled once in the handshake.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html>
//! and, for bits 32 and up, <https://mariadb.com/docs/server/reference/clientserver-protocol/1-connecting/connection>

use std::fmt;
use std::ops::BitOr;

/// A set of capabilities: bits 0 to 31 are common, bits 32 to 63 are MariaDB's extension.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Capabilities(pub u64);

macro_rules! capabilities {
    ($($(#[$doc:meta])+ $name:ident = $bit:literal;)+) => {
        impl Capabilities {
            $($(#[$doc])+ pub const $name: Self = Self(1 << $bit);)+

            /// Every named capability, in the order of its bit.
            const NAMED: &[(&'static str, Self)] = &[$((stringify!($name), Self::$name),)+];
        }
    };
}

capabilities! {
    /// `CLIENT_LONG_PASSWORD` of MySQL and `CLIENT_MYSQL` of MariaDB, whose servers leave it unset
    /// to say that bits 32 and up are sent.
    LONG_PASSWORD = 0;
    /// UPDATE counts the rows found, not those changed.
    FOUND_ROWS = 1;
    /// Column flags are long.
    LONG_FLAG = 2;
    /// The handshake may name a database.
    CONNECT_WITH_DB = 3;
    /// `database.table.column` is refused.
    NO_SCHEMA = 4;
    /// zlib compression.
    COMPRESS = 5;
    /// Was for ODBC; without effect.
    ODBC = 6;
    /// The client can send files for LOAD DATA LOCAL.
    LOCAL_FILES = 7;
    /// Spaces may stand before `(`.
    IGNORE_SPACE = 8;
    /// The protocol of 4.1, which is assumed throughout.
    PROTOCOL_41 = 9;
    /// `interactive_timeout` holds instead of `wait_timeout`.
    INTERACTIVE = 10;
    /// The client switches to TLS before it authenticates.
    SSL = 11;
    /// Without effect on the wire.
    IGNORE_SIGPIPE = 12;
    /// OK and EOF packets carry status flags.
    TRANSACTIONS = 13;
    /// Was the 4.1 protocol; without effect.
    RESERVED = 14;
    /// The authentication of 4.1: the scramble has 20 bytes.
    SECURE_CONNECTION = 15;
    /// One COM_QUERY may hold several statements.
    MULTI_STATEMENTS = 16;
    /// COM_QUERY may return several results.
    MULTI_RESULTS = 17;
    /// COM_STMT_EXECUTE may return several results.
    PS_MULTI_RESULTS = 18;
    /// Authentication plugins are named and may be switched.
    PLUGIN_AUTH = 19;
    /// The handshake carries connection attributes.
    CONNECT_ATTRS = 20;
    /// The authentication data has a length-encoded length and may exceed 255 bytes.
    PLUGIN_AUTH_LENENC_CLIENT_DATA = 21;
    /// The client understands the sandbox of an expired password.
    CAN_HANDLE_EXPIRED_PASSWORDS = 22;
    /// OK packets may carry changes of session state.
    SESSION_TRACK = 23;
    /// Result sets end with an OK packet, and no EOF follows the columns.
    DEPRECATE_EOF = 24;
    /// A result set may come without column definitions.
    OPTIONAL_RESULTSET_METADATA = 25;
    /// zstd compression.
    ZSTD_COMPRESSION_ALGORITHM = 26;
    /// COM_QUERY and COM_STMT_EXECUTE may carry attributes (MySQL 8.0.23 and up).
    QUERY_ATTRIBUTES = 27;
    /// More than one factor of authentication.
    MULTI_FACTOR_AUTHENTICATION = 28;
    /// Reserved for an extension of these 32 bits.
    CAPABILITY_EXTENSION = 29;
    /// The client verifies the server's certificate.
    SSL_VERIFY_SERVER_CERT = 30;
    /// The client keeps its options after a failed connect; never on the wire.
    REMEMBER_OPTIONS = 31;
    /// MariaDB: the server may report the progress of long statements.
    PROGRESS = 32;
    /// MariaDB: COM_MULTI, since removed.
    COM_MULTI = 33;
    /// MariaDB: COM_STMT_BULK_EXECUTE.
    STMT_BULK_OPERATIONS = 34;
    /// MariaDB 10.5 and up: column definitions name extended types.
    EXTENDED_METADATA = 35;
    /// MariaDB 10.6 and up: COM_STMT_EXECUTE may leave out column definitions that are known.
    CACHE_METADATA = 36;
    /// MariaDB 11.5 and up: COM_STMT_BULK_EXECUTE may return a row per set of parameters.
    BULK_UNIT_RESULTS = 37;
}

impl Capabilities {
    /// Whether all of `other` are in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The set with `other` added.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set with `other` taken out.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMED.iter().filter(|(_, bit)| self.contains(*bit)).map(|(name, _)| name);
        f.debug_set().entries(names).finish()
    }
}
