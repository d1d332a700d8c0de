//! What of a session's scene no tracker has told.
//!
//! The scene is what decides how a text is parsed: schema, `sql_mode`, character sets and collation.
//! Two things the guard has to ask for: the collation that comes with a new character set, and, of
//! a client that has set the session trackers itself, all of it.
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
    /// Whatever it was, the client's own trackers may not tell it; nor the rest of the scene.
    Unseen {
        /// Whether it was chosen with SET NAMES, as far as the text tells.
        is_named: bool,
    },
}

/// Whether a statement may change the scene of its session.
pub(super) fn may_change_scene(shape: &Shape) -> bool {
    let runs_more = Effects::MULTI | Effects::CALLS | Effects::DYNAMIC | Effects::TRUNCATED;
    // The schema that the session is in may be dropped.
    let drops = || shape.text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("DROP"));
    match shape.kind {
        Kind::Set | Kind::Use | Kind::Call | Kind::Execute => true,
        Kind::Ddl if drops() => true,
        _ => shape.effects.intersects(runs_more),
    }
}

/// Schema, character set of results, and the scene in the order of [`Settings::set_scene`]. As bytes:
/// text would come in whatever character set results have.
const QUESTION: &[u8] = b"SELECT CONVERT(DATABASE() USING binary),\
    CONVERT(@@character_set_results USING binary),\
    CONVERT(@@character_set_client USING binary),\
    CONVERT(@@character_set_connection USING binary),\
    CONVERT(@@collation_connection USING binary),CONVERT(@@sql_mode USING binary)";

/// Whether a statement's text has this word, or part of a word.
pub(super) fn has(shape: &Shape, word: &[u8]) -> bool {
    shape.text.as_bytes().windows(word.len()).any(|w| w.eq_ignore_ascii_case(word))
}

/// How a statement, behind which the character set is another one, may have chosen a collation.
pub(super) fn chosen(shape: &Shape) -> Option<Chosen> {
    let has = |word| has(shape, word);
    let is_set_alone = shape.kind == Kind::Set && !shape.effects.contains(Effects::MULTI);
    if is_set_alone && !(has(&b"COLLATE"[..]) || has(&b"CHARACTER SET"[..]) || has(&b"CHARSET"[..]))
    {
        // The default one.
        return None;
    }
    let is_named = has(&b"NAMES"[..]) && (is_set_alone || has(&b"COLLATE"[..]));
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

    /// Asks for what of the scene is not known.
    ///
    /// # Errors
    /// [`Lost`]: the connection must be closed.
    pub(super) async fn ask_collation(&mut self) -> Result<(), Lost> {
        let (Some(chosen), Some(lease)) = (self.collation, &mut self.lease) else { return Ok(()) };
        let question = match chosen {
            Chosen::Unseen { .. } => QUESTION,
            Chosen::Names | Chosen::Alone => b"SELECT @@collation_connection",
        };
        let rows = lease.query(question).await?.unwrap_or_default();
        let settings = Arc::make_mut(&mut self.settings);
        match (chosen, rows.first().map(Vec::as_slice)) {
            (Chosen::Names, Some([Some(collation)])) => settings.set_names_collation(collation),
            (Chosen::Alone, Some([Some(collation)])) => {
                settings.set_variable(b"collation_connection", collation);
            }
            (Chosen::Unseen { is_named }, Some([schema, results, scene @ ..])) => {
                settings.schema = schema.as_deref().map(Box::from);
                settings.set_scene(results.as_deref(), scene.iter().map(Option::as_deref));
                if let Some(Some(collation)) = scene.get(2).filter(|_| is_named) {
                    settings.set_names_collation(collation);
                }
            }
            _ => {}
        }
        // ROW_COUNT() is that of an OK again.
        command::put_simple(&mut lease.outbuf, Command::Ping);
        lease.command(Command::Ping).await?;
        lease.relabel(&self.settings);
        self.collation = None;
        Ok(())
    }
}
