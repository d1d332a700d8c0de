//! Reads a query, and looks up every name, label and value in it. Returns which labels are left.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, BinaryExpr, Expr, LabelModifier, VectorSelector};

use crate::catalogue::{self, Kind};
use crate::recording::Rule;

/// The labels of a result.
pub(super) type Left = BTreeSet<String>;

/// Where a query stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// On a board: rates are over `$__rate_interval`.
    Board,
    /// In a rule.
    Rule,
}

/// What there is to be named.
pub(super) struct Lint {
    metrics: BTreeMap<String, Metric>,
}

struct Metric {
    /// Whether it only grows; `None` where that does not matter.
    grows: Option<bool>,
    labels: BTreeMap<String, Option<Vec<&'static str>>>,
}

/// What `$__rate_interval` is replaced with: no rule has such a window.
const INTERVAL: &str = "4m7s";
/// Series that Prometheus makes itself.
const OF_PROMETHEUS: [&str; 3] = ["up", "scrape_duration_seconds", "scrape_samples_scraped"];
/// What may be asked of a counter.
const OF_COUNTERS: [&str; 3] = ["rate", "irate", "increase"];
/// What may be asked of either.
const OF_ANY: [&str; 3] = ["changes", "resets", "last_over_time"];

/// The names of metrics in a query, and other words.
pub(super) fn names(query: &str) -> impl Iterator<Item = &str> {
    query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
}

/// The metric that a series belongs to.
pub(super) fn base(series: &str) -> &str {
    let ends = ["_bucket", "_count", "_sum"];
    ends.iter().find_map(|end| series.strip_suffix(end)).unwrap_or(series)
}

impl Lint {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut metrics = BTreeMap::new();
        for known in catalogue::all() {
            let own = known.labels.iter().map(|(name, values)| ((*name).into(), values.clone()));
            let labels: BTreeMap<_, _> = own.chain(target()).collect();
            let mut add = |end: &str, grows, more: Option<&str>| {
                let more = more.map(|label| (label.to_owned(), None));
                let labels = labels.clone().into_iter().chain(more).collect();
                metrics
                    .insert(format!("{}{end}", known.name), Metric { grows: Some(grows), labels });
            };
            match known.kind {
                Kind::Histogram => {
                    add("_bucket", true, Some("le"));
                    add("_count", true, None);
                    add("_sum", true, None);
                }
                kind => add("", kind == Kind::Counter, None),
            }
        }
        for rule in rules {
            let labels = rule.labels.iter().map(|label| ((*label).into(), None)).collect();
            metrics.insert(rule.name.clone(), Metric { grows: Some(false), labels });
        }
        for name in OF_PROMETHEUS {
            metrics.insert(name.into(), Metric { grows: None, labels: target().collect() });
        }
        Self { metrics }
    }

    pub(super) fn check(&self, query: &str, place: Place) -> Result<Left, String> {
        let mut query = query.replace("$__rate_interval", INTERVAL);
        for choice in ["job", "instance", "class", "sink", "replica"] {
            query = query.replace(&format!("${choice}"), ".+");
        }
        self.left(&parser::parse(&query)?, None, place)
    }

    fn left(&self, expr: &Expr, within: Option<&str>, place: Place) -> Result<Left, String> {
        match expr {
            Expr::Paren(inner) => self.left(&inner.expr, within, place),
            Expr::Unary(inner) => self.left(&inner.expr, within, place),
            Expr::Subquery(inner) => self.left(&inner.expr, None, place),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(Left::new()),
            Expr::VectorSelector(selector) => self.selected(selector, within),
            Expr::MatrixSelector(matrix) => {
                let is_usual = format!("{}s", matrix.range.as_secs()) == "247s";
                let is_rate = within.is_some_and(|name| name != "last_over_time");
                if place == Place::Board && is_rate && !is_usual {
                    return Err("a rate that is not over $__rate_interval".into());
                }
                self.selected(&matrix.vs, within.or(Some("nothing")))
            }
            Expr::Aggregate(aggregate) => {
                let inner = self.left(&aggregate.expr, None, place)?;
                match &aggregate.modifier {
                    None => Ok(Left::new()),
                    Some(LabelModifier::Include(by)) => picked(&inner, &by.labels),
                    Some(LabelModifier::Exclude(without)) => {
                        let gone = picked(&inner, &without.labels)?;
                        Ok(inner.difference(&gone).cloned().collect())
                    }
                }
            }
            Expr::Binary(binary) => self.joined(binary, place),
            Expr::Call(call) => {
                let name = call.func.name;
                let mut left = Left::new();
                for argument in &call.args.args {
                    left.extend(self.left(argument, Some(name), place)?);
                }
                if name == "histogram_quantile" && !left.remove("le") {
                    return Err("a quantile of what has no le".into());
                }
                Ok(left)
            }
            Expr::Extension(_) => Err("an extension".into()),
        }
    }

    fn selected(&self, selector: &VectorSelector, within: Option<&str>) -> Result<Left, String> {
        let name = selector.name.as_deref().ok_or("a selector without a name")?;
        let metric = self.metrics.get(name).ok_or_else(|| format!("{name}: no such metric"))?;
        match (metric.grows, within) {
            (Some(true), Some(function)) if OF_COUNTERS.contains(&function) => {}
            (_, Some(function)) if OF_ANY.contains(&function) => {}
            (Some(true), _) => return Err(format!("{name} is a counter: take its rate")),
            (Some(false), Some(function)) if OF_COUNTERS.contains(&function) => {
                return Err(format!("{name} is no counter: it has no {function}"));
            }
            _ => {}
        }
        for matcher in &selector.matchers.matchers {
            metric.check(name, matcher)?;
        }
        Ok(metric.labels.keys().cloned().collect())
    }

    fn joined(&self, binary: &BinaryExpr, place: Place) -> Result<Left, String> {
        let (lhs, rhs) =
            (self.left(&binary.lhs, None, place)?, self.left(&binary.rhs, None, place)?);
        if is_number(&binary.rhs) {
            return Ok(lhs);
        }
        if is_number(&binary.lhs) {
            return Ok(rhs);
        }
        let op = binary.op.to_string();
        let is_set = matches!(op.as_str(), "and" | "or" | "unless");
        match binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref()) {
            Some(LabelModifier::Include(on)) => {
                let (on, _) = (picked(&lhs, &on.labels)?, picked(&rhs, &on.labels)?);
                Ok(if is_set { lhs } else { on })
            }
            Some(LabelModifier::Exclude(_)) => Err("ignoring: say on instead".into()),
            // Alternatives: both may be left.
            None if op == "or" => Ok(lhs.intersection(&rhs).cloned().collect()),
            None if lhs != rhs => {
                Err(format!("{lhs:?} {op} {rhs:?}: never the same labels, so never a result"))
            }
            None => Ok(lhs),
        }
    }
}

