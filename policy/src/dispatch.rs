//! Dispatch: how fast a sink is fed, whose turn it is, and what becomes of what failed.
//!
//! ```text
//!  items that wait ─► turns: one tenant after the other, each below its cap ─┐
//!                                                                            ▼
//!  switch · Retry-After · fixed ceiling · adaptive concurrency ──────► lane: go, wait, or off
//!                                            ▲                               │
//!                                            └── how long it took, and how it ended
//!  failed ─► again: when, by full jitter, out of a budget of its own; or never: dead
//! ```
//!
//! Nothing here knows what a sink is: a [`lane`] hands out places, is told how each was used, and
//! says when to ask again.

pub mod lane;

pub mod turns;

pub mod concurrency;

pub mod again;

#[cfg(test)]
mod tests;
