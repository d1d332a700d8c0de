//! Who holds a chunk: has its items go in their moments, and writes down what became of them.
//!
//! ```text
//!  take ─► loop: stage what is due soon ─ announce ─► send each in its moment ─► settle ─► flush ─► release
//!                      └────────────── the ledger's own database: commit with the progress ──┘
//! ```
//!
//! Where an effect cannot be asked for (a webhook, a command) the items of the next half second are
//! written down as offered before the first of them goes. So what a holder that dies may have sent is
//! listed, with some that it had not sent yet: never one too few.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::Dispatcher;
use super::check::Looked;
use super::clock::{between, later};
use super::outlet::{Outlet, Target};
use super::run::Run;
use super::settle::{settle, take_over};
use crate::ledger::body::CHUNK_ITEMS_MAX;
use crate::ledger::{Claim, LedgerError, Standing};
use crate::sink::{Chunk, Fate, Item, Reason};

/// How often a holder looks.
const TICK: Duration = Duration::from_millis(10);
/// What is due within this is announced together.
const AHEAD: Duration = Duration::from_millis(500);
/// What has become of items is written down so often.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// After the ledger did not do its part, a pause.
const PAUSE: Duration = Duration::from_millis(200);
/// Items that go at once, at most.
pub(super) const SLICE_MAX: usize = 500;

/// Why a holder lets go of its chunk without a word.
#[derive(Debug)]
pub(super) enum Gone {
    /// It is another's, or its lease is over, or nobody knows what the ledger has.
    Lost,
}

/// Works on a chunk until nothing is left to do now. Dropping it leaves the chunk to whoever claims it when
/// the lease is over.
pub(super) async fn hold(
    dispatcher: Arc<Dispatcher>,
    run: Arc<Run>,
    outlet: Arc<Outlet>,
    claim: Claim,
) {
    let seq = claim.lease.seq();
    let mut holder = Holder {
        dispatcher,
        run: Arc::clone(&run),
        outlet,
        claim,
        looked: Looked::default(),
        staged: VecDeque::new(),
        offers: JoinSet::new(),
        is_dirty: false,
        is_broken: false,
        flushed: Instant::now(),
    };
    if let Err(Gone::Lost) = holder.work().await {
        holder.outlet.metrics().fenced.increment(1);
        debug!(seq, "a chunk was let go of without a word");
    }
    run.let_go(seq);
}

/// A chunk, and what is under way of it.
pub(super) struct Holder {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) run: Arc<Run>,
    pub(super) outlet: Arc<Outlet>,
    pub(super) claim: Claim,
    /// Which of its items still hold, where that is asked.
    pub(super) looked: Looked,
    /// Written down as offered, and not sent yet; in their order.
    staged: VecDeque<u32>,
    /// On their way.
    offers: JoinSet<(Vec<Item>, Vec<Fate>)>,
    /// Something is known that is not written down.
    pub(super) is_dirty: bool,
    /// The sink's own progress has to be asked for again before anything more is put there.
    is_broken: bool,
    flushed: Instant,
}

impl Holder {
    async fn work(&mut self) -> Result<(), Gone> {
        let time = self.dispatcher.time();
        self.is_dirty = !self.claim.ambiguous.is_empty();
        take_over(self.outlet.afterwards(), &mut self.claim, time);
        self.take().await?;
        loop {
            let is_open = self.is_open();
            if is_open {
                self.look();
            }
            self.tell();
            match self.outlet.target() {
                Target::Ledger(_) if is_open => self.commit().await?,
                Target::Ledger(_) => {}
                _ => self.offer(is_open).await?,
            }
            if self.offers.is_empty() && self.staged.is_empty() && (!is_open || self.is_through()) {
                return self.release().await;
            }
            tokio::select! {
                Some(offered) = self.offers.join_next() => self.settle(offered)?,
                () = tokio::time::sleep(TICK) => {}
            }
            while let Some(offered) = self.offers.try_join_next() {
                self.settle(offered)?;
            }
            self.keep().await?;
        }
    }

    /// Whether something new may be begun.
    fn is_open(&self) -> bool {
        !self.dispatcher.is_stopping()
            && !self.is_broken
            && self.run.is_running()
            && !self.outlet.is_off()
            && !self.claim.lease.left(Instant::now()).is_zero()
    }

    /// Whether all that is left is to be tried again later.
    fn is_through(&self) -> bool {
        match self.claim.progress.standing() {
            Standing::Complete => true,
            Standing::Untouched => false,
            Standing::Retry(next) => next > later(self.dispatcher.time(), AHEAD),
        }
    }

