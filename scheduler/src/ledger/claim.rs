//! Claiming chunks that are due: those that nobody has begun, those whose items are to be tried again,
//! and those whose holder is gone. For the database all three are the same: a chunk whose `due` is
//! over, which for a leased one is the end of its lease.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::batch::CLASSES;
use super::bitmap::Bitmap;
use super::body::{Body, Item};
use super::dialect::Dialect;
use super::error::LedgerError;
use super::lateness::Lateness;
use super::lease::{Lease, LeaseTerms};
use super::life::{BatchState, ChunkState};
use super::progress::{Failure, Fate, Progress};
use super::schema::{NAME_BYTES_MAX, micros, moment};
use super::store::{Row, Value};
use super::{Ledger, retrying};

/// No claim is for more chunks.
pub const CLAIM_CHUNKS_MAX: u32 = 64;
/// No claim names more sinks.
pub const SINKS_MAX: usize = 100;

/// What somebody wants to work on.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Who, for those who look.
    pub worker: String,
    /// How many chunks at most, from 1 to [`CLAIM_CHUNKS_MAX`].
    pub chunks: u32,
    /// For how long.
    pub terms: LeaseTerms,
    /// Of batches for which sinks; of any where there is none.
    pub sinks: Vec<String>,
    /// So long before their moments chunks that nobody has are taken already, so that their first item
    /// goes in its moment and not when somebody has next looked.
    pub ahead: Duration,
}

/// A chunk to work on.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The right to.
    pub lease: Lease,
    /// When its first and its last item are due; those between are spread evenly.
    pub span: (Timestamp, Timestamp),
    /// Its items; by their place in here they are named.
    pub items: Vec<Item>,
    /// What has become of them.
    pub progress: Progress,
    /// The items that a holder before had offered with an outcome that nobody knows. Listed
    /// as ambiguous, and due now; [`Progress::hold`] keeps one for somebody to decide.
    pub ambiguous: Vec<u32>,
}

impl Claim {
    /// When an item is due.
    #[must_use]
    pub fn moment(&self, item: u32) -> Timestamp {
        let (first, last) = (self.span.0.as_microsecond(), self.span.1.as_microsecond());
        let steps = i64::try_from(self.items.len()).unwrap_or(i64::MAX).max(2) - 1;
        let at = i128::from(last - first) * i128::from(item) / i128::from(steps);
        let at = first + i64::try_from(at).unwrap_or(0);
        Timestamp::from_microsecond(at.min(last)).unwrap_or(self.span.1)
    }
}

