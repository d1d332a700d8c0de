//! Chance that comes out the same each time: a client's is made of its number.

use std::time::Duration;

/// A generator of numbers without a visible order (splitmix64).
#[derive(Debug, Clone, Copy)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is small against 2⁶⁴ and not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// Time to the next of events that come independently, `mean` apart.
    pub(super) fn gap(&mut self, mean: Duration) -> Duration {
        // 53 bits are what f64 holds; never 0, whose logarithm is none.
        let share = ((self.number() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        mean.mul_f64(-share.ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_the_mean_apart_on_average() {
        let mut dice = Dice::new(7);
        let mean = Duration::from_millis(10);
        let sum: Duration = (0..10_000).map(|_| dice.gap(mean)).sum();
        let share = sum.as_secs_f64() / (10_000.0 * mean.as_secs_f64());
        assert!((0.95..1.05).contains(&share), "{share}");
    }
}
