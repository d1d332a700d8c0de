//! What a message means now, and what changes by it.

use super::reply::{Next, Reply};
use super::{Answer, Asker, Request, State, Tracker, malformed};
use crate::Malformed;
use crate::postgres::backend::Kind;

/// A message that may come now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) what: What,
    pub(super) answers: Option<Answer>,
}

/// What it is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// It belongs to no reply, or changes nothing about it.
    Aside,
    /// The reply goes on, or is over.
    Progress(Next, Asker),
    /// The request has failed; if it is an extended one, others with it.
    Failure { extended: bool, asker: Asker },
    /// An error that answers nothing: out of step, unless it ends the connection.
    Stray,
    /// A Sync was answered that a COPY might have taken.
    Doubted,
}

impl Tracker {
    /// What a message of that kind means now. Nothing changes yet.
    #[inline]
    pub(super) fn turn(&self, kind: Kind) -> Result<Turn, Malformed> {
        let coming = self.coming()?;
        let answers = coming.map(|(_, asker)| Answer { request: self.current, asker });
        let what = match (coming, kind) {
            _ if kind.is_asynchronous() => What::Aside,
            (Some((reply, asker)), Kind::ErrorResponse) => {
                What::Failure { extended: reply.is_extended(), asker }
            }
            (None, Kind::ErrorResponse) if self.state == State::Skipping => What::Aside,
            (None, Kind::ErrorResponse) => What::Stray,
            (Some((reply, asker)), _) if let Some(next) = reply.next(kind) => {
                What::Progress(next, asker)
            }
            _ if self.state == State::Lost => {
                return Err(malformed("a reply that a failed COPY has made ambiguous"));
            }
            (_, Kind::ReadyForQuery) if self.doubts > 0 => {
                return Ok(Turn { what: What::Doubted, answers: None });
            }
            _ => return Err(malformed("message out of place")),
        };
        Ok(Turn { what, answers })
    }

    /// Which reply the next message is of, and who asked for it.
    #[inline]
    fn coming(&self) -> Result<Option<(Reply, Asker)>, Malformed> {
        match self.state {
            State::Within(reply, asker) => Ok(Some((reply, asker))),
            State::Between => Ok(self.queue.front().and_then(|expected| {
                Reply::to(expected.request).map(|reply| (reply, expected.asker))
            })),
            State::Skipping | State::Lost => Ok(None),
            State::Ended => Err(malformed("message after the end")),
        }
    }

    /// Changes what the message changes.
    #[inline]
    pub(super) fn take(&mut self, turn: Turn, kind: Kind) {
        self.rows += u64::from(kind == Kind::DataRow);
        match turn.what {
            What::Aside | What::Stray => {}
            What::Progress(next, asker) => {
                // If a COPY took Syncs, it has gone well.
                self.ignored = 0;
                if kind != Kind::ReadyForQuery {
                    self.doubts = 0;
                }
                self.begin();
                match next {
                    Next::To(reply) => self.state = State::Within(self.entered(reply), asker),
                    Next::Done => self.finish(),
                }
            }
            What::Failure { extended, asker } => {
                self.doubts += std::mem::take(&mut self.ignored);
                self.begin();
                if extended {
                    self.skip();
                } else {
                    self.state = State::Within(Reply::Ready, asker);
                }
            }
            What::Doubted => {
                self.doubts -= 1;
                if self.state == State::Skipping {
                    self.state = State::Between;
                }
            }
        }
    }

    /// Takes the request whose reply begins off the queue; its number stays.
    #[inline]
    fn begin(&mut self) {
        if self.state == State::Between {
            self.queue.pop_front();
        }
    }

    #[inline]
    fn finish(&mut self) {
        self.state = State::Between;
        self.current += 1 + std::mem::take(&mut self.taken);
        self.drop_answerless();
    }

    /// Drops all that the server skips after an error.
    fn skip(&mut self) {
        self.current += 1 + std::mem::take(&mut self.taken);
        self.state = State::Skipping;
        while let Some(expected) = self.queue.front() {
            match expected.request {
                Request::Sync => {
                    self.state = State::Between;
                    return;
                }
                request if request.is_answerless() => {}
                // If a Sync before it ended the skipping, it is answered.
                _ if self.doubts > 0 => {
                    self.state = State::Lost;
                    return;
                }
                _ => {}
            }
            self.drop_first();
        }
    }

    /// Between replies, drops what has none.
    #[inline]
    pub(super) fn drop_answerless(&mut self) {
        while self.state == State::Between
            && self.queue.front().is_some_and(|expected| expected.request == Request::CopyEnd)
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        self.queue.pop_front();
        self.current += 1;
    }

    /// A COPY FROM STDIN takes what was sent before anybody knew of it: Syncs, up to its end.
    #[inline]
    fn entered(&mut self, reply: Reply) -> Reply {
        let Reply::CopyIn { extended, .. } = reply else { return reply };
        while let Some(expected) = self.queue.front() {
            let expected_is_sync = expected.request == Request::Sync;
            let open = match expected.request {
                Request::Sync => true,
                Request::CopyEnd => false,
                // The server has not seen it; it would have made the COPY fail.
                request if request.is_answerless() => true,
                // This cannot be in the middle of a COPY: it fails, if it has not failed already.
                _ => return Reply::CopyIn { open: false, extended },
            };
            self.queue.pop_front();
            self.taken += 1;
            if !open {
                return Reply::CopyIn { open, extended };
            }
            self.ignored += u32::from(expected_is_sync);
        }
        Reply::CopyIn { open: true, extended }
    }
}