impl Ledger {
    /// Claims chunks that are due, the most urgent class first and retries last. Fewer than wished for
    /// where no more are due, or others have them; none where there are none.
    ///
    /// One statement on PostgreSQL and two in a transaction elsewhere, and one for the items; a few more
    /// for chunks that have failed items. When there are none, or every other second when there are fewer
    /// than wished for, one more looks for new volumes. Dropped half-way, what was claimed is claimed again when its lease is over.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn claim(&self, wish: &Wish) -> Result<Vec<Claim>, LedgerError> {
        LedgerError::bound("bytes of a worker's name", wish.worker.len(), NAME_BYTES_MAX)?;
        LedgerError::bound("chunks of a claim", wish.chunks as usize, CLAIM_CHUNKS_MAX as usize)?;
        LedgerError::bound("sinks of a claim", wish.sinks.len(), SINKS_MAX)?;
        let mut claims = Vec::new();
        let known = self.volumes_in_turn();
        for volume in &known {
            self.claim_from(*volume, wish, &mut claims).await?;
        }
        let is_short = claims.len() < wish.chunks as usize;
        if is_short && (claims.is_empty() || !self.has_looked()) {
            for volume in self.look_for_volumes().await? {
                if !known.contains(&volume) {
                    self.claim_from(volume, wish, &mut claims).await?;
                }
            }
        }
        Ok(claims)
    }

    async fn claim_from(
        &self,
        volume: i64,
        wish: &Wish,
        claims: &mut Vec<Claim>,
    ) -> Result<(), LedgerError> {
        let room = wish.chunks.saturating_sub(u32::try_from(claims.len()).unwrap_or(u32::MAX));
        if room == 0 {
            return Ok(());
        }
        let asked = Instant::now();
        let taken = match retrying!(self.take(volume, wish, room)) {
            Err(error) if error.is_missing_table() => return Ok(()),
            taken => taken?,
        };
        for claim in self.look_into(volume, wish, asked, &taken).await? {
            claims.push(self.take_over(claim).await?);
        }
        Ok(())
    }

    /// Takes the leases: rows of batch, chunk, state before, fence before, items, and so on.
    async fn take(&self, volume: i64, wish: &Wish, room: u32) -> Result<Vec<Row>, LedgerError> {
        let dialect = self.dialect();
        let (leased, now) = (ChunkState::Leased.code(), dialect.now());
        let length = micros(wish.terms.length + wish.terms.grace);
        let mut values: Vec<Value> = wish.sinks.iter().map(|sink| sink.as_str().into()).collect();
        if dialect == Dialect::Postgres {
            let sql = dialect.sql(&format!(
                "WITH picked AS (SELECT c.* FROM (VALUES {ranks}) AS r(urgency) CROSS JOIN LATERAL ({due} \
                 AND c.urgency = r.urgency ORDER BY c.due LIMIT {room} FOR UPDATE SKIP LOCKED) c LIMIT {room}) \
                 UPDATE tg_chunk_{volume} t SET state = {leased}, fence = t.fence + 1, worker = ?, due = {now} + ? \
                 FROM picked p WHERE t.batch = p.batch AND t.seq = p.seq RETURNING {columns}",
                ranks = ranks("(", ")"),
                due = due(dialect, volume, wish),
                columns = columns("p"),
            ));
            values.extend([wish.worker.as_str().into(), length.into()]);
            return self.returning(&sql, &values).await;
        }
        let mut work = self.begin().await?;
        let sql = format!(
            "{due} AND c.urgency IN ({ranks}) ORDER BY c.urgency, c.due LIMIT {room} {lock}",
            due = due(dialect, volume, wish),
            ranks = ranks("", ""),
            lock = dialect.for_update_skip(),
        );
        let taken = work.read(&sql, &values).await?;
        if !taken.is_empty() {
            let sql = format!(
                "UPDATE tg_chunk_{volume} SET state = {leased}, fence = fence + 1, worker = ?, due = {now} + ? \
                 WHERE {}",
                chosen(taken.len()),
            );
            let mut values = vec![wish.worker.as_str().into(), length.into()];
            values.extend(keys(&taken)?);
            work.execute(&sql, &values).await?;
            work.commit().await?;
        }
        Ok(taken)
    }

    /// Reads what there is to know of the chunks that were taken.
    async fn look_into(
        &self,
        volume: i64,
        wish: &Wish,
        asked: Instant,
        taken: &[Row],
    ) -> Result<Vec<(Claim, ChunkState)>, LedgerError> {
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let sql = self.dialect().sql(&format!(
            "SELECT batch, seq, first, last, body FROM tg_body_{volume} WHERE {}",
            chosen(taken.len())
        ));
        let mut bodies = BTreeMap::new();
        for row in self.read(&sql, &keys(taken)?).await? {
            bodies.insert((row.int(0)?, row.count(1)?), row);
        }
        let mut claims = Vec::new();
        for row in taken {
            let (batch, seq) = (row.int(0)?, row.count(1)?);
            let damaged = |what: &str| damaged(batch, seq, what);
            let body = bodies.get(&(batch, seq)).ok_or_else(|| damaged("no items"))?;
            let failures = if row.int(8)? > 0 {
                self.failures_of(volume, batch, seq).await?
            } else {
                BTreeMap::new()
            };
            let state =
                ChunkState::parse(row.int(2)?).ok_or_else(|| damaged("an unknown state"))?;
            let lease = Lease {
                batch,
                volume,
                seq,
                fence: row.int(3)? + 1,
                class: u8::try_from(row.int(9)?).unwrap_or(0) % CLASSES,
                terms: wish.terms,
                until: asked + wish.terms.length,
            };
            let (items, span) =
                contents(row, body).ok_or_else(|| damaged("items that cannot be read"))?;
            let progress = progress(row, failures)
                .ok_or_else(|| damaged("progress that contradicts itself"))?;
            claims.push((Claim { lease, span, items, progress, ambiguous: Vec::new() }, state));
        }
        Ok(claims)
    }

    /// Lists what the holder before may have sent, before anything else is done with the chunk.
    async fn take_over(
        &self,
        (mut claim, before): (Claim, ChunkState),
    ) -> Result<Claim, LedgerError> {
        if before == ChunkState::Leased {
            self.count_takeover();
        }
        if claim.progress.has_offered() {
            claim.ambiguous = claim.progress.take_over(self.now().await?);
            self.flush(&mut claim.lease, &mut claim.progress).await?;
        }
        Ok(claim)
    }

    /// The database's clock.
    ///
    /// # Errors
    /// As for any statement.
    pub async fn now(&self) -> Result<Timestamp, LedgerError> {
        let rows = self.read(&format!("SELECT {}", self.dialect().now()), &[]).await?;
        let micros = rows.first().map_or(Ok(0), |row| row.int(0))?;
        Timestamp::from_microsecond(micros)
            .map_err(|_| LedgerError::Damaged(format!("the database's clock says {micros}")))
    }

    pub(super) async fn failures_of(
        &self,
        volume: i64,
        batch: i64,
        seq: u32,
    ) -> Result<BTreeMap<u32, Failure>, LedgerError> {
        let sql = self.dialect().sql(&format!(
            "SELECT item, fate, attempts, ambiguous, next, why FROM tg_failure_{volume} \
             WHERE batch = ? AND seq = ?"
        ));
        let rows = self.read(&sql, &[batch.into(), seq.into()]).await?;
        rows.iter().map(|row| Ok((row.count(0)?, failure(row, 1)?))).collect()
    }
}

