//! The guard: the sidecar that stands between an application and its primary database.
//!
//! Read the modules in this order, which is the order in which a statement meets them. `run` puts
//! them together and is the only one that sees all parts; `session` owns the order of things for
//! one client, and nothing it calls calls it back.

pub mod config;
pub mod run;
pub mod shared;

pub mod listener;
pub mod login;
pub mod secret;
pub mod stream;
pub mod tls;
pub mod users;

pub mod session;

pub mod gate;

pub mod herd;
pub mod upstream;

pub mod admin;
pub mod control;
pub mod log;
pub mod metrics;
pub mod notify;
pub mod operations;
