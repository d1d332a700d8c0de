//! How a connection changes hands.
//!
//! A connection carries a label, its [`Settings`]. Where the next session expects the same, nothing
//! is sent. Otherwise the difference is set, and answered, before the session's own statement goes
//! out: it must not run under another's `search_path` because the step before it failed.

use std::sync::Arc;

use thiserror::Error;

use super::{
    connect::ServerError,
    connection::{Connection, Lost},
    sequences::{self, Draws},
    settings::Settings,
};

/// Why a connection did not change hands.
#[derive(Debug, Error)]
pub enum HandoverError {
    /// It is broken.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The database refuses the session's state, for instance a role that was dropped. The
    /// connection is as it was.
    #[error("the database refuses the session's settings: {0}")]
    Refused(ServerError),
}

/// What a session expects of the connection that it takes.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// Which session it is; 0 for the guard itself.
    pub session: u64,
    /// What it is set to.
    pub settings: &'a Arc<Settings>,
    /// The class's `lock_timeout`, in milliseconds; a session that has set its own keeps that.
    pub lock_timeout: Option<u64>,
    /// Whether it may ask what was drawn from sequences.
    pub asks_draws: bool,
}

/// Makes `connection` what the session expects. Sends nothing when it is already. No transaction is
/// open on it.
///
/// What another than this session may have set without the server telling of it, goes; so does what
/// another has drawn, where that may be asked for.
///
/// # Errors
/// [`HandoverError`]. Not cancel-safe: drop the connection then.
pub async fn hand_over(
    connection: &mut Connection,
    incoming: Incoming<'_>,
) -> Result<(), HandoverError> {
    let Incoming { session, settings, lock_timeout, asks_draws } = incoming;
    connection.draws.change_hands([0, session].contains(&connection.last_used_by));
    let forgets = asks_draws && connection.draws == Draws::Others;
    let lock_timeout = lock_timeout.filter(|_| settings.get("lock_timeout").is_none());
    let is_same = Arc::ptr_eq(&connection.settings, settings) || connection.settings == *settings;
    let may_hide = connection.may_hide && connection.last_used_by != session;
    if is_same && !may_hide && !forgets && connection.lock_timeout == lock_timeout {
        return Ok(());
    }
    let mut sql = settings.change_from(&connection.settings, may_hide).unwrap_or_default();
    let resets_all = sql.starts_with("RESET ALL");
    if forgets {
        append(&mut sql, sequences::FORGET);
    }
    let in_force = connection.lock_timeout.filter(|_| !resets_all);
    if in_force != lock_timeout {
        match lock_timeout {
            Some(ms) => append(&mut sql, &format!("SET lock_timeout={ms}")),
            None if settings.get("lock_timeout").is_some() => {}
            None => append(&mut sql, "RESET lock_timeout"),
        }
    }
    if !sql.is_empty()
        && let Err(refused) = connection.query(sql.as_bytes()).await?
    {
        return Err(HandoverError::Refused(refused));
    }
    if forgets {
        connection.draws = Draws::Own;
    }
    connection.may_hide &= !resets_all;
    connection.lock_timeout = lock_timeout;
    connection.settings = Arc::clone(settings);
    Ok(())
}

/// Appends one more statement.
fn append(sql: &mut String, statement: &str) {
    if !sql.is_empty() && !sql.ends_with(';') {
        sql.push(';');
    }
    sql.push_str(statement);
}

/// Ends all that a session had, whatever it was.
///
/// # Errors
/// [`HandoverError`]; the connection's state is not known then. Not cancel-safe.
pub async fn reset(connection: &mut Connection) -> Result<(), HandoverError> {
    if connection.is_in_transaction()
        && let Err(refused) = connection.query(b"ROLLBACK").await?
    {
        return Err(HandoverError::Refused(refused));
    }
    if let Err(refused) = connection.query(b"DISCARD ALL").await? {
        return Err(HandoverError::Refused(refused));
    }
    connection.settings = Arc::default();
    connection.lock_timeout = None;
    connection.may_hide = false;
    connection.draws = Draws::Own;
    connection.statements.clear();
    connection.notifications.clear();
    Ok(())
}
