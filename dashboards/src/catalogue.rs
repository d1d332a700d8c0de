//! The tables of metrics of guard and scheduler as one.

use guard::metrics::table as of_guard;
use scheduler::metrics::table as of_scheduler;

/// A metric, of either program.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels, with their values where those are a closed set.
    pub labels: Vec<(&'static str, Option<Vec<&'static str>>)>,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

/// Every metric, the guard's first.
#[must_use]
pub fn all() -> Vec<Known> {
    let guard = of_guard::METRICS.iter().map(Known::of_guard);
    guard.chain(of_scheduler::METRICS.iter().map(Known::of_scheduler)).collect()
}

impl Known {
    fn of_guard(metric: &'static of_guard::Metric) -> Self {
        let label = |values: &of_guard::Values| match values {
            of_guard::Values::Set(name, values) => (*name, Some(values())),
            open => (open.name(), None),
        };
        Self {
            name: metric.name,
            kind: match metric.r#type {
                of_guard::Type::Counter => Kind::Counter,
                of_guard::Type::Gauge => Kind::Gauge,
                of_guard::Type::Histogram => Kind::Histogram,
            },
            labels: metric.labels.iter().map(label).collect(),
        }
    }

    fn of_scheduler(metric: &'static of_scheduler::Metric) -> Self {
        let label = |values: &of_scheduler::Values| match values {
            of_scheduler::Values::Set(name, values) => (*name, Some(values.to_vec())),
            open => (open.name(), None),
        };
        Self {
            name: metric.name,
            kind: match metric.kind {
                of_scheduler::Kind::Counter => Kind::Counter,
                of_scheduler::Kind::Gauge => Kind::Gauge,
                of_scheduler::Kind::Histogram => Kind::Histogram,
            },
            labels: metric.labels.iter().map(label).collect(),
        }
    }
}
