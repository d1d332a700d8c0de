//! `tidegate batch submit`: plans a batch and writes it into the ledger.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use guard::config::value::parse_duration;
use jiff::Timestamp;
use policy::spread::forecast::Forecast;
use policy::spread::gate::{self, Refused};
use policy::spread::plan::{self as planned, Window};
use scheduler::config::File;
use scheduler::ledger::Terms;
use scheduler::schedule::fire::put;
use scheduler::schedule::forecast;
use scheduler::source::file::Columns;
use scheduler::source::spool::{Ranked, Spool};
use scheduler::source::{self, SourceError};
use serde_json::json;

use super::Class;
use super::books::{Place, block_on};
use crate::exit::Failure;
use crate::show::print;

/// Plan a batch and hand it to the schedulers.
///
/// Said twice with the same name, time and recipients it is the same batch. Exit code 1 when it cannot be done
/// in time; nothing is written then.
#[derive(Debug, Args)]
pub(crate) struct Submit {
    #[command(flatten)]
    place: Place,
    /// What it is called, once and for all, for example reminders@2026-11-22T13:00:00Z.
    name: String,
    /// Who the items are for, and what they are: .csv with a header, .ndjson, or one recipient a line.
    #[arg(value_name = "RECIPIENTS")]
    recipients: PathBuf,
    /// The sink that its items go to.
    #[arg(long, value_name = "NAME")]
    sink: String,
    /// The column or field that names the recipient. Default: the first column, or "recipient".
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// The column or field that is sent. Default: the whole object of .ndjson, and nothing of others.
    #[arg(long, value_name = "NAME")]
    payload: Option<String>,
    /// The family of batches that this one is of: in all of them a recipient has the same place.
    #[arg(long, value_name = "NAME", default_value = "default")]
    family: String,
    /// The time that it is due, for example 2026-11-22T13:00:00Z. Default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The window over which its items are spread, from its time on.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = parse_duration)]
    spread: Duration,
    /// When the last is to have gone, from its time on. Default: the end of --spread.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    deadline: Option<Duration>,
    /// How urgent it is: of what is due, the more urgent is claimed first.
    #[arg(long, value_enum, default_value_t = Class::Normal)]
    class: Class,
    /// The load that the application causes meanwhile, as for `batch plan`.
    #[arg(long, value_name = "FILE")]
    forecast: Option<PathBuf>,
    /// The most load a second that the database can carry, in the unit of the forecast.
    #[arg(long, value_name = "LOAD", value_parser = super::plan::positive)]
    capacity: Option<f64>,
    /// What one item costs the database, in the unit of the forecast.
    #[arg(long, value_name = "LOAD", default_value = "1", value_parser = super::plan::positive)]
    cost: f64,
    /// The most items a second, for the sake of who receives them.
    #[arg(long, value_name = "ITEMS", value_parser = super::plan::positive)]
    rate: Option<f64>,
}

impl Submit {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let file = self.place.file()?;
        if !file.sinks.contains_key(&self.sink) {
            let known: Vec<&str> = file.sinks.keys().map(String::as_str).collect();
            let known = known.join(", ");
            return Err(Failure::Usage(format!("--sink {}: there are {known}", self.sink)));
        }
        let ranked = self.read(&file).map_err(|error| anyhow!(error))?;
        if ranked.is_empty() {
            let why = anyhow!("{} names no recipient", self.recipients.display());
            return Err(why.into());
        }
        let plan = self.plan(ranked.len())?;
        block_on(self.write(&file, &ranked, &plan))
    }

    fn read(&self, file: &File) -> Result<Ranked, SourceError> {
        let columns = Columns { key: self.key.clone(), payload: self.payload.clone() };
        let mut spool = Spool::new(file.scheduler.spool.as_deref(), &self.family)?;
        let take = |recipient: &str, payload: &str| spool.push(recipient, payload);
        source::file::each(&self.recipients, &columns, take)?;
        spool.rank()
    }

    fn plan(&self, items: u64) -> Result<planned::Plan, Failure> {
        let forecast = match &self.forecast {
            Some(path) => forecast::read(path).map_err(|why| anyhow!(why))?,
            None => Forecast::flat(0.0),
        };
        let terms = gate::Terms { forecast, capacity: self.capacity };
        let window = Window { opens: Duration::ZERO, deadline: self.spread };
        let class = self.class as u8;
        let batch = planned::Batch { items, cost: self.cost, window, class, rate_max: self.rate };
        gate::admit(&terms, &[batch]).map_err(|refused| match refused {
            Refused::Infeasible { fits, nearest, .. } => {
                let instead = nearest
                    .map_or("no window within a day would do".to_owned(), |window| {
                        format!("--spread {}s would do", window.deadline.as_secs())
                    });
                anyhow!("{fits} of {items} items can be done within {:?}; {instead}", self.spread)
                    .into()
            }
            refused => Failure::Usage(refused.to_string()),
        })
    }

    async fn write(
        &self,
        file: &File,
        ranked: &Ranked,
        plan: &planned::Plan,
    ) -> Result<(), Failure> {
        let ledger = self.place.open(file).await?;
        let nominal = match self.at {
            Some(at) => at,
            None => ledger.now().await.context("the ledger does not answer")?,
        };
        let latest = self.deadline.unwrap_or(self.spread).max(self.spread);
        let terms = Terms {
            name: self.name.clone(),
            nominal,
            opens: nominal,
            deadline: nominal.checked_add(latest).context("--deadline: too far away")?,
            class: self.class as u8,
            sink: self.sink.clone(),
            policy: json!({ "family": self.family }).to_string(),
        };
        let batch = ledger.submit(&terms).await.context("not submitted")?;
        let moment = |slot| nominal.checked_add(slot).unwrap_or(Timestamp::MAX);
        let moments = plan.curves()[0].slots().map(moment);
        let written = put(&ledger, &batch, ranked, moments).await;
        let written = written.context("not submitted; submit it again to go on")?;
        let (chunks, count) = (written.chunks, written.items);
        ledger.close().await;
        let told = json!({ "name": self.name, "items": count, "chunks": chunks, "at": nominal.to_string(),
            "deadline": terms.deadline.to_string(), "sink": self.sink });
        let text = match self.place.json {
            true => format!("{told:#}\n"),
            false => format!(
                "{}: {count} items in {chunks} chunks for {}, from {nominal} to {}\n",
                self.name, self.sink, terms.deadline
            ),
        };
        Ok(print(&text)?)
    }
}
