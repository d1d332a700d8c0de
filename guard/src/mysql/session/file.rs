//! `LOAD DATA LOCAL`: a file of the client's on its way to the database.
//!
//! The server asks, by name, and may ask for any file; a client that has the feature on sends it. So
//! the guard answers in the client's place, unless the account may send files and the statement is
//! one that does: the server gets an empty file, the client an error.
//!
//! While a file is under way the statement's time limit counts anew with each part: how long it takes
//! is up to the file's length. In the middle of it nothing can be said to either side, so a client
//! that stops, or a statement that is killed, ends both connections, and the database rolls back.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use policy::sql::{Effects, Kind, Shape};
use tokio::io::AsyncWriteExt;
use wire::mysql::{
    frame::{HEADER_LEN, put_packet},
    response::put_err,
};

use super::{
    refuse,
    relay::{Relay, Stop},
    timer::Timer,
    verdict::Call,
};

/// Which accounts may send files.
#[derive(Debug, Clone, Default)]
pub struct LocalInfile {
    /// Accounts that `named` does not know.
    pub others: bool,
    /// Accounts with a word of their own.
    pub named: HashMap<Box<str>, bool>,
}

impl LocalInfile {
    /// Whether this account may.
    pub fn is_allowed(&self, user: &str) -> bool {
        self.named.get(user).copied().unwrap_or(self.others)
    }

    /// Whether any account may: otherwise clients are not told of the feature at all.
    pub fn is_offered(&self) -> bool {
        self.others || self.named.values().any(|is_allowed| *is_allowed)
    }
}

/// What to do when the server asks for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// The client is not asked.
    Refuse,
    /// The client is asked, and each part must come within `idle`.
    Serve {
        /// The statement's time limit.
        idle: Option<Duration>,
    },
}

/// Whether a statement may ask for a file: it says so, or what it says cannot be read.
pub fn asks_for_file(shape: &Shape) -> bool {
    shape.effects.intersects(Effects::INFILE_LOCAL | Effects::TRUNCATED)
        || shape.kind == Kind::Execute
}

impl Relay<'_> {
    /// Tells the client that its file is not asked for, in place of the question. It sees nothing
    /// of the reply from here on.
    pub(super) fn decline_file(&mut self, seq: u8) {
        let error = self.substitute.clone();
        let error = error.unwrap_or_else(|| refuse::no_local_files(self.connection.mariadb));
        self.reply.error = Some(error.code);
        self.reply.is_told = true;
        if let Some(client) = self.client.as_deref_mut() {
            let (message, capabilities) = (error.message.as_bytes(), client.capabilities);
            put_err(client.out(), seq, capabilities, error.code, &error.sqlstate, message);
        }
    }

    /// Answers the server's question for a file, the packet `asked` of the sequence. Returns until
    /// when the rest of the reply is due; `None` leaves it as it was.
    pub(super) async fn answer_with_file(
        &mut self,
        asked: u8,
        timer: &mut Timer,
        call: &Call<'_>,
    ) -> Result<Option<Instant>, Stop> {
        let mut seq = asked.wrapping_add(1);
        let Files::Serve { idle } = self.files else {
            self.client = None;
            put_packet(&mut self.connection.outbuf, seq, b"");
            self.connection.flush().await.map_err(Stop::Lost)?;
            self.tracker.infile_sent();
            return Ok(None);
        };
        loop {
            let until = idle.map(|idle| Instant::now() + idle);
            let part = tokio::select! {
                biased;
                part = self.pass_part(seq) => part?,
                () = timer.until(until) => return Err(Stop::Deadline),
                () = call.wait() => return Err(Stop::Killed),
            };
            seq = seq.wrapping_add(1);
            if part == HEADER_LEN {
                self.tracker.infile_sent();
                return Ok(idle.map(|idle| Instant::now() + idle));
            }
        }
    }

    /// Carries one packet of the file over. Returns its length; the empty one is the last.
    async fn pass_part(&mut self, seq: u8) -> Result<usize, Stop> {
        let Some(client) = self.client.as_deref_mut() else { return Err(Stop::ClientGone) };
        let part = client.next_part(seq).await.map_err(|_| Stop::ClientGone)?;
        let bytes = &client.inbuf[..part.packet];
        self.connection.stream.write_all(bytes).await.map_err(|e| Stop::Lost(e.into()))?;
        client.consume(part.packet);
        Ok(part.packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_goes_by_its_own_word_or_by_that_for_all_others() {
        let named = HashMap::from([("loader".into(), true), ("app".into(), false)]);
        for (others, expected) in [(false, [true, false, false]), (true, [true, false, true])] {
            let files = LocalInfile { others, named: named.clone() };
            assert_eq!(["loader", "app", "x"].map(|user| files.is_allowed(user)), expected);
            assert!(files.is_offered());
        }
        assert!(!LocalInfile::default().is_offered());
        let named = HashMap::from([("app".into(), false)]);
        assert!(!LocalInfile { others: false, named }.is_offered());
    }
}
