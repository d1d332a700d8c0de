//! How a connection changes hands.
//!
//! A connection carries a label, its [`Settings`]. Where the next session expects the same, nothing
//! is sent. Otherwise the difference is set, and answered, before the session's own statement goes
//! out: it must not run under another's `search_path` because the step before it failed.

use std::{fmt::Write as _, sync::Arc};

use thiserror::Error;

use super::{
    connect::ServerError,
    connection::{Connection, Lost},
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

/// Makes `connection` what the session expects. Sends nothing when it is already.
///
/// What another than this session may have set without the server telling of it, goes.
///
/// `lock_timeout` is the class's, in milliseconds; a session that has set its own keeps that.
///
/// # Errors
/// [`HandoverError`]. Not cancel-safe: drop the connection then.
pub async fn hand_over(
    connection: &mut Connection,
    session: u64,
    settings: &Arc<Settings>,
    lock_timeout: Option<u64>,
) -> Result<(), HandoverError> {
    let lock_timeout = lock_timeout.filter(|_| settings.get("lock_timeout").is_none());
    let is_same = Arc::ptr_eq(&connection.settings, settings) || connection.settings == *settings;
    let may_hide = connection.may_hide && connection.last_used_by != session;
    if is_same && !may_hide && connection.lock_timeout == lock_timeout {
        return Ok(());
    }
    let mut sql = settings.change_from(&connection.settings, may_hide).unwrap_or_default();
    let resets_all = sql.starts_with("RESET ALL");
    let in_force = connection.lock_timeout.filter(|_| !resets_all);
    if in_force != lock_timeout {
        let separator = if sql.is_empty() || sql.ends_with(';') { "" } else { ";" };
        let _infallible = match lock_timeout {
            Some(ms) => write!(sql, "{separator}SET lock_timeout={ms}"),
            None if settings.get("lock_timeout").is_some() => Ok(()),
            None => write!(sql, "{separator}RESET lock_timeout"),
        };
    }
    if !sql.is_empty()
        && let Err(refused) = connection.query(sql.as_bytes()).await?
    {
        return Err(HandoverError::Refused(refused));
    }
    connection.may_hide &= !resets_all;
    connection.lock_timeout = lock_timeout;
    connection.settings = Arc::clone(settings);
    Ok(())
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
    connection.statements.clear();
    connection.notifications.clear();
    Ok(())
}
