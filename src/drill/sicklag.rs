//! `tidegate drill sicklag`.

use std::time::Duration;

use clap::Args;
use drill::sicklag::{self, Scene};

use super::{Flavour, Output};
use crate::exit::Failure;

/// One of two replicas answers slowly, and nothing else is wrong with it: directly, behind a pool of a fixed size
/// before each, and behind the guard.
///
/// Takes a minute and a half. Exit code 0 only when behind the guard within five seconds nine tenths of the reads were in
/// time again, and stayed so, none was lost, and the replica was read from again when it was well.
#[derive(Debug, Args)]
pub(super) struct SickLag {
    /// Which database to run on.
    #[arg(long, value_enum, default_value_t = Flavour::Mariadb)]
    engine: Flavour,
    /// A minute, and less to be believed.
    #[arg(long)]
    quick: bool,
    /// How much later the sick replica answers, in milliseconds.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(50..=900))]
    delay: Option<u64>,
    /// Clients, half of them at each replica.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=200))]
    clients: Option<u16>,
    /// Reads that they begin together, a second.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    #[command(flatten)]
    output: Output,
}

impl SickLag {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut scene = if self.quick { Scene::quick() } else { Scene::default() };
        scene.delay = self.delay.map_or(scene.delay, Duration::from_millis);
        scene.clients = self.clients.map_or(scene.clients, usize::from);
        scene.per_second = self.rate.unwrap_or(scene.per_second);
        let screen = self.output.screen();
        self.output.of(sicklag::run(self.engine.engine(), &scene, &screen))
    }
}
