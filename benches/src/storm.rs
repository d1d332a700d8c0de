//! A storm of clients that connect, run one statement and leave: how much of it reaches the server?

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::report::{Table, number};
use crate::stage::{Stage, Target};
use crate::statistics::quantile;
use crate::{client, guard};

/// A storm ends after this long, however far it has come.
const DURATION: Duration = Duration::from_secs(60);

/// How hard it blows.
#[derive(Args)]
pub(crate) struct Options {
    /// Clients at once.
    #[arg(long, default_value_t = 256)]
    clients: usize,
    /// Connections each of them makes, one after the other.
    #[arg(long, default_value_t = 20)]
    each: usize,
}

#[derive(Serialize)]
struct Storm {
    target: &'static str,
    served: usize,
    failed: usize,
    seconds: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// CPU of the proxy per connection served, in µs.
    cpu_us: f64,
    /// Connections that the server saw opened meanwhile.
    upstream_opened: u64,
    /// The most that the server held open at once, one of them ours.
    upstream_at_once: u64,
    /// The most the proxy was allowed to hold.
    upstream_configured: Option<u32>,
}

/// Blows one storm at each contestant.
pub(crate) fn run(stage: &Stage, options: &Options) -> Result<()> {
    ensure!(options.clients > 0 && options.each > 0, "a storm needs clients and connections");
    let mut storms = vec![
        blow(stage, &stage.direct(), options)?,
        blow(stage, &stage.forwarder()?, options)?,
        blow(stage, &stage.haproxy()?, options)?,
    ];
    if let Some(target) = stage.guard(guard::Config::Paced) {
        let configured = guard::UPSTREAM_CONNECTIONS + guard::RESERVED_CONNECTIONS;
        let storm = blow(stage, &target, options)?;
        storms.push(Storm { upstream_configured: Some(configured), ..storm });
    }
    report(stage, &storms)
}

fn blow(stage: &Stage, target: &Target, options: &Options) -> Result<Storm> {
    let server = stage.server();
    server.execute("FLUSH STATUS")?;
    let opened_before = server.status("Connections")?;
    let cpu_before = target.cpu()?;

    let begun = Instant::now();
    let latencies_ms = client::block_on(clients(target, options))?;
    let seconds = begun.elapsed().as_secs_f64();

    let cpu = target.cpu()?.saturating_sub(cpu_before);
    let served = latencies_ms.len();
    Ok(Storm {
        target: target.name,
        served,
        failed: options.clients * options.each - served,
        seconds,
        p50_ms: quantile(latencies_ms.clone(), 0.50),
        p99_ms: quantile(latencies_ms, 0.99),
        cpu_us: cpu.as_secs_f64() * 1e6 / served as f64,
        // The statement that asks is itself the last one opened.
        upstream_opened: server.status("Connections")?.saturating_sub(opened_before + 1),
        upstream_at_once: server.status("Max_used_connections")?,
        upstream_configured: None,
    })
}

/// Lets all clients loose; yields how long each served connection took from start to end, in ms.
async fn clients(target: &Target, options: &Options) -> Result<Vec<f64>> {
    let (addr, each) = (target.addr, options.each);
    let deadline = tokio::time::Instant::now() + DURATION;
    let mut clients = JoinSet::new();
    for _ in 0..options.clients {
        clients.spawn(async move {
            let mut latencies_ms = Vec::with_capacity(each);
            for _ in 0..each {
                let begun = Instant::now();
                let served = client::first::<u8>(addr, "SELECT 1");
                match timeout_at(deadline, served).await {
                    Ok(Ok(_)) => latencies_ms.push(begun.elapsed().as_secs_f64() * 1e3),
                    Ok(Err(_)) => {}
                    Err(_) => break,
                }
            }
            latencies_ms
        });
    }
    Ok(clients.join_all().await.concat())
}

fn report(stage: &Stage, storms: &[Storm]) -> Result<()> {
    let mut table = Table::new(
        1,
        &[
            "target",
            "served",
            "failed",
            "connections/s",
            "p50 ms",
            "p99 ms",
            "CPU µs each",
            "upstream opened",
            "at once",
            "configured",
        ],
    );
    for storm in storms {
        table.push(vec![
            storm.target.to_owned(),
            storm.served.to_string(),
            storm.failed.to_string(),
            number(storm.served as f64 / storm.seconds, 0),
            number(storm.p50_ms, 1),
            number(storm.p99_ms, 1),
            number(if storm.target == "direct" { f64::NAN } else { storm.cpu_us }, 0),
            storm.upstream_opened.to_string(),
            storm.upstream_at_once.to_string(),
            storm.upstream_configured.map_or_else(|| "–".into(), |limit| limit.to_string()),
        ]);
    }
    stage.report("storm", "Connection storm", &table, &storms)
}
