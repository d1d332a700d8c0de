//! What changed in the session without a reply that told so.
//!
//! Session trackers speak in OK packets alone. A statement that fails may have run code before: a
//! trigger that set a user variable, a procedure that made a temporary table. And where results end
//! with an EOF, that packet says that something changed, but not what; MySQL's does not even say
//! that, so behind a query that may have called a function of the user's own it is taken for granted.
//! MySQL tells it all in its next OK. MariaDB keeps it, and tells it together with the next change
//! that it tracks; so when the connection is about to be given back, the guard makes a change that is
//! told and changes nothing else: it turns one of its own trackers off, and on again.
//!
//! A statement of a known kind whose text cannot be parsed has run nothing, and leaves nothing untold.

use policy::sql::{Effects, Kind, Shape};
use wire::mysql::{
    command::{self, Command},
    response::{OkPacket, StateChange},
};

use super::{
    Session,
    pins::Pin,
    relay::{Reply, note_change},
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
        None => {
            let runs_code = shape.effects.intersects(Effects::CALLS | Effects::DYNAMIC);
            reply.has_untold || reply.is_silent && runs_code
        }
    }
}

impl Session {
    /// Asks the server for what no reply has told, before the connection is given back or told to
    /// change in another way. Pins what cannot be moved. Where the trackers are the client's, the
    /// session is pinned already.
    ///
    /// # Errors
    /// [`Lost`]: the connection must be closed.
    pub(super) async fn hear_untold(&mut self) -> Result<(), Lost> {
        let is_own = self.view.is_own();
        let Some(lease) = self.lease.as_mut().filter(|lease| lease.untold_of.is_some() && !is_own)
        else {
            return Ok(());
        };
        let capabilities = lease.capabilities;
        for sql in OFF_AND_ON {
            command::put_query_with(&mut lease.outbuf, capabilities, sql);
        }
        lease.flush().await?;
        let off = lease.read_answer(Command::Query).await?;
        let told = lease.told.split();
        let on = lease.read_answer(Command::Query).await?;
        if !matches!((off, on), (Answer::Ok(_), Answer::Ok(_))) {
            return Err(Lost::Closed);
        }
        lease.untold_of = None;
        self.note_told(&told)
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

    /// Takes over what an OK to a command of the guard's own told of what had changed before.
    pub(super) fn note_told(&mut self, payload: &[u8]) -> Result<(), Lost> {
        let Some(lease) = self.lease.as_mut().filter(|_| !payload.is_empty()) else {
            return Ok(());
        };
        let mut heard = Reply::default();
        for change in OkPacket::parse(payload, lease.capabilities)?.state {
            let change = change?;
            if !is_own(&change) {
                note_change(change, &mut self.settings, &mut heard);
            }
        }
        lease.relabel(&self.settings);
        let before = self.pins.clone();
        if heard.has_changed {
            self.pins.add(Pin::Unknown);
        }
        if heard.has_unreplayable {
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
