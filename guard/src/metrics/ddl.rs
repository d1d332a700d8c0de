//! Tables that a statement waits to have for itself.

use metrics::{Counter, Gauge};

use super::{Histogram, Make};
use crate::control::DdlStatus;

/// What is done about tables that somebody wants for himself.
#[derive(Debug)]
pub struct DdlMetrics {
    tables: Gauge,
    parked: Gauge,
    parked_total: Counter,
    refused: Counter,
    would_park: Counter,
    /// Seconds that transactions were parked, let go or not.
    pub wait_time: Histogram,
}

impl DdlMetrics {
    pub(super) fn new(make: &Make<'_>) -> Self {
        Self {
            tables: make.gauge("guard_ddl_tables", &[]),
            parked: make.gauge("guard_ddl_parked", &[]),
            parked_total: make.counter("guard_ddl_parked_total", &[]),
            refused: make.counter("guard_ddl_refused_total", &[]),
            would_park: make.counter("guard_ddl_would_park_total", &[]),
            wait_time: Histogram::default(),
        }
    }

    /// Shows what is known of tables. Call it before rendering.
    pub fn show(&self, status: &DdlStatus) {
        self.tables.set(status.tables.len() as f64);
        self.parked.set(status.parked);
        self.parked_total.absolute(status.counts.parked);
        self.refused.absolute(status.counts.refused);
        self.would_park.absolute(status.counts.would_park);
    }
}
