//! The flight recorder.

use metrics::{Counter, Gauge};
use policy::trigger::Cause;

use super::{Each, Make};

/// What was recorded.
#[derive(Debug)]
pub struct RecorderMetrics {
    /// Recordings by their cause.
    pub recordings: Each<Cause, Counter>,
    /// What the recorder has in memory.
    pub bytes: Gauge,
}

impl RecorderMetrics {
    pub(super) fn new(make: &Make<'_>) -> Self {
        Self {
            recordings: make.counters("guard_recordings_total"),
            bytes: make.gauge("guard_recorder_bytes", &[]),
        }
    }
}
