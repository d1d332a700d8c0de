//! What is promised to clients, and what is measured of it.
//!
//! Two objectives hold for each class. *Available*: of all statements, so many are not refused, cut off or lost.
//! *Fast*: so many take at most so long in the database, in transactions that waited at most so long for their turn.
//! What may miss an objective is its budget; the alerts ask how many times as fast as allowed it burns, over a long and a
//! short window together (Google's SRE Workbook, chapter 5, table 5-8), so that they neither wake anybody for a
//! hiccup nor go on after the end.

use guard::metrics::table::bounds;

/// The objectives of all classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Objectives {
    /// Percent of the statements that are neither refused nor cut off nor lost. From 50 to below 100.
    pub available: f64,
    /// Percent of the statements that are fast. From 50 to below 100.
    pub fast: f64,
    /// What is fast, in seconds: a bound of the guard's histograms.
    pub within: f64,
}

/// Why objectives make no sense.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Senseless {
    /// A percentage without a budget, or with one that never burns.
    #[error("{what} = {percent}: expected a percentage from 50 to below 100, such as 99.9")]
    Percent {
        /// Which objective.
        what: &'static str,
        /// What was said.
        percent: f64,
    },
    /// A time that no histogram has a bound at.
    #[error("within = {seconds}: the guard counts up to {}; expected one of these, in seconds", .known.join(", "))]
    Within {
        /// What was said.
        seconds: f64,
        /// What there is.
        known: Vec<String>,
    },
}

impl Default for Objectives {
    /// 99.9 % available; 99 % within a quarter of a second.
    fn default() -> Self {
        Self { available: 99.9, fast: 99.0, within: 0.25 }
    }
}

impl Objectives {
    /// Whether they make sense.
    ///
    /// # Errors
    /// When a percentage leaves no budget, or nothing is counted at the time.
    pub fn check(&self) -> Result<(), Senseless> {
        for (what, percent) in [("available", self.available), ("fast", self.fast)] {
            if !(50.0..100.0).contains(&percent) {
                return Err(Senseless::Percent { what, percent });
            }
        }
        if !bounds().any(|bound| bound == self.within) {
            let known = bounds().map(|bound| bound.to_string()).collect();
            return Err(Senseless::Within { seconds: self.within, known });
        }
        Ok(())
    }

    /// The share of statements that may fail.
    #[must_use]
    pub fn failed_max(&self) -> f64 {
        share(self.available)
    }

    /// The share of statements that may be slow.
    #[must_use]
    pub fn slow_max(&self) -> f64 {
        share(self.fast)
    }
}

/// What is left of a percentage, without the noise of floating point: 99.9 leaves 0.001.
fn share(percent: f64) -> f64 {
    ((100.0 - percent) * 1e6).round() / 1e8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_fail_is_what_is_left() {
        let objectives = Objectives { available: 99.95, ..Objectives::default() };
        assert_eq!((objectives.failed_max(), objectives.slow_max()), (0.0005, 0.01));
        assert_eq!(Objectives::default().failed_max(), 0.001);
    }

    #[test]
    fn objectives_without_a_budget_or_a_bound_are_refused() {
        let with = |available, within| Objectives { available, fast: 99.0, within }.check();
        assert_eq!(Objectives::default().check(), Ok(()));
        for (available, within, why) in [
            (
                100.0,
                0.25,
                "available = 100: expected a percentage from 50 to below 100, such as 99.9",
            ),
            (0.999, 0.25, "available = 0.999: expected a percentage"),
            (f64::NAN, 0.25, "available = NaN"),
            (99.9, 0.3, "within = 0.3: the guard counts up to 0.00025, 0.0005, 0.001"),
            (99.9, f64::NAN, "within = NaN"),
        ] {
            let told = with(available, within).unwrap_err().to_string();
            assert!(told.starts_with(why), "{told}");
        }
    }
}
