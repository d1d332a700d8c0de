//! What the scheduler's ledger costs its database for each item, beside a queue with a row for each
//! item that is claimed with `SKIP LOCKED`, by turns on the same server.
//!
//! Both only claim and write down: nothing is sent. The servers write durably, as in production;
//! those of the other benches do not.

pub(crate) mod chunks;
mod disk;
pub(crate) mod plain;
mod queue;
pub(crate) mod store;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use drill::server::engine::Engine;
use serde::Serialize;

use self::store::{Step, Store};
use crate::machine::Machine;
use crate::report::{Table, number};
use crate::stage::report;
use crate::statistics::median;
use crate::{Shared, client};

/// How much is worked off, and by how many.
#[derive(Args)]
pub(crate) struct Options {
    /// Items through the ledger, in each round.
    #[arg(long, default_value_t = 1_000_000)]
    items: u32,
    /// Items through the queue with a row for each, in each round.
    #[arg(long, default_value_t = 50_000)]
    rows: u32,
    /// Rows that the queue claims at once.
    #[arg(long, default_value_t = 500)]
    claim: u32,
    /// Workers, each with a connection of its own.
    #[arg(long, default_value_t = 16)]
    workers: u32,
    /// How often the progress of a chunk is written down.
    #[arg(long, default_value_t = 10)]
    flushes: u32,
    /// Rounds on each store; the medians over them are reported.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Only stores whose name begins so: PostgreSQL, MariaDB, MySQL or SQLite.
    #[arg(long, default_value = "")]
    only: String,
}

/// What one contestant did in one round.
#[derive(Serialize)]
struct Run {
    store: String,
    contestant: &'static str,
    items: u32,
    /// To write down what is to be sent.
    plan: Step,
    /// To claim it, and to write down that it was sent.
    dispatch: Step,
    /// Of the second.
    statements: u64,
}

/// Where the ledger may be kept; none is a SQLite file.
const STORES: [Option<Engine>; 4] =
    [Some(Engine::Postgres), Some(Engine::MariaDb), Some(Engine::MySql), None];

/// Measures on each store.
pub(crate) fn run(shared: &Shared, options: &Options) -> Result<()> {
    std::fs::create_dir_all(&shared.out)
        .with_context(|| format!("cannot create {}", shared.out.display()))?;
    let numbers = [options.items, options.rows, options.claim, options.workers, options.rounds];
    ensure!(numbers.into_iter().all(|number| number > 0), "each number is at least one");
    ensure!((1..=1000).contains(&options.flushes), "a chunk is written 1 to 1,000 times");
    let (machine, sync_ms) = (Machine::describe(), disk::sync_ms()?);
    let mut runs = Vec::new();
    for engine in STORES {
        let name = engine.map_or("SQLite".to_owned(), |engine| engine.to_string());
        let is_wanted = name.to_lowercase().starts_with(&options.only.to_lowercase());
        if is_wanted && engine.is_none_or(Engine::available) {
            runs.extend(client::block_on(measure(engine, options))?);
        }
    }
    let title = format!(
        "The ledger, {} times written for each chunk, and a queue with a row for each, {} claimed at \
         once; {} workers, medians of {}; the disk takes {sync_ms:.1} ms",
        options.flushes, options.claim, options.workers, options.rounds
    );
    report(&shared.out, &machine, ("ledger", &title), &table(&runs), &runs)
}

async fn measure(engine: Option<Engine>, options: &Options) -> Result<Vec<Run>> {
    let store = Store::start(engine).await?;
    let mut runs = Vec::new();
    for round in 0..options.rounds {
        runs.push(queue::run(&store, options, round).await?);
        runs.push(chunks::run(&store, options, round).await?);
    }
    runs.sort_by_key(|run| run.contestant);
    Ok(runs)
}

fn table(runs: &[Run]) -> Table {
    let heading = [
        "store",
        "contestant",
        "plan a million, s",
        "MB",
        "longest, ms",
        "items/s",
        "MB a million",
        "server, µs/item",
        "client, µs/item",
        "longest, ms",
        "statements/s in 15 min",
    ];
    let mut table = Table::new(2, &heading);
    for rounds in
        runs.chunk_by(|one, next| (&one.store, one.contestant) == (&next.store, next.contestant))
    {
        let of = |part: fn(&Run) -> f64| median(rounds.iter().map(part));
        let items = |run: &Run| f64::from(run.items);
        table.push(vec![
            rounds[0].store.clone(),
            rounds[0].contestant.into(),
            number(of(|run| run.plan.seconds * 1e6 / f64::from(run.items)), 1),
            number(of(|run| run.plan.bytes as f64 / f64::from(run.items)), 1),
            number(of(|run| run.plan.longest_ms()), 1),
            number(of(|run| f64::from(run.items) / run.dispatch.seconds), 0),
            number(of(|run| run.dispatch.bytes as f64 / f64::from(run.items)), 1),
            number(
                median(rounds.iter().map(|run| run.dispatch.server_seconds * 1e6 / items(run))),
                2,
            ),
            number(
                median(rounds.iter().map(|run| run.dispatch.client_seconds * 1e6 / items(run))),
                2,
            ),
            number(of(|run| run.dispatch.longest_ms()), 1),
            number(
                median(rounds.iter().map(|run| run.statements as f64 / items(run) * 1e6 / 900.0)),
                1,
            ),
        ]);
    }
    table
}
