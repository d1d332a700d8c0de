//! The statements that make the accounts of a private MariaDB or MySQL.

use super::Flavour;
use crate::server::account::{APP, Account, CONTROL, ED25519, OPEN, OTHER, ROOT, TLS};

/// The statements that make the schema and the accounts, one per line as bootstrapping wants them.
pub(super) fn statements(flavour: Flavour) -> String {
    let usual = match flavour {
        Flavour::MariaDb(_) => "mysql_native_password",
        Flavour::MySql => "caching_sha2_password",
    };
    let mut sql = String::from("CREATE DATABASE app;\n");
    if flavour.is_mariadb() {
        // A new MariaDB has a root without password for each name of this host.
        sql += "DELETE FROM mysql.global_priv WHERE Host <> 'localhost';\n";
    }
    sql += "FLUSH PRIVILEGES;\n";
    let mut user = |account: Account, plugin: &str, more: &str| {
        let Account { name, password } = account;
        let identified = match flavour {
            Flavour::MariaDb(_) => format!("VIA {plugin} USING PASSWORD('{password}')"),
            Flavour::MySql => format!("WITH {plugin} BY '{password}'"),
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
    if flavour.is_mariadb() {
        user(ED25519, "ed25519", "");
    }
    let Account { name, password } = ROOT;
    sql += "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;\n";
    sql += &match flavour {
        Flavour::MariaDb(_) => format!(
            "ALTER USER '{name}'@'localhost' IDENTIFIED VIA {usual} USING PASSWORD('{password}');\n\
             GRANT PROCESS, CONNECTION ADMIN, REPLICA MONITOR, BINLOG MONITOR ON *.* TO 'control'@'%';\n"
        ),
        Flavour::MySql => format!(
            "ALTER USER '{name}'@'localhost' IDENTIFIED WITH {usual} BY '{password}';\n\
             GRANT PROCESS, CONNECTION_ADMIN, REPLICATION CLIENT, SYSTEM_VARIABLES_ADMIN ON *.* TO 'control'@'%';\n\
             GRANT SELECT ON performance_schema.* TO 'control'@'%';\n\
             GRANT SELECT, EXECUTE ON sys.* TO 'control'@'%';\n"
        ),
    };
    sql
}
