//! `tidegate drill tipping`.

use clap::Args;
use drill::tipping::{self, Scene};

use super::{Flavour, Output};
use crate::exit::Failure;

/// Ever more clients that deadlock: directly, behind the best fixed limit, and behind one that
/// finds itself.
///
/// Takes three to four minutes. Exit code 0 only when with the most clients more was committed in time
/// behind the guard than without it.
#[derive(Debug, Args)]
pub(super) struct Tipping {
    /// Which database to run on.
    #[arg(long, value_enum, default_value_t = Flavour::Mariadb)]
    engine: Flavour,
    /// Fewer crowds, fewer limits, one turn each: about a minute, and less to be believed.
    #[arg(long)]
    quick: bool,
    /// Numbers of clients that go through the guards.
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    clients: Vec<usize>,
    /// Fixed limits that are tried.
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    limits: Vec<u32>,
    /// Turns of both guards with each number of clients.
    #[arg(long)]
    turns: Option<u32>,
    #[command(flatten)]
    output: Output,
}

impl Tipping {
    pub(super) fn run(self) -> Result<(), Failure> {
        let engine = self.engine.engine();
        let mut scene = if self.quick { Scene::quick() } else { Scene::default() };
        if !self.clients.is_empty() {
            scene.guarded.clone_from(&self.clients);
        }
        if !self.limits.is_empty() {
            scene.limits.clone_from(&self.limits);
        }
        scene.turns = self.turns.unwrap_or(scene.turns).max(1);
        let screen = self.output.screen();
        self.output.of(tipping::run(engine, &scene, &screen))
    }
}
