//! The frontend/backend protocol of PostgreSQL, versions 3.0 and 3.2 (servers 7.4 to 18).
//!
//! Modules stand in the order in which a connection meets them. The manual:
//! <https://www.postgresql.org/docs/current/protocol.html>. The frontend is the client, the backend
//! the server. Every `parse` takes the body of one message, without its header; every `put` appends
//! one whole message.
//!
//! Deliberately absent: protocol 2, GSSAPI encryption, and what replication puts into CopyData.

pub mod frame;

pub mod startup;

pub mod list;

pub mod login;

pub mod auth;

pub mod frontend;

pub mod backend;

pub mod result;
