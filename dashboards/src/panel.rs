//! A panel of a board: what it shows, in which unit, and how.

use serde_json::{Value, json};

use crate::query::spelled_out;

/// A panel.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What it shows, in a few words.
    pub title: &'static str,
    /// How to read it: one or two sentences.
    pub description: &'static str,
    /// The unit of its values.
    pub unit: Unit,
    /// How it shows them.
    pub look: Look,
    /// Its queries.
    pub queries: Vec<Query>,
    /// From where on it is yellow, and red.
    steps: Option<(f64, f64)>,
    /// Values that have words.
    words: Vec<(i64, &'static str, &'static str)>,
}

/// What one line, or one group of lines, is made of.
#[derive(Debug, Clone)]
pub struct Query {
    /// PromQL, spelled out.
    pub expr: String,
    /// The name of a line, with labels in double braces.
    pub legend: &'static str,
}

/// The unit of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Things a second.
    PerSecond,
    /// 1 is all.
    Share,
    /// Bytes.
    Bytes,
    /// A number that is no count, such as a weight.
    Number,
    /// A moment, in seconds since 1970.
    Moment,
}

/// How values are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Lines over time.
    Lines,
    /// Areas over time, one upon the other.
    Stack,
    /// The newest value, large.
    Figure,
    /// States over time, as stripes.
    Stripes,
    /// Buckets of a histogram over time.
    Heat,
    /// The newest values, one row for each set of labels.
    Table,
}

impl Unit {
    /// As Grafana calls it.
    const fn id(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::Seconds => "s",
            Self::PerSecond => "ops",
            Self::Share => "percentunit",
            Self::Bytes => "bytes",
            Self::Number => "none",
            Self::Moment => "dateTimeFromNow",
        }
    }
}

impl Panel {
    /// One that shows lines.
    pub(crate) fn new(title: &'static str, unit: Unit, description: &'static str) -> Self {
        Self {
            title,
            description,
            unit,
            look: Look::Lines,
            queries: Vec::new(),
            steps: None,
            words: Vec::new(),
        }
    }

    /// With one more query.
    pub(crate) fn line(mut self, legend: &'static str, query: impl AsRef<str>) -> Self {
        self.queries.push(Query { expr: spelled_out(query.as_ref()), legend });
        self
    }

    /// Shown in another way.
    pub(crate) fn shown(mut self, look: Look) -> Self {
        self.look = look;
        self
    }

    /// Yellow from `warn` on, red from `alarm` on; the other way round where `alarm` is the lower.
    pub(crate) fn steps(mut self, warn: f64, alarm: f64) -> Self {
        self.steps = Some((warn, alarm));
        self
    }

    /// With a word and a colour for a value.
    pub(crate) fn word(mut self, value: i64, word: &'static str, colour: &'static str) -> Self {
        self.words.push((value, word, colour));
        self
    }

    /// Columns of 24, and rows of about a centimetre.
    pub(crate) fn size(&self) -> (u32, u32) {
        match self.look {
            Look::Figure => (4, 4),
            Look::Table | Look::Stripes => (12, 7),
            _ => (8, 8),
        }
    }

    /// As Grafana reads it.
    pub(crate) fn json(&self, id: u32, (x, y): (u32, u32)) -> Value {
        let (w, h) = self.size();
        json!({
            "id": id,
            "type": self.look.id(),
            "title": self.title,
            "description": self.description,
            "datasource": datasource(),
            "gridPos": { "h": h, "w": w, "x": x, "y": y },
            "targets": self.targets(),
            "fieldConfig": { "defaults": self.field(), "overrides": [] },
            "options": self.look.options(),
            "transformations": self.look.transformations(),
        })
    }

    fn targets(&self) -> Vec<Value> {
        let is_instant = matches!(self.look, Look::Table);
        let format = match self.look {
            Look::Table => "table",
            Look::Heat => "heatmap",
            _ => "time_series",
        };
        let target = |(query, name): (&Query, char)| {
            json!({
                "refId": name.to_string(),
                "datasource": datasource(),
                "expr": query.expr,
                "legendFormat": query.legend,
                "range": !is_instant,
                "instant": is_instant,
                "format": format,
            })
        };
        self.queries.iter().zip('A'..='Z').map(target).collect()
    }

    fn field(&self) -> Value {
        let mut field = json!({
            "unit": self.unit.id(),
            "color": { "mode": "palette-classic" },
            "custom": self.look.custom(),
            "thresholds": { "mode": "absolute", "steps": [{ "color": "green", "value": null }] },
            "mappings": [],
        });
        if matches!(self.look, Look::Lines | Look::Stack) {
            field["min"] = json!(0);
        }
        if let Some((warn, alarm)) = self.steps {
            field["thresholds"]["steps"] = steps(warn, alarm);
        }
        if matches!(self.look, Look::Figure | Look::Stripes) {
            field["color"]["mode"] = json!("thresholds");
        }
        if !self.words.is_empty() {
            let words = self.words.iter().map(|(value, word, colour)| {
                (value.to_string(), json!({ "text": word, "color": colour, "index": 0 }))
            });
            let options: serde_json::Map<_, _> = words.collect();
            field["mappings"] = json!([{ "type": "value", "options": options }]);
        }
        field
    }
}

fn steps(warn: f64, alarm: f64) -> Value {
    let step = |colour: &str, value: Value| json!({ "color": colour, "value": value });
    if warn < alarm {
        json!([step("green", Value::Null), step("yellow", warn.into()), step("red", alarm.into())])
    } else {
        json!([step("red", Value::Null), step("yellow", alarm.into()), step("green", warn.into())])
    }
}

impl Look {
    const fn id(self) -> &'static str {
        match self {
            Self::Lines | Self::Stack => "timeseries",
            Self::Figure => "stat",
            Self::Stripes => "state-timeline",
            Self::Heat => "heatmap",
            Self::Table => "table",
        }
    }

    fn custom(self) -> Value {
        let lines = |fill: u32, stacking: &str| {
            json!({
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": fill,
                "showPoints": "never",
                "spanNulls": false,
                "stacking": { "mode": stacking, "group": "A" },
            })
        };
        match self {
            Self::Lines => lines(8, "none"),
            Self::Stack => lines(60, "normal"),
            Self::Stripes => json!({ "fillOpacity": 70, "lineWidth": 0 }),
            _ => json!({}),
        }
    }

    fn options(self) -> Value {
        let newest = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
        match self {
            Self::Lines | Self::Stack => json!({
                "legend": { "displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"] },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
            Self::Figure => json!({
                "reduceOptions": newest, "colorMode": "background", "graphMode": "area",
                "justifyMode": "center", "textMode": "value",
            }),
            Self::Stripes => json!({
                "showValue": "auto", "mergeValues": true, "rowHeight": 0.8,
                "legend": { "displayMode": "list", "placement": "bottom" },
            }),
            Self::Heat => json!({
                "calculate": false, "yAxis": { "unit": "s" }, "cellGap": 0,
                "color": { "mode": "scheme", "scheme": "Oranges", "steps": 64 },
                "tooltip": { "mode": "single", "yHistogram": true },
            }),
            Self::Table => json!({ "showHeader": true }),
        }
    }

    /// The queries of a table side by side, without columns that say nothing.
    fn transformations(self) -> Value {
        match self {
            Self::Table => json!([
                { "id": "merge", "options": {} },
                { "id": "organize", "options": { "excludeByName": { "Time": true } } },
            ]),
            _ => json!([]),
        }
    }
}

/// Whichever Prometheus was chosen at the top of the board.
pub(crate) fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}
