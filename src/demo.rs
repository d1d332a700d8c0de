//! `tidegate demo`: a real pile-up on a private server, first without the guard and then with it.

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use drill::demo::{self, Report, Scene, Show};
use drill::server::engine::Engine;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Failure;

/// Which database the demo runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Flavour {
    /// A private MariaDB of the Debian release.
    Mysql,
    /// A private PostgreSQL of the Debian release.
    Postgres,
}

/// Show a real pile-up on a private MariaDB or PostgreSQL, first without the guard and then with it.
///
/// Exit code 1 when the run through the guard was not better.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Which database to run on.
    #[arg(value_enum, default_value_t = Flavour::Mysql)]
    flavour: Flavour,
    /// Clients that arrive at once when the storm breaks.
    #[arg(long, default_value_t = Scene::default().crowd)]
    clients: usize,
    /// Print the result as JSON, and nothing else.
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let report = self.play().map_err(Failure::Failed)?;
        if self.json {
            let json = serde_json::to_string_pretty(&report).map_err(anyhow::Error::from);
            println!("{}", json.map_err(Failure::Failed)?);
        } else {
            println!("\n{}", demo::table(&report));
        }
        if report.guard_is_better() {
            Ok(())
        } else {
            Err(Failure::Failed(anyhow!("the run through the guard was not better")))
        }
    }

    fn play(&self) -> anyhow::Result<Report> {
        let engine = match self.flavour {
            Flavour::Mysql => Engine::MariaDb,
            Flavour::Postgres => Engine::Postgres,
        };
        let scene = Scene { crowd: self.clients, ..Scene::default() };
        let mut show = if self.json { Show::quiet() } else { Show::new() };
        let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
        runtime.block_on(async {
            tokio::select! {
                report = demo::run(engine, &scene, &mut show) => Ok(report?),
                // Leaving in order removes the servers' folders.
                asked = asked_to_stop() => {
                    asked?;
                    Err(anyhow!("interrupted"))
                }
            }
        })
    }
}

/// Returns when the person at the terminal, or whoever runs it, has had enough.
pub(crate) async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}
