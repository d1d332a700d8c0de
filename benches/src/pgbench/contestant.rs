//! Who faces pgbench: the server itself, a bare forwarder, PgBouncer and the guard.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use drill::home::Scratch;
use drill::pgbouncer::{self, PgBouncer, Program};
use drill::server::account::{APP, CONTROL};
use drill::server::engine::Engine;
use drill::server::{Server, Settings};

use crate::machine::Core;
use crate::process::{Process, pin};
use crate::stage::{WORKERS, free_addr};
use crate::{Shared, client, guard};

/// Connections to the server that a pooler may use for clients.
const POOL: u32 = 40;

/// Rows of `pgbench_accounts`, in units of 100,000: all in memory.
const SCALE: &str = "5";

/// Clients that poolers take.
const CLIENTS_MAX: u32 = 11_000;

/// Clients that may reach the server itself at once, beside those of the poolers.
pub(crate) const DIRECT_MAX: usize = 600;

/// How long a contestant may take to serve its first statement.
const START: Duration = Duration::from_secs(10);

/// One contestant: where to connect, and the process whose time is counted.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) addr: SocketAddr,
    /// `None` for direct access.
    pub(crate) id: Option<u32>,
}

/// A server with its data and all contestants before it; they vanish with it.
pub(crate) struct Field {
    /// In the order of their turns.
    pub(crate) contestants: Vec<Contestant>,
    /// What is compared with.
    pub(crate) pgbouncer: String,
    _processes: Vec<Process>,
    _bouncer: PgBouncer,
    _server: Server,
    _scratch: Scratch,
}

impl Field {
    /// Starts everybody.
    pub(crate) fn open(shared: &Shared) -> Result<Self> {
        let scratch = Scratch::new()?;
        let settings =
            Settings { engine: Engine::Postgres, max_connections: 700, ..Settings::default() };
        let server = client::block_on(async { Ok(Server::start(settings).await?) })?;
        pin(server.id(), Core::Server)?;
        pgbench(server.addr(), &["-i", "-q", "-s", SCALE])?;

        let program = Program::newest();
        let bouncer = start_pgbouncer(&server, program)?;
        let (forwarder, forwarder_addr) = start_forwarder(&server, scratch.path())?;
        let mut contestants = vec![
            Contestant { name: "direct", addr: server.addr(), id: None },
            Contestant { name: "forwarder", addr: forwarder_addr, id: Some(forwarder.id()) },
            Contestant { name: "PgBouncer", addr: bouncer.addr(), id: Some(bouncer.id()) },
        ];
        let mut processes = vec![forwarder];
        let before = shared.before.iter().map(|path| ("before", path.clone()));
        let guards = before.chain([("guard", guard::program(shared.tidegate.as_deref())?)]);
        for (name, program) in guards {
            let (process, addr) = start_guard(name, &program, &server, scratch.path())?;
            contestants.push(Contestant { name, addr, id: Some(process.id()) });
            processes.push(process);
        }
        Ok(Self {
            contestants,
            pgbouncer: program.version()?,
            _processes: processes,
            _bouncer: bouncer,
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
    let bouncer = client::block_on(async {
        let setup = pgbouncer::Setup {
            program,
            pool_size: POOL,
            max_clients: CLIENTS_MAX,
            ..pgbouncer::Setup::default()
        };
        Ok(PgBouncer::start(server, &setup).await?)
    })?;
    pin(bouncer.id(), Core::Proxy)?;
    Ok(bouncer)
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

fn start_guard(
    name: &str,
    program: &Path,
    server: &Server,
    scratch: &Path,
) -> Result<(Process, SocketAddr)> {
    let (listen, admin) = (free_addr()?, free_addr()?);
    let file = scratch.join(format!("{name}.toml"));
    fs::write(&file, configuration(server.addr(), listen, admin))?;
    let arguments = ["guard".to_owned(), "-c".to_owned(), file.display().to_string()];
    let mut process = Process::start(program, &arguments, &scratch.join(format!("{name}.log")))?;
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
max_clients = {CLIENTS_MAX}

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
