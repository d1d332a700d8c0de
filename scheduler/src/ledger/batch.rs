//! What a batch is: what its planner says of it, and what the ledger knows.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::error::LedgerError;
use super::life::BatchState;
use super::schema::{NAME_BYTES_MAX, POLICY_BYTES_MAX, moment};
use super::store::{Row, Value};

/// Classes are numbered from 0, the most urgent.
pub const CLASSES: u8 = 4;

/// What a planner says of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What it is called, once and for all: what is submitted under the same name is the same batch.
    /// From 1 to 200 bytes, for example `reminders@2026-11-21T13:00:00Z`.
    pub name: String,
    /// The moment it is named after.
    pub nominal: Timestamp,
    /// Before it nothing is sent.
    pub opens: Timestamp,
    /// When the last item is to be sent.
    pub deadline: Timestamp,
    /// From 0, the most urgent, to 3. Of what is due, the more urgent is claimed first.
    pub class: u8,
    /// Who its items are sent by. From 1 to 200 bytes.
    pub sink: String,
    /// What the dispatcher should know, in its own words. At most 16 KiB.
    pub policy: String,
}

impl Terms {
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        LedgerError::bound("bytes of a batch's name", self.name.len(), NAME_BYTES_MAX)?;
        LedgerError::bound("bytes of a sink's name", self.sink.len(), NAME_BYTES_MAX)?;
        LedgerError::bound("bytes of a batch's policy", self.policy.len(), POLICY_BYTES_MAX)?;
        let bad = |name: &str| name.is_empty() || name.chars().any(char::is_control);
        let wrong = if bad(&self.name) {
            "its name is empty or has control characters"
        } else if bad(&self.sink) {
            "the name of its sink is empty or has control characters"
        } else if self.class >= CLASSES {
            "its class is from 0, the most urgent, to 3"
        } else if self.opens > self.deadline {
            "its deadline is before it opens"
        } else {
            return Ok(());
        };
        Err(LedgerError::invalid("batch", wrong))
    }

    /// What tells it from any other batch, but for its items.
    pub(super) fn digest(&self) -> Vec<u8> {
        let mut hasher = Sha256::new();
        for at in [self.nominal, self.opens, self.deadline] {
            hasher.update(moment(at).to_le_bytes());
        }
        hasher.update([self.class]);
        for text in [&self.sink, &self.policy] {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        hasher.finalize().to_vec()
    }
}

/// A batch, as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its number.
    pub id: i64,
    /// The volume it is in.
    pub volume: i64,
    /// How far it was when it was read.
    pub state: BatchState,
    /// What its planner has said of it.
    pub terms: Terms,
    /// How many chunks it has. 0 until it is sealed.
    pub chunks: u32,
    /// How many items it has. 0 until it is sealed.
    pub items: u64,
}

impl Batch {
    pub(super) const COLUMNS: &'static str = "id, volume, state, class, nominal, opens, deadline, \
                                              sink, policy, chunks, items, name";

    pub(super) fn read(row: &Row) -> Result<Self, LedgerError> {
        let moment = |column| {
            let micros = row.int(column)?;
            Timestamp::from_microsecond(micros)
                .map_err(|_| LedgerError::Damaged(format!("a batch has the moment {micros}")))
        };
        let damaged = |what: &str| LedgerError::Damaged(format!("a batch has an unknown {what}"));
        let terms = Terms {
            name: row.text(11)?,
            nominal: moment(4)?,
            opens: moment(5)?,
            deadline: moment(6)?,
            class: u8::try_from(row.int(3)?).map_err(|_| damaged("class"))?,
            sink: row.text(7)?,
            policy: row.text(8)?,
        };
        Ok(Self {
            id: row.int(0)?,
            volume: row.int(1)?,
            state: BatchState::parse(row.int(2)?).ok_or_else(|| damaged("state"))?,
            chunks: row.count(9)?,
            items: row.count(10)?.into(),
            terms,
        })
    }

    pub(super) fn key(&self) -> Value {
        self.id.into()
    }
}
