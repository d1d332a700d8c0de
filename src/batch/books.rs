//! `tidegate batch list|pause|resume|cancel|report|audit|retry`: what the ledger knows of batches, and what
//! somebody wants of one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use scheduler::config::File;
use scheduler::ledger::report::{FAILURES_MAX, FailedItem, Report as Figures};
use scheduler::ledger::{Batch, Fate, Item, Ledger};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::scheduler::file;
use crate::show::{print, time};

/// Which ledger, and how it is shown.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The configuration, for its ledger and its sinks.
    #[arg(short, long, value_name = "FILE", default_value = "tidegate.toml")]
    config: PathBuf,
    /// Show JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Connections that the command line opens.
const CONNECTIONS: u32 = 2;

impl Place {
    pub(crate) fn file(&self) -> Result<File, Failure> {
        file(&self.config)
    }

    pub(crate) async fn open(&self, file: &File) -> Result<Ledger, Failure> {
        let ledger = Ledger::open(&file.scheduler.ledger, CONNECTIONS).await;
        Ok(ledger.context("scheduler.ledger cannot be opened")?)
    }

    fn show(&self, value: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
        Ok(print(&if self.json { format!("{value:#}\n") } else { text() })?)
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// List the newest batches.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    place: Place,
    /// How many, at most.
    #[arg(long, default_value_t = 20)]
    most: u32,
}

/// One batch.
#[derive(Debug, Args)]
pub(crate) struct Named {
    #[command(flatten)]
    place: Place,
    /// Its name.
    name: String,
}

/// Show how far a batch is.
#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    named: Named,
    /// List items besides, the first 10,000: those that are dropped, dead or held, or ever were ambiguous.
    #[arg(long, value_enum, value_name = "WHICH")]
    items: Option<Listed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Listed {
    /// Not sent because they no longer held when they were checked.
    Dropped,
    /// Given up.
    Dead,
    /// Waiting for somebody to decide.
    Held,
    /// Offered with an outcome that nobody knew, whatever has become of them since.
    Ambiguous,
}

/// Try again what is dead, or what waits for a decision.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    named: Named,
    /// Which of the two.
    #[arg(long, value_enum, default_value_t = Which::Dead)]
    which: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Given up.
    Dead,
    /// Sent with an outcome that nobody knows.
    Held,
}

/// What is wanted of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    Pause,
    Resume,
    Cancel,
}

impl List {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let file = self.place.file()?;
        block_on(async {
            let ledger = self.place.open(&file).await?;
            let batches = ledger.list(self.most).await.context("cannot be listed")?;
            let all: Vec<Value> = batches.iter().map(row).collect();
            self.place.show(&json!(all), || {
                let line = |batch: &Batch| {
                    let terms = &batch.terms;
                    format!(
                        "{:<10} {:>10} items  {}  {:<16} {}\n",
                        batch.state.name(),
                        batch.items,
                        terms.nominal,
                        terms.sink,
                        terms.name
                    )
                };
                batches.iter().map(line).collect()
            })
        })
    }
}

impl Named {
    pub(crate) fn order(self, order: Order) -> Result<(), Failure> {
        let file = self.place.file()?;
        block_on(async {
            let ledger = self.place.open(&file).await?;
            let batch = match order {
                Order::Pause => ledger.pause(&self.name).await,
                Order::Resume => ledger.resume(&self.name).await,
                Order::Cancel => ledger.cancel(&self.name).await,
            };
            let batch = batch.map_err(|error| anyhow!(error))?;
            let text = || format!("{} is {}\n", self.name, batch.state.name());
            self.place.show(&row(&batch), text)
        })
    }

    pub(crate) fn audit(self) -> Result<(), Failure> {
        let file = self.place.file()?;
        block_on(async {
            let ledger = self.place.open(&file).await?;
            let audit = ledger.audit(&self.name).await.map_err(|error| anyhow!(error))?;
            let told = json!({ "closes": audit.closes(), "items": audit.items, "sent": audit.sent,
                "dead": audit.dead, "held": audit.held, "dropped": audit.dropped,
                "cancelled": audit.cancelled,
                "open": audit.open, "ambiguous": audit.ambiguous, "holes": audit.holes,
                "told": audit.told });
            self.place.show(&told, || {
                let holes: String = audit.told.iter().map(|hole| format!("  {hole}\n")).collect();
                format!(
                    "{}: {} items = {} sent + {} dead + {} held + {} dropped + {} cancelled + {} open; {} of \
                     them ambiguous\n{holes}",
                    self.name,
                    audit.items,
                    audit.sent,
                    audit.dead,
                    audit.held,
                    audit.dropped,
                    audit.cancelled,
                    audit.open,
                    audit.ambiguous
                )
            })?;
            match audit.closes() {
                true => Ok(()),
                false => Err(anyhow!("the books do not close: {} holes", audit.holes).into()),
            }
        })
    }
}

