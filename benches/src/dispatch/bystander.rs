//! An application that minds its own business: point queries at a steady pace, and how long each took
//! from the moment that it was due.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde::Serialize;
use tokio::time::sleep_until;

use super::Round;
use crate::client;
use crate::ledger::plain::Plain;
use crate::ledger::store::Store;
use crate::process::cpu_of_family;
use crate::statistics::quantile;

/// Its rows.
const ROWS: u32 = 10_000;
/// From one query to the next: 200 a second, every other one of which writes.
const EVERY: Duration = Duration::from_millis(5);

/// An application at work.
pub(super) struct Bystander<'a> {
    store: &'a Store,
    began: Instant,
    cpu: Duration,
    thread: JoinHandle<Result<Vec<f64>>>,
}

/// How long its queries took.
#[derive(Serialize)]
pub(super) struct Latency {
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) p99_ms: f64,
}

/// Makes its table.
pub(super) async fn prepare(store: &Store) -> Result<()> {
    let mut plain = Plain::open(store.url()).await?;
    plain.say("CREATE TABLE account (id INT PRIMARY KEY, n INT NOT NULL)").await?;
    let rows: Vec<String> = (0..ROWS).map(|id| format!("({id}, 0)")).collect();
    plain.say(&format!("INSERT INTO account VALUES {}", rows.join(", "))).await?;
    Ok(())
}

impl<'a> Bystander<'a> {
    /// Has it work for so many seconds, on a thread of its own.
    pub(super) fn start(store: &'a Store, seconds: u32) -> Result<Self> {
        let (url, lasting) = (store.url().to_owned(), Duration::from_secs(seconds.into()));
        let cpu = cpu(store)?;
        let thread = thread::spawn(move || client::block_on(work(url, lasting)));
        Ok(Self { store, began: Instant::now(), cpu, thread })
    }

    /// What was measured meanwhile.
    pub(super) fn ended(
        self,
        (beside, asked_per_second): (&'static str, u32),
        items_per_second: f64,
        statements_per_second: f64,
    ) -> Result<Round> {
        let cpu = cpu(self.store)?.saturating_sub(self.cpu);
        let server_cores = cpu.as_secs_f64() / self.began.elapsed().as_secs_f64();
        let samples = self.thread.join().map_err(|_| anyhow!("the application has panicked"))??;
        let of = |share| quantile(samples.clone(), share);
        Ok(Round {
            server: self.store.name(),
            beside,
            asked_per_second,
            items_per_second,
            statements_per_second,
            server_cores,
            latency: Latency { p50_ms: of(0.5), p95_ms: of(0.95), p99_ms: of(0.99) },
            over_alone: f64::NAN,
        })
    }
}

fn cpu(store: &Store) -> Result<Duration> {
    store.server().map_or(Ok(Duration::ZERO), |server| cpu_of_family(server.id()))
}

/// Milliseconds of each query.
async fn work(url: String, lasting: Duration) -> Result<Vec<f64>> {
    let mut plain = Plain::open(&url).await?;
    let (began, mut samples) = (Instant::now(), Vec::new());
    for number in 0_u32.. {
        let due = began + EVERY * number;
        if due > began + lasting {
            break;
        }
        sleep_until(due.into()).await;
        let id = number.wrapping_mul(7919) % ROWS;
        match number % 2 {
            0 => plain.say(&format!("UPDATE account SET n = n + 1 WHERE id = {id}")).await?,
            _ => plain.say(&format!("SELECT n FROM account WHERE id = {id}")).await?,
        };
        samples.push(due.elapsed().as_secs_f64() * 1e3);
    }
    Ok(samples)
}
