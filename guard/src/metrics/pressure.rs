//! How pressed the database is.

use metrics::Gauge;
use policy::pressure::Pressure;

use super::{Each, Make, PressurePart};

/// The pressure and its parts.
#[derive(Debug)]
pub struct PressureMetrics {
    pressure: Gauge,
    parts: Each<PressurePart, Gauge>,
}

impl PressureMetrics {
    pub(super) fn new(make: &Make<'_>) -> Self {
        Self {
            pressure: make.gauge("guard_pressure", &[]),
            parts: make.gauges("guard_pressure_part"),
        }
    }

    /// Shows a reading. What is not known is shown as 0.
    pub fn show(&self, pressure: &Pressure) {
        self.pressure.set(pressure.value());
        let parts = [
            (PressurePart::Limit, pressure.limit),
            (PressurePart::Queue, pressure.queue),
            (PressurePart::Locks, pressure.locks),
            (PressurePart::Lag, pressure.lag.unwrap_or_default()),
            (PressurePart::Errors, pressure.errors),
            (PressurePart::Lost, pressure.lost),
        ];
        for (part, value) in parts {
            self.parts.of(part).set(value);
        }
    }
}
