//! What a statement does to its session: why the session may have to keep its connection.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of effects.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Effects(u64);

macro_rules! effects {
    ($($(#[$doc:meta])* $name:ident = $bit:literal,)*) => {
        impl Effects {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            const NAMES: &[(Self, &'static str)] = &[$((Self::$name, stringify!($name))),*];
        }
    };
}

effects! {
    /// The text holds more than one statement.
    MULTI = 0,
    /// Reads or assigns a user variable (`@x`).
    USER_VARIABLE = 1,
    /// Assigns a user variable.
    ASSIGNS_USER_VARIABLE = 2,
    /// Creates a temporary table; in PostgreSQL also a view or sequence, and not one that vanishes
    /// with its transaction (ON COMMIT DROP).
    CREATES_TEMPORARY = 3,
    /// Drops a temporary table, as far as the text tells.
    DROPS_TEMPORARY = 4,
    /// Calls `GET_LOCK`, or a function of PostgreSQL that takes an advisory lock for the session.
    GET_LOCK = 5,
    /// Calls `RELEASE_LOCK`, `pg_advisory_unlock`.
    RELEASE_LOCK = 6,
    /// Calls `RELEASE_ALL_LOCKS`, `pg_advisory_unlock_all`.
    RELEASE_ALL_LOCKS = 7,
    /// Reads `LAST_INSERT_ID()`, `@@last_insert_id` or `@@identity`; `currval` or `lastval`.
    LAST_INSERT_ID = 8,
    /// Reads `ROW_COUNT()`.
    ROW_COUNT = 9,
    /// Reads `FOUND_ROWS()`.
    FOUND_ROWS = 10,
    /// Asks for `FOUND_ROWS()` of the next statement (`SQL_CALC_FOUND_ROWS`).
    CALC_FOUND_ROWS = 11,
    /// Reads the warnings of the statement before: SHOW WARNINGS or ERRORS, GET DIAGNOSTICS,
    /// `@@warning_count`, `@@error_count`.
    WARNINGS = 12,
    /// Reads `CONNECTION_ID()` or `@@pseudo_thread_id`; `pg_backend_pid()`.
    CONNECTION_ID = 13,
    /// Sets characteristics of the next transaction only.
    NEXT_TRANSACTION = 14,
    /// Commits the transaction it runs in (DDL and others of MySQL).
    IMPLICIT_COMMIT = 15,
    /// Selects into variables.
    INTO_VARIABLE = 16,
    /// Sets a global or persisted variable.
    SETS_GLOBAL = 17,
    /// Sets `autocommit`.
    SETS_AUTOCOMMIT = 18,
    /// Asks the client for a file (LOAD DATA LOCAL).
    INFILE_LOCAL = 19,
    /// Ends a transaction and begins the next (AND CHAIN).
    CHAINS = 20,
    /// Begins a transaction with its snapshot taken at once.
    SERIAL_SNAPSHOT = 21,
    /// The text is longer than is read; the rest may do anything.
    TRUNCATED = 22,
    /// Runs SQL that was prepared before, or prepares or runs SQL that it carries as a value; see
    /// [`Shape::dynamic`](super::Shape::dynamic).
    DYNAMIC = 23,
    /// A statement takes something that stays with its session: LOCK TABLES, HANDLER, XA, PREPARE,
    /// SET ROLE. Of several statements the kind may not tell.
    HOLDS = 24,
    /// Sets variables for the statement that follows in the same text (SET STATEMENT … FOR).
    FOR_STATEMENT = 25,
    /// May call a function of the user's own in a statement that is answered with rows. PostgreSQL:
    /// also CALL and DO, whose code is not read.
    CALLS = 26,
    /// LISTEN.
    LISTENS = 27,
    /// UNLISTEN.
    UNLISTENS = 28,
    /// Declares a cursor that outlives its transaction (DECLARE … WITH HOLD).
    HOLDS_CURSOR = 29,
    /// Prepares a statement under a name (PREPARE … AS). The other effects are what it will do when
    /// it is executed.
    PREPARES = 30,
    /// Sets a parameter for the session: SET, RESET, `set_config(…, false)`.
    SETS_SESSION = 31,
    /// Sets a parameter for the transaction: SET LOCAL, SET TRANSACTION, `set_config(…, true)`. With
    /// [`SETS_SESSION`](Self::SETS_SESSION) it may be either.
    SETS_LOCAL = 32,
    /// Sets the role or the session's user: SET ROLE, SET SESSION AUTHORIZATION and their RESET.
    SETS_ROLE = 33,
    /// Ends everything that the session holds (DISCARD ALL).
    DISCARDS_ALL = 34,
    /// Loads a library into the session's server process (LOAD of PostgreSQL).
    LOADS_LIBRARY = 35,
    /// Calls `nextval` or `setval`. A statement that writes may draw from a sequence without it.
    DRAWS = 36,
    /// Leaves something with the server that is asked, or asks about what is there alone. MySQL: INTO OUTFILE and
    /// DUMPFILE, values of a sequence, `IS_FREE_LOCK`, `IS_USED_LOCK`. PostgreSQL: advisory locks of the transaction,
    /// `pg_notify`, `txid_current`, `pg_cancel_backend`, `pg_blocking_pids`, `pg_is_in_recovery`,
    /// `pg_last_wal_replay_lsn`.
    OF_THE_SERVER = 37,
}

impl Effects {
    /// No effect.
    pub const NONE: Self = Self(0);

    /// Both sets together, where the operator cannot be used.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every effect of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some effect of `other` is in this set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// This set without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Effects {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Effects {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(effect, _)| self.contains(*effect));
        f.debug_set().entries(names.map(|(_, name)| name)).finish()
    }
}
