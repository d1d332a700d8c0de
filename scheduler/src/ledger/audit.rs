//! Going over a batch's books: is every item in exactly one place, and is the sum what was
//! submitted?

use std::collections::BTreeMap;

use super::Ledger;
use super::batch::Batch;
use super::bitmap::Bitmap;
use super::body::{Body, NewChunk};
use super::claim::failure;
use super::error::LedgerError;
use super::lateness::Lateness;
use super::life::{BatchState, ChunkState};
use super::progress::{Failure, Progress, Tally};
use super::report::{CHUNK_COLUMNS, Totals, chunk};
use super::store::Row;

/// So many chunks are read at a time.
const PAGE: u32 = 100;
/// So many contradictions are told; all are counted.
const TOLD_MAX: usize = 20;

/// What an audit has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// Items that the batch was sealed with.
    pub items: u64,
    /// Sent, once each.
    pub sent: u64,
    /// Given up.
    pub dead: u64,
    /// Nobody knows; waiting for a decision.
    pub held: u64,
    /// Not sent because they no longer applied.
    pub dropped: u64,
    /// Not sent any more, because the batch was cancelled.
    pub cancelled: u64,
    /// Still to be sent, or to be sent again.
    pub open: u64,
    /// Of those that were sent or not: offered by a holder that was gone before the outcome was known.
    pub ambiguous: u64,
    /// How many contradictions there are.
    pub holes: u64,
    /// The first of them, in words.
    pub told: Vec<String>,
}

impl Audit {
    /// Whether the books close: no contradiction, and each item in one place.
    #[must_use]
    pub const fn closes(&self) -> bool {
        let settled = self.sent + self.dead + self.held + self.dropped;
        let sum = settled + self.cancelled + self.open;
        self.holes == 0 && sum == self.items
    }

    fn hole(&mut self, what: String) {
        self.holes += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(what);
        }
    }
}

impl Ledger {
    /// Goes over the books of a batch: reads all its chunks, their items and their failures. What is
    /// under way meanwhile is counted as it is when its page is read.
    ///
    /// # Errors
    /// [`LedgerError::UnknownBatch`] where there is none, [`LedgerError::Dropped`] where its items
    /// are gone.
    pub async fn audit(&self, name: &str) -> Result<Audit, LedgerError> {
        let batch = self.find(name).await?;
        let mut audit = Audit { items: batch.items, ..Audit::default() };
        let mut totals = Totals::default();
        let mut next = 0;
        while next < batch.chunks {
            let end = next.saturating_add(PAGE).min(batch.chunks);
            self.audit_page(&batch, (next, end), &mut audit, &mut totals).await?;
            next = end;
        }
        let tally = totals.tally;
        if tally.items != batch.items {
            audit.hole(format!("its chunks have {} items, not {}", tally.items, batch.items));
        }
        let open = tally.untouched().unwrap_or(0).saturating_sub(totals.cancelled) + tally.waiting;
        if batch.state.is_over() && open > 0 {
            audit.hole(format!("it is {} with {open} open items", batch.state.name()));
        }
        if batch.state == BatchState::Draft {
            audit.hole("it is not sealed".into());
        }
        (audit.sent, audit.dead, audit.held) = (tally.sent, tally.dead, tally.held);
        (audit.dropped, audit.cancelled, audit.open) = (tally.dropped, totals.cancelled, open);
        Ok(audit)
    }

