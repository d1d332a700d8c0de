//! The scheduler: what is due when, and what has become of it.
//!
//! What a schedule says is in [`trigger`], files of them in [`book`], and what of them is due together
//! in [`lint`]: those are told the time and do no I/O but for reading the system's time zones. How a
//! batch is spread is `policy::spread`. What is to be sent, who is at it and what has become of it is in
//! the [`ledger`], a database. Where items go, and what becomes of each, is [`sink`]; how fast a sink is
//! fed is `policy::dispatch`. What takes items out of the ledger and gives them to sinks in their moments is
//! [`dispatch`]. What puts batches into it by itself, when they are due, is [`schedule`]; it reads who they are
//! for from a [`source`].

pub mod trigger;

pub mod book;

pub mod lint;

pub mod ledger;

pub mod sink;

pub mod dispatch;

pub mod schedule;

pub mod source;

pub mod config;

pub mod admin;

pub mod metrics;

pub mod nodelay;
