//! Fires a schedule: reads its recipients, plans, and writes the batch down.

use std::iter;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use policy::spread::forecast::Forecast;
use policy::spread::plan::BatchError;
use serde_json::json;
use thiserror::Error;
use tracing::{info, warn};

use super::zones::Zones;
use super::{Recipients, Shape, Spec, forecast};
use crate::ledger::schedules::Planning;
use crate::ledger::submit::{PAGE_BYTES_MAX, PAGE_CHUNKS_MAX};
use crate::ledger::{Batch, BatchState, Cutter, Item, Ledger, LedgerError, NewChunk, Terms};
use crate::metrics::ScheduleMetrics;
use crate::source::check::Check;
use crate::source::origin::Origin;
use crate::source::reader::{Reader, Whom};
use crate::source::spool::{Ranked, Spool};
use crate::source::sql::{self, Delta, Found, Moments, Query};
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

impl FireError {
    /// Whether the batch is given up because no replica was fit to read it from.
    pub(super) const fn is_refused(&self) -> bool {
        matches!(self, Self::Source(SourceError::NoReplica { .. }))
    }
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
    pub(super) origin: Option<Arc<Origin>>,
    pub(super) spool: Option<PathBuf>,
    /// When the batch is due, and when the one before it was.
    pub(super) moments: (Timestamp, Timestamp),
    pub(super) metrics: Option<&'a ScheduleMetrics>,
}

