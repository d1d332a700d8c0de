//! The curve of the database, fitted in the shadow of the limit.
//!
//! By the universal scalability law and Little's law, the time a transaction stays is
//! `A + B·n + C·n²` with n in flight, and the throughput has its top at `n = √(A/C)`. Three
//! numbers, found by least squares that forget (Gunther; Ljung and Söderström). From a low start
//! it is the fastest way to the top; from beyond it is lost. So it proposes and never decides.

use super::meter::Measure;

/// What is left of a measure after the next.
const FORGET: f64 = 0.99;
/// In flight is counted in this unit, to keep the numbers near one.
const UNIT: f64 = 32.0;
/// The fit counts while it foretells within this.
const ERROR_MAX: f64 = 0.10;
/// And after so many measures.
const MEASURES_MIN: u32 = 30;
/// How uncertain a number is before the first measure.
const UNKNOWN: f64 = 1e4;

/// Recursive least squares for three numbers.
#[derive(Debug)]
pub(super) struct Knee {
    numbers: [f64; 3],
    spread: [[f64; 3]; 3],
    /// Mean relative error of what was foretold.
    error: f64,
    measures: u32,
}

impl Knee {
    pub(super) fn new() -> Self {
        let mut spread = [[0.0; 3]; 3];
        for (row, numbers) in spread.iter_mut().enumerate() {
            numbers[row] = UNKNOWN;
        }
        Self { numbers: [0.0; 3], spread, error: 1.0, measures: 0 }
    }

    /// One tick more; one without work says nothing.
    pub(super) fn learn(&mut self, measure: &Measure) {
        let rate = measure.work_rate();
        if rate <= 0.0 || measure.in_flight <= 0.5 {
            return;
        }
        let n = measure.in_flight / UNIT;
        let x = [1.0, n, n * n];
        // Relative to what the work is: one for an idle database, whatever its size.
        let y = measure.in_flight / rate;
        let told: f64 = dot(&self.numbers, &x);
        let spread_x = self.spread.map(|row| dot(&row, &x));
        let denominator = FORGET + dot(&spread_x, &x);
        let error = y - told;
        for (row, number) in self.numbers.iter_mut().enumerate() {
            *number += spread_x[row] / denominator * error;
        }
        for row in 0..3 {
            for column in 0..3 {
                let less = spread_x[row] * spread_x[column] / denominator;
                // Bounded: without new levels, forgetting alone would blow it up.
                self.spread[row][column] =
                    ((self.spread[row][column] - less) / FORGET).clamp(-UNKNOWN, UNKNOWN);
            }
        }
        self.error += ((error / y).abs().min(1.0) - self.error) * 0.05;
        self.measures = self.measures.saturating_add(1);
    }

    /// How many in flight do the most work, when the fit is good enough to say so.
    pub(super) fn top(&self) -> Option<f64> {
        let [a, _, c] = self.numbers;
        let is_good = self.measures >= MEASURES_MIN && self.error < ERROR_MAX;
        (is_good && a > 0.0 && c > 0.0).then(|| (a / c).sqrt() * UNIT)
    }
}

fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
