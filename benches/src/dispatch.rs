//! What the dispatcher at work does to the server that its ledger is on, and to an application that has
//! point queries there: a million in 15 minutes to a webhook, thousands a second into a table, and
//! as many from a queue with a row for each, by turns with nobody.

mod bystander;
mod queue;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use drill::home::Scratch;
use drill::server::engine::Engine;
use scheduler::config::File;
use scheduler::dispatch::outlet::Outlet;
use scheduler::dispatch::{Dispatcher, Settings};
use scheduler::ledger::{LeaseTerms, Ledger};
use scheduler::metrics::Metrics;
use serde::Serialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::sleep;

use self::bystander::{Bystander, Latency};
use crate::Shared;
use crate::ledger::chunks::{self, SINK};
use crate::ledger::plain::Plain;
use crate::ledger::store::Store;
use crate::machine::Machine;
use crate::report::{Table, number};
use crate::sinks::{KEY, receiver};
use crate::stage::report;
use crate::statistics::median;

/// From a batch's being planned to its beginning.
const LEAD: Duration = Duration::from_secs(2);
/// After its window, until all of it has gone.
const REST: Duration = Duration::from_secs(30);

/// How much, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Reminders a second into the table.
    #[arg(long, default_value_t = 20_000)]
    rate: u32,
    /// Reminders a second to the webhook: a million in 15 minutes.
    #[arg(long, default_value_t = 1_111)]
    calls: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 8)]
    time: u32,
    /// Rounds on each server; the medians over them are reported.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Only servers whose name begins so: PostgreSQL, MariaDB or MySQL.
    #[arg(long, default_value = "")]
    only: String,
}

/// What happened while the application was looked at.
#[derive(Serialize)]
struct Round {
    server: String,
    beside: &'static str,
    asked_per_second: u32,
    items_per_second: f64,
    /// Of the dispatcher, with BEGIN and COMMIT.
    statements_per_second: f64,
    /// CPU of the server as a share of a core.
    server_cores: f64,
    latency: Latency,
    /// Of the 99th percentile over that in the same round with nobody beside.
    over_alone: f64,
}

/// Measures on PostgreSQL, MariaDB and MySQL.
pub(crate) fn run(shared: &Shared, options: &Options) -> Result<()> {
    std::fs::create_dir_all(&shared.out)
        .with_context(|| format!("cannot create {}", shared.out.display()))?;
    let numbers = [options.rate, options.calls, options.time, options.rounds];
    ensure!(numbers.into_iter().all(|number| number > 0), "each number is at least one");
    let machine = Machine::describe();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut rounds = Vec::new();
    for engine in [Engine::Postgres, Engine::MariaDb, Engine::MySql] {
        let name = engine.to_string().to_lowercase();
        if name.starts_with(&options.only.to_lowercase()) && engine.available() {
            rounds.extend(runtime.block_on(measure(engine, options))?);
        }
    }
    let title = format!(
        "An application's point queries beside the dispatcher, medians of {} × {} s",
        options.rounds, options.time
    );
    report(&shared.out, &machine, ("dispatch", &title), &table(&rounds), &rounds)
}

fn table(rounds: &[Round]) -> Table {
    let heading = [
        "server",
        "beside",
        "asked/s",
        "items/s",
        "statements/s",
        "server, cores",
        "p50, ms",
        "p95, ms",
        "p99, ms",
        "p99 ×",
    ];
    let mut table = Table::new(2, &heading);
    for same in
        rounds.chunk_by(|one, next| (&one.server, one.beside) == (&next.server, next.beside))
    {
        let of = |part: fn(&Round) -> f64| median(same.iter().map(part));
        table.push(vec![
            same[0].server.clone(),
            same[0].beside.into(),
            same[0].asked_per_second.to_string(),
            number(of(|round| round.items_per_second), 0),
            number(of(|round| round.statements_per_second), 1),
            number(of(|round| round.server_cores), 2),
            number(of(|round| round.latency.p50_ms), 2),
            number(of(|round| round.latency.p95_ms), 2),
            number(of(|round| round.latency.p99_ms), 2),
            number(of(|round| round.over_alone), 2),
        ]);
    }
    table
}

