//! What the server's side of a session holds beyond its transactions.
//!
//! No tracker tells what ties a session of PostgreSQL to its connection, and the text of a statement
//! tells only what it may do. So the text *suspects*, and the server is *asked*: behind a transaction
//! that may have changed what is held, one query tells the settings, and whether there is a temporary
//! table, an advisory lock, a channel listened on, a held cursor, a prepared statement. A pin begins
//! when the server says that there is something, and ends when it says that there is nothing.

use std::{fmt::Write as _, sync::Arc};

use policy::sql::{Effects, Kind, Shape};

use super::{
    connection::{Connection, Lost},
    settings::{Quoted, Settings},
};
use crate::session::pins::{Pin, Pins};

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Suspicion(u8);

impl Suspicion {
    /// Parameters.
    pub const SETTINGS: Self = Self(1);
    /// Temporary tables, views, sequences.
    pub const TEMPORARY: Self = Self(1 << 1);
    /// Advisory locks.
    pub const LOCKS: Self = Self(1 << 2);
    /// Channels listened on.
    pub const CHANNELS: Self = Self(1 << 3);
    /// Cursors that outlive their transaction.
    pub const CURSORS: Self = Self(1 << 4);
    /// Statements prepared with SQL.
    pub const PREPARED: Self = Self(1 << 5);
    /// Anything.
    pub const ALL: Self = Self((1 << 6) - 1);

    /// Each that pins, with its pin and the question whether there is any.
    const PINNING: [(Self, Pin, &str); 5] = [
        (
            Self::TEMPORARY,
            Pin::TemporaryTable,
            "EXISTS(SELECT FROM pg_catalog.pg_class WHERE relnamespace \
             OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())",
        ),
        (
            Self::LOCKS,
            Pin::NamedLock,
            "EXISTS(SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' \
             AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())",
        ),
        (Self::CHANNELS, Pin::Listen, "EXISTS(SELECT FROM pg_catalog.pg_listening_channels())"),
        (Self::CURSORS, Pin::Cursor, "EXISTS(SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)"),
        (
            Self::PREPARED,
            Pin::SqlPrepared,
            "EXISTS(SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)",
        ),
    ];

    /// What a statement gives reason to suspect. What is pinned already may have ended by more than
    /// it can have begun by: a table is dropped as if it were no temporary one.
    pub fn of(shape: &Shape, pins: &Pins) -> Self {
        let effects = shape.effects;
        let unread = Effects::CALLS | Effects::TRUNCATED | Effects::DISCARDS_ALL;
        if effects.intersects(unread | Effects::LOADS_LIBRARY) {
            return Self::ALL;
        }
        let reasons = [
            (Effects::SETS_SESSION | Effects::SETS_ROLE, Self::SETTINGS),
            (Effects::CREATES_TEMPORARY, Self::TEMPORARY),
            (Effects::GET_LOCK | Effects::RELEASE_LOCK | Effects::RELEASE_ALL_LOCKS, Self::LOCKS),
            (Effects::LISTENS | Effects::UNLISTENS, Self::CHANNELS),
            (Effects::HOLDS_CURSOR, Self::CURSORS),
            (Effects::PREPARES, Self::PREPARED),
        ];
        let begins = reasons
            .into_iter()
            .filter(|(effect, _)| effects.intersects(*effect))
            .fold(Self::default(), |all, (_, suspicion)| all.and(suspicion));
        match shape.kind {
            // The other way to SET.
            Kind::Update if shape.tables.iter().any(|table| &*table.name == "pg_settings") => {
                begins.and(Self::SETTINGS)
            }
            Kind::Ddl if pins.has(Pin::TemporaryTable) => begins.and(Self::TEMPORARY),
            Kind::Discard => begins.and(Self::TEMPORARY),
            Kind::Close if pins.has(Pin::Cursor) => begins.and(Self::CURSORS),
            Kind::Deallocate => begins.and(Self::PREPARED),
            _ => begins,
        }
    }

