//! What somebody may want of a batch while it is under way, and what has to be done now and then.

use super::batch::Batch;
use super::claim::chosen;
use super::error::LedgerError;
use super::life::{BatchState, ChunkState, Wanted};
use super::progress::Fate;
use super::report::totals;
use super::store::{Value, Work};
use super::{Ledger, retrying};
use crate::ledger::batch::CLASSES;
use crate::ledger::claim::stored;

/// What is tried again is tried again in pages of so many chunks, each a transaction.
const PAGE: usize = 100;

/// What tidying has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tidied {
    /// Batches that are over now.
    pub closed: u64,
    /// Chunks of cancelled batches that nobody works on any more.
    pub cancelled: u64,
}

impl Ledger {
    /// A batch, by its name.
    ///
    /// # Errors
    /// [`LedgerError::UnknownBatch`] where there is none.
    pub async fn find(&self, name: &str) -> Result<Batch, LedgerError> {
        let sql =
            self.dialect().sql(&format!("SELECT {} FROM tg_batch WHERE name = ?", Batch::COLUMNS));
        let rows = self.read(&sql, &[name.into()]).await?;
        let row = rows.first().ok_or_else(|| LedgerError::UnknownBatch(name.to_owned()))?;
        Batch::read(row)
    }

    /// Batches by their numbers, in no order; those that there are not are left out.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn batches(&self, numbers: &[i64]) -> Result<Vec<Batch>, LedgerError> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let marks = vec!["?"; numbers.len()].join(", ");
        let sql = format!("SELECT {} FROM tg_batch WHERE id IN ({marks})", Batch::COLUMNS);
        let numbers: Vec<Value> = numbers.iter().map(|number| (*number).into()).collect();
        self.read(&self.dialect().sql(&sql), &numbers).await?.iter().map(Batch::read).collect()
    }

    /// How far these batches are: what a dispatcher asks once a second of those it holds chunks of. It
    /// lets go of chunks of a batch that is not running.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn states(&self, batches: &[i64]) -> Result<Vec<(i64, BatchState)>, LedgerError> {
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let marks = vec!["?"; batches.len()].join(", ");
        let sql =
            self.dialect().sql(&format!("SELECT id, state FROM tg_batch WHERE id IN ({marks})"));
        let ids: Vec<Value> = batches.iter().map(|id| (*id).into()).collect();
        let rows = self.read(&sql, &ids).await?;
        let unknown = || LedgerError::Damaged("a batch has an unknown state".into());
        let state = |code| BatchState::parse(code).ok_or_else(unknown);
        rows.iter().map(|row| Ok((row.int(0)?, state(row.int(1)?)?))).collect()
    }

    /// Has no more chunks of a batch claimed. Who holds one is told by [`Self::states`].
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where the batch is not running.
    pub async fn pause(&self, name: &str) -> Result<Batch, LedgerError> {
        retrying!(self.ask(name, Wanted::Pause))
    }

    /// Goes on with a batch that was paused.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where the batch is over.
    pub async fn resume(&self, name: &str) -> Result<Batch, LedgerError> {
        retrying!(self.ask(name, Wanted::Resume))
    }

    /// Cancels a batch, also half-way: what was not sent is not sent any more. Who holds a chunk of it
    /// is told by [`Self::states`], and still writes down what was sent; then [`Self::tidy`] closes it.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where the batch is done.
    pub async fn cancel(&self, name: &str) -> Result<Batch, LedgerError> {
        retrying!(self.ask(name, Wanted::Cancel))?;
        self.tidy().await?;
        self.find(name).await
    }

    async fn ask(&self, name: &str, wanted: Wanted) -> Result<Batch, LedgerError> {
        let dialect = self.dialect();
        let mut work = self.begin().await?;
        let mut batch = self.locked(work.as_mut(), name).await?;
        let state = after(&batch, wanted)?;
        if state != batch.state {
            let sql = dialect.sql("UPDATE tg_batch SET state = ? WHERE id = ?");
            work.execute(&sql, &[state.code().into(), batch.key()]).await?;
            work.commit().await?;
            batch.state = state;
        }
        Ok(batch)
    }

    async fn locked(&self, work: &mut dyn Work, name: &str) -> Result<Batch, LedgerError> {
        let dialect = self.dialect();
        let sql = dialect.sql(&format!(
            "SELECT {} FROM tg_batch WHERE name = ? {}",
            Batch::COLUMNS,
            dialect.for_update()
        ));
        let rows = work.read(&sql, &[name.into()]).await?;
        let row = rows.first().ok_or_else(|| LedgerError::UnknownBatch(name.to_owned()))?;
        Batch::read(row)
    }

    /// Closes what is over: chunks of cancelled batches that nobody holds, and batches without open
    /// chunks, whose final figures are then kept with them. To be called every second or so, by
    /// anyone; costs one statement where no batch is open.
    ///
    /// # Errors
    /// As for any statement; what was not done is done by the next call.
    pub async fn tidy(&self) -> Result<Tidied, LedgerError> {
        let sql = format!(
            "SELECT {} FROM tg_batch WHERE state IN ({}, {}, {})",
            Batch::COLUMNS,
            BatchState::Running.code(),
            BatchState::Paused.code(),
            BatchState::Cancelling.code(),
        );
        let mut tidied = Tidied::default();
        for row in self.read(&sql, &[]).await? {
            let batch = Batch::read(&row)?;
            if batch.state == BatchState::Cancelling {
                tidied.cancelled += retrying!(self.sweep(&batch))?;
            }
            tidied.closed += u64::from(retrying!(self.close_batch(&batch))?);
        }
        Ok(tidied)
    }

    async fn sweep(&self, batch: &Batch) -> Result<u64, LedgerError> {
        let dialect = self.dialect();
        let sql = dialect.sql(&format!(
            "UPDATE tg_chunk_{} SET state = {}, due = NULL, fence = fence + 1, worker = '' \
             WHERE batch = ? AND (state = {} OR state = {} AND due < {})",
            batch.volume,
            ChunkState::Cancelled.code(),
            ChunkState::Waiting.code(),
            ChunkState::Leased.code(),
            dialect.now(),
        ));
        self.execute(&sql, &[batch.key()]).await
    }

    async fn close_batch(&self, batch: &Batch) -> Result<bool, LedgerError> {
        let dialect = self.dialect();
        // Without a lock at first: most are open.
        let open = format!(
            "SELECT 1 FROM tg_chunk_{} WHERE batch = ? AND state IN ({}, {}) LIMIT 1",
            batch.volume,
            ChunkState::Waiting.code(),
            ChunkState::Leased.code(),
        );
        let open = dialect.sql(&open);
        if !self.read(&open, &[batch.key()]).await?.is_empty() {
            return Ok(false);
        }
        let mut work = self.begin().await?;
        let now = self.locked(work.as_mut(), &batch.terms.name).await?;
        let over = if now.state == BatchState::Cancelling {
            BatchState::Cancelled
        } else {
            BatchState::Done
        };
        if now.state.is_over() || !work.read(&open, &[batch.key()]).await?.is_empty() {
            return Ok(false);
        }
        let totals = totals(dialect, work.as_mut(), &now).await?;
        let sql = dialect.sql(&format!(
            "UPDATE tg_batch SET state = ?, closed = {}, sent = ?, waiting = ?, held = ?, dead = ?, \
             dropped = ?, cancelled = ?, late = ?, paced = ? WHERE id = ?",
            dialect.now()
        ));
        let count = |count: u64| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
        let values = [
            over.code().into(),
            count(totals.tally.sent),
            count(totals.tally.waiting),
            count(totals.tally.held),
            count(totals.tally.dead),
            count(totals.tally.dropped),
            count(totals.cancelled),
            totals.lateness.stored().into(),
            totals.pacing.stored().into(),
            batch.key(),
        ];
        work.execute(&sql, &values).await?;
        work.commit().await?;
        Ok(true)
    }

    /// Has the items of a batch that are dead, or those that are held, tried again, and returns how many.
    /// Those of a chunk that somebody works on are left as they are.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where the batch was cancelled, [`LedgerError::Dropped`] where its
    /// items are gone, [`LedgerError::Invalid`] for any other fate.
    pub async fn retry(&self, name: &str, fate: Fate) -> Result<u64, LedgerError> {
        if !matches!(fate, Fate::Dead | Fate::Held) {
            let why = "what is dead or held can be tried again; what waits is tried by itself";
            return Err(LedgerError::invalid("retry", why));
        }
        let mut total = 0;
        loop {
            let (chunks, items) = retrying!(self.retry_page(name, fate))?;
            total += items;
            if chunks < PAGE {
                return Ok(total);
            }
        }
    }

    async fn retry_page(&self, name: &str, fate: Fate) -> Result<(usize, u64), LedgerError> {
        let dialect = self.dialect();
        let mut work = self.begin().await?;
        let batch = self.locked(work.as_mut(), name).await?;
        let state = after(&batch, Wanted::Retry)?;
        let dropped = dialect.sql(&format!(
            "SELECT dropped FROM tg_volume WHERE volume = ? {}",
            dialect.for_update()
        ));
        let dropped = work.read(&dropped, &[batch.volume.into()]).await?;
        if dropped.first().is_none_or(|row| row.int(0).unwrap_or(1) != 0) {
            return Err(LedgerError::Dropped(name.to_owned()));
        }
        let (column, volume) = (if fate == Fate::Dead { "dead" } else { "held" }, batch.volume);
        let sql = dialect.sql(&format!(
            "SELECT batch, seq, {column} FROM tg_chunk_{volume} WHERE batch = ? AND {column} > 0 \
             AND state IN ({}, {}) ORDER BY batch, seq LIMIT {PAGE} {}",
            ChunkState::Waiting.code(),
            ChunkState::Done.code(),
            dialect.for_update_skip(),
        ));
        let chunks = work.read(&sql, &[batch.key()]).await?;
        let mut keys = Vec::new();
        let mut items = 0;
        for row in &chunks {
            keys.extend([row.int(0)?.into(), row.int(1)?.into()]);
            items += u64::from(row.count(2)?);
        }
        if chunks.is_empty() {
            return Ok((0, 0));
        }
        let (chosen, now) = (chosen(chunks.len()), dialect.now());
        let failures = dialect.sql(&format!(
            "UPDATE tg_failure_{volume} SET fate = 0, attempts = 0, next = {now} WHERE fate = {} AND ({chosen})",
            stored(fate).0
        ));
        work.execute(&failures, &keys).await?;
        // A chunk with first attempts left keeps its moment and its place before the retries.
        let sql = dialect.sql(&format!(
            "UPDATE tg_chunk_{volume} SET waiting = waiting + {column}, {column} = 0, fence = fence + 1, \
             due = CASE WHEN state = {done} THEN {now} ELSE due END, \
             urgency = CASE WHEN state = {done} THEN {urgency} ELSE urgency END, state = {waiting} WHERE {chosen}",
            done = ChunkState::Done.code(),
            urgency = batch.terms.class + CLASSES,
            waiting = ChunkState::Waiting.code(),
        ));
        work.execute(&sql, &keys).await?;
        let sql = dialect.sql("UPDATE tg_batch SET state = ? WHERE id = ?");
        work.execute(&sql, &[state.code().into(), batch.key()]).await?;
        work.commit().await?;
        Ok((chunks.len(), items))
    }
}

fn after(batch: &Batch, wanted: Wanted) -> Result<BatchState, LedgerError> {
    let refused =
        || LedgerError::Refused { name: batch.terms.name.clone(), state: batch.state, wanted };
    batch.state.after(wanted).ok_or_else(refused)
}
