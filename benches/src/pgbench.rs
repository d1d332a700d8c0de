//! The comparison on PostgreSQL: pgbench through every contestant, in turns.
//!
//! PgBouncer takes part twice: Debian's package, and that of the unstable suite where
//! `scripts/install-pgbouncer.sh` could have it. Before 1.24 it carries no prepared statements in
//! transaction pooling by default: those rows then say so and stay empty.

mod config;
pub(crate) mod contestant;
pub(crate) mod lineup;
mod summary;

use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use drill::home::Scratch;
use serde::Serialize;

use self::contestant::{Contestant, Field, pgbench_command};
use self::lineup::Lineup;
use crate::Shared;
use crate::machine::Machine;
use crate::process::cpu_of;
use crate::stage::report;
use crate::statistics::median;

/// What to run, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds; the medians over them are reported [default: 3].
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds of each single run [default: 4].
    #[arg(long)]
    time: Option<u32>,
    /// Only workloads whose name (such as `select/prepared/64`) contains one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    lineup: Lineup,
}

/// What the clients do.
#[derive(Clone, Copy)]
struct Workload {
    /// Its name, and the arguments of pgbench for it.
    script: (&'static str, &'static [&'static str]),
    mode: &'static str,
    clients: u32,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.script.0, self.mode, self.clients)
    }
}

impl Workload {
    /// All of them. TPC-B has fewer clients than the pool has connections: pgbench prepares with one
    /// thread that waits, and so for ever where a pool is full of its own open transactions.
    fn all() -> impl Iterator<Item = Self> {
        const SELECT: (&str, &[&str]) = ("select", &["-S"]);
        const TPC_B: (&str, &[&str]) = ("tpc-b", &[]);
        const CONNECT: (&str, &[&str]) = ("connect", &["-S", "-C"]);
        let modes = ["simple", "extended", "prepared"];
        let select = modes
            .into_iter()
            .flat_map(|mode| [1, 8, 64, 500].map(|clients| Self { script: SELECT, mode, clients }));
        let tpc_b = modes.into_iter().map(|mode| Self { script: TPC_B, mode, clients: 16 });
        let connect = Self { script: CONNECT, mode: "simple", clients: 8 };
        select.chain(tpc_b).chain([connect])
    }
}

/// One run of pgbench against one contestant.
#[derive(Serialize)]
struct Sample {
    workload: String,
    target: String,
    round: u32,
    transactions: u64,
    /// Transactions per second.
    tps: f64,
    /// The mean latency, in ms.
    latency_ms: f64,
    /// The median latency in ms, where a single client allows to note each one; else not a number.
    p50_ms: f64,
    /// User and system time of the proxy for each transaction, in µs, without the first second.
    cpu_us: f64,
}

/// Measures every workload through every contestant and reports.
pub(crate) fn run(shared: &Shared, options: &Options) -> Result<()> {
    fs::create_dir_all(&shared.out)
        .with_context(|| format!("cannot create {}", shared.out.display()))?;
    let machine = Machine::describe();
    let wanted = |workload: &Workload| {
        let name = workload.to_string();
        options.only.is_empty() || options.only.iter().any(|part| name.contains(part.as_str()))
    };
    let workloads: Vec<Workload> = Workload::all().filter(wanted).collect();
    ensure!(!workloads.is_empty(), "--only {:?} leaves no workload", options.only);
    let (rounds, seconds) = (options.rounds.unwrap_or(3).max(1), options.time.unwrap_or(4).max(1));

    let field = Field::open(shared, &options.lineup)?;
    let threads = options.lineup.workers_max().to_string();
    let mut samples = Vec::new();
    for workload in &workloads {
        for round in 1..=rounds {
            for contestant in &field.contestants {
                if contestant.left_out_of(workload.mode).is_some() {
                    continue;
                }
                match measure(contestant, *workload, round, (seconds, &threads)) {
                    Ok(sample) => samples.push(sample),
                    Err(error) => eprintln!("{workload} on {}: {error:#}", contestant.name),
                }
            }
        }
        println!("{}", summary::table(&samples, &[*workload], &field.contestants));
    }
    let left_out = options.lineup.left_out().map_or(String::new(), |why| format!("; {why}"));
    let title = format!("pgbench: medians of {rounds} rounds of {seconds} s{left_out}");
    let table = summary::table(&samples, &workloads, &field.contestants);
    report(&shared.out, &machine, ("pgbench", &title), &table, &samples)
}

