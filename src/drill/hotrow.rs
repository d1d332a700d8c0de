//! `tidegate drill hotrow`.

use clap::Args;
use drill::hotrow::{self, Scene};

use super::{Flavour, Output};
use crate::exit::Failure;

/// One row that everybody wants: what it costs those who want others, directly, behind a pool, and behind
/// the guard.
///
/// Takes about two minutes. Exit code 0 only when those who want other rows keep more of their goodput
/// behind the guard than behind the pool.
#[derive(Debug, Args)]
pub(super) struct HotRow {
    /// Which database to run on.
    #[arg(long, value_enum, default_value_t = Flavour::Mariadb)]
    engine: Flavour,
    /// One turn of each way: half a minute, and less to be believed.
    #[arg(long)]
    quick: bool,
    /// Transactions that begin, a second.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Turns of each way.
    #[arg(long)]
    turns: Option<u32>,
    #[command(flatten)]
    output: Output,
}

impl HotRow {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut scene = if self.quick { Scene::quick() } else { Scene::default() };
        scene.per_second = self.rate.unwrap_or(scene.per_second);
        scene.turns = self.turns.unwrap_or(scene.turns).max(1);
        let engine = self.engine.engine();
        let screen = self.output.screen();
        self.output.of(hotrow::run(engine, &scene, &screen))
    }
}
