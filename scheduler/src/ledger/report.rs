//! How far batches are.

use jiff::Timestamp;

use super::Ledger;
use super::batch::Batch;
use super::body::{Body, Item};
use super::claim::failure;
use super::dialect::Dialect;
use super::error::LedgerError;
use super::lateness::Lateness;
use super::life::{BatchState, ChunkState};
use super::progress::{Failure, Fate, Tally};
use super::store::{Row, Work};

/// A page of failures has no more.
pub const FAILURES_MAX: u32 = 10_000;
/// A list has no more batches.
pub const LIST_MAX: u32 = 10_000;

/// How far a batch is. Its figures add up: `items` of the tally are `sent`, `waiting`, `held`, `dead`,
/// `dropped`, `cancelled` and `untouched`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The batch.
    pub batch: Batch,
    /// How many items are how far.
    pub tally: Tally,
    /// How many were never tried, or are being tried now.
    pub untouched: u64,
    /// Of those and the waiting ones, how many in chunks that are due by now and nobody has.
    pub due: u64,
    /// In chunks that somebody has.
    pub leased: u64,
    /// How many are not sent any more because the batch was cancelled.
    pub cancelled: u64,
    /// How many were ever offered by a holder that was gone before the outcome was known.
    pub ambiguous: u64,
    /// How late those were that were sent.
    pub lateness: Lateness,
    /// How far behind their moments those went that nothing held up: neither pressure nor a backlog.
    pub pacing: Lateness,
    /// The database's clock.
    pub now: Timestamp,
}

/// An item that was not sent at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedItem {
    /// Its chunk.
    pub seq: u32,
    /// Its place in there.
    pub item: u32,
    /// What has become of it.
    pub failure: Failure,
}

/// What all chunks of a batch add up to.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) tally: Tally,
    pub(super) cancelled: u64,
    pub(super) due: u64,
    pub(super) leased: u64,
    pub(super) lateness: Lateness,
    pub(super) pacing: Lateness,
}

impl Totals {
    /// Adds a chunk: its state, whether it is due, its tally and its lateness. What is left of a cancelled
    /// one is cancelled.
    pub(super) fn add(
        &mut self,
        state: ChunkState,
        is_due: bool,
        tally: Tally,
        lateness: &Lateness,
    ) -> Option<()> {
        let open = tally.untouched()? + tally.waiting;
        let mut tally = tally;
        match state {
            ChunkState::Cancelled => {
                self.cancelled += open;
                tally.waiting = 0;
            }
            ChunkState::Leased => self.leased += open,
            ChunkState::Waiting if is_due => self.due += open,
            ChunkState::Waiting | ChunkState::Done => {}
        }
        self.tally = self.tally.plus(tally);
        self.lateness.merge(lateness);
        Some(())
    }
}

pub(super) const CHUNK_COLUMNS: &str = "state, items, sent, waiting, held, dead, late, COALESCE(due, 0), seq, done, offered, dropped, paced";

/// A chunk's row as [`CHUNK_COLUMNS`] has it.
pub(super) fn chunk(row: &Row) -> Result<(ChunkState, Tally, Lateness, i64), LedgerError> {
    let damaged = |what: &str| LedgerError::Damaged(format!("a chunk has an unknown {what}"));
    let state = ChunkState::parse(row.int(0)?).ok_or_else(|| damaged("state"))?;
    let tally = Tally {
        items: row.count(1)?.into(),
        sent: row.count(2)?.into(),
        waiting: row.count(3)?.into(),
        held: row.count(4)?.into(),
        dead: row.count(5)?.into(),
        dropped: row.count(11)?.into(),
    };
    let lateness = Lateness::parse(&row.bytes(6)?).ok_or_else(|| damaged("lateness"))?;
    Ok((state, tally, lateness, row.int(7)?))
}

pub(super) async fn totals(
    dialect: Dialect,
    work: &mut dyn Work,
    batch: &Batch,
) -> Result<Totals, LedgerError> {
    let sql = dialect.sql(&format!(
        "SELECT {CHUNK_COLUMNS}, {} FROM tg_chunk_{} WHERE batch = ?",
        dialect.now(),
        batch.volume
    ));
    let mut totals = Totals::default();
    for row in work.read(&sql, &[batch.key()]).await? {
        let (state, tally, lateness, due) = chunk(&row)?;
        let is_due = due <= row.int(13)?;
        let pacing = Lateness::parse(&row.bytes(12)?);
        let damaged = || LedgerError::Damaged("a chunk has an unknown pacing".into());
        totals.pacing.merge(&pacing.ok_or_else(damaged)?);
        let added = totals.add(state, is_due, tally, &lateness);
        added.ok_or_else(|| LedgerError::Damaged("a chunk has more than its items".into()))?;
    }
    Ok(totals)
}

