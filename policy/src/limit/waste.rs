//! Work that was done for nothing.

use super::meter::Measure;

/// Which share of what ends ends badly.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waste {
    ended: f64,
    failed: f64,
}

impl Waste {
    /// What is left of the sums after a tick.
    const KEEPS: f64 = 0.8;
    /// Fewer ends than this say nothing.
    const ENDED_MIN: f64 = 20.0;

    /// One tick more. The share of late, 0 to 1; 0 while too few have ended.
    pub(super) fn learn(&mut self, measure: &Measure) -> f64 {
        self.ended = self.ended * Self::KEEPS + f64::from(measure.ended);
        self.failed = self.failed * Self::KEEPS + f64::from(measure.failed);
        if self.ended < Self::ENDED_MIN { 0.0 } else { self.failed / self.ended }
    }
}
