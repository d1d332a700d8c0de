//! A contended primary, its clients and the guard, in virtual time.
//!
//! The database is a model: cores that many threads share badly, disks, row locks held until
//! commit, a deadlock detector, rollbacks that cost more than the work they undo, connections. The
//! clients arrive at a rate that does not care how the database is doing, give up, retry and
//! reconnect. Between them stands the same `policy` that the guard runs, called as the guard calls
//! it. Nothing here reads a clock or an unseeded die, so a run can be repeated exactly.
//!
//! What is absent: buffer pool, group commit, gap locks, shared locks, replication. The numbers of
//! the model are chosen, not measured: take ratios from it, not rates.

pub mod clock;
pub mod database;
pub mod drive;
pub mod figures;
pub mod oracle;
pub mod report;
pub mod scenario;
pub mod spread;

pub use drive::run;
pub use report::Report;
pub use scenario::Scenario;
