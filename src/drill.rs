//! `tidegate drill NAME`: a fire drill, without and with the guard.

mod herd;
mod holder;
mod hotrow;
mod list;
mod mixshift;
pub(crate) mod output;
mod report;
mod sicklag;
mod stampede;
mod tipping;

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use drill::server::engine::Engine;
use drill::zombie::{self, Scene, Show};

use self::herd::Herd;
use self::holder::Holder;
use self::hotrow::HotRow;
use self::list::List;
use self::mixshift::MixShift;
use self::output::Output;
use self::report::Report;
use self::sicklag::SickLag;
use self::stampede::Stampede;
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
    Herd(Herd),
    Holder(Holder),
    Hotrow(HotRow),
    List(List),
    Mixshift(MixShift),
    Report(Report),
    Sicklag(SickLag),
    Stampede(Stampede),
    Tipping(Tipping),
    Zombie(Zombie),
}

/// Which database a drill runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Flavour {
    /// MariaDB of the Debian release.
    Mariadb,
    /// MySQL 9.7.
    Mysql,
    /// PostgreSQL of the Debian release.
    Postgres,
    /// PostgreSQL 18.
    Postgres18,
}

impl Flavour {
    fn engine(self) -> Engine {
        match self {
            Self::Mariadb => Engine::MariaDb,
            Self::Mysql => Engine::MySql,
            Self::Postgres => Engine::Postgres,
            Self::Postgres18 => Engine::Postgres18,
        }
    }
}

/// Which PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Generation {
    /// Of the Debian release.
    Postgres,
    /// PostgreSQL 18.
    Postgres18,
}

/// What each client does to get its update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Habit {
    /// It waits for an update that is a transaction by itself.
    Single,
    /// It waits for one behind a savepoint, in a transaction that has written something before.
    Savepoint,
    /// It hangs up within 0.3 seconds, and comes again.
    Vanish,
}

/// A locked row, clients that retry, and a time limit: PgBouncer's and the guard's.
///
/// Needs PostgreSQL and PgBouncer, as Debian packages them. Exit code 0 only when behind the guard
/// never more backends waited for the lock than its pool has connections, and no update was committed
/// whose client was told that it had failed, or had hung up.
#[derive(Debug, Args)]
struct Zombie {
    /// Which database to run on; PgBouncer knows only these.
    #[arg(long, value_enum, default_value_t = Generation::Postgres)]
    engine: Generation,
    /// What clients do.
    #[arg(long, value_enum, default_value_t = Habit::Single)]
    habit: Habit,
    /// A shorter lock, and so a shorter queue.
    #[arg(long)]
    quick: bool,
    /// How long the row stays locked, in seconds.
    #[arg(long, value_name = "SECONDS")]
    hold: Option<u64>,
    /// Clients that want it.
    #[arg(long, default_value_t = Scene::default().clients)]
    clients: usize,
    #[command(flatten)]
    output: Output,
}

impl Drill {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.drill {
            Name::Herd(herd) => herd.run(),
            Name::Holder(holder) => holder.run(),
            Name::Hotrow(hotrow) => hotrow.run(),
            Name::List(list) => list.run(),
            Name::Mixshift(mixshift) => mixshift.run(),
            Name::Report(report) => report.run(),
            Name::Sicklag(sicklag) => sicklag.run(),
            Name::Stampede(stampede) => stampede.run(),
            Name::Tipping(tipping) => tipping.run(),
            Name::Zombie(zombie) => zombie.run(),
        }
    }
}

impl Zombie {
    fn run(self) -> Result<(), Failure> {
        let mut scene = if self.quick { Scene::quick() } else { Scene::default() };
        scene.clients = self.clients;
        scene.hold = self.hold.map_or(scene.hold, Duration::from_secs);
        scene.habit = match self.habit {
            Habit::Single => zombie::Habit::Single,
            Habit::Savepoint => zombie::Habit::Savepoint,
            Habit::Vanish => zombie::Habit::Vanish,
        };
        scene.engine = match self.engine {
            Generation::Postgres => Engine::Postgres,
            Generation::Postgres18 => Engine::Postgres18,
        };
        let mut show = if self.output.is_quiet() { Show::quiet() } else { Show::new() };
        self.output.of(zombie::run(&scene, &mut show))
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
