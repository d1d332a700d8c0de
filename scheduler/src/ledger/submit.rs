//! Writing a batch down: its name, its chunks in pages, and the seal that says that it is whole.
//!
//! A planner that has died begins from the start. What it does twice does nothing: a batch is known by
//! its name, a chunk by its place, and both are compared with what is there. Until it is sealed
//! nothing of a batch is claimed.

use super::batch::{Batch, Terms};
use super::body::{CHUNK_BYTES_MAX, NewChunk};
use super::error::LedgerError;
use super::life::{BatchState, ChunkState};
use super::schema::moment;
use super::store::Value;
use super::{Ledger, retrying};

/// A page has no more chunks. With 100, one statement of a batch without payloads took 6 ms on PostgreSQL
/// and more elsewhere; it shall not be noticed on a database that has other things to do.
pub const PAGE_CHUNKS_MAX: usize = 25;
/// A page's bodies have no more bytes, for the same reason; a chunk's fit in any case.
pub const PAGE_BYTES_MAX: usize = CHUNK_BYTES_MAX;

impl Ledger {
    /// Writes a batch down, as a draft, and returns it. The same terms under the same name are the same
    /// batch, whatever has become of it.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`] where a batch of that name has other terms.
    pub async fn submit(&self, terms: &Terms) -> Result<Batch, LedgerError> {
        terms.check()?;
        retrying!(self.try_submit(terms))
    }

    async fn try_submit(&self, terms: &Terms) -> Result<Batch, LedgerError> {
        let dialect = self.dialect();
        let mut work = self.begin().await?;
        // Held so that no volume is dropped meanwhile.
        let lock = format!("SELECT volume FROM tg_ledger {}", dialect.for_update());
        let volume = work.read(&lock, &[]).await?;
        let volume = volume.first().map_or(Ok(0), |row| row.int(0))?;
        let insert = dialect.sql(&format!(
            "INSERT INTO tg_batch (name, volume, state, class, nominal, opens, deadline, sink, policy, \
             created, closed, chunks, items, digest, sent, waiting, held, dead, cancelled, late) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, {}, 0, 0, 0, ?, 0, 0, 0, 0, 0, ?) {}",
            dialect.now(),
            dialect.or_nothing("name"),
        ));
        let values = [
            terms.name.as_str().into(),
            volume.into(),
            BatchState::Draft.code().into(),
            i64::from(terms.class).into(),
            moment(terms.nominal).into(),
            moment(terms.opens).into(),
            moment(terms.deadline).into(),
            terms.sink.as_str().into(),
            terms.policy.as_bytes().into(),
            terms.digest().into(),
            Value::Bytes(Vec::new()),
        ];
        work.execute(&insert, &values).await?;
        let select =
            dialect.sql(&format!("SELECT {}, digest FROM tg_batch WHERE name = ?", Batch::COLUMNS));
        let rows = work.read(&select, &[terms.name.as_str().into()]).await?;
        work.commit().await?;
        let row = rows.first().ok_or_else(|| LedgerError::UnknownBatch(terms.name.clone()))?;
        if row.bytes(12)? != terms.digest() {
            return Err(conflict(terms, "window, class, sink or policy"));
        }
        Batch::read(row)
    }

    /// Adds a page of chunks to a draft. Chunks that are there already stay as they are.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`] where one of them is there with other content,
    /// [`LedgerError::Sealed`] where the batch is sealed without one of them,
    /// [`LedgerError::TooLarge`] for a page over its bounds.
    pub async fn add(&self, batch: &Batch, page: &[NewChunk]) -> Result<(), LedgerError> {
        LedgerError::bound("chunks of a page", page.len(), PAGE_CHUNKS_MAX)?;
        let bytes = page.iter().map(|chunk| chunk.body.bytes.len()).sum();
        LedgerError::bound("bytes of a page", bytes, PAGE_BYTES_MAX)?;
        for chunk in page {
            if chunk.to < chunk.from || chunk.from < batch.terms.opens {
                let why = "it begins before its batch opens, or ends before it begins";
                return Err(LedgerError::invalid("chunk", why));
            }
        }
        if page.is_empty() { Ok(()) } else { retrying!(self.try_add(batch, page)) }
    }

    async fn try_add(&self, batch: &Batch, page: &[NewChunk]) -> Result<(), LedgerError> {
        let dialect = self.dialect();
        let mut work = self.begin().await?;
        let state = dialect
            .sql(&format!("SELECT state FROM tg_batch WHERE id = ? {}", dialect.for_update()));
        let state = work.read(&state, &[batch.key()]).await?;
        let state = state.first().map(|row| row.int(0)).transpose()?;
        let is_draft = state == Some(BatchState::Draft.code());
        if is_draft {
            work.execute(&dialect.sql(&self.bodies(batch, page.len())), &bodies(batch, page))
                .await?;
            work.execute(&dialect.sql(&self.chunks(batch, page)), &chunks(batch, page)).await?;
        }
        let there = dialect.sql(&format!(
            "SELECT seq, digest FROM tg_body_{} WHERE batch = ? AND seq BETWEEN ? AND ?",
            batch.volume
        ));
        let seqs = page.iter().map(|chunk| chunk.seq);
        let (first, last) = (seqs.clone().min().unwrap_or(0), seqs.max().unwrap_or(0));
        let there = work.read(&there, &[batch.key(), first.into(), last.into()]).await?;
        let mut digests = std::collections::HashMap::new();
        for row in &there {
            digests.insert(row.count(0)?, row.bytes(1)?);
        }
        for chunk in page {
            match digests.get(&chunk.seq) {
                Some(digest) if *digest == chunk.digest() => {}
                Some(_) => return Err(conflict(&batch.terms, &format!("chunk {}", chunk.seq))),
                None => return Err(LedgerError::Sealed(batch.terms.name.clone())),
            }
        }
        work.commit().await
    }

