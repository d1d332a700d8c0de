//! Which server it is, and what it may be asked.

use std::borrow::Cow;

use policy::ddl::Want;
use policy::locks::Locks;

use crate::counters::Counters;
use crate::{Rows, Unreadable, mysql, postgres};

/// A server's version: major, minor, patch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16, pub u16);

impl Version {
    /// The numbers at the head of a text such as `10.11.6-MariaDB`; what is missing is 0.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let head = text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
        let mut numbers = head.split('.').map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self(next(), next(), next())
    }
}

/// A kind of server and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// MariaDB 10.3 and later.
    MariaDb(Version),
    /// MySQL 5.7 and later.
    MySql(Version),
    /// PostgreSQL 13 and later.
    Postgres(Version),
}

/// What a server can be asked, from the cheapest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// [`Counters`].
    Counters,
    /// What is open: [`Locks`] without waits.
    Transactions,
    /// Also who waits for whom: [`Locks`].
    Graph,
    /// Who wants tables for himself, or has them: [`Want`]s. Only asked where somebody is to be kept from such
    /// tables.
    Ddl,
}

impl Question {
    /// All, from the cheapest.
    pub const ALL: [Self; 4] = [Self::Counters, Self::Transactions, Self::Graph, Self::Ddl];

    /// As it is called in metrics and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counters => "counters",
            Self::Transactions => "transactions",
            Self::Graph => "graph",
            Self::Ddl => "ddl",
        }
    }
}

/// One more statement of a question, which not every server of its kind can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct More {
    /// The statement. Its answer comes behind those of [`Server::sql`].
    pub sql: &'static str,
    /// What is not told where it is refused, and what helps.
    pub lacking: &'static str,
}

/// What a server told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// To [`Question::Counters`].
    Counters(Counters),
    /// To [`Question::Transactions`] and [`Question::Graph`].
    Locks(Locks),
    /// To [`Question::Ddl`].
    Ddl(Vec<Want>),
}

impl Server {
    /// A MySQL or MariaDB, from the version that it greets with.
    #[must_use]
    pub fn of_mysql(version: &str) -> Self {
        // MariaDB up to 10.x pretends to be 5.5.5 to old replicas.
        let text = version.strip_prefix("5.5.5-").unwrap_or(version);
        match version.contains("MariaDB") {
            true => Self::MariaDb(Version::parse(text)),
            false => Self::MySql(Version::parse(text)),
        }
    }

    /// A PostgreSQL, from its `server_version`.
    #[must_use]
    pub fn of_postgres(version: &str) -> Self {
        Self::Postgres(Version::parse(version))
    }

    /// What to say on a new connection before any question, so that no question holds the
    /// database up, nor waits for a lock itself.
    #[must_use]
    pub fn setup(self) -> &'static str {
        match self {
            Self::MariaDb(_) => mysql::SETUP_MARIADB,
            Self::MySql(_) => mysql::SETUP_MYSQL,
            Self::Postgres(version) => postgres::setup(version),
        }
    }

    /// The statements of a question. They are sent one after the other, right behind each other.
    #[must_use]
    pub fn sql(self, question: Question) -> Vec<Cow<'static, str>> {
        match self {
            Self::MariaDb(_) => mysql::sql_mariadb(question),
            Self::MySql(version) => mysql::sql_mysql(version, question),
            Self::Postgres(version) => postgres::sql(version, question),
        }
    }

    /// What may be asked besides, if the server can tell.
    #[must_use]
    pub fn more(self, question: Question) -> Option<More> {
        match (self, question) {
            (Self::MariaDb(_), Question::Graph) => Some(mysql::METADATA_MARIADB),
            _ => None,
        }
    }

    /// Reads the answers, one for each of the statements.
    ///
    /// # Errors
    /// When an answer is missing or is not what was asked for.
    pub fn read(self, question: Question, answers: &[Rows]) -> Result<Told, Unreadable> {
        match self {
            Self::MariaDb(_) | Self::MySql(_) => mysql::read(question, answers),
            Self::Postgres(_) => postgres::read(question, answers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_by_its_greeting() {
        let mariadb = |a, b, c| Server::MariaDb(Version(a, b, c));
        assert_eq!(Server::of_mysql("5.5.5-10.11.6-MariaDB-0+deb12u1"), mariadb(10, 11, 6));
        assert_eq!(Server::of_mysql("11.4.2-MariaDB-log"), mariadb(11, 4, 2));
        assert_eq!(Server::of_mysql("9.7.4-2"), Server::MySql(Version(9, 7, 4)));
        assert_eq!(Server::of_mysql("8.0.40"), Server::MySql(Version(8, 0, 40)));
        let postgres = Server::of_postgres("15.8 (Debian 15.8-0+deb12u1)");
        assert_eq!(postgres, Server::Postgres(Version(15, 8, 0)));
        assert_eq!(Server::of_postgres("18beta1"), Server::Postgres(Version(18, 0, 0)));
        assert_eq!(Version::parse("nothing"), Version::default());
    }
}