impl Report {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Named { place, name } = self.named;
        let file = place.file()?;
        block_on(async {
            let ledger = place.open(&file).await?;
            let report = ledger.report(&name).await.map_err(|error| anyhow!(error))?;
            let mut told = figures(&report);
            let Some(listed) = self.items else {
                return place.show(&told, || shown(&report));
            };
            let found = list(&ledger, &report.batch, listed).await?;
            told["listed"] = found.iter().map(|(item, who)| entry(item, who)).collect();
            place.show(&told, || {
                let line = |(item, who): &(FailedItem, String)| {
                    let failure = &item.failure;
                    format!("  {who}: {}, after {} attempts\n", failure.why, failure.attempts)
                };
                shown(&report) + &found.iter().map(line).collect::<String>()
            })
        })
    }
}

/// Items of a batch that are to be listed, with their recipients.
async fn list(
    ledger: &Ledger,
    batch: &Batch,
    listed: Listed,
) -> Result<Vec<(FailedItem, String)>, Failure> {
    let is_listed = |item: &FailedItem| match listed {
        Listed::Dropped => item.failure.fate == Fate::Dropped,
        Listed::Dead => item.failure.fate == Fate::Dead,
        Listed::Held => item.failure.fate == Fate::Held,
        Listed::Ambiguous => item.failure.is_ambiguous,
    };
    let mut bodies: BTreeMap<u32, Vec<Item>> = BTreeMap::new();
    let (mut found, mut behind) = (Vec::new(), None);
    while found.len() < FAILURES_MAX as usize {
        let page = ledger.failures(batch, behind, FAILURES_MAX).await;
        let page = page.map_err(|error| anyhow!(error))?;
        let Some(last) = page.last() else { break };
        behind = Some((last.seq, last.item));
        for item in page.into_iter().filter(is_listed) {
            if let Entry::Vacant(place) = bodies.entry(item.seq) {
                let body = ledger.items(batch, item.seq).await;
                place.insert(body.map_err(|error| anyhow!(error))?);
            }
            let recipient = bodies[&item.seq].get(item.item as usize).map(|item| &item.recipient);
            let recipient = recipient.map(|recipient| String::from_utf8_lossy(recipient));
            let recipient = recipient.unwrap_or_default().into_owned();
            found.push((item, recipient));
        }
    }
    found.truncate(FAILURES_MAX as usize);
    Ok(found)
}

fn entry(item: &FailedItem, recipient: &str) -> Value {
    let failure = &item.failure;
    json!({ "recipient": recipient, "chunk": item.seq, "item": item.item, "why": failure.why,
        "attempts": failure.attempts, "ambiguous": failure.is_ambiguous })
}

impl Retry {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Named { place, name } = self.named;
        let file = place.file()?;
        block_on(async {
            let ledger = place.open(&file).await?;
            let fate = if self.which == Which::Dead { Fate::Dead } else { Fate::Held };
            let items = ledger.retry(&name, fate).await.map_err(|error| anyhow!(error))?;
            let told = json!({ "name": name, "items": items });
            place.show(&told, || format!("{name}: {items} items are tried again\n"))
        })
    }
}

fn row(batch: &Batch) -> Value {
    let terms = &batch.terms;
    json!({ "name": terms.name, "state": batch.state, "items": batch.items, "chunks": batch.chunks,
        "sink": terms.sink, "class": terms.class, "at": terms.nominal.to_string(),
        "deadline": terms.deadline.to_string() })
}

fn figures(report: &Figures) -> Value {
    let (tally, late) = (&report.tally, &report.lateness);
    let ms = |share| late.quantile(share).as_millis() as u64;
    json!({ "batch": row(&report.batch), "items": tally.items, "sent": tally.sent,
        "waiting": tally.waiting, "held": tally.held, "dead": tally.dead, "dropped": tally.dropped,
        "untouched": report.untouched, "due": report.due, "leased": report.leased,
        "cancelled": report.cancelled, "ambiguous": report.ambiguous,
        "after_moment_ms": { "p50": ms(0.5), "p99": ms(0.99), "max": ms(1.0) },
        "pacing_error_ms": pacing(report) })
}

/// How exactly the plan was kept, by the items that nothing held up.
fn pacing(report: &Figures) -> Value {
    let ms = |share| report.pacing.quantile(share).as_secs_f64() * 1000.0;
    json!({ "items": report.pacing.count(), "p50": ms(0.5), "p99": ms(0.99), "max": ms(1.0) })
}

fn shown(report: &Figures) -> String {
    let (tally, late) = (&report.tally, &report.lateness);
    let at = |share| time(late.quantile(share).as_millis() as u64);
    let error = |share| time(report.pacing.quantile(share).as_millis() as u64);
    format!(
        "{} is {}\n\
         items      {}\n\
         sent       {}\n\
         to send    {} first attempts, {} again; {} due and with nobody\n\
         dead       {}\n\
         held       {}\n\
         dropped    {}\n\
         cancelled  {}\n\
         ambiguous  {}\n\
         after their moments: p50 {}, p99 {}, max {}\n\
         pacing error: p50 {}, p99 {}, max {}, of {} that nothing held up\n",
        report.batch.terms.name,
        report.batch.state.name(),
        tally.items,
        tally.sent,
        report.untouched,
        tally.waiting,
        report.due,
        tally.dead,
        tally.held,
        tally.dropped,
        report.cancelled,
        report.ambiguous,
        at(0.5),
        at(0.99),
        at(1.0),
        error(0.5),
        error(0.99),
        error(1.0),
        report.pacing.count(),
    )
}
