//! What an idle client connection costs in memory, and whether anyone is served beside so many.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{self, PATIENCE};
use crate::report::{Table, number};
use crate::stage::{Stage, Target};
use crate::{guard, machine};

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
    #[arg(long, default_value_t = Self::default().clients)]
    clients: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { clients: 10_000 }
    }
}

#[derive(Serialize)]
struct Held {
    target: &'static str,
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
pub(crate) fn run(stage: &Stage, options: &Options) -> Result<()> {
    // A forwarder has two sockets for each client; the guard one, and a few to the server.
    let sockets = machine::connections_max() - 2 * SPARE;
    let (paired, single) = (options.clients.min(sockets / 2), options.clients.min(sockets));
    if paired < options.clients {
        println!(
            "note: {sockets} sockets allow {paired} clients of a forwarder, {single} of the guard"
        );
    }

    let mut held = vec![hold(&stage.forwarder()?, paired)?, hold(&stage.haproxy()?, paired)?];
    if let Some(target) = stage.guard(guard::Config::Paced) {
        held.push(hold(&target, single)?);
    }
    report(stage, &held)
}

fn hold(target: &Target, clients: usize) -> Result<Held> {
    let process = target.process.as_ref().context("direct access has no process to weigh")?;
    let resident_before_kib = process.resident_kib()?;
    client::block_on(async {
        let mut open = open(target, clients).await;
        let resident_after_kib = process.resident_kib()?;

        let begun = Instant::now();
        let _: Option<u8> = client::first(target.addr, "SELECT 1").await?;
        let probe_ms = begun.elapsed().as_secs_f64() * 1e3;

        let mut awake = 0;
        let step = (open.len() / 100).max(1);
        for connection in open.iter_mut().step_by(step).take(100) {
            awake += usize::from(matches!(timeout(PATIENCE, connection.ping()).await, Ok(Ok(()))));
        }
        Ok(Held {
            target: target.name,
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

/// Opens up to `clients` connections, [`AT_ONCE`] at a time.
async fn open(target: &Target, clients: usize) -> Vec<Conn> {
    let addr = target.addr;
    let mut open = Vec::with_capacity(clients);
    let mut opening = JoinSet::new();
    let all = async {
        for begun in 0..clients + AT_ONCE {
            if begun < clients {
                opening.spawn(client::connect(addr));
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
        1,
        &[
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
            one.target.to_owned(),
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
