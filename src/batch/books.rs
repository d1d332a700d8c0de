//! `tidegate batch list|pause|resume|cancel|report|audit|retry`: what the ledger knows of batches, and what
//! somebody wants of one.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use scheduler::config::File;
use scheduler::ledger::report::Report;
use scheduler::ledger::{Batch, Fate, Ledger};
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

    pub(crate) fn report(self) -> Result<(), Failure> {
        let file = self.place.file()?;
        block_on(async {
            let ledger = self.place.open(&file).await?;
            let report = ledger.report(&self.name).await.map_err(|error| anyhow!(error))?;
            self.place.show(&figures(&report), || shown(&report))
        })
    }

    pub(crate) fn audit(self) -> Result<(), Failure> {
        let file = self.place.file()?;
        block_on(async {
            let ledger = self.place.open(&file).await?;
            let audit = ledger.audit(&self.name).await.map_err(|error| anyhow!(error))?;
            let told = json!({ "closes": audit.closes(), "items": audit.items, "sent": audit.sent,
                "dead": audit.dead, "held": audit.held, "cancelled": audit.cancelled,
                "open": audit.open, "ambiguous": audit.ambiguous, "holes": audit.holes,
                "told": audit.told });
            self.place.show(&told, || {
                let holes: String = audit.told.iter().map(|hole| format!("  {hole}\n")).collect();
                format!(
                    "{}: {} items = {} sent + {} dead + {} held + {} cancelled + {} open; {} of them \
                     ambiguous\n{holes}",
                    self.name,
                    audit.items,
                    audit.sent,
                    audit.dead,
                    audit.held,
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

fn figures(report: &Report) -> Value {
    let (tally, late) = (&report.tally, &report.lateness);
    let ms = |share| late.quantile(share).as_millis() as u64;
    json!({ "batch": row(&report.batch), "items": tally.items, "sent": tally.sent,
        "waiting": tally.waiting, "held": tally.held, "dead": tally.dead,
        "untouched": report.untouched, "due": report.due, "leased": report.leased,
        "cancelled": report.cancelled, "ambiguous": report.ambiguous,
        "after_moment_ms": { "p50": ms(0.5), "p99": ms(0.99), "max": ms(1.0) } })
}

fn shown(report: &Report) -> String {
    let (tally, late) = (&report.tally, &report.lateness);
    let at = |share| time(late.quantile(share).as_millis() as u64);
    format!(
        "{} is {}\n\
         items      {}\n\
         sent       {}\n\
         to send    {} first attempts, {} again; {} due and with nobody\n\
         dead       {}\n\
         held       {}\n\
         cancelled  {}\n\
         ambiguous  {}\n\
         after their moments: p50 {}, p99 {}, max {}\n",
        report.batch.terms.name,
        report.batch.state.name(),
        tally.items,
        tally.sent,
        report.untouched,
        tally.waiting,
        report.due,
        tally.dead,
        tally.held,
        report.cancelled,
        report.ambiguous,
        at(0.5),
        at(0.99),
        at(1.0),
    )
}
