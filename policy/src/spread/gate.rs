//! The gate: says before a batch begins, not afterwards, that it cannot be done in time.
//!
//! Batches are let in by class, the most urgent first, and within a class as they were given. What
//! was let in may be moved within its window to make room, never out of it. (Letting the urgent
//! fill first and the others around them, by classes, refuses what fits: of an urgent batch with
//! all hour and a bulk batch with ten minutes, the former has to make way.)

use std::time::Duration;

use super::forecast::Forecast;
use super::plan::{Batch, BatchError, Plan, Window};

/// How far beyond a deadline a window that would do is looked for.
pub const SEARCH_MAX: Duration = Duration::from_secs(24 * 3600);
/// What rounding may add to a peak.
const ROUNDING: f64 = 1e-7;

/// What the database can carry, and what it will have to.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// The load beside the batches.
    pub forecast: Forecast,
    /// The most load a second, batches and forecast together; none for no such limit. Where the
    /// forecast alone is above it, no batch gets anything.
    pub capacity: Option<f64>,
}

/// Why a batch is not let in.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Refused {
    /// It cannot be done in its window.
    #[error("batch {batch}: {fits} of its {items} items can be done by its deadline")]
    Infeasible {
        /// Which one, counted from 0.
        batch: usize,
        /// How many items it has.
        items: u64,
        /// How many could be done.
        fits: u64,
        /// The window nearest to its own that would do, to the second: it opens as that does. None
        /// within [`SEARCH_MAX`].
        nearest: Option<Window>,
    },
    /// It is no batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Plans `batches`, if all of them can be done.
///
/// # Errors
/// Names the first that cannot beside those that come before it, with the nearest window in which it could.
pub fn admit(terms: &Terms, batches: &[Batch]) -> Result<Plan, Refused> {
    let plan = Plan::pour(&terms.forecast, batches)?;
    if terms.carry(&plan) {
        return Ok(plan);
    }
    let mut order: Vec<usize> = (0..batches.len()).collect();
    order.sort_by_key(|batch| batches[*batch].class);
    let mut admitted: Vec<Batch> = Vec::with_capacity(batches.len());
    for index in order {
        let batch = batches[index];
        if !terms.can(&admitted, batch)? {
            let fits = terms.fits(&admitted, batch)?;
            let nearest = terms.nearest(&admitted, batch)?;
            return Err(Refused::Infeasible { batch: index, items: batch.items, fits, nearest });
        }
        admitted.push(batch);
    }
    // One by one they fit, so together they do but for what another order makes of rounding.
    Ok(plan)
}

impl Terms {
    /// Whether the database can carry this plan, and each batch its own cap.
    fn carry(&self, plan: &Plan) -> bool {
        let fits = plan.curves().iter().all(|curve| curve.missing() == 0);
        fits && self.capacity.is_none_or(|most| plan.peak() <= most * (1.0 + ROUNDING))
    }

    fn can(&self, others: &[Batch], batch: Batch) -> Result<bool, BatchError> {
        let all: Vec<Batch> = others.iter().copied().chain([batch]).collect();
        Ok(self.carry(&Plan::pour(&self.forecast, &all)?))
    }

    /// How many items of a batch that does not fit would, by halving.
    fn fits(&self, others: &[Batch], batch: Batch) -> Result<u64, BatchError> {
        let (mut fits, mut too_many) = (0, batch.items);
        while too_many - fits > 1 {
            let items = fits + (too_many - fits) / 2;
            match self.can(others, Batch { items, ..batch })? {
                true => fits = items,
                false => too_many = items,
            }
        }
        Ok(fits)
    }

    /// The earliest deadline that would do: by doubling what is added, then by halving.
    fn nearest(&self, others: &[Batch], batch: Batch) -> Result<Option<Window>, BatchError> {
        let later = |seconds: u64| Window {
            deadline: batch.window.deadline.saturating_add(Duration::from_secs(seconds)),
            ..batch.window
        };
        let can = |seconds| self.can(others, Batch { window: later(seconds), ..batch });
        let (mut too_few, mut enough) = (0, 1);
        while !can(enough)? {
            if enough >= SEARCH_MAX.as_secs() {
                return Ok(None);
            }
            (too_few, enough) = (enough, (enough * 2).min(SEARCH_MAX.as_secs()));
        }
        while enough - too_few > 1 {
            let seconds = too_few + (enough - too_few) / 2;
            match can(seconds)? {
                true => enough = seconds,
                false => too_few = seconds,
            }
        }
        Ok(Some(later(enough)))
    }
}