    /// Takes the chunk where the sink keeps its progress: what is done there is done.
    async fn take(&mut self) -> Result<(), Gone> {
        let outlet = Arc::clone(&self.outlet);
        let done = loop {
            match outlet.take(self.chunk()).await {
                Ok(done) => break done,
                Err(Reason::Fenced) => return Err(Gone::Lost),
                Err(why) => {
                    warn!(%why, "a sink cannot be asked what it has");
                    tokio::time::sleep(PAUSE).await;
                    self.keep().await?;
                    if self.dispatcher.is_stopping() {
                        self.is_broken = true;
                        return Ok(());
                    }
                }
            }
        };
        let (time, items) = (self.dispatcher.time(), self.claim.items.len() as u32);
        for position in done.into_iter().filter(|position| *position < items) {
            if !self.claim.progress.is_sent(position) {
                let late = between(self.claim.moment(position), time);
                self.claim.progress.sent(position, late);
                self.is_dirty = true;
            }
        }
        Ok(())
    }

    /// Stages what is due soon, and sends what is due.
    async fn offer(&mut self, is_open: bool) -> Result<(), Gone> {
        if !is_open {
            for position in self.staged.drain(..) {
                self.claim.progress.withdraw(position);
                self.is_dirty = true;
            }
            return Ok(());
        }
        let position = self.position();
        if !self.outlet.is_full() {
            self.stage(position).await?;
        }
        let is_due = |item: &u32| self.claim.moment(*item) <= position;
        let due = self.staged.iter().take(SLICE_MAX).take_while(|item| is_due(item)).count();
        if due > 0 && self.offers.len() < self.outlet.slices_max() && !self.outlet.is_full() {
            let due: Vec<u32> = self.staged.drain(..due).collect();
            self.send(&due);
        }
        Ok(())
    }

    /// Writes down what goes next, where that is needed, once for all that is due within [`AHEAD`].
    async fn stage(&mut self, position: Timestamp) -> Result<(), Gone> {
        let (soon, half) = (later(position, AHEAD), later(position, AHEAD / 2));
        let is_enough = |last: &u32| self.claim.moment(*last) > half;
        if !self.offers.is_empty() && self.outlet.slices_max() == 1
            || self.staged.back().is_some_and(is_enough)
        {
            return Ok(());
        }
        let next = self.ready(soon);
        if next.is_empty() {
            return Ok(());
        }
        for item in &next {
            self.claim.progress.offer(*item);
        }
        if self.outlet.announces() && !self.flush().await? {
            // Nobody knows of them, so they may not go.
            next.iter().for_each(|item| self.claim.progress.withdraw(*item));
            tokio::time::sleep(PAUSE).await;
            return Ok(());
        }
        self.staged.extend(next);
        Ok(())
    }

    /// What may go until the plan's clock shows `until`: first attempts in their order, then what is to be
    /// tried again as far as that can be paid for.
    pub(super) fn ready(&self, until: Timestamp) -> Vec<u32> {
        let (claim, time) = (&self.claim, self.dispatcher.time());
        let attempts = |item: &u32| claim.progress.failure(*item).map(|failure| failure.attempts);
        let (mut first, mut again) = (Vec::new(), Vec::new());
        let holds = |item: &u32| self.may_go(*item);
        for item in claim.progress.due(time).filter(holds).take(CHUNK_ITEMS_MAX as usize) {
            match attempts(&item) {
                None if claim.moment(item) <= until => first.push(item),
                None => {}
                Some(0) => first.push(item),
                Some(_) => again.push(item),
            }
        }
        first.truncate(SLICE_MAX);
        if !again.is_empty() && first.len() < SLICE_MAX {
            again.truncate(SLICE_MAX - first.len());
            again.truncate(self.outlet.pay(Instant::now(), again.len()));
            first.extend(again);
            first.sort_unstable();
        }
        first
    }

    /// What is due by then may go.
    pub(super) fn position(&self) -> Timestamp {
        self.run.position(Instant::now(), self.dispatcher.time())
    }

    /// Has items go, beside others that are on their way.
    fn send(&mut self, positions: &[u32]) {
        let items = self.items(positions);
        let outlet = Arc::clone(&self.outlet);
        let (batch, chunk) = (self.run.batch().terms.name.clone(), self.chunk());
        let (number, first, fence) = (chunk.number, chunk.first, chunk.fence);
        let done = match outlet.slices_max() {
            1 => (0..self.claim.items.len() as u32)
                .filter(|position| self.claim.progress.is_sent(*position))
                .collect(),
            _ => Vec::new(),
        };
        self.offers.spawn(async move {
            let chunk = Chunk { batch: &batch, number, first, fence };
            let fates = outlet.offer(chunk, &items, done).await;
            (items, fates)
        });
    }

