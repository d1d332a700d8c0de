//! The accounts every private server has. Their passwords are no secret: the servers listen on
//! loopback only and hold nothing.

use std::net::SocketAddr;

use mysql_async::OptsBuilder;

use super::engine::Engine;

/// The schema all accounts of applications may use.
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
/// An application: all rights on schemas `app` and `app_*`. Its plugin is the engine's usual one:
/// `mysql_native_password` on MariaDB, `caching_sha2_password` on MySQL.
pub const APP: Account = Account { name: "app", password: "drill-app" };
/// Another application with the rights and the plugin of [`APP`].
pub const OTHER: Account = Account { name: "other", password: "drill-other" };
/// As [`APP`], with an empty password.
pub const OPEN: Account = Account { name: "open", password: "" };
/// As [`APP`], over TLS only.
pub const TLS: Account = Account { name: "tls", password: "drill-tls" };
/// As [`APP`], with the plugin `ed25519`; on MariaDB only.
pub const ED25519: Account = Account { name: "ed", password: "drill-ed" };
/// The guard's own account: sees all threads and transactions and may end them, reads no data.
pub const CONTROL: Account = Account { name: "control", password: "drill-control" };

impl Account {
    /// How to connect as this account to a server or guard at `addr`, to the schema `app`.
    #[must_use]
    pub fn options(&self, addr: SocketAddr) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname(addr.ip().to_string())
            .tcp_port(addr.port())
            .user(Some(self.name))
            .pass(Some(self.password))
            .db_name(Some(SCHEMA))
            // Otherwise the driver asks the server for its socket and leaves the guard aside.
            .prefer_socket(Some(false))
    }
}

/// The statements that make the schema and the accounts, one per line as bootstrapping wants them.
pub(super) fn statements(engine: Engine) -> String {
    let usual = match engine {
        Engine::MariaDb => "mysql_native_password",
        Engine::MySql => "caching_sha2_password",
    };
    let mut sql = String::from("CREATE DATABASE app;\n");
    if engine == Engine::MariaDb {
        // A new MariaDB has a root without password for each name of this host.
        sql += "DELETE FROM mysql.global_priv WHERE Host <> 'localhost';\n";
    }
    sql += "FLUSH PRIVILEGES;\n";
    let mut user = |account: Account, plugin: &str, more: &str| {
        let Account { name, password } = account;
        let identified = match engine {
            Engine::MariaDb => format!("VIA {plugin} USING PASSWORD('{password}')"),
            Engine::MySql => format!("WITH {plugin} BY '{password}'"),
        };
        sql += &format!("CREATE USER '{name}'@'%' IDENTIFIED {identified}{more};\n");
        if account != ROOT && account != CONTROL {
            sql += &format!("GRANT ALL ON app.* TO '{name}'@'%';\n");
            sql += &format!("GRANT ALL ON `app\\_%`.* TO '{name}'@'%';\n");
        }
    };
    user(ROOT, usual, "");
    user(APP, usual, "");
    user(OTHER, usual, "");
    user(OPEN, usual, "");
    user(TLS, usual, " REQUIRE SSL");
    user(CONTROL, usual, "");
    if engine == Engine::MariaDb {
        user(ED25519, "ed25519", "");
    }
    let Account { name, password } = ROOT;
    sql += "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;\n";
    sql += &match engine {
        Engine::MariaDb => format!(
            "ALTER USER '{name}'@'localhost' IDENTIFIED VIA {usual} USING PASSWORD('{password}');\n\
             GRANT PROCESS, CONNECTION ADMIN, REPLICA MONITOR, BINLOG MONITOR ON *.* TO 'control'@'%';\n"
        ),
        Engine::MySql => format!(
            "ALTER USER '{name}'@'localhost' IDENTIFIED WITH {usual} BY '{password}';\n\
             GRANT PROCESS, CONNECTION_ADMIN, REPLICATION CLIENT, SYSTEM_VARIABLES_ADMIN ON *.* TO 'control'@'%';\n\
             GRANT SELECT ON performance_schema.* TO 'control'@'%';\n\
             GRANT SELECT, EXECUTE ON sys.* TO 'control'@'%';\n"
        ),
    };
    sql
}