impl Metric {
    fn check(&self, name: &str, matcher: &Matcher) -> Result<(), String> {
        let label = &matcher.name;
        let values =
            self.labels.get(label).ok_or_else(|| format!("{name} has no label {label}"))?;
        if label == "le" {
            let bound = matcher.value.trim_end_matches("(?:[.]0)?");
            let is_bound = is_bound(name, bound);
            return is_bound
                .then_some(())
                .ok_or_else(|| format!("{name} has no bound at {}", matcher.value));
        }
        let Some(values) = values else { return Ok(()) };
        let named: Vec<&str> = match matcher.op {
            MatchOp::Re(_) | MatchOp::NotRe(_) => matcher.value.split('|').collect(),
            _ => vec![&matcher.value],
        };
        match named.iter().find(|value| !values.contains(value)) {
            Some(value) => Err(format!("{label} of {name} is never {value}")),
            None => Ok(()),
        }
    }
}

/// Whether it is a number, or is computed of numbers alone.
fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::NumberLiteral(_) => true,
        Expr::Paren(inner) => is_number(&inner.expr),
        Expr::Binary(binary) => is_number(&binary.lhs) && is_number(&binary.rhs),
        _ => false,
    }
}

/// The labels that Prometheus adds.
fn target() -> impl Iterator<Item = (String, Option<Vec<&'static str>>)> {
    ["job", "instance"].into_iter().map(|label| (label.into(), None))
}

/// Whether the guard, or the scheduler, counts up to there.
fn is_bound(name: &str, bound: &str) -> bool {
    match name.starts_with("guard_") {
        true => guard::metrics::table::bounds().any(|one| one.to_string() == bound),
        false => scheduler::metrics::table::bounds().any(|one| one.to_string() == bound),
    }
}

fn picked(from: &Left, labels: &[String]) -> Result<Left, String> {
    match labels.iter().find(|label| !from.contains(*label)) {
        Some(label) => Err(format!("{label} is none of {from:?}")),
        None => Ok(labels.iter().cloned().collect()),
    }
}
