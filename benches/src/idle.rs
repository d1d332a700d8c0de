//! What an idle client connection costs in memory, and whether anyone is served beside so many.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use drill::server::account::APP;
use drill::server::postgres;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{self, PATIENCE};
use crate::pgbench::contestant::{DIRECT_MAX, Field};
use crate::pgbench::lineup::Lineup;
use crate::process::resident_kib;
use crate::report::{Table, number};
use crate::stage::Stage;
use crate::{Shared, guard, machine};

/// Handshakes under way at once.
const AT_ONCE: usize = 32;

/// All connections must be open after this long; those that are not count as refused.
const OPENING: Duration = Duration::from_secs(120);

/// Clients that must find room beside those that are held: the probe.
const SPARE: usize = 10;

/// How many to hold.
#[derive(Args)]
pub(crate) struct Options {
    /// Idle client connections; fewer if the limit of open files does not allow so many.
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
}

/// A client that says nothing.
enum Client {
    MySql(Conn),
    Postgres(tokio_postgres::Client),
}

/// How clients speak.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Engine {
    MySql,
    Postgres,
}

#[derive(Serialize)]
struct Held {
    engine: Engine,
    target: String,
    /// Authenticated connections that were open at once.
    clients: usize,
    refused: usize,
    resident_before_kib: u64,
    resident_after_kib: u64,
    kib_per_client: f64,
    /// A new client's handshake and first statement beside all the idle ones.
    probe_ms: f64,
    /// Of 100 that had been idle, how many were then served.
    awake: usize,
}

/// Holds idle clients on one proxy after the other, each freshly started.
pub(crate) fn run(stage: &Stage, shared: &Shared, options: &Options) -> Result<()> {
    // A forwarder has two sockets for each client; the guard one, and a few to the server.
    let sockets = machine::connections_max() - 2 * SPARE;
    let (paired, single) = (options.clients.min(sockets / 2), options.clients.min(sockets));
    if paired < options.clients {
        println!(
            "note: {sockets} sockets allow {paired} clients of a forwarder, {single} of the guard"
        );
    }

    let mut held = Vec::new();
    for target in [stage.forwarder()?, stage.haproxy()?] {
        let process = target.process.as_ref().context("direct access has no process to weigh")?;
        held.push(hold(target.name, Engine::MySql, target.addr, process.id(), paired)?);
    }
    for target in stage.guards(guard::Config::Paced) {
        let process = target.process.as_ref().context("direct access has no process to weigh")?;
        held.push(hold(target.name, Engine::MySql, target.addr, process.id(), single)?);
    }
    for contestant in Field::open(shared, &Lineup::default())?.contestants {
        let Some(id) = contestant.id else { continue };
        // A bare forwarder opens a connection to the server for each client.
        let is_forwarder = contestant.name == "forwarder";
        let clients = if is_forwarder { paired.min(DIRECT_MAX) } else { single };
        held.push(hold(&contestant.name, Engine::Postgres, contestant.addr, id, clients)?);
    }
    report(stage, &held)
}

fn hold(
    target: &str,
    engine: Engine,
    addr: SocketAddr,
    process: u32,
    clients: usize,
) -> Result<Held> {
    let resident_before_kib = resident_kib(process)?;
    client::block_on(async {
        let mut open = open(engine, addr, clients).await;
        let resident_after_kib = resident_kib(process)?;

        let begun = Instant::now();
        timeout(PATIENCE, async { engine.connect(addr).await?.ping().await }).await??;
        let probe_ms = begun.elapsed().as_secs_f64() * 1e3;

        let mut awake = 0;
        let step = (open.len() / 100).max(1);
        for client in open.iter_mut().step_by(step).take(100) {
            awake += usize::from(matches!(timeout(PATIENCE, client.ping()).await, Ok(Ok(()))));
        }
        Ok(Held {
            engine,
            target: target.to_owned(),
            clients: open.len(),
            refused: clients - open.len(),
            resident_before_kib,
            resident_after_kib,
            kib_per_client: resident_after_kib.saturating_sub(resident_before_kib) as f64
                / open.len() as f64,
            probe_ms,
            awake,
        })
    })
}

impl Engine {
    async fn connect(self, addr: SocketAddr) -> Result<Client> {
        Ok(match self {
            Self::MySql => Client::MySql(client::connect(addr).await?),
            Self::Postgres => {
                let config = APP.config(addr);
                let opened = timeout(PATIENCE, postgres::connect(&config)).await;
                Client::Postgres(opened.context("no login in time")??)
            }
        })
    }
}

impl Client {
    /// Has the server do something: the guard answers a ping of MySQL's itself.
    async fn ping(&mut self) -> Result<()> {
        match self {
            Self::MySql(connection) => connection.query_drop("SELECT 1").await?,
            Self::Postgres(client) => client.batch_execute("SELECT 1").await?,
        }
        Ok(())
    }
}

/// Opens up to `clients` connections, [`AT_ONCE`] at a time.
async fn open(engine: Engine, addr: SocketAddr, clients: usize) -> Vec<Client> {
    let mut open = Vec::with_capacity(clients);
    let mut opening = JoinSet::new();
    let all = async {
        for begun in 0..clients + AT_ONCE {
            if begun < clients {
                opening.spawn(engine.connect(addr));
            }
            if begun >= AT_ONCE
                && let Some(Ok(Ok(connection))) = opening.join_next().await
            {
                open.push(connection);
            }
        }
    };
    // At the bound, what is open is what is measured; the report shows the rest as refused.
    let _: Result<(), _> = timeout(OPENING, all).await;
    open
}

fn report(stage: &Stage, held: &[Held]) -> Result<()> {
    let mut table = Table::new(
        2,
        &[
            "engine",
            "target",
            "idle clients",
            "refused",
            "KiB before",
            "KiB after",
            "KiB per client",
            "probe ms",
            "awake of 100",
        ],
    );
    for one in held {
        table.push(vec![
            match one.engine {
                Engine::MySql => "MySQL".to_owned(),
                Engine::Postgres => "PostgreSQL".to_owned(),
            },
            one.target.clone(),
            one.clients.to_string(),
            one.refused.to_string(),
            one.resident_before_kib.to_string(),
            one.resident_after_kib.to_string(),
            number(one.kib_per_client, 1),
            number(one.probe_ms, 2),
            one.awake.to_string(),
        ]);
    }
    stage.report("idle", "Idle clients", &table, &held)
}
