//! How far schedules are, for all who share the ledger: a row for each.
//!
//! Whoever fires a schedule takes a lease on its row, and its fence rises; what was due is seen to when the
//! row says so, under that fence. Passing over what was due takes no lease: the row changes if it still says
//! what was decided on. Moments and leases are by the database's clock.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::batch::Batch;
use super::error::LedgerError;
use super::life::BatchState;
use super::schema::{micros, moment};
use super::store::{Row, Value};
use super::{Ledger, retrying};
use crate::schedule::decide::Cursor;

/// What the ledger knows of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What it is called.
    pub name: String,
    /// How far it is.
    pub cursor: Cursor,
    /// It was paused: nothing of it is fired.
    pub is_paused: bool,
    /// Rises with each lease.
    pub fence: i64,
    /// Somebody is firing it, and who.
    pub planner: Option<String>,
}

/// The right to fire a schedule, until its lease is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planning {
    name: String,
    fence: i64,
}

impl Ledger {
    const STANDING: &'static str = "name, last, fired, waiting, paused, fence, until, planner";

    /// Makes a schedule known, from now on: nothing before was missed. Of one that is known and is due at
    /// other times than before, `told` in other words, what was due more than `grace` ago is not missed either.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn adopt(&self, name: &str, told: &str, grace: Duration) -> Result<(), LedgerError> {
        let dialect = self.dialect();
        let told = Value::Bytes(Sha256::digest(told).to_vec());
        let now = dialect.now();
        let insert = dialect.sql(&format!(
            "INSERT INTO tg_schedule (name, told, last, fired, waiting, paused, fence, until, planner) \
             VALUES (?, ?, {now}, {now}, 0, 0, 0, 0, '') {}",
            dialect.or_nothing("name"),
        ));
        retrying!(self.execute(&insert, &[name.into(), told.clone()]))?;
        let update = dialect.sql(&format!(
            "UPDATE tg_schedule SET last = CASE WHEN last < {now} - ? THEN {now} - ? ELSE last END, told = ? \
             WHERE name = ? AND told <> ?",
        ));
        let grace = Value::from(micros(grace));
        let values = [grace.clone(), grace, told.clone(), name.into(), told];
        retrying!(self.execute(&update, &values)).map(drop)
    }

    /// What is known of all schedules, in no order, and what time it is.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn standings(&self) -> Result<(Timestamp, Vec<Standing>), LedgerError> {
        let now = self.dialect().now();
        let sql = format!("SELECT {}, {now} FROM tg_schedule", Self::STANDING);
        let rows = self.read(&sql, &[]).await?;
        let now = rows.first().map_or(Ok(0), |row| row.int(8))?;
        let standings = rows.iter().map(|row| standing(row, now)).collect::<Result<_, _>>()?;
        Ok((at(now)?, standings))
    }

    /// Takes the right to fire a schedule, if nobody has it and all is as it was when `known` was read.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn take_schedule(
        &self,
        known: &Standing,
        planner: &str,
        lease: Duration,
    ) -> Result<Option<Planning>, LedgerError> {
        let dialect = self.dialect();
        let sql = dialect.sql(&format!(
            "UPDATE tg_schedule SET fence = fence + 1, until = {now} + ?, planner = ? \
             WHERE name = ? AND fence = ? AND last = ? AND waiting = ? AND paused = 0 AND until <= {now}",
            now = dialect.now(),
        ));
        let values = [
            micros(lease).into(),
            planner.into(),
            known.name.as_str().into(),
            known.fence.into(),
            moment(known.cursor.last).into(),
            waiting(known.cursor).into(),
        ];
        let taken = retrying!(self.execute(&sql, &values))?;
        let planning = || Planning { name: known.name.clone(), fence: known.fence + 1 };
        Ok((taken == 1).then(planning))
    }

    /// Keeps the right for as long again. False: it is another's, or the schedule was paused.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn keep_schedule(
        &self,
        planning: &Planning,
        lease: Duration,
    ) -> Result<bool, LedgerError> {
        let dialect = self.dialect();
        let sql = dialect.sql(&format!(
            "UPDATE tg_schedule SET until = {} + ? WHERE name = ? AND fence = ? AND paused = 0",
            dialect.now(),
        ));
        let values = [micros(lease).into(), planning.name.as_str().into(), planning.fence.into()];
        Ok(retrying!(self.execute(&sql, &values))? == 1)
    }

    /// Gives the right back, with what was due left as it is, or seen to. False: it was another's.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn give_schedule_back(
        &self,
        planning: &Planning,
        to: Option<Cursor>,
    ) -> Result<bool, LedgerError> {
        let dialect = self.dialect();
        let (name, fence) = (planning.name.as_str().into(), planning.fence.into());
        let (sql, values) = match to {
            None => ("", vec![name, fence]),
            Some(to) => (", last = ?, fired = ?, waiting = ?", {
                let fired = moment(to.fired).into();
                vec![moment(to.last).into(), fired, waiting(to).into(), name, fence]
            }),
        };
        let sql = format!(
            "UPDATE tg_schedule SET until = 0, planner = ''{sql} WHERE name = ? AND fence = ?"
        );
        Ok(retrying!(self.execute(&dialect.sql(&sql), &values))? == 1)
    }

    /// Moves a schedule's cursor without firing, if nobody fires it and all is as it was when `known` was
    /// read. False: it is not.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn pass_schedule(&self, known: &Standing, to: Cursor) -> Result<bool, LedgerError> {
        let dialect = self.dialect();
        let sql = dialect.sql(&format!(
            "UPDATE tg_schedule SET last = ?, waiting = ?, fence = fence + 1 \
             WHERE name = ? AND fence = ? AND paused = ? AND until <= {}",
            dialect.now(),
        ));
        let values = [
            moment(to.last).into(),
            waiting(to).into(),
            known.name.as_str().into(),
            known.fence.into(),
            i64::from(known.is_paused).into(),
        ];
        Ok(retrying!(self.execute(&sql, &values))? == 1)
    }

    /// Pauses a schedule, or has it go on: nothing of it is fired meanwhile, by anybody, and what was due is
    /// not made up for. A batch that is being planned is dropped; one that is there already goes on.
    ///
    /// # Errors
    /// [`LedgerError::UnknownSchedule`] where there is none of that name.
    pub async fn pause_schedule(&self, name: &str, is_paused: bool) -> Result<(), LedgerError> {
        let sql = self.dialect().sql("UPDATE tg_schedule SET paused = ? WHERE name = ?");
        let values = [i64::from(is_paused).into(), name.into()];
        match retrying!(self.execute(&sql, &values))? {
            0 => Err(LedgerError::UnknownSchedule(name.to_owned())),
            _ => Ok(()),
        }
    }

    /// The names of all batches that are under way.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn open_batches(&self) -> Result<Vec<String>, LedgerError> {
        let sql = format!(
            "SELECT name FROM tg_batch WHERE state IN ({}, {}, {})",
            BatchState::Running.code(),
            BatchState::Paused.code(),
            BatchState::Cancelling.code(),
        );
        self.read(&sql, &[]).await?.iter().map(|row| row.text(0)).collect()
    }

    /// Throws away a draft that its planner has left. Who still writes to it is told that it is sealed, or
    /// not there: its number never comes again. Does nothing where it is no draft any more.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn discard(&self, draft: &Batch) -> Result<bool, LedgerError> {
        retrying!(self.try_discard(draft))
    }

    async fn try_discard(&self, draft: &Batch) -> Result<bool, LedgerError> {
        let dialect = self.dialect();
        let mut work = self.begin().await?;
        let state = dialect
            .sql(&format!("SELECT state FROM tg_batch WHERE id = ? {}", dialect.for_update()));
        let rows = work.read(&state, &[draft.key()]).await?;
        let state = rows.first().map(|row| row.int(0)).transpose()?;
        if state != Some(BatchState::Draft.code()) {
            return Ok(false);
        }
        for table in ["tg_chunk", "tg_body"] {
            let sql = format!("DELETE FROM {table}_{} WHERE batch = ?", draft.volume);
            work.execute(&dialect.sql(&sql), &[draft.key()]).await?;
        }
        work.execute(&dialect.sql("DELETE FROM tg_batch WHERE id = ?"), &[draft.key()]).await?;
        work.commit().await?;
        Ok(true)
    }
}

fn standing(row: &Row, now: i64) -> Result<Standing, LedgerError> {
    let waiting = match row.int(3)? {
        0 => None,
        micros => Some(at(micros)?),
    };
    let cursor = Cursor { last: at(row.int(1)?)?, fired: at(row.int(2)?)?, waiting };
    let (name, planner) = (row.text(0)?, row.text(7)?);
    let planner = (row.int(6)? > now).then_some(planner);
    Ok(Standing { name, cursor, is_paused: row.int(4)? != 0, fence: row.int(5)?, planner })
}

fn at(micros: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_microsecond(micros)
        .map_err(|_| LedgerError::Damaged(format!("a schedule has the moment {micros}")))
}

/// As it is stored: 0 for none.
fn waiting(cursor: Cursor) -> i64 {
    cursor.waiting.map_or(0, moment)
}
