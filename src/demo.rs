//! `tidegate demo`: what Tidegate is for, on private servers, first without it and then with it.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use drill::Screen;
use drill::demo::{self, Report, Scenes};
use drill::server::engine::Engine;
use tokio::signal::unix::{SignalKind, signal};

use crate::drill::output::Page;
use crate::exit::Failure;

/// Which database the demo runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Flavour {
    /// A private MariaDB of the Debian release.
    Mysql,
    /// A private PostgreSQL of the Debian release.
    Postgres,
}

/// A part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Act {
    /// One row that everybody wants.
    Pileup,
    /// Reminders that are all due at once.
    Hour,
}

/// Show what Tidegate is for on a private MariaDB or PostgreSQL, each first without it and then with it: a
/// pile-up, and the top of the hour.
///
/// Exit code 1 when it was not better with Tidegate, or reminders were lost or doubled.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Which database to run on.
    #[arg(value_enum, default_value_t = Flavour::Mysql)]
    flavour: Flavour,
    /// Play this act only.
    #[arg(long, value_enum)]
    only: Option<Act>,
    /// In the pile-up: clients that arrive at once when the storm breaks. Default: 400.
    #[arg(long)]
    clients: Option<usize>,
    /// At the top of the hour: how many reminders are due. Default: 100,000.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    reminders: Option<u64>,
    /// Print the result as JSON, and nothing else.
    #[arg(long)]
    json: bool,
    /// Write a page with tables and plots, which needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Demo {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let page = Page::open(self.html.as_deref())?;
        let report = self.play().map_err(Failure::Failed)?;
        if self.json {
            let json = serde_json::to_string_pretty(&report).map_err(anyhow::Error::from);
            println!("{}", json.map_err(Failure::Failed)?);
        } else {
            println!("\n{}", demo::table(&report));
        }
        let acts = report.sheets().into_iter().map(|act| (act.name.to_owned(), act));
        let acts: Vec<_> = acts.collect();
        page.write("Without Tidegate, and with it", "tidegate demo", &acts)?;
        if let Some(path) = self.html.filter(|_| !self.json) {
            println!("\nThe same as a page, with plots: {}", path.display());
        }
        match report.failures() {
            failures if failures.is_empty() => Ok(()),
            failures => Err(Failure::Failed(anyhow!(failures.join("; ")))),
        }
    }

    fn play(&self) -> anyhow::Result<Report> {
        let engine = match self.flavour {
            Flavour::Mysql => Engine::MariaDb,
            Flavour::Postgres => Engine::Postgres,
        };
        let scenes = self.scenes(engine);
        let screen = if self.json { Screen::quiet() } else { Screen::new() };
        let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
        runtime.block_on(async {
            tokio::select! {
                report = demo::run(engine, &scenes, &screen) => Ok(report?),
                // Leaving in order removes the servers' folders.
                asked = asked_to_stop() => {
                    asked?;
                    Err(anyhow!("interrupted"))
                }
            }
        })
    }

    fn scenes(&self, engine: Engine) -> Scenes {
        let Scenes { mut pileup, mut hour } = Scenes::of(engine);
        if let (Some(scene), Some(clients)) = (&mut pileup, self.clients) {
            scene.crowd = clients;
        }
        if let (Some(scene), Some(reminders)) = (&mut hour, self.reminders) {
            scene.reminders = reminders;
        }
        Scenes {
            pileup: pileup.filter(|_| self.only != Some(Act::Hour)),
            hour: hour.filter(|_| self.only != Some(Act::Pileup)),
        }
    }
}

/// Returns when the person at the terminal, or whoever runs it, has had enough.
pub(crate) async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}
