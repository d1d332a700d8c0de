//! The guard: the sidecar that stands between an application and its primary database.

pub mod config;
pub mod log;
