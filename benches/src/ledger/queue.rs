//! A queue with a row for each item: claimed by hundreds with `SKIP LOCKED` and deleted when they
//! are done, in one transaction. The least such a queue can do; a real one also keeps a lease, and
//! what has become of each.

use anyhow::Result;
use sqlx::Error;
use tokio::task::JoinSet;

use super::plain::{Plain, is_busy};
use super::store::Store;
use super::{Options, Run};

/// Rows of an insert.
const INSERT: u32 = 1000;
/// Workers that are in each other's way ask again so often.
const TRIES: u32 = 20;

pub(super) async fn run(store: &Store, options: &Options, round: u32) -> Result<Run> {
    let table = format!("job_{round}");
    store.forget().await?;
    let mut planner = Plain::open(store.url()).await?;
    let before = store.spent().await?;
    plan(&mut planner, &table, options.rows).await?;
    let plan = store.since(before).await?;
    store.forget().await?;
    let mut connections = Vec::new();
    for _ in 0..options.workers {
        connections.push(Plain::open(store.url()).await?);
    }
    let before = store.spent().await?;
    let mut workers = JoinSet::new();
    for connection in connections {
        let worker = Worker { connection, statements: 0 };
        workers.spawn(worker.work_off(table.clone(), options.claim));
    }
    // They keep their connections, whose CPU is read from their processes.
    let workers: Vec<Worker> = workers.join_all().await.into_iter().collect::<Result<_>>()?;
    let dispatch = store.since(before).await?;
    let statements = workers.iter().map(|worker| worker.statements).sum();
    planner.say(&format!("DROP TABLE {table}")).await?;
    let (store, items) = (store.name(), options.rows);
    Ok(Run { store, contestant: "a row for each", items, plan, dispatch, statements })
}

async fn plan(planner: &mut Plain, table: &str, rows: u32) -> Result<()> {
    let whole = if matches!(planner, Plain::Sqlite(_)) { "INTEGER" } else { "BIGINT" };
    let create = format!(
        "CREATE TABLE {table} (id {whole} PRIMARY KEY, due {whole} NOT NULL, recipient {whole} NOT NULL)"
    );
    planner.say(&create).await?;
    planner.say(&format!("CREATE INDEX {table}_due ON {table} (due, id)")).await?;
    for first in (0..rows).step_by(INSERT as usize) {
        let values: Vec<String> = (first..rows.min(first + INSERT))
            .map(|id| format!("({id}, {}, {})", id / 1000, 10_000_000 + id))
            .collect();
        planner.say(&format!("INSERT INTO {table} VALUES {}", values.join(", "))).await?;
    }
    Ok(())
}

struct Worker {
    connection: Plain,
    statements: u64,
}

impl Worker {
    /// Claims and deletes until there are none.
    async fn work_off(mut self, table: String, claim: u32) -> Result<Self> {
        let mut tries = 0;
        loop {
            match self.take(&table, claim).await {
                Ok(0) => return Ok(self),
                Ok(_) => tries = 0,
                Err(error) if is_busy(&error) && tries < TRIES => {
                    tries += 1;
                    self.roll_back().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn take(&mut self, table: &str, claim: u32) -> Result<u64, Error> {
        let pick = format!("SELECT id FROM {table} ORDER BY due, id LIMIT {claim}");
        match &mut self.connection {
            Plain::Postgres(_) => {
                self.statements += 1;
                let pick = format!("{pick} FOR UPDATE SKIP LOCKED");
                // An array is made once; of IN the planner may make a join that asks again for each row.
                let delete = format!("DELETE FROM {table} WHERE id = ANY (ARRAY({pick}))");
                self.connection.run(&delete).await
            }
            Plain::Sqlite(_) => {
                self.statements += 1;
                let delete = format!("DELETE FROM {table} WHERE id IN ({pick})");
                self.connection.run(&delete).await
            }
            Plain::MySql(_) => {
                self.statements += 4;
                self.connection.say("START TRANSACTION").await?;
                let ids =
                    self.connection.numbers(&format!("{pick} FOR UPDATE SKIP LOCKED")).await?;
                if !ids.is_empty() {
                    // By the primary key and in its order.
                    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
                    let delete = format!("DELETE FROM {table} WHERE id IN ({})", ids.join(", "));
                    self.connection.say(&delete).await?;
                }
                self.connection.say("COMMIT").await?;
                Ok(ids.len() as u64)
            }
        }
    }

    async fn roll_back(&mut self) -> Result<(), Error> {
        if let Plain::MySql(_) = self.connection {
            self.statements += 1;
            self.connection.say("ROLLBACK").await?;
        }
        Ok(())
    }
}
