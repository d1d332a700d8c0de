//! The tables.
//!
//! | table | a row for | written |
//! |---|---|---|
//! | `tg_ledger` | the ledger: the version of its tables, and the volume that new batches go into | once a volume |
//! | `tg_volume` | a volume | twice |
//! | `tg_batch` | a batch: what it is, and its final figures | a few times |
//! | `tg_schedule` | a schedule: how far it is, and who fires it | a few times a batch |
//! | `tg_chunk_N` | a chunk of up to 1,000 items: its lease and its progress | a few times a second |
//! | `tg_body_N` | a chunk: its items | once |
//! | `tg_failure_N` | an item that was not sent at first | with each attempt |
//!
//! A *volume* is the last three, with its number as `N`. Batches go into the newest; an old one is
//! dropped as a whole when its batches are over: no row of a chunk is ever deleted. PostgreSQL and
//! MySQL could do the same with partitions of one table. Tables need no lock on what the others do,
//! and are the same in SQLite, which has no partitions.
//!
//! Moments are microseconds since 1970, of the database's clock.

use super::Ledger;
use super::dialect::Dialect;
use super::error::LedgerError;
use super::life::BatchState;
use super::progress::WHY_BYTES_MAX;

/// The version of the tables that this program knows. 2 has `tg_schedule`; 3 counts what was dropped, and
/// how exactly plans were kept.
const VERSION: i64 = 3;
/// A batch's name has no more bytes. An index of InnoDB takes 3,072, at four for a letter.
pub(super) const NAME_BYTES_MAX: usize = 200;
/// A batch's policy has no more bytes.
pub(super) const POLICY_BYTES_MAX: usize = 16 << 10;
/// Who creates the tables of PostgreSQL holds this advisory lock: "tide" in ASCII.
const CREATING: i64 = 0x7469_6465;

impl Ledger {
    /// Creates what is not there. Two that do so at once do no harm.
    pub(super) async fn create(&self) -> Result<(), LedgerError> {
        let found = self.version().await?;
        match found {
            Some(found) if found > VERSION => {
                return Err(LedgerError::Version { found, known: VERSION });
            }
            Some(VERSION) => return Ok(()),
            _ => {}
        }
        let dialect = self.dialect();
        if found.is_some() {
            self.widen().await?;
        }
        let mut work = self.begin().await?;
        if dialect == Dialect::Postgres {
            let lock = "SELECT pg_advisory_xact_lock($1)::text";
            work.read(lock, &[CREATING.into()]).await?;
        }
        let first = if found.is_none() { volume(dialect, 1) } else { Vec::new() };
        for statement in fixed(dialect).into_iter().chain(first) {
            work.execute(&statement, &[]).await?;
        }
        if found.is_some() {
            let raise =
                format!("UPDATE tg_ledger SET version = {VERSION} WHERE version < {VERSION}");
            work.execute(&raise, &[]).await?;
            return work.commit().await;
        }
        let volume = format!(
            "INSERT INTO tg_volume (volume, opened, dropped) VALUES (1, {}, 0) {}",
            dialect.now(),
            dialect.or_nothing("volume"),
        );
        work.execute(&volume, &[]).await?;
        let ledger = format!(
            "INSERT INTO tg_ledger (id, version, volume) VALUES (1, {VERSION}, 1) {}",
            dialect.or_nothing("id"),
        );
        work.execute(&ledger, &[]).await?;
        work.commit().await
    }

    /// Adds the columns of version 3 to tables of a version before. Each by itself: two that do so at once, or
    /// one that died in between, find some there already.
    async fn widen(&self) -> Result<(), LedgerError> {
        let rows = self.read("SELECT volume FROM tg_volume WHERE dropped < 2", &[]).await?;
        let mut tables = vec!["tg_batch".to_owned()];
        for row in &rows {
            tables.push(format!("tg_chunk_{}", row.int(0)?));
        }
        let columns = [dropped(self.dialect()).to_owned(), paced(self.dialect())];
        let add = |table: &String| {
            columns.each_ref().map(|column| format!("ALTER TABLE {table} ADD COLUMN {column}"))
        };
        let all: Vec<String> = tables.iter().flat_map(add).collect();
        for add in all {
            match self.execute(&add, &[]).await {
                Err(error) if error.is_there_already() || error.is_missing_table() => {}
                added => drop(added?),
            }
        }
        Ok(())
    }

