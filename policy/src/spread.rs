//! Spreading: which moment each item of a batch gets, so that the database sees a smooth line where
//! a wall would have been.
//!
//! ```text
//!  recipients ─► place: a stable hash ─► rank ─┐
//!  windows, costs, caps ─► gate ─► plan ───────┴─► curve.slot(rank): the moment
//!                           │       ▲
//!                  Infeasible,      └ forecast: what the application will do anyway
//!                  with the nearest window that would do
//! ```
//!
//! Who comes when is decided by rank, not by dice: recipients are ordered by a hash that depends on
//! nothing but a salt and themselves ([`place`]), so each has about the same place in every batch,
//! and a batch planned twice is the same batch. How many come when is decided by filling the
//! valleys of the [`forecast`] like water ([`fill`]), for several batches at once ([`plan`]). A
//! batch that does not fit is refused before it begins ([`gate`]). What the plan could not know is
//! met by the [`pacer`], which slows down when the database is pressed; what was held up is planned
//! again ([`Batch::rest`](plan::Batch::rest)), never let go at once.
//!
//! Times are distances from an origin of the caller's choice, usually the nominal time of the
//! batches. Nothing is ever planned before its window opens: a reminder that comes early is wrong,
//! one that comes late is late.

pub mod place;

pub mod forecast;

pub mod fill;

pub mod plan;

pub mod gate;

pub mod pacer;

pub mod shape;

#[cfg(test)]
mod tests;
