//! What the application is expected to do to the database meanwhile.

use std::time::Duration;

/// No forecast has more buckets: a week of seconds.
pub const BUCKETS_MAX: usize = 7 * 24 * 3600;

/// The load to be expected beside the batches, by buckets of equal length from the origin.
///
/// Load is work a second, in whatever unit the cost of an item is given: statements, transactions,
/// or milliseconds in flight.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    step: Duration,
    loads: Vec<f64>,
}

/// Why something is no forecast.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ForecastError {
    /// A bucket has no length.
    #[error("the buckets of a forecast have a length above 0")]
    NoStep,
    /// There are none.
    #[error("a forecast has one bucket at least")]
    NoBuckets,
    /// There are too many.
    #[error("{0} buckets: a forecast has at most {BUCKETS_MAX}, a week of seconds")]
    TooMany(usize),
    /// A load is below 0, or no number.
    #[error("bucket {bucket} has a load of {load}: it has to be a number, 0 or above")]
    Load {
        /// Which bucket, counted from 0.
        bucket: usize,
        /// What it says.
        load: f64,
    },
}

impl Forecast {
    /// Loads by buckets of this length.
    ///
    /// # Errors
    /// When there is no bucket or more than [`BUCKETS_MAX`], when they have no length, or a load is negative
    /// or not finite.
    pub fn new(step: Duration, loads: Vec<f64>) -> Result<Self, ForecastError> {
        if step.is_zero() {
            return Err(ForecastError::NoStep);
        }
        if loads.is_empty() {
            return Err(ForecastError::NoBuckets);
        }
        if loads.len() > BUCKETS_MAX {
            return Err(ForecastError::TooMany(loads.len()));
        }
        let wrong = |load: &f64| !load.is_finite() || *load < 0.0;
        if let Some(bucket) = loads.iter().position(wrong) {
            return Err(ForecastError::Load { bucket, load: loads[bucket] });
        }
        Ok(Self { step, loads })
    }

    /// The same load at all times: what is assumed when nothing is known.
    #[must_use]
    pub fn flat(load: f64) -> Self {
        let load = if load.is_finite() { load.max(0.0) } else { 0.0 };
        Self { step: Duration::from_secs(1), loads: vec![load] }
    }

    /// The load at a moment. After its end a forecast goes on with its last bucket.
    #[must_use]
    pub fn at(&self, moment: Duration) -> f64 {
        let bucket = (moment.as_nanos() / self.step.as_nanos()) as usize;
        self.loads[bucket.min(self.loads.len() - 1)]
    }

    /// How long a bucket is.
    #[must_use]
    pub const fn step(&self) -> Duration {
        self.step
    }

    /// When its last bucket ends; from then on, it is an assumption.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.step.saturating_mul(self.loads.len() as u32)
    }

    /// Where within `from..to` the load may change.
    pub(super) fn edges(&self, from: Duration, to: Duration) -> impl Iterator<Item = Duration> {
        let first = (from.as_nanos() / self.step.as_nanos()) as usize + 1;
        // The last bucket goes on without an edge.
        let edges = first.min(self.loads.len())..self.loads.len();
        edges
            .map(|bucket| self.step.saturating_mul(bucket as u32))
            .take_while(move |edge| *edge < to)
    }
}
