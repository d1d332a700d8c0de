//! What came of the drill.

use serde::{Deserialize, Serialize};

use super::Scene;
use crate::load::Rates;
use crate::server::engine::Engine;
use crate::way::Way;

/// What one crowd came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Those that want any other row.
    pub others: Rates,
    /// Those that want the one; none where they did not come.
    pub hot: Option<Rates>,
    /// Most transactions seen open on the server.
    pub transactions_max: u32,
    /// Most transactions seen waiting for a lock on the server.
    pub lock_waiters_max: u32,
}

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// On which server.
    pub engine: Engine,
    /// What those begin who want the one row, a second.
    pub hot_offered_per_second: f64,
    /// What the others begin.
    pub others_offered_per_second: f64,
    /// Each turn of each way, first without those who want the one row, then with them.
    pub turns: Vec<(Way, Side)>,
    /// Transactions that waited in the guard for the one row.
    pub parked: f64,
}

impl Report {
    pub(super) fn new(engine: Engine, scene: &Scene) -> Self {
        Self {
            engine,
            hot_offered_per_second: scene.per_second * scene.hot_share,
            others_offered_per_second: scene.per_second * (1.0 - scene.hot_share),
            turns: Vec::new(),
            parked: 0.0,
        }
    }

    pub(super) fn note(&mut self, way: Way, side: Side) {
        self.turns.push((way, side));
    }

    /// The mean goodput of the others and of those who want the one row, without the latter and with
    /// them, one way.
    fn mean(&self, way: Way, with_hot: bool) -> Option<(f64, f64)> {
        let turns =
            self.turns.iter().filter(|(of, side)| *of == way && side.hot.is_some() == with_hot);
        let count = turns.clone().count();
        let (others, hot) = turns.fold((0.0, 0.0), |sum, (_, side)| {
            let hot = side.hot.map_or(0.0, |hot| hot.good_per_second);
            (sum.0 + side.others.good_per_second, sum.1 + hot)
        });
        (count > 0).then(|| (others / count as f64, hot / count as f64))
    }

    /// What the others keep of their goodput, one way, when the one row is wanted.
    #[must_use]
    pub fn others_kept(&self, way: Way) -> Option<f64> {
        let (alone, _) = self.mean(way, false)?;
        let (beside, _) = self.mean(way, true)?;
        (alone > 0.0).then(|| beside / alone)
    }

    /// Goodput of those who want the one row, one way.
    #[must_use]
    pub fn hot_good(&self, way: Way) -> Option<f64> {
        self.mean(way, true).map(|(_, hot)| hot)
    }

    /// Whether the others keep more behind the guard that knows of hot rows than behind the pool.
    #[must_use]
    pub fn guard_is_better(&self) -> bool {
        match (self.others_kept(Way::Guarded), self.others_kept(Way::Pool)) {
            (Some(guarded), Some(pool)) => guarded > pool,
            _ => false,
        }
    }
}
