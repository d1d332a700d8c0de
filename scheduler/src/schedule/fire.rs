//! Fires a schedule: reads its recipients, plans, and writes the batch down.

use std::iter;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use policy::spread::plan::BatchError;
use serde_json::json;
use thiserror::Error;
use tracing::warn;

use super::{Recipients, Shape, Spec};
use crate::ledger::schedules::Planning;
use crate::ledger::submit::{PAGE_BYTES_MAX, PAGE_CHUNKS_MAX};
use crate::ledger::{Batch, BatchState, Cutter, Ledger, LedgerError, NewChunk, Terms};
use crate::source::spool::{Ranked, Spool};
use crate::source::sql::{self, Moments};
use crate::source::{SourceError, file};

/// Why a batch could not be put into the ledger.
#[derive(Debug, Error)]
pub enum FireError {
    /// The ledger did not do its part.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Its recipients cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It cannot be planned.
    #[error("it cannot be planned: {0}")]
    Plan(#[from] BatchError),
    /// Reading a file was broken off.
    #[error("reading was broken off: {0}")]
    Broken(#[from] tokio::task::JoinError),
    /// Its source is not configured.
    #[error("there is no [source.{0}]")]
    NoSource(String),
}

/// A batch that stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Put {
    /// Its chunks.
    pub chunks: u32,
    /// Its items.
    pub items: u64,
}

/// A batch of a schedule that is to be there.
#[derive(Debug)]
pub(super) struct Firing<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) spec: &'a Spec,
    /// Of the source, if it has one.
    pub(super) url: Option<&'a str>,
    pub(super) spool: Option<PathBuf>,
    pub(super) moments: Moments,
}

impl Firing<'_> {
    /// Has the batch stand in the ledger, and tells what it is. None where somebody had it stand there
    /// already. May be dropped, and done again by anyone: what is left is a draft.
    pub(super) async fn run(self) -> Result<Option<Put>, FireError> {
        let (ledger, spec) = (self.ledger, self.spec);
        let name = spec.batch(self.moments.nominal);
        if is_there(ledger, &name).await? {
            return Ok(None);
        }
        let ranked = self.read().await?;
        let policy = json!({ "family": spec.shape.family, "schedule": spec.name }).to_string();
        let (nominal, shape, zone) = (self.moments.nominal, &spec.shape, &spec.when.zone);
        Occasion { name, nominal, shape, zone, policy }.submit(ledger, &ranked).await
    }

    async fn read(&self) -> Result<Ranked, FireError> {
        let mut spool = Spool::new(self.spool.as_deref(), &self.spec.shape.family)?;
        match &self.spec.recipients {
            Recipients::File(path, columns) => {
                let (path, columns) = (path.clone(), columns.clone());
                let read = move || {
                    file::each(&path, &columns, |recipient, payload| {
                        spool.push(recipient, payload)
                    })?;
                    spool.rank()
                };
                Ok(tokio::task::spawn_blocking(read).await??)
            }
            Recipients::Query { source, query } => {
                let url = self.url.ok_or_else(|| FireError::NoSource(source.clone()))?;
                let about = (self.moments, &*self.spec.name);
                sql::each(url, query, about, |recipient, payload| spool.push(recipient, payload))
                    .await?;
                Ok(tokio::task::spawn_blocking(move || spool.rank()).await??)
            }
        }
    }
}

/// Whether a batch stands already. A draft was left by a planner that is gone: its rows may be of another
/// reading, so it is thrown away.
pub(super) async fn is_there(ledger: &Ledger, name: &str) -> Result<bool, LedgerError> {
    match ledger.find(name).await {
        Ok(batch) if batch.state == BatchState::Draft => {
            let is_gone = ledger.discard(&batch).await?;
            warn!(batch = name, is_gone, "it was left half written; it is planned anew");
            Ok(!is_gone)
        }
        Ok(_) => Ok(true),
        Err(LedgerError::UnknownBatch(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A batch whose items are known.
pub(super) struct Occasion<'a> {
    pub(super) name: String,
    pub(super) nominal: Timestamp,
    pub(super) shape: &'a Shape,
    pub(super) zone: &'a TimeZone,
    pub(super) policy: String,
}

impl Occasion<'_> {
    /// Plans it and writes it down. None where somebody else has meanwhile.
    pub(super) async fn submit(
        self,
        ledger: &Ledger,
        ranked: &Ranked,
    ) -> Result<Option<Put>, FireError> {
        // What the clock says when all is read: what was due meanwhile is not late.
        let (items, now) = (ranked.len(), ledger.now().await?);
        let planned = self.shape.plan(items, self.nominal, now, self.zone)?;
        if planned.is_over {
            let (batch, deadline) = (&self.name, planned.deadline);
            warn!(batch, %deadline, items, "at its rate it is not done by its deadline");
        }
        let terms = Terms {
            name: self.name,
            nominal: self.nominal,
            opens: planned.opens,
            deadline: planned.deadline,
            class: self.shape.class,
            sink: self.shape.sink.clone(),
            policy: self.policy,
        };
        let batch = ledger.submit(&terms).await?;
        if batch.state != BatchState::Draft {
            return Ok(None);
        }
        put(ledger, &batch, ranked, planned.moments()).await.map(Some)
    }
}

/// Writes the items of a draft by rank, each with its moment, in pages, and the seal.
///
/// # Errors
/// As the ledger's; what is left is a draft, and the same may be put again.
pub async fn put(
    ledger: &Ledger,
    batch: &Batch,
    ranked: &Ranked,
    moments: impl Iterator<Item = Timestamp>,
) -> Result<Put, FireError> {
    let mut cutter = Cutter::default();
    let mut page = Page { ledger, batch, chunks: Vec::new(), bytes: 0, count: 0 };
    for (item, moment) in iter::zip(ranked.items(), moments) {
        if let Some(chunk) = cutter.push(item?, moment)? {
            page.add(chunk).await?;
        }
    }
    if let Some(chunk) = cutter.finish()? {
        page.add(chunk).await?;
    }
    page.write().await?;
    ledger.seal(batch, page.count, ranked.len()).await?;
    Ok(Put { chunks: page.count, items: ranked.len() })
}

/// Chunks that are written together.
struct Page<'a> {
    ledger: &'a Ledger,
    batch: &'a Batch,
    chunks: Vec<NewChunk>,
    bytes: usize,
    count: u32,
}

impl Page<'_> {
    async fn add(&mut self, chunk: NewChunk) -> Result<(), LedgerError> {
        let len = chunk.body.len();
        if self.chunks.len() == PAGE_CHUNKS_MAX || self.bytes + len > PAGE_BYTES_MAX {
            self.write().await?;
        }
        self.bytes += len;
        self.count += 1;
        self.chunks.push(chunk);
        Ok(())
    }

    async fn write(&mut self) -> Result<(), LedgerError> {
        self.ledger.add(self.batch, &self.chunks).await?;
        self.chunks.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Keeps the right to fire while `work` goes on, asking again each third of the lease. None: it was lost, or
/// the schedule was paused, and `work` was dropped.
pub(super) async fn while_held<T>(
    work: impl Future<Output = T>,
    ledger: &Ledger,
    (planning, lease): (&Planning, Duration),
) -> Option<T> {
    tokio::pin!(work);
    let mut failing = 0;
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            () = tokio::time::sleep(lease / 3) => {}
        }
        match ledger.keep_schedule(planning, lease).await {
            Ok(true) => failing = 0,
            Ok(false) => return None,
            // Who takes over throws away what is written here: it is enough to go on and see.
            Err(_) if failing < 2 => failing += 1,
            Err(_) => return None,
        }
    }
}
