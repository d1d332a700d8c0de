//! What changed in the session without a reply that told so.
//!
//! Session trackers speak in OK packets alone. A statement that fails may have run code before: a
//! trigger that set a user variable, a procedure that made a temporary table. And where results end
//! with an EOF, that packet says that something changed, but not what. MySQL's does not even say that,
//! so behind each such result it is taken for granted: any view may call a function.
//!
//! MySQL tells it all in its next OK. In a transaction that is most often one to a statement of the
//! client's, and it passes as all others do; otherwise the guard asks for one. MariaDB keeps it, and
//! tells it together with the next change that it tracks; so when the connection is about to be given
//! back, the guard makes a change that is told and changes nothing else: it turns one of its own
//! trackers off, and on again.
//!
//! A statement of a known kind whose text cannot be parsed has run nothing, and leaves nothing untold.

use std::sync::Arc;

use policy::sql::{Effects, Kind, Shape};
use wire::mysql::{
    command::{self, Command},
    response::{OkPacket, StateChange},
};

use super::{
    Session,
    effect::is_explained_by_text,
    pins::Pin,
    relay::{Reply, Telling, note_change},
    statement::ASKS_BACK,
    task::{Execution, Task},
    view::TRACKERS_OF_A_LOGIN,
};
use crate::mysql::connection::{Answer, Lost};

/// The tracker that is turned off and on. Off, it still tells what it has noted before.
const OFF_AND_ON: [&[u8]; 2] =
    [b"SET session_track_state_change=OFF", b"SET session_track_state_change=ON"];

/// Whether a statement may have changed the session without telling.
pub(super) fn may_hide_changes(shape: &Shape, reply: &Reply) -> bool {
    const PARSE_ERROR: u16 = 1064;
    let runs_texts = shape.effects.contains(Effects::MULTI)
        || matches!(shape.kind, Kind::Call | Kind::Execute | Kind::Other);
    match reply.error {
        Some(PARSE_ERROR) => runs_texts,
        Some(_) => true,
        None => reply.has_untold || reply.telling == Telling::Silence,
    }
}

impl Session {
    /// Asks the server for what no reply has told, before the connection is given back or told to
    /// change in another way. Pins what cannot be moved. Where MariaDB's trackers are the client's,
    /// the session is pinned already.
    ///
    /// # Errors
    /// [`Lost`]: the connection must be closed.
    pub(super) async fn hear_untold(&mut self) -> Result<(), Lost> {
        let is_own = self.view.is_own();
        let Some(lease) = self.lease.as_mut().filter(|lease| lease.untold_of.is_some()) else {
            return Ok(());
        };
        if lease.mariadb && is_own {
            return Ok(());
        }
        if lease.mariadb {
            let capabilities = lease.capabilities;
            for sql in OFF_AND_ON {
                command::put_query_with(&mut lease.outbuf, capabilities, sql);
            }
            lease.flush().await?;
            let off = lease.read_answer(Command::Query).await?;
            let told = lease.take_told();
            let on = lease.read_answer(Command::Query).await?;
            return match (off, on) {
                (Answer::Ok(_), Answer::Ok(_)) => self.note_told(&told, false),
                _ => Err(Lost::Closed),
            };
        }
        if !lease.has_told() {
            command::put_simple(&mut lease.outbuf, Command::Ping);
            lease.command(Command::Ping).await?;
        }
        let told = lease.take_told();
        self.note_told(&told, false)
    }

