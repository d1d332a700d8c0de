//! The watermark: how far a primary was when a batch was begun, and whether a replica has all up to there.
//!
//! Whatever was committed before the primary was asked is within its answer, so a replica that has reached it
//! has all of it; nobody is asked how many seconds it is behind. The primary's clock is read with it, before:
//! what was changed and is not behind the mark has a later time, but for transactions that began to write
//! before and were committed after.

use jiff::Timestamp;
use policy::replica::Position;

use super::SourceError;
use super::session::Session;
use crate::sink::sql::Dialect;

/// How far a primary was, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// None where nobody has to reach it.
    pub(super) position: Option<Position>,
    /// By the database's clock.
    pub(super) time: Timestamp,
}

const TIME_POSTGRES: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
const TIME_MYSQL: &str = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))";
/// PostgreSQL's pages of the log, and the longest of their headers, in which no record begins.
const LOG_PAGE: u64 = 8192;
const LOG_HEADER_MAX: u64 = 40;

impl Session {
    /// What time it is there.
    pub(super) async fn time(&mut self) -> Result<Mark, SourceError> {
        let asked = if self.dialect() == Dialect::Postgres { TIME_POSTGRES } else { TIME_MYSQL };
        let (time, _) = read(self.texts(asked.into()).await?)?;
        Ok(Mark { position: None, time })
    }

    /// Asks a primary how far it is.
    ///
    /// # Errors
    /// [`SourceError::NoPosition`] where it does not say: without a binary log, or GTIDs.
    pub(super) async fn mark(&mut self) -> Result<Mark, SourceError> {
        let asked = match (self.dialect(), self.is_mariadb()) {
            // What was committed without waiting for the disk is visible, and is not flushed yet.
            (Dialect::Postgres, _) => format!("{TIME_POSTGRES}, pg_current_wal_insert_lsn()"),
            (Dialect::MySql, true) => format!("{TIME_MYSQL}, @@GLOBAL.gtid_binlog_pos"),
            (Dialect::MySql, false) => format!("{TIME_MYSQL}, @@GLOBAL.gtid_executed"),
        };
        let (time, position) = read(self.texts(asked).await?)?;
        let position = self.position(&position.unwrap_or_default());
        let position = position.map(rounded).ok_or(SourceError::NoPosition)?;
        Ok(Mark { position: Some(position), time })
    }

    /// Asks a replica whether it has all up to there. A server that replicates nothing has not.
    pub(super) async fn has_reached(&mut self, mark: &Position) -> Result<bool, SourceError> {
        let asked = match (self.dialect(), self.is_mariadb()) {
            (Dialect::Postgres, _) => "SELECT pg_last_wal_replay_lsn()",
            (Dialect::MySql, true) => "SELECT @@GLOBAL.gtid_slave_pos",
            (Dialect::MySql, false) => "SELECT @@GLOBAL.gtid_executed",
        };
        let told = self.texts(asked.into()).await?.into_iter().flatten().flatten().next();
        let position = self.position(&told.unwrap_or_default());
        Ok(position.is_some_and(|position| position.has_reached(mark)))
    }

    fn position(&self, text: &str) -> Option<Position> {
        match (self.dialect(), self.is_mariadb()) {
            (Dialect::Postgres, _) => Position::of_postgres(text),
            (Dialect::MySql, true) => Position::of_mariadb(text),
            (Dialect::MySql, false) => Position::of_mysql(text),
        }
    }
}

/// A position of PostgreSQL that is behind the header of a page and before its first record is that page's
/// begin. A standby tells the begin until there is a record, and one that is idle would wait for it for ever.
fn rounded(position: Position) -> Position {
    match position {
        Position::Postgres(at) if at % LOG_PAGE <= LOG_HEADER_MAX => {
            Position::Postgres(at - at % LOG_PAGE)
        }
        position => position,
    }
}

/// Microseconds, and what may stand behind.
fn read(rows: Vec<Vec<Option<String>>>) -> Result<(Timestamp, Option<String>), SourceError> {
    let mut row = rows.into_iter().flatten();
    let (time, position) = (row.next().flatten(), row.next().flatten());
    let micros = time.and_then(|time| time.parse().ok());
    let time = micros.and_then(|micros| Timestamp::from_microsecond(micros).ok());
    let time = time.ok_or_else(|| SourceError::Query("it does not say what time it is".into()))?;
    Ok((time, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_before_the_first_record_of_a_page_is_its_begin() {
        let at = |text: &str| Position::of_postgres(text).unwrap();
        assert_eq!(rounded(at("0/3000028")), at("0/3000000"));
        assert_eq!(rounded(at("0/3002018")), at("0/3002000"));
        assert_eq!(rounded(at("0/3000030")), at("0/3000030"));
        assert!(at("0/3000000").has_reached(&rounded(at("0/3000028"))));
    }

    #[test]
    fn an_answer_without_a_time_is_told() {
        let row = |values: &[Option<&str>]| {
            vec![values.iter().map(|value| value.map(str::to_owned)).collect()]
        };
        let (time, position) = read(row(&[Some("1000001"), Some("0-1-2")])).unwrap();
        assert_eq!((time.as_microsecond(), position.as_deref()), (1_000_001, Some("0-1-2")));
        assert!(read(row(&[None])).is_err() && read(Vec::new()).is_err());
    }
}
