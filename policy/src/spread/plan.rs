//! A plan: batches poured over a forecast, and of each batch the curve that gives its items their
//! moments.
//!
//! Several batches are poured in turn, each over the forecast and what the others have taken, until
//! none moves any more. What they take together is then as flat as their windows and caps allow: no
//! other plan has a lower peak. (Each turn lowers the sum of squares of the load, and that has one
//! lowest point.)

use std::ops::Range;
use std::time::Duration;

use super::fill::{self, Piece};
use super::forecast::Forecast;

/// No plan has more batches.
pub const BATCHES_MAX: usize = 64;
/// No batch is poured more often. Two batches settle in 20 rounds, long chains of windows that
/// overlap do not quite; what is left is a peak some per mille above the lowest.
const ROUNDS_MAX: usize = 200;
/// The batches have settled when nothing moves by more than this share of the load.
const SETTLED: f64 = 1e-9;
/// What was held up is made up for by this multiple of a batch's mean rate at most. Without such a
/// bound, half of a batch that was held back all the time is sent in the last seconds: at half
/// speed, planned anew each second, the rate grows with the inverse root of the time that is left.
pub const HASTE_MAX: f64 = 1.6;
/// What rounding may lose of a batch.
const ROUNDING: f64 = 1e-9;

/// When the items of a batch may be dispatched, as distances from the plan's origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// No item before this.
    pub opens: Duration,
    /// All items before this.
    pub deadline: Duration,
}

impl Window {
    /// Its length; zero when it ends before it begins.
    #[must_use]
    pub const fn length(&self) -> Duration {
        self.deadline.saturating_sub(self.opens)
    }
}

/// Items that are due together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Batch {
    /// How many.
    pub items: u64,
    /// What one of them costs the database, in the unit of the forecast; 1 where that is
    /// statements.
    pub cost: f64,
    /// When they may go.
    pub window: Window,
    /// How urgent it is; 0 is most. Decides who is refused when not all fit.
    pub class: u8,
    /// At most so many items a second, for the sake of who receives them; none for no such cap.
    pub rate_max: Option<f64>,
}

/// Why something is no batch.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BatchError {
    /// Its window has no length.
    #[error("batch {batch}: its deadline is not after its opening")]
    NoWindow {
        /// Which one, counted from 0.
        batch: usize,
    },
    /// Its cost or its cap is no positive number.
    #[error("batch {batch}: {what} is {value}: it has to be a number above 0")]
    NotPositive {
        /// Which one, counted from 0.
        batch: usize,
        /// `cost` or `rate_max`.
        what: &'static str,
        /// What it says.
        value: f64,
    },
    /// There are too many.
    #[error("{0} batches: a plan has at most {BATCHES_MAX}")]
    TooMany(usize),
}

impl Batch {
    /// What is left of it at `now`, when the first `done` items are done: planned again, it is a
    /// backlog that is spread, not released. Nothing once all is done.
    ///
    /// Where that would take more than [`HASTE_MAX`] of its mean rate, the window is made longer:
    /// the last come late, which the caller sees by the deadline, rather than all at once.
    #[must_use]
    pub fn rest(&self, done: u64, now: Duration) -> Option<Self> {
        let items = self.items.checked_sub(done).filter(|items| *items > 0)?;
        let opens = self.window.opens.max(now);
        let share = items as f64 / self.items as f64;
        let shortest = self.window.length().mul_f64(share / HASTE_MAX).max(Duration::from_nanos(1));
        let deadline = self.window.deadline.max(opens.saturating_add(shortest));
        Some(Self { items, window: Window { opens, deadline }, ..*self })
    }

    /// All of its work, in the unit of the forecast times seconds.
    fn work(&self) -> f64 {
        self.items as f64 * self.cost
    }

    /// The most work a second that it may cause.
    fn cap(&self) -> f64 {
        self.rate_max.map_or(f64::INFINITY, |rate| rate * self.cost)
    }

    fn check(&self, batch: usize) -> Result<(), BatchError> {
        let positive = |what, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(BatchError::NotPositive { batch, what, value }),
        };
        positive("cost", self.cost)?;
        positive("rate_max", self.rate_max.unwrap_or(1.0))?;
        match self.window.length().is_zero() {
            true => Err(BatchError::NoWindow { batch }),
            false => Ok(()),
        }
    }
}

