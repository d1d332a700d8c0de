//! A board: rows of panels, and what is chosen at its top.

use serde_json::{Value, json};

use crate::panel::{Panel, datasource};
use crate::query::spelled_out;

/// The generation of Grafana's format that boards are written in; Grafana 10.2 and later read it.
const SCHEMA_VERSION: u32 = 39;
/// Columns of a board.
const COLUMNS: u32 = 24;

/// A board.
#[derive(Debug, Clone)]
pub struct Board {
    /// Its name in files and links.
    pub slug: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// What is chosen at its top, beside where the metrics are.
    pub choices: &'static [Choice],
    /// Its rows.
    pub rows: Vec<Row>,
}

/// A row of panels.
#[derive(Debug, Clone)]
pub struct Row {
    /// What its panels have in common.
    pub title: &'static str,
    /// They stand side by side, as many as have room.
    pub panels: Vec<Panel>,
}

/// What is chosen at the top of a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Whose guards: one job for each database.
    Job,
    /// Whose schedulers.
    SchedulerJob,
    /// Which of the guards.
    Instance,
    /// Which classes.
    Class,
    /// Which sinks.
    Sink,
    /// Which replicas.
    Replica,
}

/// What happened: lines through all panels of a board.
const EVENTS: [(&str, &str, &str); 5] = [
    ("Pile-up", "red", "changes(guard_melt_piled_up{@}[@]) > 0"),
    ("Pause", "blue", "changes(guard_paused{@}[@]) > 0"),
    ("Switch", "orange", "changes(guard_switches{@}[@]) > 0"),
    ("Reload", "purple", "sum by (outcome) (increase(guard_reloads_total{@}[@])) > 0"),
    ("Role or restart", "yellow", "increase(guard_database_role_changes_total{@}[@]) > 0"),
];

impl Board {
    /// By which Grafana knows it, and its file is named.
    #[must_use]
    pub fn uid(&self) -> String {
        format!("tidegate-{}", self.slug)
    }

    /// Its panels, in their order.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }

    /// The queries of what happened.
    pub fn events() -> impl Iterator<Item = String> {
        EVENTS.iter().map(|(_, _, query)| spelled_out(query))
    }

    /// Its file.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}\n", self.json())
    }

    fn json(&self) -> Value {
        json!({
            "uid": self.uid(),
            "title": format!("Tidegate / {}", self.title),
            "description": self.description,
            "tags": ["tidegate"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": false,
            "graphTooltip": 1,
            "timezone": "browser",
            "refresh": "10s",
            "time": { "from": "now-30m", "to": "now" },
            "links": [{
                "type": "dashboards", "title": "Tidegate", "tags": ["tidegate"], "asDropdown": true,
                "includeVars": true, "keepTime": true,
            }],
            "templating": { "list": self.variables() },
            "annotations": { "list": self.annotations() },
            "panels": self.grid(),
        })
    }

    fn variables(&self) -> Vec<Value> {
        let source = json!({
            "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
        });
        std::iter::once(source).chain(self.choices.iter().map(|choice| choice.json())).collect()
    }

    fn annotations(&self) -> Vec<Value> {
        // What happens to guards says nothing where only schedulers are chosen.
        let events = EVENTS.iter().filter(|_| self.choices.contains(&Choice::Instance));
        let annotation = |(name, colour, query): &(&str, &str, &str)| {
            json!({
                "name": name,
                "datasource": datasource(),
                "enable": true,
                "iconColor": colour,
                "expr": spelled_out(query),
                "titleFormat": name,
                "textFormat": "{{job}} {{instance}} {{outcome}}",
                "step": "10s",
            })
        };
        events.map(annotation).collect()
    }

    /// Rows from above, panels from the left; a panel that has no room begins a new line.
    fn grid(&self) -> Vec<Value> {
        let (mut all, mut id, mut y) = (Vec::new(), 0, 0);
        for row in &self.rows {
            id += 1;
            all.push(json!({
                "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": { "h": 1, "w": COLUMNS, "x": 0, "y": y },
            }));
            y += 1;
            let (mut x, mut tallest) = (0, 0);
            for panel in &row.panels {
                let (width, height) = panel.size();
                if x + width > COLUMNS {
                    (x, y, tallest) = (0, y + tallest, 0);
                }
                id += 1;
                all.push(panel.json(id, (x, y)));
                (x, tallest) = (x + width, tallest.max(height));
            }
            y += tallest;
        }
        all
    }
}

impl Choice {
    /// Its name in queries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Job | Self::SchedulerJob => "job",
            Self::Instance => "instance",
            Self::Class => "class",
            Self::Sink => "sink",
            Self::Replica => "replica",
        }
    }

    /// What it is chosen from.
    #[must_use]
    pub const fn query(self) -> &'static str {
        match self {
            Self::Job => "label_values(guard_build_info, job)",
            Self::SchedulerJob => "label_values(scheduler_build_info, job)",
            Self::Instance => "label_values(guard_build_info{job=~\"$job\"}, instance)",
            Self::Class => "label_values(guard_in_flight{job=~\"$job\"}, class)",
            Self::Sink => "label_values(scheduler_sent_total{job=~\"$job\"}, sink)",
            Self::Replica => "label_values(guard_replica_fit{job=~\"$job\"}, replica)",
        }
    }

    fn json(self) -> Value {
        const ON_TIME_RANGE_CHANGE: u32 = 2;
        const BY_NAME: u32 = 1;
        let is_job = self.name() == "job";
        let all = json!({ "text": "All", "value": "$__all" });
        json!({
            "name": self.name(),
            "label": self.name(),
            "type": "query",
            "datasource": datasource(),
            "query": { "query": self.query(), "refId": self.name() },
            "refresh": ON_TIME_RANGE_CHANGE,
            "sort": BY_NAME,
            "multi": !is_job,
            "includeAll": !is_job,
            "allValue": if is_job { Value::Null } else { ".+".into() },
            "current": if is_job { json!({}) } else { all },
        })
    }
}
