//! The scheduler: what is due when.
//!
//! So far this is what a schedule says ([`trigger`]), files of them ([`book`]), and what of them is
//! due together ([`lint`]). It is told the time and does no I/O but for reading the system's time
//! zones. How a batch is spread is `policy::spread`. Where items go, and what becomes of each, is
//! [`sink`]; how fast a sink is fed is `policy::dispatch`. There is no ledger yet, no claim and no
//! dispatcher that would join them.

pub mod trigger;

pub mod book;

pub mod lint;

pub mod sink;
