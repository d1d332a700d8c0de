//! Grafana boards, recording rules and alerts, made of the tables of metrics.
//!
//! [`files`] makes all of them, always the same for the same [`Objectives`]; those that lie in this folder
//! are what it makes of the default. `tidegate dashboards` writes them with others.
//!
//! | folder | what |
//! |---|---|
//! | `grafana/` | the boards |
//! | `prometheus/` | recording rules, alerts, and unit tests of the alerts for `promtool` |
//! | `alertmanager/` | routes, and which alert keeps which other quiet |
//! | `provisioning/` | what tells Grafana where the boards are, and where Prometheus is |
//!
//! A query names metrics as they are in [`catalogue`]; tests parse every one of them and look each name, label
//! and value up there. So a metric that is renamed cannot leave an empty panel or an alert that never fires behind.

pub mod alert;
pub mod alerts;
pub mod board;
pub mod boards;
pub mod catalogue;
mod inhibition;
pub mod objectives;
pub mod panel;
mod proof;
mod provisioning;
pub mod query;
pub mod recording;
mod runbook;
mod yaml;

pub use self::objectives::Objectives;
pub use self::runbook::page as runbook;

/// A file that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it belongs, under the folder of all of them.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl File {
    fn new(path: impl Into<String>, text: String) -> Self {
        Self { path: path.into(), text }
    }
}

/// All files, in the order of their folders.
#[must_use]
pub fn files(objectives: &Objectives) -> Vec<File> {
    let rules = recording::rules(objectives);
    let alerts = alerts::all(objectives);
    let mut files: Vec<File> = boards::all(objectives)
        .iter()
        .map(|board| File::new(format!("grafana/{}.json", board.uid()), board.text()))
        .collect();
    files.extend([
        File::new("prometheus/tidegate-recording.yaml", recording::text(&rules)),
        File::new("alertmanager/alertmanager.yaml", inhibition::text()),
    ]);
    files.extend(alert::files(&alerts));
    files.extend(proof::files(&alerts));
    files.extend(provisioning::files());
    files
}

#[cfg(test)]
mod tests;