/// What is claimed of a volume: what is due, of batches that run.
fn due(dialect: Dialect, volume: i64, wish: &Wish) -> String {
    let sinks = match wish.sinks.len() {
        0 => String::new(),
        some => format!(" AND b.sink IN ({})", vec!["?"; some].join(", ")),
    };
    // A lease is over when it is over, never ahead.
    let (now, ahead) = (dialect.now(), micros(wish.ahead));
    let when = match ahead {
        0 => format!("c.due <= {now}"),
        _ => format!(
            "c.due <= {now} + {ahead} AND (c.state = {} OR c.due <= {now})",
            ChunkState::Waiting.code()
        ),
    };
    // Where a table is small, or its statistics are old, MySQL and MariaDB may read all of it and sort: with the
    // same effect as below.
    let by = if dialect == Dialect::MySql { " FORCE INDEX (due)" } else { "" };
    // A value, not EXISTS: of that MySQL and MariaDB make a join, which begins with the batch, locks its row
    // and all of its chunks, and has whoever claims at the same time find nothing.
    format!(
        "SELECT {} FROM tg_chunk_{volume} c{by} WHERE {when} AND (SELECT b.state FROM tg_batch b \
         WHERE b.id = c.batch{sinks}) = {}",
        columns("c"),
        BatchState::Running.code(),
    )
}

/// What a claim needs to know of a chunk as it was before.
fn columns(of: &str) -> String {
    let columns = [
        "batch", "seq", "state", "fence", "items", "done", "offered", "late", "failures",
        "urgency", "paced",
    ];
    let column = |name: &&str| match *name {
        // In the outer query of PostgreSQL it has a name already.
        "failures" if of == "c" => "c.waiting + c.held + c.dead + c.dropped AS failures".to_owned(),
        name => format!("{of}.{name}"),
    };
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

/// All urgencies: of each class the first attempts, then the retries of each.
fn ranks(before: &str, after: &str) -> String {
    let ranks = (0..CLASSES * 2).map(|urgency| format!("{before}{urgency}{after}"));
    ranks.collect::<Vec<_>>().join(", ")
}

/// So many chunks, by their keys. Alternatives and not a list of pairs, which MariaDB reads the
/// whole table for.
pub(super) fn chosen(chunks: usize) -> String {
    vec!["(batch = ? AND seq = ?)"; chunks].join(" OR ")
}

fn keys(rows: &[Row]) -> Result<Vec<Value>, LedgerError> {
    let mut keys = Vec::with_capacity(rows.len() * 2);
    for row in rows {
        keys.extend([row.int(0)?.into(), row.int(1)?.into()]);
    }
    Ok(keys)
}

fn contents(row: &Row, body: &Row) -> Option<(Vec<Item>, (Timestamp, Timestamp))> {
    let moment = |column| Timestamp::from_microsecond(body.int(column).ok()?).ok();
    let items = Body { items: row.count(4).ok()?, bytes: body.bytes(4).ok()? }.items()?;
    Some((items, (moment(2)?, moment(3)?)))
}

fn progress(row: &Row, failures: BTreeMap<u32, Failure>) -> Option<Progress> {
    let items = row.count(4).ok()?;
    let bitmap = |column| Bitmap::parse(items, &row.bytes(column).ok()?);
    let late = |column| Lateness::parse(&row.bytes(column).ok()?);
    Progress::restore((bitmap(5)?, bitmap(6)?), failures, (late(7)?, late(10)?))
}

/// A row's failure, from its column for the fate on.
pub(super) fn failure(row: &Row, from: usize) -> Result<Failure, LedgerError> {
    let unknown = || LedgerError::Damaged("a failure has an unknown fate".into());
    let next = || Timestamp::from_microsecond(row.int(from + 3)?).map_err(|_| unknown());
    let fate = match row.int(from)? {
        0 => Fate::Waiting(next()?),
        1 => Fate::Held,
        2 => Fate::Dead,
        3 => Fate::Sent,
        4 => Fate::Dropped,
        _ => return Err(unknown()),
    };
    Ok(Failure {
        fate,
        attempts: row.count(from + 1)?,
        is_ambiguous: row.int(from + 2)? != 0,
        why: row.text(from + 4)?,
    })
}

/// A fate's number and moment, as they are stored.
pub(super) fn stored(fate: Fate) -> (i64, i64) {
    match fate {
        Fate::Waiting(next) => (0, moment(next)),
        Fate::Held => (1, 0),
        Fate::Dead => (2, 0),
        Fate::Sent => (3, 0),
        Fate::Dropped => (4, 0),
    }
}

pub(super) fn damaged(batch: i64, seq: u32, what: &str) -> LedgerError {
    LedgerError::Damaged(format!("chunk {seq} of batch {batch} has {what}"))
}