async fn measure(engine: Engine, options: &Options) -> Result<Vec<Round>> {
    let store = Store::start(Some(engine)).await?;
    bystander::prepare(&store).await?;
    let mut plain = Plain::open(store.url()).await?;
    plain.say("CREATE TABLE reminder (id CHAR(36) NOT NULL, recipient BIGINT NOT NULL)").await?;
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        let mut of_round = vec![alone(&store, options).await?];
        of_round.push(dispatched(&store, options, round, Sink::Webhook).await?);
        of_round.push(dispatched(&store, options, round, Sink::Table).await?);
        of_round.push(queue::run(&store, options, round).await?);
        let alone = of_round[0].latency.p99_ms;
        of_round.iter_mut().for_each(|round| round.over_alone = round.latency.p99_ms / alone);
        rounds.extend(of_round);
        plain.say("TRUNCATE TABLE reminder").await?;
    }
    rounds.sort_by_key(|round| round.beside);
    Ok(rounds)
}

async fn alone(store: &Store, options: &Options) -> Result<Round> {
    let bystander = Bystander::start(store, options.time)?;
    sleep(Duration::from_secs(options.time.into())).await;
    bystander.ended(("alone", 0), 0.0, 0.0)
}

/// Where items go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sink {
    Webhook,
    Table,
}

async fn dispatched(store: &Store, options: &Options, round: u32, sink: Sink) -> Result<Round> {
    let (beside, rate) = match sink {
        Sink::Webhook => ("ledger, to a webhook", options.calls),
        Sink::Table => ("ledger, into a table", options.rate),
    };
    let folder = Scratch::new()?;
    let (receiver, listen) = receiver(&folder).await?;
    let config = match sink {
        Sink::Webhook => {
            json!({ "kind": "http", "url": format!("http://{listen}/"), "secrets": [KEY] })
        }
        Sink::Table => {
            let number = if matches!(Plain::open(store.url()).await?, Plain::Postgres(_)) {
                "item.recipient::bigint"
            } else {
                "item.recipient"
            };
            let statement = format!("INSERT INTO reminder SELECT item.id, {number} FROM {{items}}");
            json!({ "kind": "sql", "statement": statement })
        }
    };
    let ledger = Ledger::open(store.url(), 8).await?;
    let (items, window) = (rate * options.time, Duration::from_secs(options.time.into()));
    let recipients: Vec<String> = (0..items).map(|item| (10_000_000 + item).to_string()).collect();
    let name = format!("{beside}@{round}");
    let opens = ledger.now().await? + LEAD;
    let began = Instant::now();
    chunks::plan(&ledger, &name, &recipients, (opens, window)).await?;
    let dispatcher = dispatcher(store, ledger, config).await?;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = {
        let dispatcher = Arc::clone(&dispatcher);
        tokio::spawn(async move { dispatcher.run(async { drop(stopped.await) }).await })
    };
    sleep(LEAD.saturating_sub(began.elapsed())).await;
    let before = dispatcher.ledger().cost().statements;
    let bystander = Bystander::start(store, options.time)?;
    sleep(window).await;
    let statements = dispatcher.ledger().cost().statements - before;
    let sent = dispatcher.ledger().report(&name).await?.tally.sent;
    let per_second = |count: u64| count as f64 / window.as_secs_f64();
    let measured = bystander.ended((beside, rate), per_second(sent), per_second(statements))?;
    let until = Instant::now() + REST;
    while dispatcher.ledger().report(&name).await?.tally.sent < items.into() {
        ensure!(Instant::now() < until, "not all of it has gone");
        sleep(Duration::from_millis(100)).await;
    }
    drop(stop);
    running.await?;
    drop(receiver);
    Ok(measured)
}

/// As `tidegate scheduler` makes it.
async fn dispatcher(
    store: &Store,
    ledger: Ledger,
    sink: serde_json::Value,
) -> Result<Arc<Dispatcher>> {
    let config = json!({ "scheduler": { "ledger": store.url() }, "sink": { SINK: sink } });
    let file: File = serde_json::from_value(config)?;
    let metrics = Arc::new(Metrics::new(file.sinks.keys(), std::iter::empty()));
    let counted = metrics.sink(SINK).cloned().context("a sink without metrics")?;
    let outlet = Outlet::open(&file.sinks[SINK], store.url(), counted)?;
    let outlets = BTreeMap::from([(SINK.to_owned(), Arc::new(outlet))]);
    let settings = Settings {
        name: "bench".into(),
        terms: LeaseTerms::default(),
        chunks: file.scheduler.chunks,
        drain_timeout: file.scheduler.drain_timeout,
        sources: BTreeMap::new(),
    };
    Ok(Arc::new(Dispatcher::new(ledger, outlets, (settings, metrics), None).await?))
}
