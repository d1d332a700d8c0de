//! The ledger: planned as `tidegate batch submit` does, then claimed by chunks and written down.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use policy::spread::forecast::Forecast;
use policy::spread::place::{Salt, order};
use policy::spread::plan::{Batch as Planned, Plan, Window};
use scheduler::ledger::submit::PAGE_CHUNKS_MAX;
use scheduler::ledger::{Batch, Claim, Cutter, Item, LeaseTerms, Ledger, LedgerError, Terms, Wish};
use tokio::task::JoinSet;

use super::store::Store;
use super::{Options, Run};

/// A million items are spread over so long, fewer over less: chunks are the same.
const WINDOW_OF_A_MILLION: Duration = Duration::from_secs(900);
/// Who its items are sent by.
pub(crate) const SINK: &str = "app";
/// Chunks of a claim.
const CLAIM: u32 = 4;

pub(super) async fn run(store: &Store, options: &Options, round: u32) -> Result<Run> {
    let ledger = Arc::new(Ledger::open(store.url(), options.workers).await?);
    let name = format!("reminders@{round}");
    let recipients: Vec<String> =
        (0..options.items).map(|item| (10_000_000 + item).to_string()).collect();
    store.forget().await?;
    let before = store.spent().await?;
    // All of it is due already.
    let opens = ledger.now().await? - WINDOW_OF_A_MILLION * 2;
    let window = WINDOW_OF_A_MILLION.mul_f64(f64::from(options.items) / 1e6);
    plan(&ledger, &name, &recipients, (opens, window)).await?;
    let plan = store.since(before).await?;
    store.forget().await?;
    let (before, cost) = (store.spent().await?, ledger.cost());
    let mut workers = JoinSet::new();
    for _ in 0..options.workers {
        workers.spawn(work_off(Arc::clone(&ledger), options.flushes));
    }
    for worked in workers.join_all().await {
        worked?;
    }
    let dispatch = store.since(before).await?;
    let statements = (ledger.cost() - cost).statements;
    ledger.tidy().await?;
    let audit = ledger.audit(&name).await?;
    ensure!(audit.closes() && audit.sent == u64::from(options.items), "{audit:?}");
    ledger.close().await;
    let (store, items) = (store.name(), options.items);
    Ok(Run { store, contestant: "ledger", items, plan, dispatch, statements })
}

/// From who is to be told to what is in the ledger.
pub(crate) async fn plan(
    ledger: &Ledger,
    name: &str,
    recipients: &[String],
    (opens, window): (Timestamp, Duration),
) -> Result<()> {
    let items = recipients.len() as u64;
    let ranked = order(Salt::new("reminders"), recipients);
    let planned = Planned {
        items,
        cost: 1.0,
        window: Window { opens: Duration::ZERO, deadline: window },
        class: 2,
        rate_max: None,
    };
    let plan = Plan::pour(&Forecast::flat(0.0), &[planned])?;
    let batch = submit(ledger, name, opens, opens + window).await?;
    let (mut cutter, mut page, mut chunks) = (Cutter::default(), Vec::new(), 0);
    for (index, slot) in ranked.iter().zip(plan.curves()[0].slots()) {
        let item = Item { recipient: recipients[*index].as_bytes().into(), payload: Vec::new() };
        page.extend(cutter.push(item, opens + slot)?);
        if page.len() == PAGE_CHUNKS_MAX {
            ledger.add(&batch, &page).await?;
            chunks += page.drain(..).len();
        }
    }
    page.extend(cutter.finish()?);
    ledger.add(&batch, &page).await?;
    chunks += page.len();
    Ok(ledger.seal(&batch, u32::try_from(chunks)?, items).await?)
}

async fn submit(
    ledger: &Ledger,
    name: &str,
    opens: Timestamp,
    deadline: Timestamp,
) -> Result<Batch> {
    let terms = Terms {
        name: name.into(),
        nominal: opens,
        opens,
        deadline,
        class: 2,
        sink: SINK.into(),
        policy: String::new(),
    };
    Ok(ledger.submit(&terms).await?)
}

async fn work_off(ledger: Arc<Ledger>, flushes: u32) -> Result<()> {
    let (terms, ahead) = (LeaseTerms::default(), Duration::ZERO);
    let wish = Wish { worker: "bench".into(), chunks: CLAIM, terms, sinks: Vec::new(), ahead };
    loop {
        let claims = ledger.claim(&wish).await?;
        if claims.is_empty() {
            return Ok(());
        }
        for claim in claims {
            send(&ledger, claim, flushes).await?;
        }
    }
}

/// Writes down what was sent in so many equal parts, the last of them with the release.
async fn send(ledger: &Ledger, mut claim: Claim, flushes: u32) -> Result<(), LedgerError> {
    let items = u32::try_from(claim.items.len()).unwrap_or(u32::MAX);
    let part = items.div_ceil(flushes);
    for item in 0..items {
        claim.progress.sent(item, Duration::from_millis(3));
        if (item + 1) % part == 0 && item + 1 < items {
            ledger.flush(&mut claim.lease, &mut claim.progress).await?;
        }
    }
    ledger.release(claim.lease, &mut claim.progress).await?;
    Ok(())
}
