//! Takes up requests for batches: rows that applications have inserted.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::Shape;
use super::fire::{FireError, Occasion, Put, is_there};
use crate::dispatch::Dispatcher;
use crate::ledger::batch::CLASSES;
use crate::ledger::requests::{Request, Requests};
use crate::ledger::{Ledger, LedgerError};
use crate::source::SourceError;
use crate::source::file::{Columns, json_line};
use crate::source::spool::Spool;

/// New requests are looked for so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Takes up the requests of one database.
#[derive(Debug)]
pub struct Desk {
    /// The `[source.NAME]`.
    pub source: String,
    /// Where it is.
    pub url: String,
    /// Where recipients are kept while they are ranked.
    pub spool: Option<PathBuf>,
}

/// Why a request was not done.
enum NotDone {
    /// It never will be, as it stands.
    Wrong(String),
    /// It is taken up again.
    Later(FireError),
}

impl Desk {
    /// Works until it is dropped; a request that is being worked on then is taken up again by anyone.
    pub async fn run(self, dispatcher: Arc<Dispatcher>) {
        let mut every = interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut requests: Option<Requests> = None;
        loop {
            every.tick().await;
            let looked = self.look(&dispatcher, &mut requests).await;
            if let Err(error) = looked {
                dispatcher.metrics().failures.increment(1);
                warn!(%error, source = self.source, "requests for batches are looked for again");
            }
        }
    }

    async fn look(
        &self,
        dispatcher: &Dispatcher,
        requests: &mut Option<Requests>,
    ) -> Result<(), LedgerError> {
        let requests = match requests {
            Some(requests) => requests,
            None => requests.insert(Requests::open(&self.url).await?),
        };
        while let Some((request, held)) = requests.next().await? {
            let name = &request.name;
            match self.take(dispatcher, &request).await {
                Ok(put) => {
                    held.done(put.items).await?;
                    info!(batch = name, items = put.items, "submitted as it was requested");
                }
                Err(NotDone::Wrong(why)) => {
                    warn!(batch = name, why, "a request cannot be done");
                    held.failed(&why).await?;
                }
                Err(NotDone::Later(error)) => {
                    warn!(batch = name, %error, "a request is taken up again");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn take(&self, dispatcher: &Dispatcher, request: &Request) -> Result<Put, NotDone> {
        let sinks: BTreeSet<&String> = dispatcher.outlets().keys().collect();
        let shape = shape(request, &sinks).map_err(NotDone::Wrong)?;
        let submitted = self.submit(dispatcher.ledger(), request, &shape).await;
        submitted.map_err(|error| match &error {
            FireError::Source(SourceError::Spool(_)) => NotDone::Later(error),
            FireError::Source(_) | FireError::Plan(_) => NotDone::Wrong(error.to_string()),
            FireError::Ledger(
                LedgerError::TooLarge { .. }
                | LedgerError::Invalid { .. }
                | LedgerError::Conflict { .. },
            ) => NotDone::Wrong(error.to_string()),
            _ => NotDone::Later(error),
        })
    }

    async fn submit(
        &self,
        ledger: &Ledger,
        request: &Request,
        shape: &Shape,
    ) -> Result<Put, FireError> {
        let mut spool = Spool::new(self.spool.as_deref(), &shape.family)?;
        for (index, line) in request.items.lines().enumerate() {
            if !line.trim().is_empty() {
                let at = |why| SourceError::File { at: format!("items:{}", index + 1), why };
                let (recipient, payload) = json_line(line, &Columns::default()).map_err(at)?;
                spool.push(&recipient, &payload)?;
            }
        }
        let ranked = spool.rank()?;
        let there = Put { chunks: 0, items: ranked.len() };
        if is_there(ledger, &request.name).await? {
            return Ok(there);
        }
        let nominal = match request.due {
            Some(due) => due,
            None => ledger.now().await?,
        };
        let policy = json!({ "family": shape.family, "requested": self.source }).to_string();
        let (name, zone) = (request.name.clone(), &TimeZone::UTC);
        let occasion = Occasion { name, nominal, shape, zone, policy, forecast: None };
        Ok(occasion.submit(ledger, &ranked).await?.unwrap_or(there))
    }
}

/// What its batch is.
fn shape(request: &Request, sinks: &BTreeSet<&String>) -> Result<Shape, String> {
    if !sinks.contains(&request.sink) {
        let known: Vec<&str> = sinks.iter().map(|sink| sink.as_str()).collect();
        return Err(format!(
            "sink: there is no {:?}; there are {}",
            request.sink,
            known.join(", ")
        ));
    }
    if request.spread.is_zero() {
        return Err("spread_seconds: expected a number above 0".into());
    }
    let class = u8::try_from(request.class).ok().filter(|class| *class < CLASSES);
    let class = class.ok_or("class: expected 0, the most urgent, to 3")?;
    let deadline = request.deadline.unwrap_or(request.spread);
    if deadline < request.spread {
        return Err("deadline_seconds: before the end of spread_seconds".into());
    }
    Ok(Shape {
        spread: request.spread,
        deadline,
        quiet: None,
        class,
        rate: None,
        load: None,
        family: request.family.clone(),
        sink: request.sink.clone(),
    })
}
