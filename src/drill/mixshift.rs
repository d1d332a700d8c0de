//! `tidegate drill mixshift`.

use clap::Args;
use drill::mixshift::{self, Scene};

use super::{Flavour, Output};
use crate::exit::Failure;

/// What clients ask for changes from pages that are read to rows that deadlock, and back: directly, behind
/// the best fixed limit of each, and behind one that finds itself.
///
/// Takes three to four minutes. Exit code 0 only when the limit that finds itself settled within five
/// seconds of each change, on three quarters or more of what the best fixed limit of that phase brings.
#[derive(Debug, Args)]
pub(super) struct MixShift {
    /// Which database to run on.
    #[arg(long, value_enum, default_value_t = Flavour::Mariadb)]
    engine: Flavour,
    /// Fewer limits and less time: a minute and a half, and less to be believed.
    #[arg(long)]
    quick: bool,
    /// Clients, who begin anew as soon as they are done.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=8000))]
    clients: Option<u16>,
    /// Fixed limits that are tried.
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    limits: Vec<u32>,
    #[command(flatten)]
    output: Output,
}

impl MixShift {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut scene = if self.quick { Scene::quick() } else { Scene::default() };
        scene.clients = self.clients.map_or(scene.clients, usize::from);
        if !self.limits.is_empty() {
            scene.limits.clone_from(&self.limits);
        }
        let engine = self.engine.engine();
        let screen = self.output.screen();
        self.output.of(mixshift::run(engine, &scene, &screen))
    }
}
