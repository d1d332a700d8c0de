//! Filling valleys like water.
//!
//! Work that is poured over a load runs to where the load is least, until it stands at one level
//! everywhere that is not higher by itself. No other way to place the same work has a lower peak.

/// A stretch of time in which nothing changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// Its length in seconds.
    pub seconds: f64,
    /// What is there already, as work a second.
    pub load: f64,
}

impl Piece {
    /// What it takes, as work a second, of water that stands at `level`, where no more than `cap`
    /// flows in.
    #[must_use]
    pub fn share(&self, level: f64, cap: f64) -> f64 {
        (level - self.load).clamp(0.0, cap)
    }
}

/// The level that `work` comes to stand at over `pieces`, each of which takes at most `cap` a
/// second. Infinite where all are full before.
///
/// What a piece takes grows from its load on, and stops growing `cap` above it; so what all take is
/// a line with a bend at each of these, which is followed up to `work`. Time as sorting takes.
#[must_use]
pub fn level(pieces: &[Piece], work: f64, cap: f64) -> f64 {
    let begins = pieces.iter().map(|piece| (piece.load, piece.seconds));
    let ends = pieces.iter().map(|piece| (piece.load + cap, -piece.seconds));
    let mut bends: Vec<(f64, f64)> = begins.chain(ends).filter(|(at, _)| at.is_finite()).collect();
    bends.sort_unstable_by(|(at, _), (other, _)| at.total_cmp(other));
    let (mut taken, mut width) = (0.0, 0.0);
    for pair in 0..bends.len() {
        let (at, change) = bends[pair];
        width += change;
        let next = bends.get(pair + 1).map_or(f64::INFINITY, |(next, _)| *next);
        // Of what is added and taken off again, rounding may leave a little.
        let most = if width > 1e-9 { taken + width * (next - at) } else { taken };
        if most >= work {
            return if width > 1e-9 { at + (work - taken) / width } else { at };
        }
        taken = most;
    }
    f64::INFINITY
}