/// `threads` are pgbench's: as many as workers, so that it can load them all.
fn measure(
    target: &Contestant,
    workload: Workload,
    round: u32,
    (seconds, threads): (u32, &str),
) -> Result<Sample> {
    let (clients, seconds) = (workload.clients.to_string(), seconds.to_string());
    let log = (workload.clients == 1).then(Scratch::new).transpose()?;
    let prefix = log.as_ref().map(|log| format!("--log-prefix={}/log", log.path().display()));
    let mut arguments =
        vec!["-n", "-M", workload.mode, "-c", &clients, "-j", threads, "-P", "1", "-T", &seconds];
    arguments.extend(workload.script.1);
    arguments.extend(prefix.iter().flat_map(|prefix| ["-l", prefix]));
    let Timed { text, transactions: timed, cpu } = timed(target, &arguments)?;
    let field = |name: &str| {
        let (_, rest) = text.split_once(name).with_context(|| format!("no {name:?} in {text}"))?;
        let value = rest.split([' ', '/', '\n']).find(|word| !word.is_empty());
        value.and_then(|word| word.parse::<f64>().ok()).with_context(|| format!("{name} of {text}"))
    };
    let transactions = field("transactions actually processed: ")?;
    ensure!(transactions > 0.0, "no transaction in {text}");
    Ok(Sample {
        workload: workload.to_string(),
        target: target.name.clone(),
        round,
        transactions: transactions as u64,
        tps: field("tps = ")?,
        latency_ms: field("latency average = ")?,
        p50_ms: log.map_or(Ok(f64::NAN), |log| p50_ms(&log))?,
        cpu_us: cpu.as_secs_f64() * 1e6 / timed,
    })
}

/// What pgbench has said, and what it took the proxy from the first second's end to the last's.
struct Timed {
    text: String,
    transactions: f64,
    cpu: Duration,
}

/// Runs pgbench, and looks at the proxy's time whenever it tells its progress, each second. The first
/// second is left out: until then clients log in, of which some proxies make much work.
fn timed(target: &Contestant, arguments: &[&str]) -> Result<Timed> {
    let cpu = || target.id.map_or(Ok(Duration::ZERO), cpu_of);
    let mut command = pgbench_command(target.addr, arguments)?;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run pgbench")?;
    let stderr = BufReader::new(child.stderr.take().context("no error output")?);
    let (mut looks, mut said) = (Vec::new(), String::new());
    for line in stderr.lines() {
        let line = line?;
        match progress(&line) {
            Some((second, tps)) => looks.push((second, tps, cpu()?)),
            None => said.push_str(&line),
        }
    }
    let output = child.wait_with_output().context("cannot wait for pgbench")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "pgbench {arguments:?} ended: {text}{said}");
    let (Some(first), Some(last)) = (looks.first(), looks.last()) else {
        bail!("no progress in {said}");
    };
    let transactions = looks.windows(2).map(|pair| (pair[1].0 - pair[0].0) * pair[1].1).sum();
    Ok(Timed { text, transactions, cpu: last.2.saturating_sub(first.2) })
}

/// Seconds since the start, and transactions per second since the line before.
fn progress(line: &str) -> Option<(f64, f64)> {
    let (second, rest) = line.strip_prefix("progress: ")?.split_once(" s, ")?;
    Some((second.parse().ok()?, rest.split(' ').next()?.parse().ok()?))
}

/// The median of the latencies that pgbench has written, in µs, as the third word of each line.
fn p50_ms(log: &Scratch) -> Result<f64> {
    let mut latencies = Vec::new();
    for file in fs::read_dir(log.path())? {
        let text = fs::read_to_string(file?.path())?;
        let third = |line: &str| line.split(' ').nth(2)?.parse::<f64>().ok();
        latencies.extend(text.lines().filter_map(third));
    }
    Ok(median(latencies) / 1e3)
}