    /// The version of the tables; none where there are none, or not all yet.
    async fn version(&self) -> Result<Option<i64>, LedgerError> {
        match self.read("SELECT version FROM tg_ledger", &[]).await {
            Ok(rows) => rows.first().map(|row| row.int(0)).transpose(),
            Err(error) if error.is_missing_table() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a new volume, which batches that are submitted from now on go into, and returns its
    /// number. Once a day is often enough. Two that do so at once open one or two, and do no harm.
    ///
    /// # Errors
    /// As for any statement; what was not done is done by the next call.
    pub async fn rotate(&self) -> Result<i64, LedgerError> {
        let dialect = self.dialect();
        let current = self.current_volume().await?;
        let next = current + 1;
        let mut work = self.begin().await?;
        if dialect == Dialect::Postgres {
            let lock = "SELECT pg_advisory_xact_lock($1)::text";
            work.read(lock, &[CREATING.into()]).await?;
        }
        // MySQL commits each by itself: they come before anything that names them.
        for statement in volume(dialect, next) {
            work.execute(&statement, &[]).await?;
        }
        let opened = format!(
            "INSERT INTO tg_volume (volume, opened, dropped) VALUES ({next}, {}, 0) {}",
            dialect.now(),
            dialect.or_nothing("volume"),
        );
        work.execute(&opened, &[]).await?;
        let turn = dialect.sql("UPDATE tg_ledger SET volume = ? WHERE volume = ?");
        work.execute(&turn, &[next.into(), current.into()]).await?;
        work.commit().await?;
        self.forget_volumes();
        Ok(next)
    }

    async fn current_volume(&self) -> Result<i64, LedgerError> {
        let rows = self.read("SELECT volume FROM tg_ledger", &[]).await?;
        rows.first().map_or_else(
            || Err(LedgerError::Damaged("tg_ledger is empty".into())),
            |row| row.int(0),
        )
    }

    /// Drops the volumes, but for the newest, whose batches have all been over for `keep`, and returns
    /// their numbers. The batches' figures stay.
    ///
    /// # Errors
    /// As for any statement; what was not done is done by the next call.
    pub async fn drop_old(&self, keep: std::time::Duration) -> Result<Vec<i64>, LedgerError> {
        let dialect = self.dialect();
        let over =
            format!("b.state IN ({}, {})", BatchState::Cancelled.code(), BatchState::Done.code());
        // Who submits holds the row of `tg_ledger`, too, so none comes into a volume meanwhile; who has
        // the dead tried again, that of the volume.
        let mut work = self.begin().await?;
        for table in ["tg_ledger", "tg_volume"] {
            let lock = format!("SELECT volume FROM {table} {}", dialect.for_update());
            work.read(&lock, &[]).await?;
        }
        let old = dialect.sql(&format!(
            "SELECT v.volume FROM tg_volume v, tg_ledger l WHERE v.dropped = 0 AND v.volume < l.volume \
             AND NOT EXISTS (SELECT 1 FROM tg_batch b WHERE b.volume = v.volume \
             AND NOT ({over} AND b.closed <= {} - ?))",
            dialect.now(),
        ));
        let rows = work.read(&old, &[micros(keep).into()]).await?;
        let old: Vec<i64> = rows.iter().map(|row| row.int(0)).collect::<Result<_, _>>()?;
        for volume in &old {
            let mark = dialect.sql("UPDATE tg_volume SET dropped = 1 WHERE volume = ?");
            work.execute(&mark, &[(*volume).into()]).await?;
        }
        work.commit().await?;
        // Also those that one who has died between the two had marked.
        let marked = self.read("SELECT volume FROM tg_volume WHERE dropped = 1", &[]).await?;
        for row in marked {
            let volume = row.int(0)?;
            for table in ["tg_failure", "tg_body", "tg_chunk"] {
                self.execute(&format!("DROP TABLE IF EXISTS {table}_{volume}"), &[]).await?;
            }
            let done = dialect.sql("UPDATE tg_volume SET dropped = 2 WHERE volume = ?");
            self.execute(&done, &[volume.into()]).await?;
        }
        self.forget_volumes();
        Ok(old)
    }
}

/// A length of time in microseconds.
pub(super) fn micros(length: std::time::Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX / 2)
}

/// A moment as it is stored. The last second of the year 9999 is beyond what is read again: what is later
/// than its first microsecond is that.
pub(super) fn moment(at: jiff::Timestamp) -> i64 {
    const LAST: i64 = 253_402_207_200_000_000;
    at.as_microsecond().min(LAST)
}

/// How many items no longer held.
fn dropped(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "dropped INTEGER NOT NULL DEFAULT 0",
        Dialect::Postgres | Dialect::MySql => "dropped BIGINT NOT NULL DEFAULT 0",
    }
}

/// How far behind their moments items went that nothing held up.
fn paced(dialect: Dialect) -> String {
    let empty = if dialect == Dialect::Sqlite { "x''" } else { "''" };
    // Of 145 buckets at most, two bytes each and five for a count.
    format!("paced {} NOT NULL DEFAULT {empty}", dialect.bytes(2048))
}

