//! `tidegate guard`: the sidecar itself.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use guard::config::{Config, Loaded};
use guard::{log, run, runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::exit::Failure;

/// Run the guard.
///
/// SIGHUP reads the configuration again. SIGTERM or SIGINT drains: no new clients, the others leave
/// between transactions, and what is open after guard.drain_timeout is rolled back. A second one
/// stops at once.
#[derive(Debug, Args)]
pub(crate) struct Guard {
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "tidegate.toml")]
    config: PathBuf,
    /// Serve with the work-stealing runtime also with one worker. For benches: no option for use, so it is
    /// not told.
    #[arg(long, hide = true)]
    work_stealing: bool,
}

impl Guard {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Loaded { config, warnings } = Config::load(&self.config)?;
        log::install(&config.log).context("the log cannot be set up")?;
        for warning in &warnings {
            warn!(%warning, "the configuration is odd");
        }
        let runtime = match self.work_stealing {
            true => runtime::work_stealing(config.guard.workers)?,
            false => runtime::build(config.guard.workers)?,
        };
        runtime.block_on(serve(config, self.config))
    }
}

async fn serve(config: Config, file: PathBuf) -> Result<(), Failure> {
    let mut stops = Stops::new()?;
    let mut hangups = signal(SignalKind::hangup())?;
    let guard = run::Guard::start(config, Some(file)).await.context("the guard did not start")?;
    for address in guard.addresses() {
        info!(%address, "listening");
    }
    if let Some(address) = guard.admin_address() {
        info!(%address, "admin side listening");
    }
    let operator = guard.operator();
    let reloads = tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let operator = operator.clone();
            // What came of it is logged and counted by the operator; it reads files, so it may
            // not hold up a worker.
            if tokio::task::spawn_blocking(move || operator.reload()).await.is_err() {
                warn!("a reload did not finish");
            }
        }
    });
    let drain = Notify::new();
    let stopped_twice = async {
        stops.next().await;
        drain.notify_one();
        stops.next().await;
    };
    tokio::select! {
        () = guard.run(drain.notified()) => info!("stopped"),
        () = stopped_twice => warn!("stopped by a second signal; what was open is cut off"),
    }
    reloads.abort();
    Ok(())
}

/// The signals that stop the guard.
struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
