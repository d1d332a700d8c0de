//! What looking at the database costs it, while hundreds wait for one row: when it matters most.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use drill::guard::{Guard, Setup};
use drill::load::{Peer, Target};
use drill::server::account::APP;
use drill::server::engine::Engine;
use drill::server::{Server, Settings};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::machine::{Core, Machine};
use crate::process::{cpu_of_family, pin};
use crate::report::{Table, number};
use crate::stage::{WORKERS, report};
use crate::statistics::median;
use crate::{Shared, client, guard};

/// Longest until all wait, and until the guard sees it.
const START: Duration = Duration::from_secs(60);

/// How many wait, and for how long it is looked.
#[derive(Args)]
pub(crate) struct Options {
    /// Transactions that wait for one row.
    #[arg(long, default_value_t = 400)]
    waiters: usize,
    /// Rounds on each engine; the medians over them are reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10)]
    time: u64,
}

/// One round on one engine.
#[derive(Serialize)]
struct Round {
    engine: String,
    /// The server's CPU as a share of one core, without a guard and with one that looks.
    alone: f64,
    observed: f64,
    looks_per_second: f64,
    /// What one look takes by the server's clock, the way there and back included.
    look_ms: f64,
}

/// Measures on MariaDB and PostgreSQL.
pub(crate) fn run(shared: &Shared, options: &Options) -> Result<()> {
    std::fs::create_dir_all(&shared.out)
        .with_context(|| format!("cannot create {}", shared.out.display()))?;
    ensure!(options.rounds > 0 && options.time > 0, "a measurement needs rounds and time");
    let machine = Machine::describe();
    let program = guard::program(shared.tidegate.as_deref())?;
    let mut table =
        Table::new(1, &["server", "alone, % of a core", "observed", "cost", "looks/s", "each, ms"]);
    let mut rounds = Vec::new();
    for engine in [Engine::MariaDb, Engine::Postgres] {
        let measured = client::block_on(measure(engine, &program, options))?;
        let of = |part: fn(&Round) -> f64| median(measured.iter().map(part));
        table.push(vec![
            format!("{engine:?}"),
            number(of(|round| round.alone) * 100.0, 2),
            number(of(|round| round.observed) * 100.0, 2),
            number(of(|round| round.observed - round.alone) * 100.0, 2),
            number(of(|round| round.looks_per_second), 1),
            number(of(|round| round.look_ms), 2),
        ]);
        rounds.extend(measured);
    }
    let Options { waiters, time, .. } = options;
    let title = format!("Looking at {waiters} that wait for one row, medians of {time} s");
    report(&shared.out, &machine, ("probe", &title), &table, &rounds)
}

async fn measure(engine: Engine, program: &Path, options: &Options) -> Result<Vec<Round>> {
    let patient = match engine.is_postgres() {
        true => vec![],
        false => vec!["--innodb-lock-wait-timeout=3600".to_owned()],
    };
    let settings = Settings { engine, arguments: patient, ..Settings::default() };
    let server = Server::start(settings).await?;
    pin(server.id(), Core::Server, WORKERS)?;
    let target = Target { engine, addr: server.addr() };
    let mut holder = Peer::login(target, &APP).await?;
    for sql in [
        "CREATE TABLE hot (id INT PRIMARY KEY, n INT)",
        "INSERT INTO hot VALUES (1, 0)",
        "BEGIN",
        WANT,
    ] {
        holder.run(sql).await?;
    }
    // They end with the set, in the middle of their waiting.
    let mut waiting = JoinSet::new();
    for _ in 0..options.waiters {
        let mut peer = Peer::login(target, &APP).await?;
        waiting.spawn(async move { drop(peer.run(WANT).await) });
    }
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        rounds.push(round(&server, program, options).await?);
    }
    Ok(rounds)
}

/// What all of them want.
const WANT: &str = "UPDATE hot SET n = n + 1 WHERE id = 1";

async fn round(server: &Server, program: &Path, options: &Options) -> Result<Round> {
    let time = Duration::from_secs(options.time);
    let alone = share_of_a_core(server, time).await?;
    let setup = Setup::default();
    let guard = Guard::start_as(program, |doors| setup.text(server, doors)).await?;
    timeout(START, all_are_seen(&guard, options.waiters))
        .await
        .context("the guard does not see them wait")??;
    let looks = ["guard_database_look_seconds_count", "guard_database_look_seconds_sum"];
    let before = [guard.metric(looks[0], &[]).await?, guard.metric(looks[1], &[]).await?];
    let began = Instant::now();
    let observed = share_of_a_core(server, time).await?;
    let after = [guard.metric(looks[0], &[]).await?, guard.metric(looks[1], &[]).await?];
    let (count, seconds) = (after[0] - before[0], after[1] - before[1]);
    Ok(Round {
        engine: format!("{:?}", server.engine()),
        alone,
        observed,
        looks_per_second: count / began.elapsed().as_secs_f64(),
        look_ms: seconds / count * 1e3,
    })
}

/// CPU that the server takes in that time, over the time.
async fn share_of_a_core(server: &Server, time: Duration) -> Result<f64> {
    let (before, began) = (cpu_of_family(server.id())?, Instant::now());
    sleep(time).await;
    let cpu = cpu_of_family(server.id())?.saturating_sub(before);
    Ok(cpu.as_secs_f64() / began.elapsed().as_secs_f64())
}

/// Waits until the guard's picture has all of them.
async fn all_are_seen(guard: &Guard, waiters: usize) -> Result<()> {
    let waits = "activity=\"waits\"";
    while guard.metric("guard_database_transactions", &[waits]).await? < waiters as f64 {
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
