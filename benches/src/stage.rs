//! One run's server and the ways to reach it.

use std::env::current_exe;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use drill::home::{Scratch, free_port};
use serde::Serialize;
use serde_json::json;

use crate::machine::Machine;
use crate::process::Process;
use crate::report::Table;
use crate::server::Server;
use crate::{Shared, client, guard, haproxy};

/// Worker threads of every proxy.
pub(crate) const WORKERS: usize = 1;

/// How long a proxy may take to serve its first statement.
const START: Duration = Duration::from_secs(10);

/// A private server, a folder that vanishes with it, and the ports of this run.
pub(crate) struct Stage {
    server: Server,
    scratch: Scratch,
    out: PathBuf,
    tidegate: Option<PathBuf>,
    before: Option<PathBuf>,
    machine: Machine,
}

impl Stage {
    /// Starts the server; the proxies are started by those who need them.
    pub(crate) fn open(shared: &Shared) -> Result<Self> {
        fs::create_dir_all(&shared.out)
            .with_context(|| format!("cannot create {}", shared.out.display()))?;
        let machine = Machine::describe();
        let (server, scratch) = (Server::start()?, Scratch::new()?);
        Ok(Self {
            server,
            scratch,
            out: shared.out.clone(),
            tidegate: shared.tidegate.clone(),
            before: shared.before.clone(),
            machine,
        })
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The `tidegate` binary named on the command line.
    pub(crate) fn tidegate(&self) -> Option<&Path> {
        self.tidegate.as_deref()
    }

    /// Prints a table, and writes it beside the numbers it was made from.
    pub(crate) fn report(
        &self,
        name: &str,
        title: &str,
        table: &Table,
        numbers: &impl Serialize,
    ) -> Result<()> {
        report(&self.out, &self.machine, (name, title), table, numbers)
    }

    /// No proxy: the server itself.
    pub(crate) fn direct(&self) -> Target {
        Target { name: "direct", addr: self.server.addr(), process: None }
    }

    /// The yardstick, as a child process of this same program.
    pub(crate) fn forwarder(&self) -> Result<Target> {
        let listen = free_addr()?;
        let program = current_exe().context("cannot find this program")?;
        let arguments = [
            "forward".to_owned(),
            format!("--listen={listen}"),
            format!("--upstream={}", self.server.addr()),
            format!("--workers={WORKERS}"),
        ];
        let log = self.scratch().join("forwarder.log");
        let process = Process::start(&program, &arguments, &log)?;
        Target::of("forwarder", listen, process)
    }

    /// HAProxy in TCP mode.
    pub(crate) fn haproxy(&self) -> Result<Target> {
        haproxy::start(self, free_addr()?)
    }

    /// The guard under `config`, or `None` and a loud line when it cannot be had: the other
    /// contestants are still worth measuring.
    pub(crate) fn guard(&self, config: guard::Config) -> Option<Target> {
        self.contestant(guard::program(self.tidegate()), "guard", config)
    }

    /// The guard, behind an earlier build of it where one is named on the command line.
    pub(crate) fn guards(&self, config: guard::Config) -> impl Iterator<Item = Target> {
        let before = self.before.clone();
        let before = before.and_then(|program| self.contestant(Ok(program), "before", config));
        before.into_iter().chain(self.guard(config))
    }

    /// The guard with everything on.
    pub(crate) fn everything(&self) -> Option<Target> {
        let program = guard::program(self.tidegate());
        self.contestant(program, "everything", guard::Config::Everything)
    }

    fn contestant(
        &self,
        program: Result<PathBuf>,
        name: &'static str,
        config: guard::Config,
    ) -> Option<Target> {
        match program.and_then(|program| guard::start(self, &program, name, config)) {
            Ok(target) => Some(target),
            Err(error) => {
                eprintln!("\n!!! SKIPPED: THE GUARD IS NOT MEASURED: {error:#}\n");
                None
            }
        }
    }
}

/// Prints a table under its title, and writes it, as `name`, to folder `out` beside the numbers it was
/// made from.
pub(crate) fn report(
    out: &Path,
    machine: &Machine,
    (name, title): (&str, &str),
    table: &Table,
    numbers: &impl Serialize,
) -> Result<()> {
    println!("{title}\n\n{table}");
    let document = json!({ "machine": machine, "workers": WORKERS, "results": numbers });
    let files = [
        (format!("{name}.md"), format!("# {title}\n\n{machine}\n\n{table}")),
        (format!("{name}.json"), serde_json::to_string_pretty(&document)?),
    ];
    for (file, content) in files {
        let path = out.join(file);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// An address on loopback that nobody listens on.
pub(crate) fn free_addr() -> Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)))
}

/// One contestant: where to connect, and the process whose time is counted.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) addr: SocketAddr,
    /// `None` for direct access.
    pub(crate) process: Option<Process>,
}

impl Target {
    /// Waits until `process` serves statements at `addr`.
    pub(crate) fn of(name: &'static str, addr: SocketAddr, mut process: Process) -> Result<Self> {
        if let Err(error) = client::block_on(client::until_served(addr, START)) {
            return Err(error.context(format!("{name} {}", process.fate())));
        }
        Ok(Self { name, addr, process: Some(process) })
    }

    /// CPU time of the proxy so far; zero for direct access.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.process.as_ref().map_or(Ok(Duration::ZERO), Process::cpu)
    }
}
