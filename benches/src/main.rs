//! What the guard costs, measured beside a bare forwarder, HAProxy and no proxy at all.
//!
//! Every comparison is paired: the contestants face the same private server in the same run, in
//! turns (A B C D, A B C D …), so that a machine that gets slower half-way through slows all of
//! them. Numbers are reported, never asserted: a shared machine can hold no promise about time.
//! `docs/benchmarks.md` says what each number means and how far it can be trusted.

mod all;
mod client;
mod dispatch;
mod forwarder;
mod guard;
mod haproxy;
mod idle;
mod ledger;
mod machine;
mod pgbench;
mod probe;
mod process;
mod refusal;
mod report;
mod server;
mod sinks;
mod stage;
mod statistics;
mod storm;
mod sysbench;
mod syscalls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand};

/// Measures what the guard costs, beside a bare forwarder, HAProxy and no proxy at all.
#[derive(Parser)]
#[command(name = "tidegate-benches")]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Subcommand)]
enum Bench {
    /// Runs everything below, one after the other: about an hour.
    All(sysbench::Options),
    /// Point selects and read-write transactions, text and binary, at 1, 8, 64 and 256 threads.
    Sysbench(sysbench::Options),
    /// System calls per transaction, on both engines.
    Syscalls(syscalls::Options),
    /// pgbench on PostgreSQL: beside PgBouncer, a bare forwarder and no proxy at all.
    Pgbench(pgbench::Options),
    /// Memory per idle client connection, at 10,000 of them, on both engines.
    Idle(idle::Options),
    /// A storm of short connections: how many of them reach the server?
    Storm(storm::Options),
    /// What it costs the server to be looked at while hundreds wait for one row, on both engines.
    Probe(probe::Options),
    /// What it costs the guard to refuse a statement.
    Refusal(refusal::Options),
    /// What the scheduler's ledger costs its database, beside a queue with a row for each item.
    Ledger(ledger::Options),
    /// What the dispatcher at work does to its database, and to an application's point queries there.
    Dispatch(dispatch::Options),
    /// What sinks of the scheduler can take: webhooks, rows on PostgreSQL and MariaDB, jobs on Redis.
    Sinks(sinks::Options),
    /// Counts allocations per statement, in a process of its own.
    Allocations,
    /// Times single steps of the policy, of the flight recorder and of the wire codec.
    Micro,
    /// Runs the bare forwarder in the foreground; the other benches start it as a child.
    Forward {
        /// Where to listen; a loopback address.
        #[arg(long)]
        listen: SocketAddr,
        /// Where every connection is forwarded to.
        #[arg(long)]
        upstream: SocketAddr,
        /// Worker threads.
        #[arg(long, default_value_t = 1)]
        workers: usize,
    },
    /// Runs a receiver of webhooks in the foreground; `sinks` starts it as a child.
    Receive {
        /// Where to listen; a loopback address.
        #[arg(long)]
        listen: SocketAddr,
    },
}

/// What every bench needs to know.
#[derive(Args)]
struct Shared {
    /// Folder for the JSON and Markdown reports.
    #[arg(long, global = true, default_value = "target/bench")]
    out: PathBuf,
    /// The `tidegate` binary to measure; built from this workspace when absent.
    #[arg(long, global = true)]
    tidegate: Option<PathBuf>,
    /// Another `tidegate` binary, such as that of an earlier commit: measured in turns with the first,
    /// as `before`.
    #[arg(long, global = true)]
    before: Option<PathBuf>,
}

fn main() -> Result<()> {
    let Cli { bench, shared } = Cli::parse();
    let stage = || stage::Stage::open(&shared);
    match bench {
        Bench::All(options) => all::run(&shared, &options),
        Bench::Sysbench(options) => sysbench::run(&stage()?, &options),
        Bench::Syscalls(options) => syscalls::run(&stage()?, &shared, &options),
        Bench::Pgbench(options) => pgbench::run(&shared, &options),
        Bench::Idle(options) => idle::run(&stage()?, &shared, &options),
        Bench::Storm(options) => storm::run(&stage()?, &options),
        Bench::Probe(options) => probe::run(&shared, &options),
        Bench::Refusal(options) => refusal::run(&stage()?, &options),
        Bench::Ledger(options) => ledger::run(&shared, &options),
        Bench::Dispatch(options) => dispatch::run(&shared, &options),
        Bench::Sinks(options) => sinks::run(&shared, &options),
        Bench::Allocations => cargo_bench("allocations"),
        Bench::Micro => MICRO.into_iter().try_for_each(cargo_bench),
        Bench::Forward { listen, upstream, workers } => forwarder::run(listen, upstream, workers),
        Bench::Receive { listen } => sinks::receive(listen),
    }
}

/// The micro benches' targets.
const MICRO: [&str; 3] = ["policy", "recorder", "wire"];

/// Runs one bench target of this package.
///
/// They are targets of their own because the allocation count replaces the global allocator of
/// its whole process, which must not be the process that is timed.
fn cargo_bench(name: &str) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["bench", "--quiet", "--package", env!("CARGO_PKG_NAME"), "--bench", name])
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "bench {name} ended with {status}");
    Ok(())
}
