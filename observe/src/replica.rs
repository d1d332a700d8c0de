//! How far a primary and its replicas are.
//!
//! | | primary | replica | its replication runs |
//! |---|---|---|---|
//! | MariaDB | `gtid_binlog_pos` | `gtid_slave_pos` | `Slave_running`: of the default connection both threads, the one that reads being connected |
//! | MySQL | `gtid_executed` | the same | `replication_connection_status` and `replication_applier_status`, every channel |
//! | PostgreSQL | `pg_current_wal_insert_lsn()` | `pg_last_wal_replay_lsn()` | in recovery, and `pg_stat_wal_receiver` streams |
//!
//! Each is one row of variables, functions or small tables in memory, to be asked several times a second. No
//! server is asked how many seconds it is behind: that counts from the event it works on, stands at 0 while the
//! connection to the source hangs, and jumps (MySQL bugs 72376 and 111453).

use policy::replica::Position;

use crate::server::Server;
use crate::{Rows, Unreadable, rows::Row};

/// What a replica told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaTold {
    /// How far it is; `None` where it does not say, as without GTIDs.
    pub position: Option<Position>,
    /// Whether its replication runs: it is connected to its source, and applies.
    pub replicates: bool,
}

const REPLICA: &str = "replica";
const PRIMARY: &str = "primary";

const REPLICA_MARIADB: &str = "SELECT @@GLOBAL.gtid_slave_pos,(SELECT VARIABLE_VALUE='ON' FROM \
    information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME='SLAVE_RUNNING')";
const REPLICA_MYSQL: &str = "SELECT @@GLOBAL.gtid_executed,\
    (SELECT COALESCE(MIN(SERVICE_STATE='ON'),0) FROM performance_schema.replication_connection_status)\
    *(SELECT COALESCE(MIN(SERVICE_STATE='ON'),0) FROM performance_schema.replication_applier_status)";
const REPLICA_POSTGRES: &str = "SELECT pg_last_wal_replay_lsn(),(pg_is_in_recovery() AND EXISTS \
    (SELECT 1 FROM pg_stat_wal_receiver WHERE COALESCE(status,'streaming')='streaming'))::int";

impl Server {
    /// Asks a primary how far it is.
    #[must_use]
    pub fn primary_sql(self) -> &'static str {
        match self {
            Self::MariaDb(_) => "SELECT @@GLOBAL.gtid_binlog_pos",
            Self::MySql(_) => "SELECT @@GLOBAL.gtid_executed",
            // What was committed without waiting for the disk is visible, and is not flushed yet.
            Self::Postgres(_) => "SELECT pg_current_wal_insert_lsn()",
        }
    }

    /// Asks a replica how far it is, and whether it goes on.
    #[must_use]
    pub fn replica_sql(self) -> &'static str {
        match self {
            Self::MariaDb(_) => REPLICA_MARIADB,
            Self::MySql(_) => REPLICA_MYSQL,
            Self::Postgres(_) => REPLICA_POSTGRES,
        }
    }

    /// Reads how far a primary is; `None` where it does not say.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn read_primary(self, answer: &Rows) -> Result<Option<Position>, Unreadable> {
        let values = answer.first().ok_or(Unreadable::Missing { question: PRIMARY })?;
        Ok(self.position(&Row::new(PRIMARY, values).text()))
    }

    /// Reads what a replica told.
    ///
    /// # Errors
    /// When there is no answer, or it is not what was asked for.
    pub fn read_replica(self, answer: &Rows) -> Result<ReplicaTold, Unreadable> {
        let values = answer.first().ok_or(Unreadable::Missing { question: REPLICA })?;
        let mut row = Row::new(REPLICA, values);
        let position = self.position(&row.text());
        Ok(ReplicaTold { position, replicates: row.number()? == 1 })
    }

    /// Whether another server may be its replica, or it that one's: they tell positions alike.
    #[must_use]
    pub fn is_alike(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::MariaDb(_), Self::MariaDb(_))
                | (Self::MySql(_), Self::MySql(_))
                | (Self::Postgres(_), Self::Postgres(_))
        )
    }

    fn position(self, text: &str) -> Option<Position> {
        match self {
            Self::MariaDb(_) => Position::of_mariadb(text),
            Self::MySql(_) => Position::of_mysql(text),
            Self::Postgres(_) => Position::of_postgres(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::server::Version;

    const MARIADB: Server = Server::MariaDb(Version(10, 11, 6));
    const MYSQL: Server = Server::MySql(Version(9, 7, 0));
    const POSTGRES: Server = Server::Postgres(Version(18, 0, 0));

    fn rows(values: &[Option<&str>]) -> Rows {
        let value = |text: &Option<&str>| text.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        vec![values.iter().map(value).collect()]
    }

    #[test]
    fn positions_are_read_as_each_server_tells_them() {
        for (server, text) in [
            (MARIADB, "0-1-270"),
            (MYSQL, "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"),
            (POSTGRES, "16/B374D848"),
        ] {
            let told = server.read_replica(&rows(&[Some(text), Some("1")])).unwrap();
            assert!(told.replicates);
            let primary = server.read_primary(&rows(&[Some(text)])).unwrap();
            assert!(primary.is_some() && told.position == primary, "{server:?}");
            let told = server.read_replica(&rows(&[None, None])).unwrap();
            assert_eq!(told, ReplicaTold { position: None, replicates: false });
            assert!(server.read_replica(&Rows::new()).is_err());
            assert!(server.read_replica(&rows(&[Some(text), Some("ON")])).is_err());
        }
        assert!(MARIADB.is_alike(Server::MariaDb(Version(11, 4, 0))) && !MARIADB.is_alike(MYSQL));
    }
}
