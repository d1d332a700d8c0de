//! What ties a session to its upstream connection beyond a transaction.
//!
//! State that cannot be replayed elsewhere pins the session: the lease is kept between
//! transactions until every cause has ended. The causes are those of MySQL's session state that
//! no tracker can carry to another connection; where a cause has a name (a temporary table, a
//! lock), the pin ends when the last name is gone.

use std::fmt;

/// The most names that are remembered for one session. Past it a cause is kept without names and
/// ends only with a reset: safe, and visible as a pin that stays.
pub const NAMES_MAX: usize = 64;

/// Why a session keeps its upstream connection. Also the label `reason` of the pin metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Pin {
    /// `CREATE TEMPORARY TABLE`, until each is dropped.
    TemporaryTable,
    /// `@x` was assigned. It ends with a reset.
    UserVariable,
    /// `GET_LOCK()`, until each is released.
    NamedLock,
    /// `LOCK TABLES`, `FLUSH TABLES WITH READ LOCK`, until `UNLOCK TABLES`.
    TableLock,
    /// A server-side cursor with rows left.
    Cursor,
    /// `PREPARE` in SQL, until each is deallocated.
    SqlPrepared,
    /// `HANDLER … OPEN`, until each is closed.
    Handler,
    /// `SET TRANSACTION` for the next transaction only.
    NextTransaction,
    /// `COM_STMT_SEND_LONG_DATA`, until the statement is executed or reset.
    LongData,
    /// An XA transaction between its parts.
    Xa,
    /// The client steers the session trackers itself, or a variable that works once.
    Variable,
    /// A role was taken with `SET ROLE`.
    Role,
    /// The client asked for `CONNECTION_ID()`, or `pg_backend_pid()`: it means to `KILL` that thread,
    /// or to find it in the process list, so the thread stays its own. It ends with a reset, and the
    /// thread with it.
    ConnectionId,
    /// The server reported a change of session state that no statement explains.
    Unknown,
    /// `LISTEN`, until `UNLISTEN`.
    Listen,
    /// `currval()` or `lastval()` was asked for: the value is known to this connection only.
    Sequence,
    /// Pooling is off: one upstream connection for each client (`pooling = "session"`).
    Session,
}

impl Pin {
    /// All causes, in the order of their discriminants.
    pub const ALL: [Self; 17] = [
        Self::TemporaryTable,
        Self::UserVariable,
        Self::NamedLock,
        Self::TableLock,
        Self::Cursor,
        Self::SqlPrepared,
        Self::Handler,
        Self::NextTransaction,
        Self::LongData,
        Self::Xa,
        Self::Variable,
        Self::Role,
        Self::ConnectionId,
        Self::Unknown,
        Self::Listen,
        Self::Sequence,
        Self::Session,
    ];

    /// The name in metrics, in `tidegate pins` and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TemporaryTable => "temporary_table",
            Self::UserVariable => "user_variable",
            Self::NamedLock => "named_lock",
            Self::TableLock => "table_lock",
            Self::Cursor => "cursor",
            Self::SqlPrepared => "sql_prepared",
            Self::Handler => "handler",
            Self::NextTransaction => "next_transaction",
            Self::LongData => "long_data",
            Self::Xa => "xa",
            Self::Variable => "variable",
            Self::Role => "role",
            Self::ConnectionId => "connection_id",
            Self::Unknown => "unknown_state",
            Self::Listen => "listen",
            Self::Sequence => "sequence",
            Self::Session => "session_pooling",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The pins of one session.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Pins {
    causes: u32,
    /// Causes with a name each. A cause whose bit is set but that has no name here is kept until
    /// a reset.
    names: Vec<(Pin, Box<[u8]>)>,
    /// Causes of which at least one name is not known.
    unnamed: u32,
}

impl Pins {
    /// Adds a cause that has no name. Returns whether it is new.
    pub fn add(&mut self, pin: Pin) -> bool {
        let is_new = !self.has(pin);
        self.causes |= pin.bit();
        self.unnamed |= pin.bit();
        is_new
    }

    /// Adds a cause by its name (compared without regard to ASCII case); `None` when the name is
    /// not a literal. Returns whether the cause is new.
    pub fn add_named(&mut self, pin: Pin, name: Option<&[u8]>) -> bool {
        let is_new = !self.has(pin);
        self.causes |= pin.bit();
        match name {
            Some(name) if self.names.len() < NAMES_MAX => {
                if !self.names.iter().any(|(p, n)| *p == pin && n.eq_ignore_ascii_case(name)) {
                    self.names.push((pin, name.into()));
                }
            }
            _ => self.unnamed |= pin.bit(),
        }
        is_new
    }

