//! How far a server is in the history of its primary.
//!
//! Two positions are only ever compared: whether one server has all that another had. MariaDB counts
//! transactions in each replication domain; MySQL lists the transactions of each source in intervals;
//! PostgreSQL counts bytes of its log. An empty position says nothing and is none: without a binary log
//! or GTIDs it would be reached by everybody.

use std::collections::BTreeMap;

/// Intervals of a MySQL position that are read, at most; one with more is taken for none.
pub const INTERVALS_MAX: usize = 10_000;

/// How far a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// Of each domain the number of its last transaction (`gtid_binlog_pos`, `gtid_slave_pos`).
    MariaDb(BTreeMap<u32, u64>),
    /// Of each source, and tag, the intervals of its transactions, ends included (`gtid_executed`).
    MySql(BTreeMap<Box<str>, Vec<(u64, u64)>>),
    /// The byte of the write-ahead log (`pg_lsn`).
    Postgres(u64),
}

impl Position {
    /// Reads `0-1-270,7-3-12`: domain, server and number.
    #[must_use]
    pub fn of_mariadb(text: &str) -> Option<Self> {
        let mut domains = BTreeMap::new();
        for gtid in entries(text) {
            let mut parts = gtid.split('-');
            let (domain, _server) = (parts.next()?.parse().ok()?, parts.next()?);
            let number: u64 = parts.next()?.parse().ok()?;
            let last = domains.entry(domain).or_insert(number);
            *last = number.max(*last);
        }
        (!domains.is_empty()).then_some(Self::MariaDb(domains))
    }

    /// Reads `3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5:7:tag:1-3`: source, intervals, and from each tag on
    /// those of that tag (MySQL 8.3).
    #[must_use]
    pub fn of_mysql(text: &str) -> Option<Self> {
        let mut sources: BTreeMap<Box<str>, Vec<(u64, u64)>> = BTreeMap::new();
        let mut count = 0;
        for entry in entries(text) {
            let (source, rest) = entry.split_once(':')?;
            let mut key = source.to_ascii_lowercase();
            for part in rest.split(':') {
                if !part.starts_with(|c: char| c.is_ascii_digit()) {
                    key = format!("{}:{part}", source.to_ascii_lowercase());
                    continue;
                }
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let interval = (first.parse().ok()?, last.parse().ok()?);
                sources.entry(key.as_str().into()).or_default().push(interval);
                count += 1;
            }
        }
        (1..=INTERVALS_MAX).contains(&count).then_some(Self::MySql(sources))
    }

    /// Reads `16/B374D848`.
    #[must_use]
    pub fn of_postgres(text: &str) -> Option<Self> {
        let (high, low) = text.trim().split_once('/')?;
        let (high, low) = (u32::from_str_radix(high, 16).ok()?, u32::from_str_radix(low, 16).ok()?);
        Some(Self::Postgres(u64::from(high) << 32 | u64::from(low)))
    }

    /// Whether everything up to `other` is there. Positions of different kinds have nothing in common.
    #[must_use]
    pub fn has_reached(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MariaDb(own), Self::MariaDb(other)) => {
                other.iter().all(|(domain, number)| own.get(domain).is_some_and(|at| at >= number))
            }
            (Self::MySql(own), Self::MySql(other)) => other.iter().all(|(source, intervals)| {
                let own = own.get(source).map(Vec::as_slice).unwrap_or_default();
                intervals
                    .iter()
                    .all(|&(first, last)| own.iter().any(|&(from, to)| from <= first && last <= to))
            }),
            (Self::Postgres(own), Self::Postgres(other)) => own >= other,
            _ => false,
        }
    }

    /// How many bytes of log are missing up to `other`; `None` where positions do not count bytes.
    #[must_use]
    pub fn bytes_behind(&self, other: &Self) -> Option<u64> {
        match (self, other) {
            (Self::Postgres(own), Self::Postgres(other)) => Some(other.saturating_sub(*own)),
            _ => None,
        }
    }
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "3E11FA47-71CA-11E1-9E33-C80AA9429562";

    #[test]
    fn mariadb_counts_in_each_domain() {
        let at = |text| Position::of_mariadb(text).unwrap();
        assert!(at("0-1-270,7-3-12").has_reached(&at("7-9-12")), "whatever server wrote it");
        assert!(at("0-1-270").has_reached(&at("0-2-270")));
        assert!(!at("0-1-270").has_reached(&at("0-1-271")));
        assert!(!at("0-1-270").has_reached(&at("0-1-1,7-3-1")), "a domain that it does not know");
        assert_eq!(at("0-1-5,0-2-9"), at("0-2-9"), "of two servers in one domain, the later");
    }

    #[test]
    fn mysql_lists_intervals_of_each_source() {
        let at = |text: &str| Position::of_mysql(&text.replace("SOURCE", SOURCE)).unwrap();
        assert!(at("SOURCE:1-5:7-9").has_reached(&at("SOURCE:2-4:9")));
        assert!(!at("SOURCE:1-5:7-9").has_reached(&at("SOURCE:5-7")), "one is missing");
        assert!(!at("SOURCE:1-5").has_reached(&at("other:1")));
        assert!(at("SOURCE:1-5,\nother:1").has_reached(&at("other:1")));
        let lower = SOURCE.to_ascii_lowercase();
        assert!(at("SOURCE:1-5").has_reached(&at(&format!("{lower}:1-5"))));
        assert!(!at("SOURCE:1-5").has_reached(&at("SOURCE:a_tag:1")), "a tag counts by itself");
        assert!(at("SOURCE:1-5:a_tag:1-3").has_reached(&at("SOURCE:a_tag:2")));
    }

    #[test]
    fn postgresql_counts_bytes() {
        let at = |text| Position::of_postgres(text).unwrap();
        assert_eq!(at("16/B374D848"), Position::Postgres(0x16_B374_D848));
        assert!(at("1/0").has_reached(&at("0/FFFFFFFF")));
        assert!(!at("0/1").has_reached(&at("0/2")));
        assert_eq!(at("0/1").bytes_behind(&at("0/11")), Some(16));
        assert_eq!(at("0/2").bytes_behind(&at("0/1")), Some(0), "it was asked later");
        let gtid = Position::of_mariadb("0-1-1").unwrap();
        assert_eq!(gtid.bytes_behind(&gtid), None);
    }

    #[test]
    fn what_says_nothing_is_no_position() {
        for text in ["", " ", ",", "x", "0-1", "0-1-x"] {
            assert_eq!(Position::of_mariadb(text), None, "{text:?}");
        }
        for text in ["", "x", "x:", "x:a_tag", "x:y-1", "x:1-y"] {
            assert_eq!(Position::of_mysql(text), None, "{text:?}");
        }
        for text in ["", "16", "16/", "G/1", "1/1FFFFFFFF"] {
            assert_eq!(Position::of_postgres(text), None, "{text:?}");
        }
        let many = format!("x:{}", vec!["1"; INTERVALS_MAX + 1].join(":"));
        assert_eq!(Position::of_mysql(&many), None);
        let (one, other) = (Position::Postgres(9), Position::of_mariadb("0-1-1").unwrap());
        assert!(!one.has_reached(&other));
    }
}