    fn bodies(&self, batch: &Batch, len: usize) -> String {
        let rows = vec!["(?, ?, ?, ?, ?, ?)"; len].join(", ");
        format!(
            "INSERT INTO tg_body_{} (batch, seq, first, last, digest, body) VALUES {rows} {}",
            batch.volume,
            self.dialect().or_nothing("seq"),
        )
    }

    fn chunks(&self, batch: &Batch, page: &[NewChunk]) -> String {
        let row = format!(
            "(?, ?, ?, 0, ?, 0, 0, 0, 0, {}, {}, '', ?, ?, ?)",
            batch.terms.class,
            ChunkState::Waiting.code()
        );
        format!(
            "INSERT INTO tg_chunk_{} (batch, seq, due, fence, items, sent, waiting, held, dead, urgency, \
             state, worker, done, offered, late) VALUES {} {}",
            batch.volume,
            vec![row; page.len()].join(", "),
            self.dialect().or_nothing("seq"),
        )
    }

    /// Says that a batch is whole: it has so many chunks, from 0 on, and so many items in them. From now on
    /// they are claimed when they are due. Said twice it does nothing.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] where something is missing or too much, [`LedgerError::Conflict`]
    /// where the batch was sealed with other numbers.
    pub async fn seal(&self, batch: &Batch, chunks: u32, items: u64) -> Result<(), LedgerError> {
        retrying!(self.try_seal(batch, chunks, items))
    }

    async fn try_seal(&self, batch: &Batch, chunks: u32, items: u64) -> Result<(), LedgerError> {
        let dialect = self.dialect();
        let name = || batch.terms.name.clone();
        let mut work = self.begin().await?;
        let select = dialect.sql(&format!(
            "SELECT state, chunks, items FROM tg_batch WHERE id = ? {}",
            dialect.for_update()
        ));
        let rows = work.read(&select, &[batch.key()]).await?;
        let row = rows.first().ok_or_else(|| LedgerError::UnknownBatch(name()))?;
        if row.int(0)? != BatchState::Draft.code() {
            let same = row.count(1)? == chunks && u64::from(row.count(2)?) == items;
            return if same { Ok(()) } else { Err(conflict(&batch.terms, "number of items")) };
        }
        let count = dialect.sql(&format!(
            "SELECT COUNT(*), {}, MAX(seq) FROM tg_chunk_{} WHERE batch = ?",
            dialect.sum("items"),
            batch.volume
        ));
        let found = work.read(&count, &[batch.key()]).await?;
        let found = found.first().ok_or_else(|| LedgerError::UnknownBatch(name()))?;
        let (there, inside) = (found.count(0)?, u64::from(found.count(1)?));
        let is_whole =
            there == chunks && inside == items && (chunks == 0 || found.count(2)? + 1 == chunks);
        if !is_whole {
            let why = format!(
                "it has {there} chunks with {inside} items, not {chunks} with {items}, or one of them is missing"
            );
            return Err(LedgerError::invalid("batch", why));
        }
        let seal = dialect.sql("UPDATE tg_batch SET state = ?, chunks = ?, items = ? WHERE id = ?");
        let items = i64::try_from(items).unwrap_or(i64::MAX);
        let state = BatchState::Running.code();
        work.execute(&seal, &[state.into(), chunks.into(), items.into(), batch.key()]).await?;
        work.commit().await
    }
}

fn conflict(terms: &Terms, what: &str) -> LedgerError {
    LedgerError::Conflict { name: terms.name.clone(), what: what.to_owned() }
}

fn bodies(batch: &Batch, page: &[NewChunk]) -> Vec<Value> {
    let row = |chunk: &NewChunk| {
        [
            batch.key(),
            chunk.seq.into(),
            moment(chunk.from).into(),
            moment(chunk.to).into(),
            chunk.digest().into(),
            chunk.body.bytes.as_slice().into(),
        ]
    };
    page.iter().flat_map(row).collect()
}

fn chunks(batch: &Batch, page: &[NewChunk]) -> Vec<Value> {
    let row = |chunk: &NewChunk| {
        let none = || Value::Bytes(Vec::new());
        let due = moment(chunk.from).into();
        [batch.key(), chunk.seq.into(), due, chunk.body.items.into(), none(), none(), none()]
    };
    page.iter().flat_map(row).collect()
}
