//! The collation that comes with a new character set.
//!
//! Trackers name the character set alone, so the guard asks which collation was chosen with it: at
//! once where the connection may be given back. One that stays with its session needs no replay. But
//! to prepare a statement in the scene of its client, the guard leaves the session's own and must find
//! the way back; it asks before that, when there are no rows counted that the question would change.

use std::sync::Arc;

use policy::sql::{Effects, Kind, Shape};
use wire::mysql::command::{self, Command};

use super::{
    Session,
    task::{Execution, Task},
};
use crate::mysql::connection::Lost;

/// How a collation was chosen that the guard does not know yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    /// With SET NAMES: columns of results are described with it.
    Names,
    /// For literals alone.
    Alone,
}

/// How a statement, behind which the character set is another one, may have chosen a collation.
pub(super) fn chosen(shape: &Shape) -> Option<Chosen> {
    let has = |word: &[u8]| {
        shape.text.as_bytes().windows(word.len()).any(|w| w.eq_ignore_ascii_case(word))
    };
    let is_set_alone = shape.kind == Kind::Set && !shape.effects.contains(Effects::MULTI);
    if is_set_alone && !(has(b"COLLATE") || has(b"CHARACTER SET") || has(b"CHARSET")) {
        // The default one.
        return None;
    }
    let is_named = has(b"NAMES") && (is_set_alone || has(b"COLLATE"));
    Some(if is_named { Chosen::Names } else { Chosen::Alone })
}

impl Session {
    /// Asks before a command that must know the scene of the session.
    pub(super) async fn ask_collation_for(&mut self, task: &Task) -> Result<(), Lost> {
        match task.execution {
            Execution::Direct => Ok(()),
            Execution::Prepare { .. } | Execution::Prepared { .. } => self.ask_collation().await,
        }
    }

    /// Asks which collation was chosen, where that is not known.
    ///
    /// # Errors
    /// [`Lost`]: the connection must be closed.
    pub(super) async fn ask_collation(&mut self) -> Result<(), Lost> {
        let (Some(chosen), Some(lease)) = (self.collation, &mut self.lease) else { return Ok(()) };
        let rows = lease.query(b"SELECT @@collation_connection").await?.unwrap_or_default();
        if let Some(collation) = rows.first().and_then(|row| row.first()).and_then(Option::as_ref) {
            let settings = Arc::make_mut(&mut self.settings);
            match chosen {
                Chosen::Names => settings.set_names_collation(collation),
                Chosen::Alone => _ = settings.set_variable(b"collation_connection", collation),
            }
        }
        // ROW_COUNT() is that of an OK again.
        command::put_simple(&mut lease.outbuf, Command::Ping);
        lease.command(Command::Ping).await?;
        lease.relabel(&self.settings);
        self.collation = None;
        Ok(())
    }
}
