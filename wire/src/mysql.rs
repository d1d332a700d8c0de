//! The client/server protocol of MySQL (5.7 to 9.x) and MariaDB (10.3 to 12.x).
//!
//! Modules stand in the order in which a connection meets them. The manuals:
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html> and
//! <https://mariadb.com/docs/server/reference/clientserver-protocol>.
//!
//! Deliberately absent: compression (the guard does not offer it) and the replication stream.

pub mod frame;

pub mod capability;

pub mod handshake;

pub mod auth;

pub mod command;

pub mod response;

pub mod result;

pub mod code;

pub use capability::Capabilities;
