//! `tidegate drill herd`.

use clap::{Args, ValueEnum};
use drill::herd::{self, Scene, Trigger};

use super::{Flavour, Output};
use crate::exit::Failure;

/// How connections are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Loss {
    /// The server crashes and is started again.
    Restart,
    /// Something between clients and the server, or the guard, goes.
    Cut,
}

/// All clients lose their connections at once and come back at once: directly, behind a pool of a fixed
/// size, and behind the guard.
///
/// Takes three minutes. Exit code 0 only when behind the guard service was back within two seconds of the
/// server's answering, each time, over no more connections than its pool has and those that are reserved.
#[derive(Debug, Args)]
pub(super) struct Herd {
    /// Which database to run on.
    #[arg(long, value_enum, default_value_t = Flavour::Mariadb)]
    engine: Flavour,
    /// Fewer clients and less time: a minute and a half, and less to be believed.
    #[arg(long)]
    quick: bool,
    /// Clients, each with a connection.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=8000))]
    clients: Option<u16>,
    /// Transactions that they begin together, a second.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Only one way of losing connections.
    #[arg(long, value_enum)]
    trigger: Option<Loss>,
    #[command(flatten)]
    output: Output,
}

impl Herd {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut scene = if self.quick { Scene::quick() } else { Scene::default() };
        scene.clients = self.clients.map_or(scene.clients, usize::from);
        scene.per_second = self.rate.unwrap_or(scene.per_second);
        match self.trigger {
            Some(Loss::Restart) => scene.triggers = vec![Trigger::Restart],
            Some(Loss::Cut) => scene.triggers = vec![Trigger::Cut],
            None => {}
        }
        let engine = self.engine.engine();
        let screen = self.output.screen();
        self.output.of(herd::run(engine, &scene, &screen))
    }
}
