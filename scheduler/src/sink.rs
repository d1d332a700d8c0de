//! Sinks: where the items of a batch go, and what became of each.
//!
//! ```text
//!  a slice of one chunk ─► Http ───── a request each, in the lane's order ─┐
//!                      ├─► Command ── a line each ─────────────────────────┤─► a fate each
//!                      ├─► Redis ──── one script: jobs and progress ───────┤
//!                      └─► Sql ────── one statement in your transaction ───┘
//!                                                             afterwards: done, again at, dead, held
//! ```
//!
//! Once in effect means that progress is stored where the effect is stored. SQL and Redis can do
//! that: what [`sql`] puts is committed together with the ledger's flush, or with a row of
//! [`sql::progress`] where the ledger is elsewhere, and the script of [`redis`] sets the bits of the items
//! that it pushes. A webhook and a command cannot: there an item is offered at least once, with the
//! same id each time, and what was sent and not answered is told as [`Fate::Ambiguous`], never as done
//! and never as failed.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use policy::dispatch::lane::Off;
use policy::dispatch::turns::Tenant;
use sha2::{Digest, Sha256};
use thiserror::Error;

pub mod afterwards;

pub mod lane;

pub mod http;

pub mod command;

pub mod sql;

pub mod redis;

/// Items of one slice, and of a chunk, at most.
pub const SLICE_MAX: usize = 1_000;

/// Where items go.
///
/// A sink opens what it needs by itself and keeps it; it may be asked from many tasks at once. What
/// needs a transaction of the caller's is no `Sink`: see [`sql::Statement`].
pub trait Sink: Send + Sync {
    /// Offers the items and returns the fate of each, in their order.
    ///
    /// Dropping it means that nobody will know: items that were not done before may have been sent.
    fn offer(&self, slice: Slice<'_>) -> impl Future<Output = Vec<Fate>> + Send;
}

/// Items of one chunk.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'a> {
    /// Of which chunk.
    pub chunk: Chunk<'a>,
    /// At most [`SLICE_MAX`], each position at most once.
    pub items: &'a [Item],
}

/// A chunk, as far as sinks know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The key of its batch. It must be unique among all batches that go to the sink.
    pub batch: &'a str,
    /// Its number in the batch.
    pub number: u32,
    /// The rank in the batch of its first item.
    pub first: u64,
    /// The fencing token of who has claimed it: whoever comes with a lower one is a zombie.
    pub fence: u64,
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its place in the chunk, from 0 and below [`SLICE_MAX`]: its bit of the progress.
    pub position: u32,
    /// Who it is for.
    pub recipient: Bytes,
    /// What is to be delivered.
    pub body: Bytes,
    /// Which attempt this is; the first is 1.
    pub attempt: u32,
    /// Whose work it is, where one sink serves many; items of the same tenant share a number.
    pub tenant: Tenant,
    /// After this moment it is of no use any more.
    pub deadline: Option<Timestamp>,
}

/// The name of an item: the same in every attempt, by whichever scheduler, also when its batch is
/// planned anew. It is made of the batch's key and the item's rank in the batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId([u8; 16]);

/// What became of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is there.
    Done,
    /// It failed, and may succeed later; the sink may have asked for some time.
    Retry {
        /// How long to leave it alone, at least.
        asked: Option<Duration>,
        /// Why.
        why: Reason,
    },
    /// It will never succeed.
    Dead(Reason),
    /// It was sent, and nobody knows what became of it.
    Ambiguous(Reason),
    /// It was not sent, for a reason that is not its own: the attempt does not count.
    Unsent(Reason),
}

