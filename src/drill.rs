//! `tidegate drill NAME`: a fire drill, without and with the guard.

mod tipping;

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use drill::zombie::{self, Report, Scene, Show};

use self::tipping::Tipping;
use crate::demo::asked_to_stop;
use crate::exit::Failure;

/// Run a fire drill on private servers, and print what came of it.
#[derive(Debug, Args)]
pub(crate) struct Drill {
    #[command(subcommand)]
    drill: Name,
}

#[derive(Debug, Subcommand)]
enum Name {
    Tipping(Tipping),
    Zombie(Zombie),
}

/// A locked row, clients that retry, and a time limit: PgBouncer's and the guard's.
///
/// Needs PostgreSQL 15 and PgBouncer, as Debian packages them. Exit code 0 only when behind the guard
/// never more backends waited for the lock than its pool has connections, and no update was committed
/// whose client was told that it had failed.
#[derive(Debug, Args)]
struct Zombie {
    /// How long the row stays locked, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = Scene::default().hold.as_secs())]
    hold: u64,
    /// Clients that want it.
    #[arg(long, default_value_t = Scene::default().clients)]
    clients: usize,
    /// Print the result as JSON, and nothing else.
    #[arg(long)]
    json: bool,
}

impl Drill {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.drill {
            Name::Tipping(tipping) => tipping.run(),
            Name::Zombie(zombie) => zombie.run(),
        }
    }
}

impl Zombie {
    fn run(self) -> Result<(), Failure> {
        let report = self.play().map_err(Failure::Failed)?;
        if self.json {
            let json = serde_json::to_string_pretty(&report).map_err(anyhow::Error::from);
            println!("{}", json.map_err(Failure::Failed)?);
        } else {
            println!("\n{}", zombie::table(&report));
        }
        if report.guard_keeps_its_word() {
            Ok(())
        } else {
            Err(Failure::Failed(anyhow!("the guard did not keep its word")))
        }
    }

    fn play(&self) -> anyhow::Result<Report> {
        let hold = Duration::from_secs(self.hold);
        let scene = Scene { clients: self.clients, hold, ..Scene::default() };
        let mut show = if self.json { Show::quiet() } else { Show::new() };
        until_asked_to_stop(async { Ok(zombie::run(&scene, &mut show).await?) })
    }
}

/// Runs a drill to its end. Asked to stop, it leaves in order, which removes the servers' folders.
fn until_asked_to_stop<R>(drill: impl Future<Output = anyhow::Result<R>>) -> anyhow::Result<R> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        tokio::select! {
            report = drill => report,
            asked = asked_to_stop() => {
                asked?;
                Err(anyhow!("interrupted"))
            }
        }
    })
}
