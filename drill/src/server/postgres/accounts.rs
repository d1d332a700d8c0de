//! The accounts of a private PostgreSQL: who may come in how, and the statements that make them.

use crate::server::account::{APP, Account, CONTROL, MD5, OPEN, OTHER, ROOT, SCHEMA, TLS};

/// `pg_hba.conf`: the first line that fits decides.
pub(super) const ACCESS: &str = "\
# type   database     user  address       method
local    all          all                 scram-sha-256
hostssl  all          tls   127.0.0.1/32  scram-sha-256
host     all          tls   127.0.0.1/32  reject
host     all          open  127.0.0.1/32  trust
host     all          md5   127.0.0.1/32  md5
host     all          all   127.0.0.1/32  scram-sha-256
host     replication  all   127.0.0.1/32  scram-sha-256
";

/// Those of applications.
const APPLICATIONS: [Account; 5] = [APP, OTHER, OPEN, TLS, MD5];

/// The statements that make the roles and the database, one per line as a server without clients
/// wants them.
pub(super) fn roles() -> String {
    let Account { name, password } = ROOT;
    let mut sql = format!("ALTER ROLE {name} PASSWORD '{password}';\n");
    for account in APPLICATIONS.into_iter().chain([CONTROL]) {
        let Account { name, password } = account;
        let encryption = if account == MD5 { "md5" } else { "scram-sha-256" };
        sql += &format!("SET password_encryption = '{encryption}';\n");
        // An empty password is none.
        sql += &format!("CREATE ROLE {name} LOGIN CREATEDB PASSWORD '{password}';\n");
    }
    let control = CONTROL.name;
    sql += &format!("ALTER ROLE {control} NOCREATEDB;\n");
    sql += &format!("GRANT pg_monitor, pg_signal_backend TO {control};\n");
    // For a look-up of passwords from this database too: rights on a catalogue are each database's.
    sql += &format!("GRANT SELECT ON pg_authid TO {control};\n");
    sql += &format!("CREATE DATABASE {SCHEMA};\n");
    sql
}

/// The statements that make the rights in the database, one per line.
pub(super) fn rights() -> String {
    let all = APPLICATIONS.map(|account| account.name).join(", ");
    let control = CONTROL.name;
    let mut sql = format!("GRANT ALL ON DATABASE {SCHEMA} TO {all};\n");
    sql += &format!("GRANT ALL ON SCHEMA public TO {all};\n");
    // What one of them makes, the others may use.
    for what in ["TABLES", "SEQUENCES", "SCHEMAS"] {
        sql += &format!("ALTER DEFAULT PRIVILEGES FOR ROLE {all} GRANT ALL ON {what} TO {all};\n");
    }
    sql += &format!("GRANT SELECT ON pg_authid TO {control};\n");
    sql
}
