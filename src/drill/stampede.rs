//! `tidegate drill stampede`.

use clap::Args;
use drill::stampede::{self, Scene};

use super::{Flavour, Output};
use crate::exit::Failure;

/// At the top of the hour a batch is due, for hundreds of workers who want the row that users want as well: directly,
/// behind a pool of a fixed size, and behind the guard.
///
/// Takes a minute and a half. Exit code 0 only when behind the guard users kept three fifths or more of their goodput
/// while the batch ran, and as many of its jobs were done as directly, or all.
#[derive(Debug, Args)]
pub(super) struct Stampede {
    /// Which database to run on.
    #[arg(long, value_enum, default_value_t = Flavour::Mariadb)]
    engine: Flavour,
    /// A minute, and less to be believed.
    #[arg(long)]
    quick: bool,
    /// Workers of the batch. Default: 400, on PostgreSQL 200.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=900))]
    workers: Option<u16>,
    /// Jobs of the batch. Default: 1500, with --quick 800.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    jobs: Option<u64>,
    #[command(flatten)]
    output: Output,
}

impl Stampede {
    pub(super) fn run(self) -> Result<(), Failure> {
        let engine = self.engine.engine();
        let mut scene = Scene::of(engine);
        if self.quick {
            scene = scene.quick();
        }
        scene.workers = self.workers.map_or(scene.workers, usize::from);
        scene.jobs = self.jobs.unwrap_or(scene.jobs);
        let screen = self.output.screen();
        self.output.of(stampede::run(engine, &scene, &screen))
    }
}
