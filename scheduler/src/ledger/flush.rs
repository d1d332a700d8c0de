//! Writing down what has become of a chunk, under the lease that one has of it.

use std::time::Instant;

use super::batch::CLASSES;
use super::claim::stored;
use super::error::LedgerError;
use super::lease::Lease;
use super::life::ChunkState;
use super::progress::{Progress, Standing};
use super::schema::{micros, moment};
use super::store::{Value, Work};
use super::{Ledger, retrying};

/// What an effect's statement is given.
pub type Parameter = Value;

/// A statement in the ledger's own database whose effect is what an item is about: it happens
/// together with the progress, or not at all.
#[derive(Debug, Clone)]
pub struct Effect {
    /// In the words of that database, its parameters counted as that does.
    pub sql: String,
    /// Its parameters.
    pub values: Vec<Parameter>,
}

impl Ledger {
    /// Writes down what has become of a chunk so far, and renews the lease when a third of it is
    /// over. One statement where no item has failed since.
    ///
    /// May be repeated, also when the answer was lost: it writes what is, not what has changed.
    ///
    /// # Errors
    /// [`LedgerError::Fenced`] where the lease is another's now: stop at once.
    pub async fn flush(
        &self,
        lease: &mut Lease,
        progress: &mut Progress,
    ) -> Result<(), LedgerError> {
        retrying!(self.write(lease, progress, &[], false))
    }

    /// Has effects happen and the progress written down together, or neither. Effects are only begun
    /// when the lease is known to be ours, and nobody else gets it before they are over.
    ///
    /// # Errors
    /// As [`Self::flush`]. After any other error nobody knows whether it has happened: let go of the
    /// chunk without writing anything more. It is claimed again when the lease is over, with the
    /// progress that tells.
    pub async fn flush_with(
        &self,
        lease: &mut Lease,
        progress: &mut Progress,
        effects: &[Effect],
    ) -> Result<(), LedgerError> {
        self.write(lease, progress, effects, false).await
    }

    /// Writes down what has become of a chunk, and lets go of it. What is left of it is claimed
    /// again: at once where items were never tried, else when the first is to be tried again, behind
    /// all first attempts.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub async fn release(
        &self,
        mut lease: Lease,
        progress: &mut Progress,
    ) -> Result<Standing, LedgerError> {
        retrying!(self.write(&mut lease, progress, &[], true))?;
        Ok(progress.standing())
    }

    /// Renews a lease, for a holder that has nothing to write down.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub async fn renew(&self, lease: &mut Lease) -> Result<(), LedgerError> {
        let dialect = self.dialect();
        let sql = dialect.sql(&format!(
            "UPDATE tg_chunk_{} SET due = {} + ? WHERE batch = ? AND seq = ? AND fence = ? AND state = {}",
            lease.volume,
            dialect.now(),
            ChunkState::Leased.code(),
        ));
        let asked = Instant::now();
        let length = micros(lease.terms.length + lease.terms.grace);
        let values = [length.into(), lease.batch.into(), lease.seq.into(), lease.fence.into()];
        fenced(lease, self.execute(&sql, &values).await?)?;
        lease.until = asked + lease.terms.length;
        Ok(())
    }

    async fn write(
        &self,
        lease: &mut Lease,
        progress: &mut Progress,
        effects: &[Effect],
        ends: bool,
    ) -> Result<(), LedgerError> {
        let asked = Instant::now();
        let renews = !ends && lease.wants_renewal(asked);
        let (sql, values) = self.statement(lease, progress, ends, renews);
        if effects.is_empty() && !progress.is_changed() {
            fenced(lease, self.execute(&sql, &values).await?)?;
        } else {
            let mut work = self.begin().await?;
            fenced(lease, work.execute(&sql, &values).await?)?;
            for effect in effects {
                work.execute(&effect.sql, &effect.values).await?;
            }
            self.write_failures(work.as_mut(), lease, progress).await?;
            work.commit().await?;
        }
        progress.written();
        if renews {
            lease.until = asked + lease.terms.length;
        }
        Ok(())
    }

    /// The statement that writes a chunk's row.
    fn statement(
        &self,
        lease: &Lease,
        progress: &Progress,
        ends: bool,
        renews: bool,
    ) -> (String, Vec<Value>) {
        let dialect = self.dialect();
        let tally = progress.tally();
        let (sent, offered) = progress.bitmaps();
        let count = |count: u64| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
        let mut values: Vec<Value> = vec![
            count(tally.sent),
            count(tally.waiting),
            count(tally.held),
            count(tally.dead),
            count(tally.dropped),
            sent.into(),
            offered.into(),
            progress.lateness().stored().into(),
            progress.pacing().stored().into(),
        ];
        let mut set =
            "sent = ?, waiting = ?, held = ?, dead = ?, dropped = ?, done = ?, offered = ?, late = ?, \
             paced = ?"
                .to_owned();
        if renews {
            set += &format!(", due = {} + ?", dialect.now());
            values.push(micros(lease.terms.length + lease.terms.grace).into());
        }
        if ends {
            let (due, state) = match progress.standing() {
                Standing::Complete => ("NULL".to_owned(), ChunkState::Done),
                Standing::Untouched => (dialect.now().to_owned(), ChunkState::Waiting),
                Standing::Retry(next) => (moment(next).to_string(), ChunkState::Waiting),
            };
            let is_retry = matches!(progress.standing(), Standing::Retry(_));
            let urgency = lease.class + if is_retry { CLASSES } else { 0 };
            set += &format!(
                ", due = {due}, state = {}, urgency = {urgency}, worker = ''",
                state.code()
            );
        }
        let sql = format!(
            "UPDATE tg_chunk_{} SET {set} WHERE batch = ? AND seq = ? AND fence = ? AND state = {}",
            lease.volume,
            ChunkState::Leased.code(),
        );
        values.extend([lease.batch.into(), lease.seq.into(), lease.fence.into()]);
        (dialect.sql(&sql), values)
    }

    /// Writes the rows of items that have failed, or were sent after they had.
    async fn write_failures(
        &self,
        work: &mut dyn Work,
        lease: &Lease,
        progress: &Progress,
    ) -> Result<(), LedgerError> {
        /// A statement has no more rows: 8 parameters each.
        const ROWS_MAX: usize = 200;
        let dialect = self.dialect();
        let changed: Vec<_> = progress.changed().collect();
        for page in changed.chunks(ROWS_MAX) {
            let sql = dialect.sql(&format!(
                "INSERT INTO tg_failure_{} (batch, seq, item, fate, attempts, ambiguous, next, why) VALUES {} {}",
                lease.volume,
                vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; page.len()].join(", "),
                dialect.or_update("batch, seq, item", &["fate", "attempts", "ambiguous", "next", "why"]),
            ));
            let row = |(item, failure): &(u32, &super::progress::Failure)| {
                let (fate, next) = stored(failure.fate);
                [
                    lease.batch.into(),
                    lease.seq.into(),
                    (*item).into(),
                    fate.into(),
                    failure.attempts.into(),
                    i64::from(failure.is_ambiguous).into(),
                    next.into(),
                    failure.why.as_bytes().into(),
                ]
            };
            let values: Vec<Value> = page.iter().flat_map(row).collect();
            work.execute(&sql, &values).await?;
        }
        Ok(())
    }
}

fn fenced(lease: &Lease, rows: u64) -> Result<(), LedgerError> {
    if rows == 0 {
        return Err(LedgerError::Fenced { batch: lease.batch, seq: lease.seq });
    }
    Ok(())
}
