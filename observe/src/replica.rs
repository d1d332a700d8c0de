//! How far a primary and its replicas are.
//!
//! | | primary | replica | its replication runs |
//! |---|---|---|---|
//! | MariaDB | `gtid_binlog_pos` | `gtid_slave_pos` | `Slave_running`: of the default connection both threads, the one that reads being connected |
//! | MySQL | `gtid_executed` | the same | `replication_connection_status` and `replication_applier_status`, every channel |
//! | PostgreSQL | `pg_current_wal_insert_lsn()` | `pg_last_wal_replay_lsn()` | in recovery, not paused, and `pg_stat_wal_receiver` streams |
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
/// Whether replay is paused may only be asked in recovery. Who is no member of `pg_monitor` sees that there is a
/// receiver, and not its status.
const REPLICA_POSTGRES: &str = "SELECT pg_catalog.pg_last_wal_replay_lsn(),\
    (CASE WHEN pg_catalog.pg_is_in_recovery() THEN NOT pg_catalog.pg_is_wal_replay_paused() AND EXISTS \
    (SELECT FROM pg_catalog.pg_stat_wal_receiver WHERE COALESCE(status,'streaming')='streaming') \
    ELSE false END)::pg_catalog.int4";

/// What was committed without waiting for the disk is visible, and is not flushed yet. With it, where that is in its
/// segment of the log.
const PRIMARY_POSTGRES: &str = "SELECT lsn,(pg_catalog.pg_walfile_name_offset(lsn)).file_offset \
    FROM pg_catalog.pg_current_wal_insert_lsn() AS lsn";

/// A page of PostgreSQL's log, and its head: that of a segment's first page is longer.
/// (postgres:src/include/access/xlog_internal.h `SizeOfXLogShortPHD`, `SizeOfXLogLongPHD`)
const PAGE: u64 = 8192;
const SHORT_HEAD: u64 = 24;
const LONG_HEAD: u64 = 40;

impl Server {
    /// Asks a primary how far it is.
    #[must_use]
    pub fn primary_sql(self) -> &'static str {
        match self {
            Self::MariaDb(_) => "SELECT @@GLOBAL.gtid_binlog_pos",
            Self::MySql(_) => "SELECT @@GLOBAL.gtid_executed",
            Self::Postgres(_) => PRIMARY_POSTGRES,
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
        let mut row = Row::new(PRIMARY, values);
        let position = self.position(&row.text());
        Ok(match position {
            Some(Position::Postgres(next)) => {
                Some(Position::Postgres(written(next, row.number()?)))
            }
            position => position,
        })
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

/// Where the last record ended, by where the next one begins. Those are the same but at the beginning of a page, when
/// the head of that lies between: no replica gets there before the next record, which may be a long time.
/// `in_segment` is how far `next` is in its segment.
const fn written(next: u64, in_segment: u64) -> u64 {
    match in_segment {
        LONG_HEAD => next - LONG_HEAD,
        // A record that began on the page before ends behind that.
        at if at % PAGE == SHORT_HEAD => next - SHORT_HEAD,
        _ => next,
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
        let told = |lsn, offset| POSTGRES.read_primary(&rows(&[Some(lsn), Some(offset)])).unwrap();
        let at = |lsn| Position::of_postgres(lsn);
        assert_eq!(told("0/3000028", "40"), at("0/3000000"), "behind a switch");
        assert_eq!(told("0/3002018", "8216"), at("0/3002000"), "at the begin of a page");
        assert_eq!(told("0/3002028", "8232"), at("0/3002028"), "a record ends there");
        assert_eq!(told("0/30000C8", "200"), at("0/30000C8"));
        assert!(MARIADB.is_alike(Server::MariaDb(Version(11, 4, 0))) && !MARIADB.is_alike(MYSQL));
    }
}
