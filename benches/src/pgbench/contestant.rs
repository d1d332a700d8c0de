//! Who faces pgbench: the server itself, a bare forwarder, PgBouncer and the guard.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use drill::home::Scratch;
use drill::pgbouncer::{self, PgBouncer, Program, Version};
use drill::server::account::APP;
use drill::server::engine::Engine;
use drill::server::{Server, Settings};

use super::config;
use super::lineup::{Entry, Lineup};
use crate::machine::Core;
use crate::process::{Process, pin};
use crate::stage::{WORKERS, free_addr};
use crate::{Shared, client};

/// Connections to the server that a pooler may use for clients.
pub(super) const POOL: u32 = 40;

/// Rows of `pgbench_accounts`, in units of 100,000: all in memory.
const SCALE: &str = "5";

/// Clients that poolers take.
pub(super) const CLIENTS_MAX: u32 = 11_000;

/// Clients that may reach the server itself at once, beside those of the poolers.
pub(crate) const DIRECT_MAX: usize = 600;

/// How long a contestant may take to serve its first statement.
const START: Duration = Duration::from_secs(10);

/// One contestant: where to connect, and the process whose time is counted.
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) addr: SocketAddr,
    /// `None` for direct access.
    pub(crate) id: Option<u32>,
    /// Whether clients may prepare statements through it and run them later.
    carries_prepared: bool,
}

impl Contestant {
    fn new(name: &str, addr: SocketAddr, id: Option<u32>) -> Self {
        Self { name: name.to_owned(), addr, id, carries_prepared: true }
    }

    fn pgbouncer(bouncer: &PgBouncer, version: Version) -> Self {
        Self {
            name: format!("{PGBOUNCER} {version}"),
            addr: bouncer.addr(),
            id: Some(bouncer.id()),
            carries_prepared: version.carries_prepared(),
        }
    }

    /// Whether it is one of those that the guard is compared with.
    pub(super) fn is_peer(&self) -> bool {
        self.name.starts_with(PGBOUNCER)
    }

    /// Why it has to be left out of one of pgbench's modes, if it has to.
    pub(crate) fn left_out_of(&self, mode: &str) -> Option<&'static str> {
        (mode == "prepared" && !self.carries_prepared)
            .then_some("carries no prepared statements by transaction")
    }
}

const PGBOUNCER: &str = "PgBouncer";

/// A server with its data and all contestants before it; they vanish with it.
pub(crate) struct Field {
    /// In the order of their turns.
    pub(crate) contestants: Vec<Contestant>,
    _processes: Vec<Process>,
    _bouncers: Vec<PgBouncer>,
    _server: Server,
    _scratch: Scratch,
}

impl Field {
    /// Starts everybody.
    pub(crate) fn open(shared: &Shared, lineup: &Lineup) -> Result<Self> {
        if let Some(why) = lineup.left_out() {
            eprintln!("\n!!! SKIPPED: {why}\n");
        }
        let scratch = Scratch::new()?;
        let settings =
            Settings { engine: Engine::Postgres, max_connections: 900, ..Settings::default() };
        let server = client::block_on(async { Ok(Server::start(settings).await?) })?;
        let workers = lineup.workers_max();
        pin(server.id(), Core::Server, workers)?;
        pgbench(server.addr(), &["-i", "-q", "-s", SCALE])?;

        let (forwarder, forwarder_addr) = start_forwarder(&server, scratch.path())?;
        let mut contestants = vec![
            Contestant::new("direct", server.addr(), None),
            Contestant::new("forwarder", forwarder_addr, Some(forwarder.id())),
        ];
        let mut processes = vec![forwarder];
        let mut bouncers = Vec::new();
        for (program, version) in lineup.pgbouncers()? {
            let bouncer = start_pgbouncer(&server, program)?;
            contestants.push(Contestant::pgbouncer(&bouncer, version));
            bouncers.push(bouncer);
        }
        for entry in lineup.guards(shared)? {
            let (process, addr) = start_guard(&entry, &server, scratch.path())?;
            contestants.push(Contestant::new(&entry.name, addr, Some(process.id())));
            processes.push(process);
        }
        for id in contestants.iter().filter_map(|contestant| contestant.id) {
            pin(id, Core::Proxy, workers)?;
        }
        Ok(Self {
            contestants,
            _processes: processes,
            _bouncers: bouncers,
            _server: server,
            _scratch: scratch,
        })
    }
}

/// Runs pgbench; yields what it says.
pub(crate) fn pgbench(addr: SocketAddr, arguments: &[&str]) -> Result<String> {
    let output = pgbench_command(addr, arguments)?.output().context("cannot run pgbench")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "pgbench {arguments:?} ended: {text}{errors}");
    Ok(text)
}

/// pgbench, before it is started.
pub(crate) fn pgbench_command(addr: SocketAddr, arguments: &[&str]) -> Result<Command> {
    let program = Engine::Postgres.client()?.with_file_name("pgbench");
    let mut command = Command::new("setpriv");
    command
        // No load generator may outlive this program.
        .args(["--pdeathsig", "KILL"])
        .arg(program)
        .args(["-h", &addr.ip().to_string(), "-p", &addr.port().to_string(), "-U", APP.name])
        .args(arguments)
        .arg("app")
        .env("PGPASSWORD", APP.password)
        .env("PGSSLMODE", "disable");
    Ok(command)
}

fn start_pgbouncer(server: &Server, program: Program) -> Result<PgBouncer> {
    client::block_on(async {
        let setup = pgbouncer::Setup {
            program,
            pool_size: POOL,
            max_clients: CLIENTS_MAX,
            ..pgbouncer::Setup::default()
        };
        Ok(PgBouncer::start(server, &setup).await?)
    })
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

fn start_guard(entry: &Entry, server: &Server, scratch: &Path) -> Result<(Process, SocketAddr)> {
    let (listen, admin) = (free_addr()?, free_addr()?);
    let file = scratch.join(format!("{}.toml", entry.name));
    fs::write(&file, config::text(server.addr(), listen, admin, entry.workers))?;
    let mut arguments = vec!["guard".to_owned(), "-c".to_owned(), file.display().to_string()];
    if entry.is_stealing {
        arguments.push("--work-stealing".to_owned());
    }
    let log = scratch.join(format!("{}.log", entry.name));
    let mut process = Process::start(&entry.program, &arguments, &log)?;
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