/// The tables that there are once.
fn fixed(dialect: Dialect) -> Vec<String> {
    let (identity, end) = (dialect.identity(), dialect.table(false));
    let (name, sink, policy) = (
        dialect.text(NAME_BYTES_MAX),
        dialect.text(NAME_BYTES_MAX),
        dialect.bytes(POLICY_BYTES_MAX),
    );
    let (digest, late) = (dialect.bytes(32), dialect.bytes(4096));
    let (dropped, paced) = (dropped(dialect), paced(dialect));
    let whole = if dialect == Dialect::Sqlite { "INTEGER" } else { "BIGINT" };
    vec![
        format!(
            "CREATE TABLE IF NOT EXISTS tg_ledger (id {whole} PRIMARY KEY, version {whole} NOT NULL, volume {whole} NOT NULL) {end}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS tg_volume (volume {whole} PRIMARY KEY, opened {whole} NOT NULL, dropped {whole} NOT NULL) {end}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS tg_batch (id {identity}, name {name} NOT NULL UNIQUE, \
             volume {whole} NOT NULL, state {whole} NOT NULL, class {whole} NOT NULL, \
             nominal {whole} NOT NULL, opens {whole} NOT NULL, deadline {whole} NOT NULL, \
             sink {sink} NOT NULL, policy {policy} NOT NULL, created {whole} NOT NULL, \
             closed {whole} NOT NULL, chunks {whole} NOT NULL, items {whole} NOT NULL, \
             digest {digest} NOT NULL, sent {whole} NOT NULL, waiting {whole} NOT NULL, \
             held {whole} NOT NULL, dead {whole} NOT NULL, {dropped}, {paced}, \
             cancelled {whole} NOT NULL, late {late} NOT NULL) {end}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS tg_schedule (name {name} NOT NULL PRIMARY KEY, \
             told {digest} NOT NULL, last {whole} NOT NULL, fired {whole} NOT NULL, \
             waiting {whole} NOT NULL, paused {whole} NOT NULL, fence {whole} NOT NULL, \
             until {whole} NOT NULL, planner {name} NOT NULL) {end}"
        ),
    ]
}

/// The tables of a volume.
fn volume(dialect: Dialect, volume: i64) -> Vec<String> {
    let (hot, cold) = (dialect.table(true), dialect.table(false));
    let (worker, bits, late) =
        (dialect.text(NAME_BYTES_MAX), dialect.bytes(125), dialect.bytes(4096));
    let (digest, body, why) =
        (dialect.bytes(32), dialect.bytes(1 << 20), dialect.bytes(WHY_BYTES_MAX));
    let (whole, int, small) = match dialect {
        Dialect::Sqlite => ("INTEGER", "INTEGER", "INTEGER"),
        Dialect::Postgres | Dialect::MySql => ("BIGINT", "INT", "SMALLINT"),
    };
    let (dropped, paced) = (dropped(dialect), paced(dialect));
    let key = if dialect == Dialect::MySql { ", KEY due (urgency, due)" } else { "" };
    let mut statements = vec![
        format!(
            "CREATE TABLE IF NOT EXISTS tg_chunk_{volume} (batch {whole} NOT NULL, due {whole}, \
             fence {whole} NOT NULL, seq {int} NOT NULL, items {int} NOT NULL, sent {int} NOT NULL, \
             waiting {int} NOT NULL, held {int} NOT NULL, dead {int} NOT NULL, \
             {dropped}, {paced}, \
             urgency {small} NOT NULL, state {small} NOT NULL, worker {worker} NOT NULL, \
             done {bits} NOT NULL, offered {bits} NOT NULL, late {late} NOT NULL, \
             PRIMARY KEY (batch, seq){key}) {hot}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS tg_body_{volume} (batch {whole} NOT NULL, seq {int} NOT NULL, \
             first {whole} NOT NULL, last {whole} NOT NULL, digest {digest} NOT NULL, \
             body {body} NOT NULL, PRIMARY KEY (batch, seq)) {cold}"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS tg_failure_{volume} (batch {whole} NOT NULL, seq {int} NOT NULL, \
             item {int} NOT NULL, fate {small} NOT NULL, attempts {int} NOT NULL, \
             ambiguous {small} NOT NULL, next {whole} NOT NULL, why {why} NOT NULL, \
             PRIMARY KEY (batch, seq, item)) {cold}"
        ),
    ];
    if dialect != Dialect::MySql {
        statements.push(format!(
            "CREATE INDEX IF NOT EXISTS tg_due_{volume} ON tg_chunk_{volume} (urgency, due) WHERE due IS NOT NULL"
        ));
    }
    if dialect == Dialect::Postgres {
        // Bodies are dense already.
        statements
            .push(format!("ALTER TABLE tg_body_{volume} ALTER COLUMN body SET STORAGE EXTERNAL"));
    }
    statements
}
