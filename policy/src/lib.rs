//! Every decision of Tidegate, pure.
//!
//! The guard asks, this crate answers: what kind of statement is this, whose limits does it share,
//! may it run now, must it wait, is it refused, when is its time up. There is no I/O, no clock, no
//! thread, no log and no wire protocol in here; `now` is an argument, waiting is a returned
//! deadline, and effects are returned events. `clippy.toml` enforces it.
//!
//! The modules stand in the order in which a statement meets them.

pub mod sql;
pub mod tag;

pub mod class;
pub mod rule;
pub mod switch;

pub mod admission;
pub mod deadline;
pub mod rate;

pub mod refusal;