/// Why an item is not done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
pub enum Reason {
    /// Its deadline has passed.
    #[error("its deadline has passed")]
    Expired,
    /// An operator has switched the sink off.
    #[error("the sink is switched off")]
    SwitchedOff,
    /// The receiver has said that it is gone.
    #[error("the receiver is gone (410); switch the sink on again when it is back")]
    Gone,
    /// Too many wait for the sink already.
    #[error("too many wait for the sink")]
    Full,
    /// The receiver answered with this status.
    #[error("the receiver answered with status {0}")]
    Status(u16),
    /// The receiver sent it elsewhere, which is not followed.
    #[error("the receiver redirects (status {0}), which is not followed: change the URL")]
    Redirected(u16),
    /// The receiver cannot be reached.
    #[error("no connection to the receiver: {0}")]
    Unreachable(String),
    /// It was sent, and there was no whole answer.
    #[error("sent, but there was no whole answer: {0}")]
    Unanswered(String),
    /// It was sent, and there was no answer in this time.
    #[error("sent, but there was no answer within {0:?}")]
    Late(Duration),
    /// It is larger than the sink takes.
    #[error("its body has {len} bytes; the sink takes {max}")]
    TooLarge {
        /// How large it is, in bytes.
        len: usize,
        /// What the sink takes.
        max: usize,
    },
    /// It is not what the sink needs.
    #[error("it must be {0}")]
    Unfit(&'static str),
    /// The receiver does not want it, in its own words.
    #[error("refused: {0}")]
    Refused(String),
    /// Somebody else has claimed its chunk: stop.
    #[error("its chunk belongs to somebody else by now")]
    Fenced,
}

impl<'a> Chunk<'a> {
    /// The name of its item at this position.
    #[must_use]
    pub fn id(&self, position: u32) -> ItemId {
        let mut hash = Sha256::new();
        hash.update((self.batch.len() as u64).to_be_bytes());
        hash.update(self.batch);
        hash.update((self.first + u64::from(position)).to_be_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        // RFC 9562, section 5.8: version 8 is for what the maker defines; section 4.1: variant.
        id[6] = 0x80 | id[6] & 0x0f;
        id[8] = 0x80 | id[8] & 0x3f;
        ItemId(id)
    }
}

impl Slice<'_> {
    /// The same fate for all.
    #[must_use]
    pub fn all(&self, fate: &Fate) -> Vec<Fate> {
        vec![fate.clone(); self.items.len()]
    }
}

impl Item {
    /// Whether it is too late for it at this moment.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| deadline < now)
    }

    /// Its recipient and its body as text.
    ///
    /// # Errors
    /// When one of them is not UTF-8.
    pub fn text(&self) -> Result<(&str, &str), Reason> {
        let text = |bytes| str::from_utf8(bytes).map_err(|_| Reason::Unfit("text in UTF-8"));
        Ok((text(&self.recipient)?, text(&self.body)?))
    }
}

impl From<Off> for Reason {
    fn from(off: Off) -> Self {
        match off {
            Off::Switched => Self::SwitchedOff,
            Off::Gone => Self::Gone,
        }
    }
}

// === impl ItemId ===

impl ItemId {
    /// 24 hexadecimal digits of it, as Sidekiq names its jobs.
    #[must_use]
    pub fn jid(&self) -> String {
        // Its last 12 bytes but for two fixed bits are the hash's own.
        self.0[4..].iter().fold(String::with_capacity(24), |mut jid, byte| {
            use fmt::Write as _;
            write!(jid, "{byte:02x}").expect("a String takes everything");
            jid
        })
    }
}

/// As a UUID (version 8).
impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let places = (0..36).filter(|place| ![8, 13, 18, 23].contains(place));
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        for (place, digit) in places.zip(digits) {
            text[place] = DIGITS[usize::from(digit)];
        }
        f.write_str(str::from_utf8(&text).expect("digits and hyphens"))
    }
}

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The first so many characters of what somebody else has said, for an error.
fn excerpt(text: &str) -> Cow<'_, str> {
    const EXCERPT_MAX: usize = 200;
    match text.char_indices().nth(EXCERPT_MAX) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// The time of day, for what a sink signs, stamps and compares with deadlines.
#[expect(clippy::disallowed_methods, reason = "sinks do I/O; what decides is told the time")]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn chunk(batch: &str, first: u64) -> Chunk<'_> {
        Chunk { batch, number: 0, first, fence: 1 }
    }

    #[test]
    fn an_id_depends_on_the_batch_and_the_rank_alone() {
        let id = chunk("reminders@13:00", 0).id(1_500);
        let moved = Chunk { number: 1, fence: 9, ..chunk("reminders@13:00", 1_000) };
        assert_eq!(moved.id(500), id);
        assert_ne!(chunk("reminders@14:00", 0).id(1_500), id);
        let all: HashSet<_> = (0..10_000).map(|n| chunk("b", 0).id(n)).collect();
        assert_eq!(all.len(), 10_000);
    }

    #[test]
    fn an_id_is_a_uuid_of_version_8_and_a_jid_of_24_digits() {
        let id = chunk("b", 7).id(0);
        let text = id.to_string();
        let lens: Vec<_> = text.split('-').map(str::len).collect();
        assert_eq!(lens, [8, 4, 4, 4, 12]);
        assert_eq!(&text[14..15], "8");
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"));
        assert_eq!(text.replace('-', "")[8..], id.jid());
        assert_eq!(id.jid().len(), 24);
    }
}
