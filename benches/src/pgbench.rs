//! The comparison on PostgreSQL: pgbench through every contestant, in turns.
//!
//! Debian's PgBouncer (1.18) carries no prepared statements in transaction pooling: those rows say why
//! and stay empty.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use drill::home::Scratch;
use drill::pgbouncer::{self, PgBouncer};
use drill::server::account::{APP, CONTROL};
use drill::server::engine::Engine;
use drill::server::{Server, Settings};
use serde::Serialize;

use crate::machine::{Core, Machine};
use crate::process::{Process, cpu_of, pin};
use crate::report::{Table, number};
use crate::stage::{WORKERS, free_addr, report};
use crate::statistics::median;
use crate::{Shared, client, guard};

/// Connections to the server that a pooler may use for clients.
const POOL: u32 = 40;

/// Rows of `pgbench_accounts`, in units of 100,000: all in memory.
const SCALE: &str = "5";

/// How long a contestant may take to serve its first statement.
const START: Duration = Duration::from_secs(10);

/// What to run, and for how long.
#[derive(Args, Default)]
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

/// One contestant: where to connect, and the process whose time is counted.
struct Contestant {
    name: &'static str,
    addr: SocketAddr,
    id: Option<u32>,
}

/// One run of pgbench against one contestant.
#[derive(Serialize)]
struct Sample {
    workload: String,
    target: &'static str,
    round: u32,
    transactions: u64,
    /// Transactions per second.
    tps: f64,
    /// The mean latency, in ms.
    latency_ms: f64,
    /// User and system time of the proxy for each transaction, in µs.
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

    let scratch = Scratch::new()?;
    let settings =
        Settings { engine: Engine::Postgres, max_connections: 700, ..Settings::default() };
    let server = client::block_on(async { Ok(Server::start(settings).await?) })?;
    pin(server.id(), Core::Server)?;
    pgbench(server.addr(), &["-i", "-q", "-s", SCALE])?;

    let bouncer = client::block_on(async {
        let setup =
            pgbouncer::Setup { pool_size: POOL, max_clients: 1000, ..pgbouncer::Setup::default() };
        Ok(PgBouncer::start(&server, &setup).await?)
    })?;
    pin(bouncer.id(), Core::Proxy)?;
    let (forwarder, forwarder_addr) = start_forwarder(&server, scratch.path())?;
    let (guard, guard_addr) = start_guard(shared, &server, scratch.path())?;
    let contestants = [
        Contestant { name: "direct", addr: server.addr(), id: None },
        Contestant { name: "forwarder", addr: forwarder_addr, id: Some(forwarder.id()) },
        Contestant { name: "PgBouncer", addr: bouncer.addr(), id: Some(bouncer.id()) },
        Contestant { name: "guard", addr: guard_addr, id: Some(guard.id()) },
    ];

    let mut samples = Vec::new();
    for workload in &workloads {
        for round in 1..=rounds {
            for contestant in &contestants {
                match measure(contestant, *workload, round, seconds) {
                    Ok(sample) => samples.push(sample),
                    Err(error) => eprintln!("{workload} on {}: {error:#}", contestant.name),
                }
            }
        }
        println!("{}", table(&samples, &[*workload]));
    }
    let title = format!("pgbench: medians of {rounds} rounds of {seconds} s");
    report(&shared.out, &machine, ("pgbench", &title), &table(&samples, &workloads), &samples)
}

fn table(samples: &[Sample], workloads: &[Workload]) -> Table {
    let heading =
        ["workload", "who", "tps", "latency ms", "CPU µs", "of forwarder", "of PgBouncer"];
    let mut table = Table::new(2, &heading);
    for workload in workloads {
        let name = workload.to_string();
        let of = |target: &str, value: fn(&Sample) -> f64| {
            let mine = |s: &&Sample| s.workload == name && s.target == target;
            median(samples.iter().filter(mine).map(value))
        };
        for target in ["direct", "forwarder", "PgBouncer", "guard"] {
            let cpu = of(target, |s| s.cpu_us);
            let ratio = |other| number(cpu / of(other, |s| s.cpu_us), 2);
            table.push(vec![
                name.clone(),
                target.into(),
                number(of(target, |s| s.tps), 0),
                number(of(target, |s| s.latency_ms), 3),
                number(cpu, 1),
                ratio("forwarder"),
                ratio("PgBouncer"),
            ]);
        }
    }
    table
}

