//! An alert: when, how urgent, what it says, what to do, and the proof that it fires.

use crate::File;
use crate::yaml::put;

/// Where the runbook is, under which each alert has a heading.
const RUNBOOK: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/alerts.md");

/// An alert.
#[derive(Debug, Clone)]
pub struct Alert {
    /// Its name.
    pub name: &'static str,
    /// Where it is evaluated.
    pub group: Group,
    /// Who hears of it.
    pub severity: Severity,
    /// For how long it must hold; empty for not at all.
    pub hold: &'static str,
    /// For how long it goes on when it holds no more; empty for not at all. So a page does not come and go, and keeps quiet
    /// what it has set off and what ends later.
    pub keep: &'static str,
    /// PromQL.
    pub expr: String,
    /// One line for the pager, with labels and the value.
    pub summary: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do, the first thing first.
    pub steps: &'static [&'static str],
    /// The board that shows it.
    pub board: &'static str,
    /// What makes it fire, and what does not.
    pub proof: Vec<Scene>,
}

/// Who hears of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Somebody, now.
    Page,
    /// Somebody, today.
    Ticket,
    /// Nobody; it keeps others quiet, or stands beside them.
    Info,
}

/// Rules that are evaluated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// What must be known within seconds.
    TipOver,
    /// Guards and what they see.
    Guard,
    /// Objectives.
    Objectives,
    /// Schedulers.
    Scheduler,
}

/// Series, and whether an alert fires then.
#[derive(Debug, Clone)]
pub struct Scene {
    /// What it is about, as a sentence.
    pub about: &'static str,
    /// Series with their values, in promtool's notation, as far apart as the group is evaluated.
    pub series: Vec<(String, String)>,
    /// When is looked.
    pub at: &'static str,
    /// How many fire then: one for each set of labels.
    pub fires: u32,
}

impl Severity {
    /// The value of the label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
            Self::Info => "info",
        }
    }
}

impl Group {
    /// All, in the order of the file.
    pub const ALL: [Self; 4] = [Self::TipOver, Self::Guard, Self::Objectives, Self::Scheduler];

    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TipOver => "tip-over",
            Self::Guard => "guard",
            Self::Objectives => "objectives",
            Self::Scheduler => "scheduler",
        }
    }

    /// How often its rules are evaluated.
    pub(crate) const fn every(self) -> &'static str {
        match self {
            Self::TipOver => "2s",
            Self::Guard | Self::Scheduler => "15s",
            Self::Objectives => "30s",
        }
    }
}

impl Scene {
    /// One in which it fires, for one set of labels.
    pub(crate) fn fires(about: &'static str, at: &'static str, series: &[(&str, &str)]) -> Self {
        let series = series.iter().map(|(series, values)| ((*series).into(), (*values).into()));
        Self { about, series: series.collect(), at, fires: 1 }
    }

    /// One in which it does not.
    pub(crate) fn quiet(about: &'static str, at: &'static str, series: &[(&str, &str)]) -> Self {
        Self { fires: 0, ..Self::fires(about, at, series) }
    }
}

impl Alert {
    /// Where is written what to do.
    #[must_use]
    pub fn runbook(&self) -> String {
        format!("{RUNBOOK}#{}", self.name.to_lowercase())
    }

    fn put(&self, text: &mut String) {
        text.push_str(&format!("      - alert: {}\n", self.name));
        put(text, 8, "expr", &self.expr);
        if !self.hold.is_empty() {
            text.push_str(&format!("        for: {}\n", self.hold));
        }
        if !self.keep.is_empty() {
            text.push_str(&format!("        keep_firing_for: {}\n", self.keep));
        }
        text.push_str(&format!("        labels:\n          severity: {}\n", self.severity.name()));
        text.push_str("        annotations:\n");
        put(text, 10, "summary", self.summary);
        put(text, 10, "description", self.meaning);
        if let Some(first) = self.steps.first() {
            put(text, 10, "first_action", first);
        }
        put(text, 10, "runbook_url", &self.runbook());
        put(text, 10, "dashboard", &format!("tidegate-{}", self.board));
    }
}

/// One file for each group.
pub(crate) fn files(alerts: &[Alert]) -> impl Iterator<Item = File> {
    Group::ALL.into_iter().map(|group| {
        let (name, every) = (group.name(), group.every());
        let mut text = format!(
            "# Made by tidegate; what is changed here is lost. See docs/dashboards.md and docs/alerts.md.\n\
             groups:\n  - name: tidegate-{name}\n    interval: {every}\n    rules:\n"
        );
        alerts.iter().filter(|alert| alert.group == group).for_each(|alert| alert.put(&mut text));
        File::new(format!("prometheus/tidegate-{name}.yaml"), text)
    })
}
