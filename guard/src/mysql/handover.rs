//! How a connection changes hands.
//!
//! A connection carries a label, its [`Settings`]. When the next session expects the same, nothing
//! is sent. Otherwise the difference is replayed before the session's own statement, in one write:
//!
//! | the connection has | the session wants | sent |
//! |---|---|---|
//! | the same | the same | nothing |
//! | fewer or other variables | more | `SET a=…,b=…` |
//! | a variable that is not wanted | without | `COM_RESET_CONNECTION`, set-up, `SET …` |
//! | another schema | a schema | `COM_INIT_DB` |
//! | another session's warnings | a statement that leaves them standing | `DO (SELECT 1 FROM (SELECT 1) t)` |
//! | a schema | none | the connection is not used: nothing unselects a schema |
//!
//! Every answer is read before the statement goes out: a statement must not run in the wrong
//! schema because the step before it failed.

use std::{sync::Arc, time::Duration};

use bytes::BufMut;
use thiserror::Error;
use wire::mysql::command::{self, Command, SetOption};

use super::{
    chosen::Chosen,
    connect::ServerError,
    connection::{Answer, Connection, Lost},
};
use crate::mysql::{Upstream, session::settings::Settings};

/// What the next session expects of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The session, as [`Session::identity`](crate::mysql::session::Session::identity) has it.
    pub session: u64,
    /// The state it expects.
    pub settings: &'a Arc<Settings>,
    /// Whether it must be as a fresh one, whatever its label: the statement asks about one before it,
    /// and there was none.
    pub is_blank: bool,
    /// Whether the statement leaves the warnings of the one before it standing, so that there must be
    /// none of another session's.
    pub keeps_warnings: bool,
    /// What `LAST_INSERT_ID()` must return there, when the statement asks.
    pub last_insert: Option<u64>,
    /// `innodb_lock_wait_timeout` and `lock_wait_timeout` of its class, in whole seconds.
    pub lock_wait: Option<u64>,
    /// What becomes of the server's own limit.
    pub net: Net,
    /// Knows what every connection is set to after a reset.
    pub upstream: &'a Upstream,
}

/// What becomes of MariaDB's `max_statement_time`, the net below the guard's own limit. It counts a
/// statement as a whole, and so would end a file that is long under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    /// As it is.
    Keep,
    /// None, for a statement that loads a file.
    Lift,
    /// Back to this, where it was lifted.
    Restore(Duration),
}

/// Why a connection did not change hands.
#[derive(Debug, Error)]
pub enum HandoverError {
    /// It is broken.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// It has a schema, and the session must have none. Use another one.
    #[error("the connection has a schema selected, and the session has none")]
    Unsuitable,
    /// The database refuses the session's state, for instance a schema that was dropped. The
    /// client is told; the connection's state is not known any more.
    #[error("the database refuses the session's state: {0}")]
    Refused(ServerError),
}

/// Makes `connection` what the session expects. Sends nothing when it is already; returns whether it did.
///
/// # Errors
/// [`HandoverError`]. The connection must then be discarded. Not cancel-safe.
pub async fn hand_over(
    connection: &mut Connection,
    to: Incoming<'_>,
) -> Result<bool, HandoverError> {
    if fits(connection, to) {
        return Ok(false);
    }
    if to.settings.schema.is_none() && connection.settings.schema.is_some() {
        return Err(HandoverError::Unsuitable);
    }
    let sent = put_steps(connection, to);
    connection.flush().await?;
    // Every answer is read, also behind one that failed: they are on their way.
    let mut refusal = None;
    for command in sent.into_iter().flatten() {
        if let Answer::Err(error) = connection.read_answer(command).await? {
            refusal.get_or_insert(error);
        }
    }
    match refusal {
        Some(error) => Err(HandoverError::Refused(error)),
        None => Ok(true),
    }
}

/// Brings a connection from one scene to another and nothing else, for a statement that must be
/// prepared where its client prepared it. Undone by the same call the other way round, which `is_back`. Safe inside
/// a transaction. Returns what the database refused.
///
/// # Errors
/// [`Lost`]. Not cancel-safe.
pub async fn change_scene(
    connection: &mut Connection,
    from: &Settings,
    to: &Settings,
    is_back: bool,
) -> Result<Option<ServerError>, Lost> {
    let mut refusal = None;
    if let Some(schema) = to.schema.as_ref().filter(|_| to.schema != from.schema) {
        command::put_init_db(&mut connection.outbuf, schema);
        if let Answer::Err(error) = connection.command(Command::InitDb).await? {
            refusal = Some(error);
        }
    }
    for sql in Chosen::on(connection).scene(from, to, is_back) {
        if let Answer::Err(error) = connection.execute(&sql).await? {
            refusal = Some(error);
        }
    }
    Ok(refusal)
}

/// Whether nothing has to be done. The fast path: two pointer comparisons and two of options.
fn fits(connection: &Connection, to: Incoming<'_>) -> bool {
    let is_same =
        Arc::ptr_eq(&connection.settings, to.settings) || *connection.settings == **to.settings;
    is_same
        && !to.is_blank
        && !is_untold_for(connection, to)
        && !has_warnings_for(connection, to)
        && lock_wait_to_set(connection, to).is_none()
        && net_to_set(connection, to).is_none()
        && (to.last_insert.is_none() || connection.last_insert_of == Some(to.session))
}

/// Whether another session may have left something on it.
fn is_untold_for(connection: &Connection, to: Incoming<'_>) -> bool {
    connection.untold_of.is_some_and(|session| session != to.session)
}

