//! `tidegate dashboards`: boards, rules and alerts, for the objectives that one has.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use dashboards::{Objectives, files};

use crate::exit::Failure;
use crate::show::print;

/// Write Grafana boards, and rules and alerts for Prometheus and Alertmanager.
///
/// Those in the folder dashboards of the sources are made with the defaults. What is there is written over.
#[derive(Debug, Args)]
pub(crate) struct Dashboards {
    /// The folder to write them to; it is made if it is not there.
    #[arg(value_name = "FOLDER")]
    into: PathBuf,
    /// Percent of the statements of a class that are neither refused nor cut off nor lost.
    #[arg(long, value_name = "PERCENT", default_value_t = Objectives::default().available)]
    available: f64,
    /// Percent of the statements of a class that are fast.
    #[arg(long, value_name = "PERCENT", default_value_t = Objectives::default().fast)]
    fast: f64,
    /// What is fast: one of the bounds of the guard's histograms.
    #[arg(long, value_name = "SECONDS", default_value_t = Objectives::default().within)]
    within: f64,
}

impl Dashboards {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Self { into, available, fast, within } = self;
        let objectives = Objectives { available, fast, within };
        objectives.check().map_err(|senseless| Failure::Usage(format!("--{senseless}")))?;
        let made = files(&objectives);
        for file in &made {
            let path = into.join(&file.path);
            let folder = path.parent().unwrap_or(&into);
            let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, &file.text));
            written.with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(print(&format!("{} files in {}\n", made.len(), into.display()))?)
    }
}