/// Batches, poured.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    curves: Vec<Curve>,
    stretches: Vec<Stretch>,
}

/// A stretch of a plan in which nothing changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// When it begins.
    pub from: Duration,
    /// When it ends.
    pub to: Duration,
    /// The load that the forecast has there, a second.
    pub forecast: f64,
    /// What the batches add, a second.
    pub planned: f64,
}

impl Plan {
    /// Pours `batches` over `forecast`, whatever the peak. Whether that may be is
    /// [`gate::admit`](super::gate::admit)'s question.
    ///
    /// # Errors
    /// When something is no batch, or there are more than [`BATCHES_MAX`].
    pub fn pour(forecast: &Forecast, batches: &[Batch]) -> Result<Self, BatchError> {
        if batches.len() > BATCHES_MAX {
            return Err(BatchError::TooMany(batches.len()));
        }
        for (index, batch) in batches.iter().enumerate() {
            batch.check(index)?;
        }
        let grid = Grid::new(forecast, batches);
        let shares = grid.settle(batches);
        let planned = |piece: usize| shares.iter().map(|share| share[piece]).sum();
        let stretches = (0..grid.pieces.len())
            .map(|piece| Stretch {
                from: grid.cuts[piece],
                to: grid.cuts[piece + 1],
                forecast: grid.pieces[piece].load,
                planned: planned(piece),
            })
            .collect();
        let curve = |(batch, share): (&Batch, &Vec<f64>)| Curve::new(batch, &grid, share);
        let curves = batches.iter().zip(&shares).map(curve).collect();
        Ok(Self { curves, stretches })
    }

    /// The curve of each batch, as they were given.
    #[must_use]
    pub fn curves(&self) -> &[Curve] {
        &self.curves
    }

    /// The load over time, from the first opening to the last deadline.
    #[must_use]
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The highest load a second to which a batch contributes.
    #[must_use]
    pub fn peak(&self) -> f64 {
        // What rounding has left where there is no water is no contribution.
        let is_wet = |stretch: &&Stretch| stretch.planned > stretch.forecast * ROUNDING;
        let totals = self.stretches.iter().filter(is_wet).map(|s| s.forecast + s.planned);
        totals.fold(0.0, f64::max)
    }
}

/// Time, cut wherever a forecast or a window changes.
struct Grid {
    /// One more than pieces.
    cuts: Vec<Duration>,
    pieces: Vec<Piece>,
    /// The pieces of each batch's window.
    ranges: Vec<Range<usize>>,
}

impl Grid {
    fn new(forecast: &Forecast, batches: &[Batch]) -> Self {
        let windows = || batches.iter().map(|batch| batch.window);
        let from = windows().map(|window| window.opens).min().unwrap_or_default();
        let to = windows().map(|window| window.deadline).max().unwrap_or_default();
        let mut cuts: Vec<Duration> = windows()
            .flat_map(|window| [window.opens, window.deadline])
            .chain(forecast.edges(from, to))
            .collect();
        cuts.sort_unstable();
        cuts.dedup();
        let piece = |pair: &[Duration]| Piece {
            seconds: (pair[1] - pair[0]).as_secs_f64(),
            load: forecast.at(pair[0]),
        };
        let pieces = cuts.windows(2).map(piece).collect();
        let place = |moment: Duration| cuts.partition_point(|cut| *cut < moment);
        let range = |window: Window| place(window.opens)..place(window.deadline);
        let ranges = windows().map(range).collect();
        Self { cuts, pieces, ranges }
    }

    /// Of each batch, the work a second that it gets in each piece.
    fn settle(&self, batches: &[Batch]) -> Vec<Vec<f64>> {
        let mut shares = vec![vec![0.0; self.pieces.len()]; batches.len()];
        let mut total = self.pieces.clone();
        for _ in 0..ROUNDS_MAX {
            let mut moved = 0.0_f64;
            for (batch, (range, share)) in batches.iter().zip(self.ranges.iter().zip(&mut shares)) {
                let (total, share) = (&mut total[range.clone()], &mut share[range.clone()]);
                moved = moved.max(pour(batch, total, share));
            }
            if batches.len() < 2 || moved <= SETTLED {
                break;
            }
        }
        shares
    }
}