impl Firing<'_> {
    /// Has the batch stand in the ledger, and tells what it is. None where somebody had it stand there
    /// already. May be dropped, and done again by anyone: what is left is a draft.
    pub(super) async fn run(self) -> Result<Option<Put>, FireError> {
        let (ledger, spec) = (self.ledger, self.spec);
        let (nominal, _) = self.moments;
        let name = spec.batch(nominal);
        if is_there(ledger, &name).await? {
            return Ok(None);
        }
        let ranked = self.read().await?;
        let mut policy = json!({ "family": spec.shape.family, "schedule": spec.name });
        if let Some(check) = self.check() {
            policy["check"] = json!(check);
        }
        let (shape, zone, policy) = (&spec.shape, &spec.when.zone, policy.to_string());
        let forecast = self.forecast().await?;
        let occasion = Occasion { name, nominal, shape, zone, policy, forecast };
        match &spec.zones {
            None => occasion.submit(ledger, &ranked).await,
            Some(zones) => occasion.submit_around(ledger, &ranked, zones).await,
        }
    }

    /// What the application does meanwhile. Where that cannot be read, the batch goes nevertheless, evenly.
    async fn forecast(&self) -> Result<Option<Forecast>, FireError> {
        let Some(load) = &self.spec.shape.load else { return Ok(None) };
        let path = load.forecast.clone();
        let read = tokio::task::spawn_blocking(move || forecast::read(&path)).await?;
        let schedule = &self.spec.name;
        Ok(read.inspect_err(|why| warn!(schedule, why, "it is spread without a forecast")).ok())
    }

    const fn check(&self) -> Option<&Check> {
        match &self.spec.recipients {
            Recipients::Query(reading) => reading.check.as_ref(),
            Recipients::File(..) => None,
        }
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
            Recipients::Query(reading) => {
                let origin = self.origin.clone();
                let origin = origin.ok_or_else(|| FireError::NoSource(reading.source.clone()))?;
                let query = &reading.query;
                let mut reader = Reader::open(origin).await?;
                let spool = match &reading.delta {
                    None => self.read_once(&mut reader, query, spool).await?,
                    Some(delta) => self.read_twice(&mut reader, query, delta, spool).await?,
                };
                Ok(tokio::task::spawn_blocking(move || spool.rank()).await??)
            }
        }
    }

    fn asked(&self, since: Timestamp) -> (Moments, &str) {
        let (nominal, previous) = self.moments;
        (Moments { nominal, previous, since }, &self.spec.name)
    }

    async fn read_once(
        &self,
        reader: &mut Reader,
        query: &Query,
        mut spool: Spool,
    ) -> Result<Spool, FireError> {
        sql::each(reader, query, self.asked(reader.time()), |whom, found| {
            self.count(whom, found);
            found
                .iter()
                .try_for_each(|row| spool.turn_to(row.zone)?.push(row.recipient, row.payload))
        })
        .await?;
        Ok(spool)
    }

    /// Reads all, and then what has changed since that was begun: as late as that may be, from whoever has what
    /// the primary has then.
    async fn read_twice(
        &self,
        reader: &mut Reader,
        query: &Query,
        delta: &Delta,
        mut spool: Spool,
    ) -> Result<Spool, FireError> {
        let overlap = SignedDuration::try_from(delta.overlap).unwrap_or_default();
        let since = reader.time().saturating_sub(overlap).unwrap_or(Timestamp::MIN);
        let (mut again, mut new) = (0_u64, 0_u64);
        sql::each(reader, query, self.asked(since), |whom, found| {
            self.count(whom, found);
            let put = |row: &Found<'_>| {
                spool.turn_to(row.zone)?.put(row.key, row.recipient, row.payload).map(drop)
            };
            found.iter().try_for_each(put)
        })
        .await?;
        self.until_before(delta.lead).await?;
        reader.renew().await?;
        sql::each(reader, &delta.query, self.asked(since), |whom, found| {
            self.count(whom, found);
            for row in found {
                let spool = spool.turn_to(row.zone)?;
                let was_there = spool.put(row.key, row.recipient, row.payload)?;
                *(if was_there { &mut again } else { &mut new }) += 1;
            }
            Ok(())
        })
        .await?;
        let schedule = &self.spec.name;
        info!(schedule, again, new, "what changed while recipients were read was read, too");
        Ok(spool)
    }

    /// Waits until so long before the batch is due.
    async fn until_before(&self, lead: Duration) -> Result<(), LedgerError> {
        let (nominal, _) = self.moments;
        let left = nominal.duration_since(self.ledger.now().await?);
        let left = Duration::try_from(left).unwrap_or_default();
        tokio::time::sleep(left.saturating_sub(lead)).await;
        Ok(())
    }

    fn count(&self, whom: Whom, found: &[Found<'_>]) {
        if let Some(metrics) = self.metrics {
            metrics.read(whom, found.len() as u64);
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
    pub(super) forecast: Option<Forecast>,
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
        let (moments, forecast) = ((self.nominal, now), self.forecast.as_ref());
        let planned = self.shape.plan(items, moments, self.zone, forecast)?;
        if planned.is_over {
            let (batch, deadline) = (&self.name, planned.deadline);
            warn!(batch, %deadline, items, "it is more than fits before its deadline");
        }
        match self.draft(ledger, (planned.opens, planned.deadline)).await? {
            Some(batch) => put(ledger, &batch, ranked, planned.moments()).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same, at a time of day on each recipient's own clock.
    pub(super) async fn submit_around(
        self,
        ledger: &Ledger,
        ranked: &Ranked,
        zones: &Zones,
    ) -> Result<Option<Put>, FireError> {
        let now = ledger.now().await?;
        let tour = zones.plan(self.shape, ranked, (self.nominal, now))?;
        let (batch, deadline) = (&self.name, tour.deadline);
        if tour.is_over {
            warn!(batch, %deadline, "in some zone it is more than fits before its deadline");
        }
        if tour.unknown + tour.skipped > 0 {
            let (unknown, skipped) = (tour.unknown, tour.skipped);
            warn!(
                batch,
                unknown, skipped, "recipients with an unknown zone, or one that skips that time"
            );
        }
        let Some(batch) = self.draft(ledger, (tour.opens, tour.deadline)).await? else {
            return Ok(None);
        };
        let item = |(moment, rank): (Timestamp, u32)| Some((ranked.item(rank)?, moment));
        let count = tour.order.len() as u64;
        let items = tour.order.into_iter().filter_map(item);
        put_all(ledger, &batch, items, count).await.map(Some)
    }

    /// The batch without its items. None where it stands already.
    async fn draft(
        &self,
        ledger: &Ledger,
        (opens, deadline): (Timestamp, Timestamp),
    ) -> Result<Option<Batch>, LedgerError> {
        let terms = Terms {
            name: self.name.clone(),
            nominal: self.nominal,
            opens,
            deadline,
            class: self.shape.class,
            sink: self.shape.sink.clone(),
            policy: self.policy.clone(),
        };
        let batch = ledger.submit(&terms).await?;
        Ok(Some(batch).filter(|batch| batch.state == BatchState::Draft))
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
    put_all(ledger, batch, iter::zip(ranked.items(), moments), ranked.len()).await
}

async fn put_all(
    ledger: &Ledger,
    batch: &Batch,
    items: impl Iterator<Item = (Result<Item, SourceError>, Timestamp)>,
    count: u64,
) -> Result<Put, FireError> {
    let mut cutter = Cutter::default();
    let mut page = Page { ledger, batch, chunks: Vec::new(), bytes: 0, count: 0 };
    for (item, moment) in items {
        if let Some(chunk) = cutter.push(item?, moment)? {
            page.add(chunk).await?;
        }
    }
    if let Some(chunk) = cutter.finish()? {
        page.add(chunk).await?;
    }
    page.write().await?;
    ledger.seal(batch, page.count, count).await?;
    Ok(Put { chunks: page.count, items: count })
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