impl Ledger {
    /// The newest batches, the newest first, so many at most.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn list(&self, most: u32) -> Result<Vec<Batch>, LedgerError> {
        let sql = format!(
            "SELECT {} FROM tg_batch ORDER BY id DESC LIMIT {}",
            Batch::COLUMNS,
            most.min(LIST_MAX)
        );
        self.read(&sql, &[]).await?.iter().map(Batch::read).collect()
    }

    /// How far a batch is, all at one moment. Reads a row for each chunk.
    ///
    /// # Errors
    /// [`LedgerError::UnknownBatch`] where there is none.
    pub async fn report(&self, name: &str) -> Result<Report, LedgerError> {
        let batch = self.find(name).await?;
        let now = self.now().await?;
        if batch.state.is_over() {
            return self.final_report(batch, now).await;
        }
        let mut work = self.snapshot().await?;
        let totals = totals(self.dialect(), work.as_mut(), &batch).await?;
        drop(work);
        let ambiguous = self.ambiguous(&batch).await?;
        let untouched = totals.tally.untouched().unwrap_or(0).saturating_sub(totals.cancelled);
        Ok(Report {
            batch,
            tally: totals.tally,
            untouched,
            due: totals.due,
            leased: totals.leased,
            cancelled: totals.cancelled,
            ambiguous,
            lateness: totals.lateness,
            pacing: totals.pacing,
            now,
        })
    }

    /// Of a batch that is over, also when its volume was dropped.
    async fn final_report(&self, batch: Batch, now: Timestamp) -> Result<Report, LedgerError> {
        let sql = self
            .dialect()
            .sql("SELECT sent, waiting, held, dead, cancelled, late, dropped, paced FROM tg_batch WHERE id = ?");
        let rows = self.read(&sql, &[batch.key()]).await?;
        let row =
            rows.first().ok_or_else(|| LedgerError::UnknownBatch(batch.terms.name.clone()))?;
        let damaged = || LedgerError::Damaged("a batch has an unknown lateness".into());
        let late = |column| Lateness::parse(&row.bytes(column)?).ok_or_else(damaged);
        let (lateness, pacing) = (late(5)?, late(7)?);
        let tally = Tally {
            items: batch.items,
            sent: row.count(0)?.into(),
            waiting: row.count(1)?.into(),
            held: row.count(2)?.into(),
            dead: row.count(3)?.into(),
            dropped: row.count(6)?.into(),
        };
        let cancelled = row.count(4)?.into();
        let untouched = tally.untouched().unwrap_or(0).saturating_sub(cancelled);
        let ambiguous = match self.ambiguous(&batch).await {
            Err(error) if error.is_missing_table() => 0,
            counted => counted?,
        };
        let (due, leased) = (0, 0);
        Ok(Report {
            batch,
            tally,
            untouched,
            due,
            leased,
            cancelled,
            ambiguous,
            lateness,
            pacing,
            now,
        })
    }

    async fn ambiguous(&self, batch: &Batch) -> Result<u64, LedgerError> {
        let sql = self.dialect().sql(&format!(
            "SELECT COUNT(*) FROM tg_failure_{} WHERE batch = ? AND ambiguous = 1",
            batch.volume
        ));
        let rows = self.read(&sql, &[batch.key()]).await?;
        rows.first().map_or(Ok(0), |row| Ok(row.count(0)?.into()))
    }

    /// The items of a batch that were not sent at first, in order, behind the given place, so many at
    /// most. For the whole list begin with none, and go on behind the last.
    ///
    /// # Errors
    /// [`LedgerError::Dropped`] where they are gone.
    pub async fn failures(
        &self,
        batch: &Batch,
        behind: Option<(u32, u32)>,
        most: u32,
    ) -> Result<Vec<FailedItem>, LedgerError> {
        let sql = self.dialect().sql(&format!(
            "SELECT seq, item, fate, attempts, ambiguous, next, why FROM tg_failure_{} WHERE batch = ? \
             AND (seq > ? OR seq = ? AND item > ?) ORDER BY batch, seq, item LIMIT {}",
            batch.volume,
            most.min(FAILURES_MAX),
        ));
        let (seq, item) = behind.map_or((-1, -1), |(seq, item)| (seq.into(), item.into()));
        let values = [batch.key(), seq.into(), i64::into(seq), i64::into(item)];
        let rows = match self.read(&sql, &values).await {
            Err(error) if error.is_missing_table() => {
                return Err(LedgerError::Dropped(batch.terms.name.clone()));
            }
            rows => rows?,
        };
        rows.iter()
            .map(|row| {
                Ok(FailedItem {
                    seq: row.count(0)?,
                    item: row.count(1)?,
                    failure: failure(row, 2)?,
                })
            })
            .collect()
    }
}

impl Ledger {
    /// The items of a chunk, as they were submitted.
    ///
    /// # Errors
    /// [`LedgerError::Dropped`] where they are gone.
    pub async fn items(&self, batch: &Batch, seq: u32) -> Result<Vec<Item>, LedgerError> {
        let gone = || LedgerError::Dropped(batch.terms.name.clone());
        let sql = self.dialect().sql(&format!(
            "SELECT c.items, b.body FROM tg_chunk_{volume} c, tg_body_{volume} b \
             WHERE c.batch = ? AND c.seq = ? AND b.batch = c.batch AND b.seq = c.seq",
            volume = batch.volume,
        ));
        let rows = match self.read(&sql, &[batch.key(), seq.into()]).await {
            Err(error) if error.is_missing_table() => return Err(gone()),
            rows => rows?,
        };
        let row = rows.first().ok_or_else(gone)?;
        let body = Body { items: row.count(0)?, bytes: row.bytes(1)? };
        body.items().ok_or_else(|| LedgerError::Damaged(format!("chunk {seq} cannot be read")))
    }
}

impl Report {
    /// Whether the figures add up.
    #[must_use]
    pub const fn closes(&self) -> bool {
        let tally = &self.tally;
        let settled = tally.sent + tally.held + tally.dead + tally.dropped + self.cancelled;
        settled + tally.waiting + self.untouched == tally.items
    }

    /// Whether nothing more is done by itself.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.batch.state, BatchState::Cancelled | BatchState::Done)
    }
}

impl FailedItem {
    /// Whether somebody has to decide.
    #[must_use]
    pub fn wants_a_decision(&self) -> bool {
        matches!(self.failure.fate, Fate::Held | Fate::Dead)
    }
}