    /// Both together.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is nothing to suspect.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether some of `other` is suspected.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a look has found.
#[derive(Debug)]
pub struct Holdings {
    /// The parameters, where they were suspected.
    pub settings: Option<Arc<Settings>>,
    /// The pins that there is, and those that there is not, of those suspected.
    pub pins: Vec<(Pin, bool)>,
}

/// Asks the server about what is suspected. `customs` are names of parameters that the server's list
/// does not have: those with a dot.
///
/// `None` if the server refuses to tell: then nobody knows what the session holds.
///
/// # Errors
/// [`Lost`]. Not cancel-safe: drop the connection then.
pub async fn look(
    connection: &mut Connection,
    suspicion: Suspicion,
    customs: &[Box<str>],
) -> Result<Option<Holdings>, Lost> {
    let answer = connection.query(question(suspicion, customs).as_bytes()).await?;
    let Ok(rows) = answer else { return Ok(None) };
    let mut holdings = Holdings { settings: None, pins: Vec::new() };
    let mut settings = Settings::default();
    for row in rows {
        let mut texts = row.iter().map(|value| {
            value.as_ref().map(|value| String::from_utf8_lossy(value)).unwrap_or_default()
        });
        let (Some(name), Some(value)) = (texts.next(), texts.next()) else { continue };
        match Suspicion::PINNING
            .iter()
            .find(|(_, pin, _)| name.strip_prefix('?') == Some(pin.as_str()))
        {
            Some((_, pin, _)) => holdings.pins.push((*pin, value == "t")),
            None if name == "role" && value == "none" => {}
            None if OF_TRANSACTIONS.contains(&&*name) => {}
            None if name == "lock_timeout" && is_ours(connection, &value) => {}
            None => settings.set(&name, &value),
        }
    }
    if suspicion.has(Suspicion::SETTINGS) {
        holdings.settings = Some(Arc::new(settings));
    }
    Ok(Some(holdings))
}

/// Parameters of one transaction, which each begins anew from those with `default_`.
const OF_TRANSACTIONS: [&str; 3] =
    ["transaction_isolation", "transaction_read_only", "transaction_deferrable"];

/// Whether a lock timeout is the one that the guard has set for a class.
fn is_ours(connection: &Connection, value: &str) -> bool {
    connection.lock_timeout.is_some_and(|ours| value.parse() == Ok(ours))
}

/// Rows of a name and a value: parameters by their name, pins by theirs behind a question mark.
fn question(suspicion: Suspicion, customs: &[Box<str>]) -> String {
    let mut sql = String::new();
    if suspicion.has(Suspicion::SETTINGS) {
        sql.push_str(
            "SELECT name,setting FROM pg_catalog.pg_settings \
             WHERE source OPERATOR(pg_catalog.=) 'session';\
             SELECT 'role',pg_catalog.current_setting('role');",
        );
        for name in customs {
            let _infallible = write!(
                sql,
                "SELECT {0},pg_catalog.current_setting({0},true) \
                 WHERE pg_catalog.current_setting({0},true) IS NOT NULL;",
                Quoted(name)
            );
        }
    }
    for (pinning, pin, holds) in Suspicion::PINNING {
        if suspicion.has(pinning) {
            let _infallible = write!(sql, "SELECT '?{pin}',{holds};");
        }
    }
    sql
}

#[cfg(test)]
mod tests {
    use policy::sql::{Dialect, Scratch, Statements};

    use super::*;

    #[test]
    fn the_text_suspects_and_plain_statements_do_not() {
        let check = |sql: &str, pins: &[Pin], expect: Suspicion| {
            let dialect = Dialect::Postgres { standard_conforming_strings: true };
            let statements = Statements::new(4);
            let shape = statements.judge(sql.as_bytes(), dialect, &mut Scratch::default());
            let mut held = Pins::default();
            for pin in pins {
                held.add(*pin);
            }
            assert_eq!(Suspicion::of(&shape, &held), expect, "{sql}");
        };
        check("SELECT 1", &[], Suspicion::default());
        check("UPDATE t SET a = 1", &[], Suspicion::default());
        check("SET search_path TO a", &[], Suspicion::SETTINGS);
        check("UPDATE pg_settings SET setting = '4'", &[], Suspicion::SETTINGS);
        check("SET LOCAL search_path TO a", &[], Suspicion::default());
        check("CREATE TEMP TABLE t (a int)", &[], Suspicion::TEMPORARY);
        check("DROP TABLE t", &[], Suspicion::default());
        check("DROP TABLE t", &[Pin::TemporaryTable], Suspicion::TEMPORARY);
        check("SELECT pg_advisory_lock(1)", &[], Suspicion::LOCKS);
        check("SELECT pg_advisory_xact_lock(1)", &[], Suspicion::default());
        check("LISTEN a", &[], Suspicion::CHANNELS);
        check("DISCARD ALL", &[], Suspicion::ALL);
        check("DO $$ BEGIN END $$", &[], Suspicion::ALL);
    }

    #[test]
    fn only_what_is_suspected_is_asked() {
        let locks = question(Suspicion::LOCKS, &[]);
        assert!(locks.contains("pg_locks") && !locks.contains("pg_settings"), "{locks}");
        let settings = question(Suspicion::SETTINGS, &["a.b".into()]);
        assert!(settings.contains("E'a.b'") && !settings.contains("pg_locks"), "{settings}");
    }
}
