//! The warnings that a session has, an error counting as one.
//!
//! Both servers keep them until another statement brings its own, and differ in which does:
//!
//! | | a statement | a command without SQL |
//! |---|---|---|
//! | MySQL | begins without any | keeps them, tells their number in its OK, counts its error with them |
//! | MariaDB | begins without any if it uses tables or warns itself, and else keeps them | the same, and tells none |
//!
//! So on MariaDB a question about warnings may come many statements later. They are on the connection
//! where they arose: a session that went on elsewhere has lost them.

use policy::sql::Shape;
use wire::mysql::command::Command;

use super::relay::Reply;

/// Whether a statement begins with the warnings that are there, unless it brings its own.
pub fn keeps_warnings(mariadb: bool, shape: &Shape) -> bool {
    mariadb && shape.tables.is_empty()
}

/// How many there are, and whether they are out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warnings {
    /// As many, on the connection of the session's last statement.
    Here(u16),
    /// As many, on one that it had before.
    Elsewhere(u16),
}

impl Warnings {
    /// A session that has none.
    pub const NONE: Self = Self::Here(0);

    /// How many MySQL tells in the answer to a command without SQL.
    pub fn count(self) -> u16 {
        match self {
            Self::Here(count) | Self::Elsewhere(count) => count,
        }
    }

    /// Whether there may be any.
    pub fn are_some(self) -> bool {
        self.count() > 0
    }

    /// The session goes on on another connection.
    pub fn leave(&mut self) {
        if self.are_some() {
            *self = Self::Elsewhere(self.count());
        }
    }

    /// The server has answered a command.
    pub fn note(&mut self, mariadb: bool, command: Command, shape: &Shape, reply: &Reply) {
        let has_sql = matches!(
            command,
            Command::Query
                | Command::StmtPrepare
                | Command::StmtExecute
                | Command::StmtBulkExecute
                | Command::StmtFetch
                | Command::FieldList
        );
        let keeps = match (mariadb, reply.error) {
            (true, None) => reply.warnings == 0 && keeps_warnings(mariadb, shape),
            // What it tells is what that connection had.
            (false, None) => !has_sql,
            (_, Some(_)) => false,
        };
        match reply.error {
            _ if keeps => {}
            None => *self = Self::Here(reply.warnings),
            Some(_) if has_sql => *self = Self::Here(1),
            Some(_) => self.add_error(mariadb, true),
        }
    }

    /// The guard has answered with an error of its own; `is_bare` says that it is about a command
    /// without SQL that has nothing to do with a statement.
    pub fn add_error(&mut self, mariadb: bool, is_bare: bool) {
        let before = if is_bare && !mariadb { self.count() } else { 0 };
        *self = Self::Here(before.saturating_add(1));
    }

    /// The guard has answered a statement that uses no tables, or a command about a prepared one, with
    /// an OK of its own.
    pub fn add_ok(&mut self, mariadb: bool) {
        if !mariadb {
            *self = Self::NONE;
        }
    }
}

#[cfg(test)]
mod tests {
    use policy::sql::{Dialect, LexMode, Scratch, Statements};

    use super::*;

    fn told(error: Option<u16>, warnings: u16) -> Reply {
        Reply { error, warnings, ..Reply::default() }
    }

    /// After a statement with two warnings and then this.
    fn after(mariadb: bool, command: Command, sql: &str, reply: &Reply) -> Warnings {
        let (statements, dialect) = (Statements::new(8), Dialect::MySql(LexMode::default()));
        let shape = statements.judge(sql.as_bytes(), dialect, &mut Scratch::default());
        let mut now = Warnings::NONE;
        now.note(mariadb, Command::Query, &shape, &told(None, 2));
        now.note(mariadb, command, &shape, reply);
        now
    }

    #[test]
    fn a_statement_begins_without_warnings_but_on_mariadb_only_with_tables() {
        let (mysql, mariadb) = (false, true);
        for (is, sql, left) in [
            (mysql, "SELECT 1", 0),
            (mysql, "SELECT a FROM t", 0),
            (mariadb, "SELECT 1", 2),
            (mariadb, "SELECT a FROM t", 0),
        ] {
            assert_eq!(
                after(is, Command::Query, sql, &told(None, 0)),
                Warnings::Here(left),
                "{sql}"
            );
            assert_eq!(
                after(is, Command::Query, sql, &told(Some(1064), 0)),
                Warnings::Here(1),
                "{sql}"
            );
        }
    }

    #[test]
    fn a_command_without_sql_keeps_them_and_mysql_adds_its_error() {
        for mariadb in [false, true] {
            assert_eq!(after(mariadb, Command::InitDb, "", &told(None, 0)), Warnings::Here(2));
        }
        assert_eq!(after(false, Command::InitDb, "", &told(Some(1064), 0)), Warnings::Here(3));
        assert_eq!(after(true, Command::InitDb, "", &told(Some(1064), 0)), Warnings::Here(1));
    }

    #[test]
    fn who_leaves_its_connection_loses_what_it_has() {
        let mut now = Warnings::NONE;
        now.leave();
        assert_eq!(now, Warnings::NONE);
        now.add_error(true, true);
        now.leave();
        assert_eq!((now, now.are_some()), (Warnings::Elsewhere(1), true));
        now.add_ok(true);
        assert_eq!(now, Warnings::Elsewhere(1));
        now.add_error(true, true);
        assert_eq!(now, Warnings::Here(1));
    }
}
