//! `tidegate drill holder`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use drill::holder::{self, Scene};

use super::{Flavour, Output};
use crate::exit::Failure;

/// Who keeps the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Keeper {
    /// Its client says nothing more.
    Idle,
    /// Its client goes on with one slow statement after the other.
    Slow,
}

/// One transaction that keeps a row: directly, behind a pool of a fixed size, and behind a guard that
/// melts pile-ups.
///
/// Takes two and a half minutes. Exit code 0 only when behind the guard that melts service was back within two
/// seconds of the row's being free, with one or two transactions rolled back.
#[derive(Debug, Args)]
pub(super) struct Holder {
    /// Which database to run on.
    #[arg(long, value_enum, default_value_t = Flavour::Mariadb)]
    engine: Flavour,
    /// Only one kind of holder.
    #[arg(long, value_enum)]
    holder: Option<Keeper>,
    /// Half the time, and less to be believed.
    #[arg(long)]
    quick: bool,
    /// How long the row is kept if nobody ends that, in seconds.
    #[arg(long, value_name = "SECONDS")]
    hold: Option<u64>,
    /// Transactions that clients begin, a second.
    #[arg(long, value_name = "N", default_value_t = Scene::default().per_second)]
    rate: f64,
    #[command(flatten)]
    output: Output,
}

impl Holder {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut scene = if self.quick { Scene::quick() } else { Scene::default() };
        scene.per_second = self.rate;
        scene.hold = self.hold.map_or(scene.hold, Duration::from_secs);
        match self.holder {
            Some(Keeper::Idle) => scene.holders = vec![holder::Holder::Idle],
            Some(Keeper::Slow) => scene.holders = vec![holder::Holder::Slow],
            None => {}
        }
        let screen = self.output.screen();
        self.output.of(holder::run(self.engine.engine(), &scene, &screen))
    }
}
