//! The limit that finds its place by itself.

use metrics::{Counter, Gauge};
use policy::limit::Report;

use super::Make;

/// Where the limit is, and why.
#[derive(Debug)]
pub struct LimitMetrics {
    limit: Gauge,
    base: Gauge,
    knee: Gauge,
    elasticity: Gauge,
    work: Gauge,
    cuts: Counter,
}

impl LimitMetrics {
    pub(super) fn new(make: &Make<'_>) -> Self {
        let gauge = |name| make.gauge(name, &[]);
        Self {
            limit: gauge("guard_limit"),
            base: gauge("guard_limit_base"),
            knee: gauge("guard_limit_knee"),
            elasticity: gauge("guard_limit_elasticity"),
            work: gauge("guard_limit_work"),
            cuts: make.counter("guard_limit_cuts_total", &[]),
        }
    }

    /// Shows it; `None` while it is off.
    pub fn show(&self, report: Option<&Report>) {
        let Some(report) = report else { return self.limit.set(f64::INFINITY) };
        self.limit.set(f64::from(report.limit));
        self.base.set(report.base);
        self.knee.set(report.knee.unwrap_or_default());
        self.elasticity.set(report.elasticity.unwrap_or_default());
        self.work.set(report.work);
        self.cuts.absolute(report.cuts);
    }
}
