//! `tidegate drill hotrow`.

use std::path::PathBuf;

use clap::Args;
use drill::Screen;
use drill::hotrow::{self, Report, Scene};

use super::{Flavour, tell, until_asked_to_stop, verdict};
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
    /// Write all that was measured to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl HotRow {
    pub(super) fn run(self) -> Result<(), Failure> {
        let report = self.play().map_err(Failure::Failed)?;
        tell(&report, self.json.as_deref(), hotrow::table)?;
        verdict(report.guard_is_better(), "the guard was not better than a pool")
    }

    fn play(&self) -> anyhow::Result<Report> {
        let mut scene = if self.quick { Scene::quick() } else { Scene::default() };
        scene.per_second = self.rate.unwrap_or(scene.per_second);
        scene.turns = self.turns.unwrap_or(scene.turns).max(1);
        let screen = Screen::new();
        let engine = self.engine.engine();
        until_asked_to_stop(async { Ok(hotrow::run(engine, &scene, &screen).await?) })
    }
}
