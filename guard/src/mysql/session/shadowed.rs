//! What a server may have told under another variable's name: see [`Shadows`](crate::mysql::shadows).
//!
//! Behind a plain `SET` the guard asks for all that may have been meant. What else has changed such a
//! variable, a procedure or a function, leaves the session its connection: a question would come between
//! the statement and what its client may ask about it.

use std::sync::Arc;

use policy::sql::{Effects, Kind};
use wire::mysql::command::{self, Command};

use super::{Session, collation::has, pins::Pin, relay::Reply, settings::Replay, task::Task};
use crate::mysql::connection::Lost;

impl Session {
    /// Asks for the variables of which one was told, or pins the session.
    ///
    /// # Errors
    /// [`Lost`]: the connection must be closed.
    pub(super) async fn ask_shadowed(&mut self, task: &Task, reply: &Reply) -> Result<(), Lost> {
        if reply.shadowed.is_nothing() || self.view.is_own() {
            return Ok(());
        }
        let Some(lease) = &mut self.lease else { return Err(Lost::Closed) };
        let shadows = Arc::clone(&lease.shadows);
        let runs_more = Effects::MULTI | Effects::CALLS | Effects::DYNAMIC | Effects::FOR_STATEMENT;
        let is_plain = task.shape.kind == Kind::Set
            && !task.shape.effects.intersects(runs_more)
            && reply.error.is_none();
        let mut can_move = is_plain;
        // No table is in the questions: the statement's warnings stand.
        for group in shadows.told(reply.shadowed).filter(|_| is_plain) {
            let rows = lease.query(&group.question).await?.unwrap_or_default();
            let values = rows.first().map_or(&[][..], Vec::as_slice);
            can_move &= group.can_move && values.len() == group.names.len();
            for (name, value) in group.names.iter().zip(values).filter(|_| group.can_move) {
                let Some(value) = value else {
                    can_move = false;
                    continue;
                };
                let settings = Arc::make_mut(&mut self.settings);
                can_move &= settings.set_variable(name, value) == Replay::Value;
            }
        }
        let collation = self.settings.variable(b"collation_connection").map(<[u8]>::to_vec);
        if let Some(collation) = collation.filter(|_| is_plain && has(&task.shape, b"NAMES")) {
            // These servers have more than one default for a character set: that of SET NAMES describes
            // columns, and naming the character set alone would bring back another.
            Arc::make_mut(&mut self.settings).set_names_collation(&collation);
        }
        if is_plain {
            // ROW_COUNT() is that of an OK again.
            command::put_simple(&mut lease.outbuf, Command::Ping);
            lease.command(Command::Ping).await?;
        }
        if !can_move {
            self.pin_shadowed();
        }
        Ok(())
    }

    /// The session keeps its connection until it is reset: which variable has changed is not known.
    fn pin_shadowed(&mut self) {
        let before = self.pins.clone();
        self.pins.add(Pin::Variable);
        self.show_pins(&before, self.class, self.now, None);
    }
}