/// Whether the statement would find another session's warnings.
fn has_warnings_for(connection: &Connection, to: Incoming<'_>) -> bool {
    to.keeps_warnings && connection.warnings_of.is_some_and(|session| session != to.session)
}

/// The lock wait limit to set: the class's, unless the session chose one itself.
fn lock_wait_to_set(connection: &Connection, to: Incoming<'_>) -> Option<u64> {
    let is_own = to.settings.variable(b"innodb_lock_wait_timeout").is_some();
    to.lock_wait.filter(|seconds| !is_own && connection.lock_wait != Some(*seconds))
}

/// The `max_statement_time` to set.
fn net_to_set(connection: &Connection, to: Incoming<'_>) -> Option<Duration> {
    match to.net {
        Net::Lift if !connection.is_net_lifted => Some(Duration::ZERO),
        Net::Restore(limit) if connection.is_net_lifted => Some(limit),
        _ => None,
    }
}

/// Most commands that one hand-over sends.
const STEPS_MAX: usize = 6;

/// Ends the warnings that are there: MariaDB begins anew with each statement that has a table in it,
/// a derived one being enough (10.11), and this has no other effect.
const END_WARNINGS: &[u8] = b"DO (SELECT 1 FROM (SELECT 1) t)";

/// Appends the steps to `outbuf` and notes the new label. Returns the commands in order.
fn put_steps(connection: &mut Connection, to: Incoming<'_>) -> [Option<Command>; STEPS_MAX] {
    let mut sent = [None; STEPS_MAX];
    let mut steps = sent.iter_mut();
    let mut note = |command| {
        if let Some(step) = steps.next() {
            *step = Some(command);
        }
    };
    let capabilities = connection.capabilities;
    if to.is_blank
        || is_untold_for(connection, to)
        || !connection.settings.is_covered_by(to.settings)
    {
        let setup = to.upstream.setup(connection.mariadb);
        put_reset(connection, &setup, to.settings.is_reset);
        note(Command::ResetConnection);
        note(Command::Query);
    } else if has_warnings_for(connection, to) {
        command::put_query_with(&mut connection.outbuf, capabilities, END_WARNINGS);
        connection.warnings_of = None;
        note(Command::Query);
    }
    let mut set = bytes::BytesMut::from(&b"SET "[..]);
    let mut assignments = to.settings.put_assignments(&connection.settings, &mut set);
    if let Some(seconds) = lock_wait_to_set(connection, to) {
        put_lock_wait(&mut set, assignments > 0, seconds);
        connection.lock_wait = Some(seconds);
        assignments += 1;
    }
    if let Some(limit) = net_to_set(connection, to) {
        let comma = if assignments > 0 { "," } else { "" };
        set.put_slice(format!("{comma}max_statement_time={:.3}", limit.as_secs_f64()).as_bytes());
        connection.is_net_lifted = limit.is_zero();
        assignments += 1;
    }
    if let Some(id) = to.last_insert.filter(|_| connection.last_insert_of != Some(to.session)) {
        set.put_slice(if assignments > 0 { b",last_insert_id=" } else { b"last_insert_id=" });
        set.put_slice(id.to_string().as_bytes());
        connection.last_insert_of = Some(to.session);
        assignments += 1;
    }
    if to.settings.multi_statements != connection.settings.multi_statements {
        let option = SetOption::multi_statements(to.settings.multi_statements);
        command::put_set_option(&mut connection.outbuf, option);
        note(Command::SetOption);
    }
    if let Some(schema) = &to.settings.schema
        && connection.settings.schema.as_ref() != Some(schema)
    {
        command::put_init_db(&mut connection.outbuf, schema);
        note(Command::InitDb);
    }
    if assignments > 0 {
        command::put_query_with(&mut connection.outbuf, capabilities, &set);
        note(Command::Query);
    }
    connection.settings = Arc::clone(to.settings);
    sent
}

fn put_lock_wait(set: &mut bytes::BytesMut, follows: bool, seconds: u64) {
    if follows {
        set.put_u8(b',');
    }
    set.put_slice(
        format!("innodb_lock_wait_timeout={seconds},lock_wait_timeout={seconds}").as_bytes(),
    );
}

/// Appends `COM_RESET_CONNECTION` and the set-up statement, and forgets what they undo. What the
/// login chose is chosen again, unless the session `is_reset`.
fn put_reset(connection: &mut Connection, setup: &[u8], is_reset: bool) {
    command::put_simple(&mut connection.outbuf, Command::ResetConnection);
    let mut set = bytes::BytesMut::from(setup);
    if !is_reset {
        Chosen::on(connection).put_again(&mut set);
    }
    command::put_query_with(&mut connection.outbuf, connection.capabilities, &set);
    let mut settings = Settings::clone(&connection.settings);
    settings.clear_variables();
    settings.is_reset = is_reset;
    connection.settings = Arc::new(settings);
    connection.statements.clear();
    connection.closing.clear();
    connection.untold_of = None;
    connection.warnings_of = None;
    connection.lock_wait = None;
    connection.is_net_lifted = false;
    connection.last_insert_of = None;
}

/// Rolls back, drops everything the session had, and sets the connection up again. It is then
/// labelled with its schema alone.
///
/// # Errors
/// [`Lost`]; also when the database refuses, since the state is then not known.
pub async fn reset(connection: &mut Connection, setup: &[u8]) -> Result<(), HandoverError> {
    put_reset(connection, setup, false);
    connection.flush().await?;
    let reset = connection.read_answer(Command::ResetConnection).await?;
    let setup = connection.read_answer(Command::Query).await?;
    for answer in [reset, setup] {
        if let Answer::Err(error) = answer {
            return Err(HandoverError::Refused(error));
        }
    }
    Ok(())
}
