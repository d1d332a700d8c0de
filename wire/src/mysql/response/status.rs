use std::fmt;

/// The session's status, as OK and EOF packets carry it. ERR packets do not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Status(pub u16);

macro_rules! statuses {
    ($($(#[$doc:meta])+ $name:ident = $bit:literal;)+) => {
        impl Status {
            $($(#[$doc])+ pub const $name: Self = Self($bit);)+

            /// Every named bit.
            const NAMED: &[(&'static str, Self)] = &[$((stringify!($name), Self::$name),)+];
        }
    };
}

statuses! {
    /// A transaction is open.
    IN_TRANS = 0x0001;
    /// Each statement is a transaction of its own unless one is open.
    AUTOCOMMIT = 0x0002;
    /// Another result follows this one.
    MORE_RESULTS = 0x0008;
    /// No good index was used.
    NO_GOOD_INDEX = 0x0010;
    /// No index was used.
    NO_INDEX = 0x0020;
    /// The rows wait in a cursor.
    CURSOR_EXISTS = 0x0040;
    /// The cursor has no more rows.
    LAST_ROW_SENT = 0x0080;
    /// The database of the session was dropped.
    DB_DROPPED = 0x0100;
    /// `\` is an ordinary character in strings: SQL must be read accordingly.
    NO_BACKSLASH_ESCAPES = 0x0200;
    /// A prepared statement was prepared anew and has other columns now.
    METADATA_CHANGED = 0x0400;
    /// The statement took longer than `long_query_time`.
    QUERY_WAS_SLOW = 0x0800;
    /// This result holds the OUT parameters of a CALL.
    PS_OUT_PARAMS = 0x1000;
    /// The open transaction is read-only.
    IN_TRANS_READONLY = 0x2000;
    /// The OK packet carries changes of session state.
    SESSION_STATE_CHANGED = 0x4000;
    /// MariaDB: `"` quotes identifiers: SQL must be read accordingly.
    ANSI_QUOTES = 0x8000;
}

impl Status {
    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The status with `other` set.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The status with `other` cleared.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMED.iter().filter(|(_, bit)| self.contains(*bit)).map(|(name, _)| name);
        f.debug_set().entries(names).finish()
    }
}
