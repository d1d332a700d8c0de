//! PostgreSQL: what the guard says to clients and to databases that speak its protocol.
//!
//! Modules stand in the order in which a connection meets them.

pub mod key;
pub mod messages;

pub mod login;
pub mod stored;
pub mod users;

pub mod connect;
