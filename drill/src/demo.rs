//! `tidegate demo`: what Tidegate is for, in two acts on private servers, each first without it and then with it.
//!
//! [`pileup`]: a row that everybody wants, and clients that do not wait. [`hour`]: the top of the hour, when all
//! reminders are due at once beside the application.

pub mod hour;
pub mod pileup;

use serde::Serialize;

use crate::error::Error;
use crate::screen::Screen;
use crate::server::engine::Engine;
use crate::sheet::{self, Sheet};

/// Which acts are played, and how. Default: both.
#[derive(Debug, Clone)]
pub struct Scenes {
    /// The first act.
    pub pileup: Option<pileup::Scene>,
    /// The second act.
    pub hour: Option<hour::Scene>,
}

impl Scenes {
    /// Both acts, as they are shown on servers of that kind: about a minute and a half.
    #[must_use]
    pub fn of(engine: Engine) -> Self {
        Self { pileup: Some(pileup::Scene::default()), hour: Some(hour::Scene::of(engine)) }
    }
}

/// What came of the acts that were played.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// On which server.
    pub engine: Engine,
    /// Of the first act.
    pub pileup: Option<pileup::Report>,
    /// Of the second act.
    pub hour: Option<hour::Report>,
}

impl Report {
    /// What is told of each act.
    #[must_use]
    pub fn sheets(&self) -> Vec<Sheet> {
        let pileup = self.pileup.as_ref().map(sheet::Report::sheet);
        pileup.into_iter().chain(self.hour.as_ref().map(sheet::Report::sheet)).collect()
    }

    /// What did not come out as it should, in words; nothing when all did.
    #[must_use]
    pub fn failures(&self) -> Vec<&'static str> {
        let pileup = self.pileup.as_ref().is_some_and(|report| !report.guard_is_better());
        let hour = self.hour.as_ref().map(hour::Report::failures).unwrap_or_default();
        let pileup = pileup.then_some("the pile-up: the run through the guard was not better");
        pileup.into_iter().chain(hour).collect()
    }
}

/// Plays the acts, telling `screen` as it goes.
///
/// # Errors
/// When a server is not installed, or one of the programs does not start or is lost.
pub async fn run(engine: Engine, scenes: &Scenes, screen: &Screen) -> Result<Report, Error> {
    let pileup = match &scenes.pileup {
        Some(scene) => Some(pileup::run(engine, scene, screen).await?),
        None => None,
    };
    let hour = match &scenes.hour {
        Some(scene) => Some(hour::run(engine, scene, screen).await?),
        None => None,
    };
    Ok(Report { engine, pileup, hour })
}

/// The report as plain text: curves, and a table for each act.
#[must_use]
pub fn table(report: &Report) -> String {
    let pileup = report.pileup.as_ref().map(pileup::table);
    let hour = report.hour.as_ref().map(hour::table);
    pileup.into_iter().chain(hour).collect::<Vec<_>>().join("\n")
}