fn measure(target: &Contestant, workload: Workload, round: u32, seconds: u32) -> Result<Sample> {
    let (clients, seconds) = (workload.clients.to_string(), seconds.to_string());
    let mut arguments = vec!["-n", "-M", workload.mode, "-c", &clients, "-j", "1", "-T", &seconds];
    arguments.extend(workload.script.1);
    let cpu = || target.id.map_or(Ok(Duration::ZERO), cpu_of);
    let before = cpu()?;
    let text = pgbench(target.addr, &arguments)?;
    let used = cpu()?.saturating_sub(before);
    let field = |name: &str| {
        let (_, rest) = text.split_once(name).with_context(|| format!("no {name:?} in {text}"))?;
        let value = rest.split([' ', '/', '\n']).find(|word| !word.is_empty());
        value.and_then(|word| word.parse::<f64>().ok()).with_context(|| format!("{name} of {text}"))
    };
    let transactions = field("transactions actually processed: ")?;
    ensure!(transactions > 0.0, "no transaction in {text}");
    Ok(Sample {
        workload: workload.to_string(),
        target: target.name,
        round,
        transactions: transactions as u64,
        tps: field("tps = ")?,
        latency_ms: field("latency average = ")?,
        cpu_us: used.as_secs_f64() * 1e6 / transactions,
    })
}

fn pgbench(addr: SocketAddr, arguments: &[&str]) -> Result<String> {
    let program = Engine::Postgres.client()?.with_file_name("pgbench");
    let output = Command::new("setpriv")
        // No load generator may outlive this program.
        .args(["--pdeathsig", "KILL"])
        .arg(program)
        .args(["-h", &addr.ip().to_string(), "-p", &addr.port().to_string(), "-U", APP.name])
        .args(arguments)
        .arg("app")
        .env("PGPASSWORD", APP.password)
        .env("PGSSLMODE", "disable")
        .output()
        .context("cannot run pgbench")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "pgbench {arguments:?} ended: {text}{errors}");
    Ok(text)
}

fn start_forwarder(server: &Server, scratch: &Path) -> Result<(Process, SocketAddr)> {
    let listen = free_addr()?;
    let program = std::env::current_exe().context("cannot find this program")?;
    let arguments = [
        "forward".to_owned(),
        format!("--listen={listen}"),
        format!("--upstream={}", server.addr()),
        format!("--workers={WORKERS}"),
    ];
    let mut process = Process::start(&program, &arguments, &scratch.join("forwarder.log"))?;
    until_served(listen, &mut process)?;
    Ok((process, listen))
}

fn start_guard(shared: &Shared, server: &Server, scratch: &Path) -> Result<(Process, SocketAddr)> {
    let (listen, admin) = (free_addr()?, free_addr()?);
    let file = scratch.join("tidegate.toml");
    fs::write(&file, configuration(server.addr(), listen, admin))?;
    let program = guard::program(shared.tidegate.as_deref())?;
    let arguments = ["guard".to_owned(), "-c".to_owned(), file.display().to_string()];
    let mut process = Process::start(&program, &arguments, &scratch.join("guard.log"))?;
    until_served(listen, &mut process)?;
    Ok((process, listen))
}

/// Waits until statements are served.
fn until_served(addr: SocketAddr, process: &mut Process) -> Result<()> {
    let deadline = Instant::now() + START;
    loop {
        match pgbench(addr, &["-n", "-S", "-t", "1"]) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error.context(process.fate())),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Limits that hold but never refuse, and rules of which the last matches.
fn configuration(upstream: SocketAddr, listen: SocketAddr, admin: SocketAddr) -> String {
    format!(
        r#"
[guard]
workers = {WORKERS}

[[listener]]
address = "{listen}"
max_clients = 1100

[upstream]
engine = "postgres"
address = "{upstream}"
connections = {POOL}
handshakes_at_once = 8
handshakes_per_second = 1000

[control]
user = "{}"
password = "{}"

[[user]]
name = "{}"
password = "{}"

[admin]
address = "{admin}"

[log]
level = "warn"

[overall]
in_flight = {POOL}
rate = 1000000
queue_length = 4096
queue_time = "10s"

[class.oltp]
in_flight = {POOL}
rate = 1000000
queue_length = 4096
queue_time = "10s"
statement_time = "10s"
transaction_time = "30s"
idle_in_transaction_time = "10s"
lock_wait_time = "5s"

[class.reports]
in_flight = 2

[[rule]]
name = "reports by tag"
class = "reports"
tag = {{ job = "report*" }}

[[rule]]
name = "reports by account"
class = "reports"
user = "report*"

[[rule]]
name = "reports by table"
class = "reports"
table = ["report_*", "archive.*"]

[[rule]]
name = "pgbench"
class = "oltp"
table = ["pgbench_*"]
network = ["127.0.0.0/8"]
"#,
        CONTROL.name, CONTROL.password, APP.name, APP.password,
    )
}
