//! The guard as a contestant: the `tidegate` binary under a configuration with rules and limits on.

use std::env::current_exe;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use drill::server::account::{Account, CONTROL};

use crate::process::Process;
use crate::server::ACCOUNT;
use crate::stage::{Stage, Target, WORKERS, free_addr};

/// Connections to the server that the guard may use for clients; ProxySQL's and PgBouncer's pools
/// had the same size when they were measured.
pub(crate) const UPSTREAM_CONNECTIONS: u32 = 40;

/// Connections to the server that the guard keeps for itself, which is its default.
pub(crate) const CONTROL_CONNECTIONS: u32 = 2;
/// Connections that it reserves: those, and the one that observes.
pub(crate) const RESERVED_CONNECTIONS: u32 = CONTROL_CONNECTIONS + 1;

/// A tag whose statements meet a limit of one, without a queue.
pub(crate) const LIMITED: &str = "feature='limited'";

/// A tag whose statements are switched off.
pub(crate) const SWITCHED_OFF: &str = "feature='switched-off'";

/// Everything that is off until it is asked for.
const EVERYTHING: &str = r#"
[limit]
mode = "enforce"

[melt]
mode = "enforce"

[hot]
mode = "enforce"

[tenants]
by = "tag"
tag = "tenant"

[retries]
mode = "enforce"
"#;

/// What the guard has to do.
#[derive(Clone, Copy)]
pub(crate) enum Config {
    /// Limits that hold but never refuse: a queue for everyone, for as long as a run takes.
    Workload,
    /// And all that decides by what it sees of the database: where the limit is, who is melted, which
    /// rows are hot, which tenants wait, who comes again.
    Everything,
    /// As the first, but new upstream connections are paced as they are by default.
    Paced,
}

impl Config {
    /// The file. All rules are tried for each statement of sysbench, and the last one matches.
    fn text(self, upstream: SocketAddr, listen: SocketAddr, admin: SocketAddr) -> String {
        let handshakes = match self {
            // The pool is full before the first run counts.
            Self::Workload | Self::Everything => {
                "handshakes_at_once = 8\nhandshakes_per_second = 1000\n"
            }
            Self::Paced => "",
        };
        let everything = if matches!(self, Self::Everything) { EVERYTHING } else { "" };
        let Account { name: user, password } = ACCOUNT;
        let Account { name: control, password: control_password } = CONTROL;
        format!(
            r#"
[guard]
workers = {WORKERS}

[[listener]]
address = "{listen}"
auth_plugin = "mysql_native_password"
max_clients = 11000

[upstream]
address = "{upstream}"
connections = {UPSTREAM_CONNECTIONS}
{handshakes}
[control]
user = "{control}"
password = "{control_password}"
connections = {CONTROL_CONNECTIONS}

[[user]]
name = "{user}"
password = "{password}"

[admin]
address = "{admin}"

[log]
level = "warn"

[overall]
in_flight = {UPSTREAM_CONNECTIONS}
rate = 1000000
queue_length = 4096
queue_time = "10s"

[class.oltp]
in_flight = {UPSTREAM_CONNECTIONS}
rate = 1000000
queue_length = 4096
queue_time = "10s"
statement_time = "10s"
transaction_time = "30s"
idle_in_transaction_time = "10s"
lock_wait_time = "5s"

[class.limited]
in_flight = 1
queue_length = 0
statement_time = "off"
transaction_time = "off"

[class.reports]
in_flight = 2

[[rule]]
name = "limited"
class = "limited"
tag = {{ feature = "limited" }}

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
name = "sysbench"
class = "oltp"
table = ["sbtest*"]
network = ["127.0.0.0/8"]

[[switch]]
target = "tag feature=switched-off"
reason = "it is being measured"
{everything}"#
        )
    }
}

/// Starts a guard, under this name, in front of the stage's server.
pub(crate) fn start(
    stage: &Stage,
    program: &Path,
    name: &'static str,
    config: Config,
) -> Result<Target> {
    let (listen, admin) = (free_addr()?, free_addr()?);
    let file = stage.scratch().join(format!("{name}.toml"));
    fs::write(&file, config.text(stage.server().addr(), listen, admin))?;
    let log = stage.scratch().join(format!("{name}.log"));
    let arguments = ["guard".to_owned(), "-c".to_owned(), file.display().to_string()];
    let process = Process::start(program, &arguments, &log)?;
    Target::of(name, listen, process)
}

/// The `tidegate` binary: the one named on the command line, or one that is built now.
///
/// # Errors
/// When it does not build.
pub(crate) fn program(named: Option<&Path>) -> Result<PathBuf> {
    named.map_or_else(build, |path| Ok(path.to_owned()))
}

/// Builds `tidegate` beside this program, with the same profile.
fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "tidegate"]);
    if cfg!(debug_assertions) {
        eprintln!("!!! a debug build is measured: use `cargo run --release`");
    } else {
        command.arg("--release");
    }
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "`tidegate` does not build: {status}");
    Ok(current_exe()?.with_file_name("tidegate"))
}