/// Takes a batch out of the total and pours it in again; by which share of the load that moved it
/// most.
fn pour(batch: &Batch, total: &mut [Piece], share: &mut [f64]) -> f64 {
    for (piece, share) in total.iter_mut().zip(&*share) {
        piece.load = (piece.load - share).max(0.0);
    }
    let cap = batch.cap();
    let level = fill::level(total, batch.work(), cap);
    let mut moved = 0.0_f64;
    for (piece, share) in total.iter_mut().zip(share) {
        let poured = piece.share(level, cap);
        piece.load += poured;
        moved = moved.max((poured - *share).abs() / piece.load.max(f64::MIN_POSITIVE));
        *share = poured;
    }
    moved
}

/// How many items of a batch are due by when.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    batch: Batch,
    /// Seconds from the origin, and how many items are due by then; both only rise.
    knots: Vec<(f64, f64)>,
    missing: u64,
}

impl Curve {
    fn new(batch: &Batch, grid: &Grid, share: &[f64]) -> Self {
        let index = |cut: Duration| grid.cuts.partition_point(|known| *known < cut);
        let range = index(batch.window.opens)..index(batch.window.deadline);
        let mut knots = vec![(batch.window.opens.as_secs_f64(), 0.0)];
        let mut due = 0.0;
        for piece in range {
            due += share[piece] * grid.pieces[piece].seconds / batch.cost;
            knots.push((grid.cuts[piece + 1].as_secs_f64(), due));
        }
        let items = batch.items as f64;
        let missing = if due < items * (1.0 - ROUNDING) { (items - due).ceil() } else { 0.0 };
        // Those that its own cap leaves no room for are squeezed in; the gate does not let that
        // pass.
        let stretch = if due > 0.0 { items / due } else { 1.0 };
        knots.iter_mut().for_each(|(_, due)| *due *= stretch);
        Self { batch: *batch, knots, missing: missing as u64 }
    }

    /// What it is the curve of.
    #[must_use]
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// How many items do not fit into the window at `rate_max`.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.missing
    }

    /// The moment of the item of this rank, from 0; that of the last for ranks beyond. It is within
    /// the window.
    #[must_use]
    pub fn slot(&self, rank: u64) -> Duration {
        let due = rank.min(self.batch.items.saturating_sub(1)) as f64 + 0.5;
        let after = self.knots.partition_point(|(_, known)| *known < due);
        self.clamp(self.cross(after, due))
    }

    /// The moments of all items, in order of their ranks.
    pub fn slots(&self) -> impl Iterator<Item = Duration> + '_ {
        let mut after = 0;
        (0..self.batch.items).map(move |rank| {
            let due = rank as f64 + 0.5;
            while after < self.knots.len() && self.knots[after].1 < due {
                after += 1;
            }
            self.clamp(self.cross(after, due))
        })
    }

    /// How many items are due before this moment.
    #[must_use]
    pub fn due(&self, moment: Duration) -> f64 {
        let moment = moment.as_secs_f64();
        let after = self.knots.partition_point(|(at, _)| *at < moment);
        match (after.checked_sub(1).map(|before| self.knots[before]), self.knots.get(after)) {
            (Some((from, due)), Some((to, then))) => {
                due + (then - due) * (moment - from) / (to - from)
            }
            (Some((_, all)), None) => all,
            (None, _) => 0.0,
        }
    }

    /// When so many items are due, between the knots before `after` and at it.
    fn cross(&self, after: usize, due: f64) -> f64 {
        let last = self.knots.len() - 1;
        let (to, then) = self.knots[after.min(last)];
        let (from, before) = self.knots[after.min(last).saturating_sub(1)];
        let share = if then > before { (due - before) / (then - before) } else { 1.0 };
        from + (to - from) * share.clamp(0.0, 1.0)
    }

    /// Rounding leads out of the window by a nanosecond at most.
    fn clamp(&self, seconds: f64) -> Duration {
        let last = self.batch.window.deadline - Duration::from_nanos(1);
        Duration::from_secs_f64(seconds.max(0.0)).clamp(self.batch.window.opens, last)
    }
}