    /// Items as sinks know them. They count as going now.
    pub(super) fn items(&mut self, positions: &[u32]) -> Vec<Item> {
        let terms = &self.run.batch().terms;
        let time = self.dispatcher.time();
        let is_on_time = self.run.is_on_time(time);
        let deadline = self.outlet.expire_after().map(|after| later(terms.deadline, after));
        let (mut first_attempts, mut errors) = (0, Vec::new());
        let items = positions.iter().map(|position| {
            let (moment, item) =
                (self.claim.moment(*position), &self.claim.items[*position as usize]);
            let failures = self.claim.progress.failure(*position).map_or(0, |known| known.attempts);
            if failures == 0 {
                first_attempts += 1;
                let late = between(terms.deadline, time);
                let error = is_on_time.then(|| between(moment, time));
                self.outlet.metrics().goes(between(terms.nominal, moment), error, late);
                errors.extend(error);
            }
            Item {
                position: *position,
                recipient: Bytes::copy_from_slice(&item.recipient),
                body: Bytes::copy_from_slice(&item.payload),
                attempt: failures + 1,
                tenant: 0,
                deadline,
            }
        });
        let items = items.collect();
        self.outlet.earn(first_attempts);
        errors.into_iter().for_each(|error| self.claim.progress.paced(error));
        items
    }

    pub(super) fn chunk(&self) -> Chunk<'_> {
        let (lease, batch) = (&self.claim.lease, &self.run.batch().terms.name);
        // A chunk's items are written once, so a place in it names an item as well as its rank would.
        let first = u64::from(lease.seq()) * u64::from(CHUNK_ITEMS_MAX);
        let fence = u64::try_from(lease.fence()).unwrap_or_default();
        Chunk { batch, number: lease.seq(), first, fence }
    }

    fn settle(
        &mut self,
        offered: Result<(Vec<Item>, Vec<Fate>), tokio::task::JoinError>,
    ) -> Result<(), Gone> {
        // A sink that panics has sent nobody knows what: the next holder lists it.
        let (items, fates) = offered.map_err(|_| Gone::Lost)?;
        self.judge(&items, fates)
    }

    /// Takes down what became of items.
    pub(super) fn judge(&mut self, items: &[Item], fates: Vec<Fate>) -> Result<(), Gone> {
        let time = self.dispatcher.time();
        // Where progress is kept elsewhere, what went wrong there may be done: it is asked again.
        let is_elsewhere = matches!(self.outlet.target(), Target::Elsewhere(_));
        let is_unsent = |fate: &Fate| matches!(fate, Fate::Unsent(_));
        self.is_broken |= is_elsewhere && fates.iter().any(is_unsent);
        let afterwards = *self.outlet.afterwards();
        let dice = || fastrand::u64(..);
        let settled = settle(&afterwards, &mut self.claim, (items, fates), time, dice);
        self.outlet.metrics().settled(&settled);
        self.is_dirty = true;
        if settled.is_fenced { Err(Gone::Lost) } else { Ok(()) }
    }

    /// Writes down what is not, and keeps the lease.
    async fn keep(&mut self) -> Result<(), Gone> {
        let now = Instant::now();
        let is_time = self.is_dirty && now.duration_since(self.flushed) >= FLUSH_EVERY;
        if is_time || self.claim.lease.wants_renewal(now) {
            if !self.flush().await? {
                tokio::time::sleep(PAUSE).await;
            }
            if self.claim.lease.left(Instant::now()).is_zero() {
                return Err(Gone::Lost);
            }
        }
        Ok(())
    }

    /// Writes down what is, and renews the lease when it is time. False where the ledger did not.
    pub(super) async fn flush(&mut self) -> Result<bool, Gone> {
        let Claim { lease, progress, .. } = &mut self.claim;
        let written = self.dispatcher.ledger().flush(lease, progress).await;
        self.outlet.metrics().flushes.increment(1);
        match written {
            Ok(()) => {
                (self.is_dirty, self.flushed) = (false, Instant::now());
                Ok(true)
            }
            Err(LedgerError::Fenced { .. }) => Err(Gone::Lost),
            Err(error) => {
                self.dispatcher.metrics().failures.increment(1);
                warn!(%error, "progress is not written down yet");
                Ok(false)
            }
        }
    }

    async fn release(&mut self) -> Result<(), Gone> {
        loop {
            let Claim { lease, progress, .. } = &mut self.claim;
            let left = lease.left(Instant::now());
            match self.dispatcher.ledger().release(lease.clone(), progress).await {
                Ok(_) => return Ok(()),
                Err(LedgerError::Fenced { .. }) => return Err(Gone::Lost),
                Err(error) if left.is_zero() => {
                    warn!(%error, "a chunk is not released; it is claimed again");
                    return Err(Gone::Lost);
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Tells the batch what is next here, and how much is past its moment.
    fn tell(&self) {
        let (claim, time) = (&self.claim, self.dispatcher.time());
        let is_untouched = |item: &u32| claim.progress.failure(*item).is_none();
        let first = self.staged.iter().copied().chain(claim.progress.due(time));
        let next = first.filter(is_untouched).map(|item| claim.moment(item)).min();
        let past = |item: &u32| is_untouched(item) && claim.moment(*item) <= time;
        let due = self.staged.iter().copied().chain(claim.progress.due(time)).filter(past).count();
        self.run.hold(claim.lease.seq(), next, due as u64);
    }
}
