//! PostgreSQL: the first words of a statement, which tell its kind and where its tables stand, and
//! the words inside that matter.

mod call;
mod define;
mod named;
mod parameter;

use super::{Head, Reader, data_kind};
use crate::sql::keyword::Keyword::{self, *};
use crate::sql::lexer::TokenKind;
use crate::sql::{Begin, Effects, Kind};

impl Reader<'_> {
    /// The first words of a statement. Those of the replication protocol are not known.
    pub(super) fn postgres_head(&mut self) -> Head {
        let Some(TokenKind::Keyword(first)) = self.cursor.peek(0) else {
            return Head::Is(Kind::Other);
        };
        if first == With {
            return Head::Later;
        }
        self.take();
        if let Some(kind) = data_kind(first).filter(|_| first != Replace) {
            self.data(first);
            return Head::Is(kind);
        }
        match first {
            Begin | Start | Commit | End | Rollback | Abort | Savepoint | Release => {
                Head::Is(self.postgres_transaction(first))
            }
            Set => self.set_parameter(),
            Reset => self.reset_parameter(),
            Show => Head::Is(Kind::Show),
            Discard => self.discard(),
            Prepare | Execute | Deallocate | Declare | Close | Listen | Unlisten | Notify => {
                Head::Is(self.postgres_named(first))
            }
            Fetch | Move => Head::Is(Kind::Fetch),
            Explain => self.postgres_explain(),
            Copy => self.copy(),
            Lock => self.lock_table(),
            Create | Alter | Drop | Truncate | Grant | Revoke | Comment | Security | Refresh
            | Import | Reassign => self.define(first),
            Vacuum | Analyze | Analyse | Cluster | Reindex | Checkpoint => self.maintain(first),
            Load => self.load_library(),
            Call | Do => {
                self.seen.calls = true;
                Head::Is(Kind::Call)
            }
            _ => Head::Is(Kind::Other),
        }
    }

    fn postgres_transaction(&mut self, first: Keyword) -> Kind {
        match first {
            Savepoint | Release => return Kind::Savepoint,
            Start if !self.cursor.at(&[Transaction]) => return Kind::Other,
            _ => {}
        }
        if matches!(first, Commit | Rollback) && self.cursor.take(&[Prepared]) {
            return Kind::Xa;
        }
        self.cursor.take(&[Work, Transaction]);
        match first {
            Begin | Start => {
                self.begin = self.modes();
                return Kind::Begin;
            }
            Rollback if self.cursor.at(&[To]) => return Kind::Savepoint,
            _ => {}
        }
        if self.cursor.take(&[And]) && self.cursor.take(&[Chain]) {
            self.effects |= Effects::CHAINS;
        }
        if matches!(first, Commit | End) { Kind::Commit } else { Kind::Rollback }
    }

    /// The modes of a transaction, up to the end of the statement. `None` when something else stands
    /// there, which only the server can answer.
    fn modes(&mut self) -> Option<Begin> {
        if self.cursor.at_end() {
            return Some(Begin::Plain);
        }
        let (mut modes, mut reads_only) = (0, false);
        while !self.cursor.at_end() {
            modes += 1;
            let known = if self.cursor.take(&[Isolation]) {
                self.cursor.take(&[Level]) && self.isolation_level()
            } else if self.cursor.take(&[Read]) {
                reads_only = self.cursor.at(&[Only]);
                self.cursor.take(&[Only, Write])
            } else {
                self.cursor.take(&[Not]);
                self.cursor.take(&[Deferrable])
            };
            if !known {
                return None;
            }
            if self.cursor.at_sign(b',') {
                self.take();
                if self.cursor.at_end() {
                    return None;
                }
            }
        }
        Some(if reads_only && modes == 1 { Begin::ReadOnly } else { Begin::Modes })
    }

    fn isolation_level(&mut self) -> bool {
        if self.cursor.take(&[Repeatable]) {
            return self.cursor.take(&[Read]);
        }
        if self.cursor.take(&[Read]) {
            return self.cursor.take(&[Committed, Uncommitted]);
        }
        self.cursor.take(&[Serializable])
    }

    fn discard(&mut self) -> Head {
        if self.cursor.at(&[All]) {
            self.effects |= Effects::DISCARDS_ALL;
        }
        Head::Is(Kind::Discard)
    }

    /// With ANALYZE the statement that follows is carried out.
    fn postgres_explain(&mut self) -> Head {
        let mut runs = false;
        let query = matches!(
            self.cursor.peek(1),
            Some(TokenKind::Sign(b'(') | TokenKind::Keyword(Select | With | Values | Table))
        );
        if self.cursor.at_sign(b'(') && !query {
            while !self.cursor.at_end() && !self.cursor.at_sign(b')') {
                let is_analyze = self.cursor.at(&[Analyze, Analyse]);
                self.take();
                if is_analyze {
                    runs = !self.cursor.at(&[False, Off]);
                }
            }
            self.take_sign(b')');
        }
        while self.cursor.at(&[Analyze, Analyse, Verbose]) {
            runs |= !self.cursor.at(&[Verbose]);
            self.cursor.next();
        }
        if runs && !self.cursor.at_end() {
            return Head::Wraps;
        }
        self.inner_statement();
        Head::Is(Kind::Explain)
    }

    fn take_sign(&mut self, sign: u8) {
        if self.cursor.at_sign(sign) {
            self.take();
        }
    }

    /// A statement inside another, read for its tables and effects.
    fn inner_statement(&mut self) {
        while self.cursor.at_sign(b'(') {
            self.take();
        }
        match self.cursor.peek(0) {
            Some(TokenKind::Keyword(With)) => _ = self.with(),
            Some(TokenKind::Keyword(first)) if data_kind(first).is_some() => {
                self.take();
                self.data(first);
            }
            _ => {}
        }
    }

    /// The direction stands behind the table or the query.
    fn copy(&mut self) -> Head {
        self.cursor.take(&[Binary]);
        if !self.cursor.at_sign(b'(') {
            self.tables.expect_target(false);
        }
        let mut depth = 0_usize;
        while !self.cursor.at_end() {
            match self.cursor.peek(0) {
                Some(TokenKind::Sign(b'(')) => depth += 1,
                Some(TokenKind::Sign(b')')) => depth = depth.saturating_sub(1),
                Some(TokenKind::Keyword(From)) if depth == 0 => return Head::Is(Kind::CopyFrom),
                Some(TokenKind::Keyword(To)) if depth == 0 => return Head::Is(Kind::CopyTo),
                _ => {}
            }
            self.take();
        }
        Head::Is(Kind::CopyFrom)
    }

    fn lock_table(&mut self) -> Head {
        self.cursor.take(&[Table]);
        self.tables.expect_target(true);
        Head::Is(Kind::LockTables)
    }

    fn maintain(&mut self, first: Keyword) -> Head {
        if self.cursor.at_sign(b'(') {
            while !self.cursor.at_end() && !self.cursor.at_sign(b')') {
                self.take();
            }
            self.take_sign(b')');
        }
        while self.cursor.take(&[Full, Freeze, Verbose, Analyze, Analyse]) {}
        let names_tables = match first {
            Checkpoint => false,
            Reindex => self.cursor.take(&[Table]),
            _ => true,
        };
        if names_tables {
            self.tables.expect_target(true);
        }
        Head::Is(Kind::Admin)
    }

    fn load_library(&mut self) -> Head {
        self.effects |= Effects::LOADS_LIBRARY;
        Head::Is(Kind::Admin)
    }

    /// A word anywhere in a statement.
    pub(super) fn postgres_word(&mut self, keyword: Keyword, next: Option<TokenKind>) {
        let before = self.before.map(|token| token.kind);
        match (keyword, next) {
            (For, Some(TokenKind::Keyword(No | Key))) => self.seen.locks = true,
            (Using, Some(TokenKind::Word | TokenKind::Quoted)) if self.seen.using_names_tables => {
                self.tables.using();
            }
            (Commit, Some(TokenKind::Keyword(Drop))) if before == Some(TokenKind::Keyword(On)) => {
                self.seen.drops_on_commit = true;
            }
            (Into, _) if !matches!(before, Some(TokenKind::Keyword(Insert | Merge))) => {
                self.select_into();
            }
            (Insert | Update | Delete | Merge, Some(next))
                if before == Some(TokenKind::Sign(b'(')) && begins_write(keyword, next) =>
            {
                self.seen.writes = self.seen.writes.max(data_kind(keyword));
                self.data(keyword);
            }
            _ => {}
        }
    }
}

/// Whether this is a statement, not a column of that name.
fn begins_write(first: Keyword, next: TokenKind) -> bool {
    match first {
        Delete => next == TokenKind::Keyword(From),
        Update => !matches!(next, TokenKind::Sign(_)),
        _ => next == TokenKind::Keyword(Into),
    }
}
