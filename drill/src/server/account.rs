//! The accounts every private server has. Their passwords are no secret: the servers listen on
//! loopback only and hold nothing.

/// The schema (MySQL) or database (PostgreSQL) that all accounts of applications may use.
pub const SCHEMA: &str = "app";

/// An account of a private server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// User name, valid from any host of loopback.
    pub name: &'static str,
    /// Password in plain text.
    pub password: &'static str,
}

/// May do everything.
pub const ROOT: Account = Account { name: "root", password: "drill-root" };
/// An application: all rights on schemas `app` and `app_*`; on PostgreSQL on the database `app`, and
/// it may make others. Its proof is the engine's usual one: `mysql_native_password` on MariaDB,
/// `caching_sha2_password` on MySQL, SCRAM-SHA-256 on PostgreSQL.
pub const APP: Account = Account { name: "app", password: "drill-app" };
/// Another application with the rights and the proof of [`APP`].
pub const OTHER: Account = Account { name: "other", password: "drill-other" };
/// As [`APP`], with an empty password; on PostgreSQL, which has none, trusted without one.
pub const OPEN: Account = Account { name: "open", password: "" };
/// As [`APP`], over TLS only.
pub const TLS: Account = Account { name: "tls", password: "drill-tls" };
/// As [`APP`], with the plugin `ed25519`; on MariaDB only.
pub const ED25519: Account = Account { name: "ed", password: "drill-ed" };
/// As [`APP`], with an md5 password; on PostgreSQL only.
pub const MD5: Account = Account { name: "md5", password: "drill-md5" };
/// The guard's own account: sees all threads and transactions and may end them, reads no data of
/// applications. On PostgreSQL it also reads `pg_authid`, as a look-up of passwords needs.
pub const CONTROL: Account = Account { name: "control", password: "drill-control" };