    async fn audit_page(
        &self,
        batch: &Batch,
        (first, end): (u32, u32),
        audit: &mut Audit,
        totals: &mut Totals,
    ) -> Result<(), LedgerError> {
        let (dialect, volume) = (self.dialect(), batch.volume);
        let span = [batch.key(), first.into(), end.into()];
        // A chunk and its failures are of one moment; nobody waits for it.
        let mut work = self.snapshot().await?;
        let chunks = dialect.sql(&format!(
            "SELECT {CHUNK_COLUMNS} FROM tg_chunk_{volume} WHERE batch = ? AND seq >= ? AND seq < ? \
             ORDER BY batch, seq"
        ));
        let dropped = |error: LedgerError| match error {
            error if error.is_missing_table() => LedgerError::Dropped(batch.terms.name.clone()),
            error => error,
        };
        let chunks = work.read(&chunks, &span).await.map_err(dropped)?;
        let failures = dialect.sql(&format!(
            "SELECT seq, item, fate, attempts, ambiguous, next, why FROM tg_failure_{volume} \
             WHERE batch = ? AND seq >= ? AND seq < ?"
        ));
        let mut failed: BTreeMap<u32, BTreeMap<u32, Failure>> = BTreeMap::new();
        for row in work.read(&failures, &span).await? {
            let failure = failure(&row, 2)?;
            audit.ambiguous += u64::from(failure.is_ambiguous);
            failed.entry(row.count(0)?).or_default().insert(row.count(1)?, failure);
        }
        let bodies = dialect.sql(&format!(
            "SELECT seq, first, last, digest, body FROM tg_body_{volume} WHERE batch = ? AND seq >= ? AND seq < ?"
        ));
        let mut written = BTreeMap::new();
        for row in work.read(&bodies, &span).await? {
            written.insert(row.count(0)?, row);
        }
        let mut expected = first;
        for row in &chunks {
            let seq = row.count(8)?;
            while expected < seq {
                audit.hole(format!("chunk {expected} is missing"));
                expected += 1;
            }
            expected = seq + 1;
            let failures = failed.remove(&seq).unwrap_or_default();
            let (state, tally, lateness, _) = chunk(row)?;
            for what in contradictions(row, (state, tally), failures, written.get(&seq)) {
                audit.hole(format!("chunk {seq}: {what}"));
            }
            if totals.add(state, false, tally, &lateness).is_none() {
                audit.hole(format!("chunk {seq} has more than its items"));
            }
        }
        for missing in expected..end {
            audit.hole(format!("chunk {missing} is missing"));
        }
        Ok(())
    }
}

/// What is wrong with a chunk's books.
fn contradictions(
    row: &Row,
    (state, told): (ChunkState, Tally),
    failures: BTreeMap<u32, Failure>,
    body: Option<&Row>,
) -> Vec<&'static str> {
    let mut found = Vec::new();
    let items = u32::try_from(told.items).unwrap_or(u32::MAX);
    let bitmap = |column| Bitmap::parse(items, &row.bytes(column).ok()?);
    let lateness = Lateness::parse(&row.bytes(6).unwrap_or_default());
    let progress = bitmap(9).zip(bitmap(10)).zip(lateness).and_then(|(bitmaps, lateness)| {
        let late = (lateness, Lateness::default());
        Progress::restore(bitmaps, failures, late)
    });
    match progress {
        None => found.push("an item is both sent and not, or there is none such"),
        Some(progress) => {
            if progress.tally() != told {
                found.push("its figures are not what its bitmap and its failures add up to");
            }
            if state == ChunkState::Done && progress.tally().untouched() != Some(0) {
                found.push("it is done with items that were never tried");
            }
            if progress.lateness().count() != told.sent {
                found.push("not each item that was sent is sent once");
            }
        }
    }
    if body.and_then(|body| whole(items, body)).is_none() {
        found.push("its items are not those that were submitted");
    }
    found
}

/// Whether a chunk's items are those that were submitted.
fn whole(items: u32, row: &Row) -> Option<()> {
    let moment = |column| jiff::Timestamp::from_microsecond(row.int(column).ok()?).ok();
    let body = Body { items, bytes: row.bytes(4).ok()? };
    body.items()?;
    let chunk = NewChunk { seq: row.count(0).ok()?, from: moment(1)?, to: moment(2)?, body };
    (chunk.digest() == row.bytes(3).ok()?).then_some(())
}