    /// Asks for it where the statement that comes, or what the guard must do for it, changes the
    /// session in a known way: told together, what is known and what is not could not be told apart.
    ///
    /// # Errors
    /// [`Lost`]: the connection must be closed.
    pub(super) async fn hear_ahead(&mut self, task: &Task) -> Result<(), Lost> {
        let Some(lease) = self.lease.as_ref().filter(|lease| lease.untold_of.is_some()) else {
            return Ok(());
        };
        let shape = &task.shape;
        let is_known = matches!(shape.kind, Kind::Set | Kind::Use)
            || !lease.mariadb && is_explained_by_text(shape);
        let changes_scene = match &task.execution {
            Execution::Prepared { id, .. } if !lease.mariadb => self
                .statements
                .find(*id)
                .is_some_and(|statement| !statement.settings.is_same_scene(&self.settings)),
            _ => false,
        };
        let sets_last_insert = !lease.mariadb
            && lease.last_insert_of != Some(self.identity())
            && self.asks_last_insert(shape);
        // Of what a question asks for, nothing may change before it.
        let changes = is_known && !shape.effects.intersects(ASKS_BACK);
        if changes || changes_scene || sets_last_insert { self.hear_untold().await } else { Ok(()) }
    }

    /// Gives the trackers of the connection to the client, which is about to set one of them: as it
    /// would find them after a login. The session keeps the connection until it is reset.
    ///
    /// # Errors
    /// [`Lost`]: the connection must be closed.
    pub(super) async fn give_trackers(&mut self) -> Result<(), Lost> {
        self.hear_untold().await?;
        let Some(lease) = &mut self.lease else { return Err(Lost::Closed) };
        if let Answer::Err(_) = lease.execute(TRACKERS_OF_A_LOGIN).await? {
            return Err(Lost::Closed);
        }
        self.view.give();
        let before = self.pins.clone();
        self.pins.add(Pin::Variable);
        self.show_pins(&before, self.class, self.now, None);
        Ok(())
    }

    /// Takes over what MySQL has told the guard in the place of its client, if it has.
    pub(super) fn take_told(&mut self) -> Result<(), Lost> {
        match self.lease.as_mut().filter(|lease| lease.has_told()) {
            Some(lease) => {
                let told = lease.take_told();
                self.note_told(&told, false)
            }
            None => Ok(()),
        }
    }

    /// Takes over what the guard has just asked for behind a statement, with what its text explains.
    pub(super) fn take_told_of(&mut self, task: &Task, reply: &Reply) -> Result<(), Lost> {
        let Some(lease) = &mut self.lease else { return Err(Lost::Closed) };
        let told = lease.take_told();
        let may_do_more = Effects::MULTI | Effects::CALLS | Effects::DYNAMIC;
        let is_explained = reply.error.is_none()
            && is_explained_by_text(&task.shape)
            && !task.shape.effects.intersects(may_do_more);
        self.note_told(&told, is_explained)
    }

    /// Takes over what an OK to a command of the guard's own told of what had changed before.
    fn note_told(&mut self, payload: &[u8], is_explained: bool) -> Result<(), Lost> {
        let Some(lease) = self.lease.as_mut().filter(|_| !payload.is_empty()) else {
            return Ok(());
        };
        let state = OkPacket::parse(payload, lease.capabilities)?.state;
        if !lease.mariadb {
            // MariaDB would tell its client later, together with something else.
            self.owed.add(state, &self.view);
        }
        // The connection may still be to be handed over: its label changes as the session does, and no
        // further.
        let mut heard = Reply::default();
        let shadows = Arc::clone(&lease.shadows);
        let is_same = Arc::ptr_eq(&lease.settings, &self.settings);
        for change in state {
            let change = change?;
            if is_own(&change) {
                continue;
            }
            note_change(change, &shadows, &mut self.settings, &mut heard);
            if !is_same {
                note_change(change, &shadows, &mut lease.settings, &mut Reply::default());
            }
        }
        if is_same {
            lease.relabel(&self.settings);
        }
        let before = self.pins.clone();
        if heard.has_changed && !is_explained {
            self.pins.add(Pin::Unknown);
        }
        if heard.has_unreplayable || !heard.shadowed.is_nothing() {
            self.pins.add(Pin::Variable);
        }
        if self.pins != before {
            self.show_pins(&before, self.class, self.now, None);
        }
        Ok(())
    }
}

/// Whether a change is the one that the guard made in order to ask.
fn is_own(change: &StateChange<'_>) -> bool {
    matches!(change, StateChange::SystemVariable { name: b"session_track_state_change", .. })
}