    /// As [`Self::add_named`], for causes that count: what is taken twice must be released twice.
    pub fn add_instance(&mut self, pin: Pin, name: Option<&[u8]>) {
        self.causes |= pin.bit();
        match name {
            Some(name) if self.names.len() < NAMES_MAX => self.names.push((pin, name.into())),
            _ => self.unnamed |= pin.bit(),
        }
    }

    /// Ends a cause altogether.
    pub fn remove(&mut self, pin: Pin) {
        self.causes &= !pin.bit();
        self.unnamed &= !pin.bit();
        self.names.retain(|(p, _)| *p != pin);
    }

    /// Ends one named instance of a cause; the cause ends with its last name.
    pub fn remove_named(&mut self, pin: Pin, name: Option<&[u8]>) {
        let Some(name) = name.filter(|_| self.has(pin)) else { return };
        let found = self.names.iter().position(|(p, n)| *p == pin && n.eq_ignore_ascii_case(name));
        if let Some(index) = found {
            self.names.swap_remove(index);
        }
        let named = self.names.iter().any(|(p, _)| *p == pin);
        if !named && self.unnamed & pin.bit() == 0 {
            self.causes &= !pin.bit();
        }
    }

    /// Ends everything: the connection was reset.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether the session is free to leave its connection.
    pub fn is_empty(&self) -> bool {
        self.causes == 0
    }

    /// Whether `pin` holds.
    pub fn has(&self, pin: Pin) -> bool {
        self.causes & pin.bit() != 0
    }

    /// Whether `pin` may hold by this name.
    pub fn may_have(&self, pin: Pin, name: &[u8]) -> bool {
        self.has(pin)
            && (self.unnamed & pin.bit() != 0
                || self.names.iter().any(|(p, n)| *p == pin && **n == *name))
    }

    /// Whether the session keeps its connection until that is reset. Its prepared statements are then
    /// its own: what their texts mean here may change without the guard hearing of it, and MySQL reads
    /// a user variable as what it was when the statement was prepared.
    pub fn are_for_good(&self) -> bool {
        const FOR_GOOD: [Pin; 5] =
            [Pin::UserVariable, Pin::Variable, Pin::Role, Pin::ConnectionId, Pin::Unknown];
        FOR_GOOD.into_iter().any(|pin| self.has(pin))
    }

    /// Whether locks may be held between transactions: such a session never waits in the gate
    /// (invariant 4).
    pub fn may_hold_locks(&self) -> bool {
        let holding = Pin::NamedLock.bit() | Pin::TableLock.bit() | Pin::Xa.bit();
        self.causes & (holding | Pin::Unknown.bit()) != 0
    }

    /// The causes that hold, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Pin> + '_ {
        Pin::ALL.into_iter().filter(|pin| self.has(*pin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_pin_ends_with_its_last_name() {
        let mut pins = Pins::default();
        assert!(pins.add_named(Pin::TemporaryTable, Some(b"a")));
        assert!(!pins.add_named(Pin::TemporaryTable, Some(b"B")));
        pins.remove_named(Pin::TemporaryTable, Some(b"b"));
        assert!(pins.has(Pin::TemporaryTable));
        pins.remove_named(Pin::TemporaryTable, Some(b"a"));
        assert!(pins.is_empty());
    }

    #[test]
    fn a_lock_taken_twice_is_released_twice() {
        let mut pins = Pins::default();
        pins.add_instance(Pin::NamedLock, Some(b"a"));
        pins.add_instance(Pin::NamedLock, Some(b"a"));
        pins.remove_named(Pin::NamedLock, Some(b"a"));
        assert!(pins.may_hold_locks());
        pins.remove_named(Pin::NamedLock, Some(b"A"));
        assert!(pins.is_empty());
    }

    #[test]
    fn an_unnamed_pin_outlives_the_named_ones() {
        let mut pins = Pins::default();
        pins.add_named(Pin::NamedLock, Some(b"a"));
        pins.add_named(Pin::NamedLock, None);
        pins.remove_named(Pin::NamedLock, Some(b"a"));
        assert!(pins.has(Pin::NamedLock));
        pins.remove(Pin::NamedLock);
        assert!(pins.is_empty());
    }

    #[test]
    fn too_many_names_keep_the_pin_until_a_reset() {
        let mut pins = Pins::default();
        for i in 0..=NAMES_MAX {
            pins.add_named(Pin::Handler, Some(format!("h{i}").as_bytes()));
        }
        for i in 0..=NAMES_MAX {
            pins.remove_named(Pin::Handler, Some(format!("h{i}").as_bytes()));
        }
        assert!(pins.has(Pin::Handler));
    }

    #[test]
    fn discriminants_and_the_list_agree() {
        for (i, pin) in Pin::ALL.into_iter().enumerate() {
            assert_eq!(pin as usize, i);
        }
    }
}
