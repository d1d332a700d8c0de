//! The guard: the sidecar that stands between an application and its primary database.

pub mod admin;
pub mod config;
pub mod control;
pub mod log;
