//! Triggers: when a schedule is due, by the wall clock of a zone.
//!
//! A wall clock skips an hour in spring and has one twice in autumn, and libraries for cron differ
//! in what they then do: of the two given, one runs `30 2 * * *` never on the one day and twice on
//! the other, the other shifts it, but loses `0,30 2 * * *` altogether. So the times of a schedule
//! are kept as wall times ([`cron`]), and what becomes of those that do not exist or exist twice is
//! a rule of its own ([`clock`]). An offset is never stored: it is asked for at each step.
//!
//! Which of the runs that were missed are caught up, what happens while one still runs, and when
//! recipients are not to be disturbed is in [`missed`] and [`quiet`].

pub mod cron;

pub mod clock;

pub mod missed;

pub mod quiet;

#[cfg(test)]
mod tests;
