//! Whether a unit only reads, as far as its bytes tell before any of them is sent.

use policy::sql::Shape;
use wire::postgres::{
    frame::{HEADER_LEN, Header},
    frontend::{Bind, Execute, Kind, Target},
};

use super::{
    Session, Transaction,
    answer::take_name,
    unit::{Task, is_plain_end},
};
use crate::replica::KEPT_MAX;

/// Whether a statement leaves something that its session must find again. A BEGIN by itself does not.
pub(super) fn may_write(shape: &Shape) -> bool {
    !shape.takes_no_locks() && shape.begin.is_none()
}

/// Whether any server with the same data answers it alike.
fn is_read(shape: &Shape) -> bool {
    shape.is_plain_read() && !shape.reads_the_catalog()
}

/// What one message of a series does.
enum Step<'a> {
    /// It prepares a statement of this name.
    Prepares(&'a [u8]),
    /// It uses the one of this name.
    Uses(&'a [u8]),
    /// Nothing by itself.
    Goes,
    /// It ends the series.
    Ends,
}

impl Session {
    /// The length of a unit that is there to its end and only reads, or, where that is asked for, ends a
    /// transaction; `None` where it may do anything else.
    pub(super) fn read_len(&self, task: &Task, may_end: bool) -> Option<usize> {
        let does = |shape: &Shape| is_read(shape) || may_end && is_plain_end(shape);
        let first = task.first;
        match first.kind {
            Kind::Query => {
                let is_here = first.here == first.len && first.len <= KEPT_MAX;
                (is_here && does(&task.shape)).then_some(first.len)
            }
            _ => self.series_len(task, does),
        }
    }

    /// As [`Self::read_len`], of a series. Only its first message may prepare something: the text of others has not
    /// been read.
    fn series_len(&self, task: &Task, does: impl Fn(&Shape) -> bool) -> Option<usize> {
        let (mut prepared, mut is_bound) = (None, false);
        let mut at = 0;
        while at <= KEPT_MAX {
            let rest = self.client.inbuf.get(at..)?;
            let header = Header::peek(rest).ok()??;
            let message = rest.get(..header.message_len())?;
            let step = self.step(Kind::of(header).ok()?, &message[HEADER_LEN..], &mut is_bound)?;
            let shape = match step {
                Step::Prepares(_) if at > 0 => return None,
                Step::Prepares(name) => {
                    prepared = Some(name);
                    Some(&task.shape)
                }
                Step::Uses(name) if prepared == Some(name) => Some(&task.shape),
                Step::Uses(name) => Some(self.statements.shape(name)?),
                Step::Goes | Step::Ends => None,
            };
            if shape.is_some_and(|shape| !does(shape)) {
                return None;
            }
            at += message.len();
            if matches!(step, Step::Ends) {
                return (at <= KEPT_MAX).then_some(at);
            }
        }
        None
    }

    /// What a message of a series does; `None` where it may do more than its statement. Nothing may come to the next
    /// series: in a transaction a portal would, unless it has no name and is read to its end.
    fn step<'a>(&self, kind: Kind, mut body: &'a [u8], is_bound: &mut bool) -> Option<Step<'a>> {
        let is_alone = matches!(self.transaction, Transaction::Idle);
        Some(match kind {
            Kind::Parse => Step::Prepares(take_name(&mut body)?),
            Kind::Bind => {
                let bind = Bind::parse(body).ok()?;
                *is_bound = is_alone || bind.portal.is_empty();
                Step::Uses(bind.statement)
            }
            Kind::Describe => match Target::parse(body).ok()? {
                Target::Statement(name) => Step::Uses(name),
                Target::Portal(_) => Step::Goes,
            },
            Kind::Execute => {
                let is_whole = is_alone || Execute::parse(body).ok()?.rows_max <= 0;
                (*is_bound && is_whole).then_some(Step::Goes)?
            }
            Kind::Close | Kind::Flush => Step::Goes,
            Kind::Sync => Step::Ends,
            _ => return None,
        })
    }
}
