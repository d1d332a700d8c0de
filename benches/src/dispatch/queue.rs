//! As many reminders into the same table from a queue with a row for each: claimed, put and deleted
//! in one transaction, by workers that keep to the same pace.

use std::time::Duration;

use anyhow::Result;
use sqlx::Error;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::bystander::Bystander;
use super::{Options, Round};
use crate::ledger::plain::{Plain, is_busy};
use crate::ledger::store::Store;

/// Workers, each with a connection.
const WORKERS: u32 = 8;
/// Each claims so often what is its share.
const EVERY: Duration = Duration::from_millis(50);
/// Rows of an insert.
const INSERT: u32 = 1000;

/// Puts them for the time that the application is looked at.
pub(super) async fn run(store: &Store, options: &Options, round: u32) -> Result<Round> {
    let table = format!("job_{round}");
    let mut planner = Plain::open(store.url()).await?;
    plan(&mut planner, &table, options.rate * options.time).await?;
    let lasting = Duration::from_secs(options.time.into());
    let claim = options.rate * EVERY.as_millis() as u32 / 1000 / WORKERS;
    let mut workers = JoinSet::new();
    let bystander = Bystander::start(store, options.time)?;
    for _ in 0..WORKERS {
        let connection = Plain::open(store.url()).await?;
        workers.spawn(work(connection, table.clone(), claim.max(1), Instant::now() + lasting));
    }
    let (mut items, mut statements) = (0, 0);
    // Kept open: the CPU of a backend that is gone is not read.
    let mut kept = Vec::new();
    for worked in workers.join_all().await {
        let (put, said, connection) = worked?;
        (items, statements) = (items + put, statements + said);
        kept.push(connection);
    }
    let per_second = |count: u64| count as f64 / lasting.as_secs_f64();
    let beside = ("row for each, into a table", options.rate);
    let measured = bystander.ended(beside, per_second(items), per_second(statements))?;
    planner.say(&format!("DROP TABLE {table}")).await?;
    Ok(measured)
}

async fn plan(planner: &mut Plain, table: &str, rows: u32) -> Result<()> {
    let create = format!(
        "CREATE TABLE {table} (id BIGINT PRIMARY KEY, due BIGINT NOT NULL, recipient BIGINT NOT NULL)"
    );
    planner.say(&create).await?;
    planner.say(&format!("CREATE INDEX {table}_due ON {table} (due, id)")).await?;
    planner.say("BEGIN").await?;
    for first in (0..rows).step_by(INSERT as usize) {
        let values: Vec<String> = (first..rows.min(first + INSERT))
            .map(|id| format!("({id}, {}, {})", id / 1000, 10_000_000 + id))
            .collect();
        planner.say(&format!("INSERT INTO {table} VALUES {}", values.join(", "))).await?;
    }
    planner.say("COMMIT").await?;
    Ok(())
}

/// Items, statements, and the connection.
async fn work(
    mut connection: Plain,
    table: String,
    claim: u32,
    until: Instant,
) -> Result<(u64, u64, Plain)> {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut items, mut statements) = (0, 0);
    while every.tick().await < until && Instant::now() < until {
        match put(&mut connection, &table, claim).await {
            Ok((put, said)) => (items, statements) = (items + put, statements + said),
            Err(error) if is_busy(&error) => {
                if let Plain::MySql(_) = connection {
                    connection.say("ROLLBACK").await?;
                    statements += 1;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((items, statements, connection))
}

async fn put(connection: &mut Plain, table: &str, claim: u32) -> Result<(u64, u64), Error> {
    let pick =
        format!("SELECT id FROM {table} ORDER BY due, id LIMIT {claim} FOR UPDATE SKIP LOCKED");
    if let Plain::Postgres(_) = connection {
        let sql = format!(
            "WITH gone AS (DELETE FROM {table} WHERE id = ANY (ARRAY({pick})) RETURNING recipient) \
             INSERT INTO reminder SELECT gen_random_uuid()::char(36), recipient FROM gone"
        );
        return Ok((connection.run(&sql).await?, 1));
    }
    connection.say("START TRANSACTION").await?;
    let ids = connection.numbers(&pick).await?;
    if !ids.is_empty() {
        let ids = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let put = format!(
            "INSERT INTO reminder SELECT UUID(), recipient FROM {table} WHERE id IN ({ids})"
        );
        connection.say(&put).await?;
        connection.say(&format!("DELETE FROM {table} WHERE id IN ({ids})")).await?;
    }
    connection.say("COMMIT").await?;
    Ok((ids.len() as u64, 5))
}
