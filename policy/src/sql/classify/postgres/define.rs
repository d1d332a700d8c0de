//! Statements that define something: which tables they name, and which are temporary.

use crate::sql::classify::{Head, Reader};
use crate::sql::keyword::Keyword::{self, *};
use crate::sql::lexer::TokenKind;
use crate::sql::{Effects, Kind, Subject};

/// The schema that stands for the session's own, in which all is temporary.
const PG_TEMP: &str = "pg_temp";

impl Reader<'_> {
    pub(super) fn define(&mut self, first: Keyword) -> Head {
        match first {
            Truncate => {
                self.cursor.take(&[Table]);
                self.tables.expect_target(true);
            }
            Grant | Revoke | Comment | Security => self.definition_of(first),
            Import | Reassign => {}
            _ => return self.object(first),
        }
        Head::Is(Kind::Ddl)
    }

    /// `GRANT … ON [TABLE] a, b TO`, `COMMENT ON TABLE a IS`.
    fn definition_of(&mut self, first: Keyword) {
        while !self.cursor.at_end() && !self.cursor.take(&[On]) {
            self.take();
        }
        let names_table = if matches!(first, Grant | Revoke) {
            self.cursor.take(&[Table]) || self.at_bare_name()
        } else {
            self.cursor.take(&[Materialized]);
            self.cursor.take(&[Table, View])
        };
        if names_table {
            self.tables.expect_target(matches!(first, Grant | Revoke));
        }
    }

    /// Whether a name follows, and not the word for its kind (`ON SCHEMA a`).
    fn at_bare_name(&mut self) -> bool {
        let goes_on = matches!(
            self.cursor.peek(1),
            Some(TokenKind::Sign(b'.' | b',') | TokenKind::Keyword(To | From))
        );
        goes_on && matches!(self.cursor.peek(0), Some(TokenKind::Word | TokenKind::Quoted))
    }

    /// CREATE, ALTER, DROP, REFRESH of an object.
    fn object(&mut self, first: Keyword) -> Head {
        let mut temporary = false;
        loop {
            if self.cursor.take(&[Temp, Temporary]) {
                temporary = true;
            } else if !self.cursor.take(&[
                Or,
                Replace,
                Global,
                Local,
                Unlogged,
                Recursive,
                Unique,
                Constraint,
                Foreign,
                Materialized,
            ]) {
                break;
            }
        }
        if self.cursor.at(&[Index, Trigger, Policy]) {
            self.seen.arms_on = true;
        } else if self.cursor.at(&[Function, Procedure]) {
            return self.routine();
        } else if self.cursor.at(&[Sequence]) {
            self.take();
            self.relation(first, temporary);
        } else if self.cursor.take(&[Table, View]) {
            self.tables.expect_target(first == Drop);
            self.relation(first, temporary);
        }
        Head::Is(Kind::Ddl)
    }

    /// The relation that stands next.
    fn relation(&mut self, first: Keyword, temporary: bool) {
        self.cursor.take(&[Concurrently]);
        let Some((schema, name)) = self.table_ahead() else {
            self.seen.creates_temporary |= temporary;
            return;
        };
        let is_own = schema.as_deref() == Some(PG_TEMP);
        let after = self.cursor.peek(if schema.is_some() { 3 } else { 1 });
        match first {
            Create if temporary || is_own => self.seen.creates_temporary = true,
            // A temporary table hides a table of the same name.
            Drop if is_own || schema.is_none() => {
                if after == Some(TokenKind::Sign(b',')) {
                    return;
                }
                self.effects |= Effects::DROPS_TEMPORARY;
            }
            _ => return,
        }
        self.is_about(Subject::Name(name));
    }

    /// A routine whose body is a string ends with its `;`. Where one of BEGIN ATOMIC ends, only a
    /// parser could tell.
    fn routine(&mut self) -> Head {
        while !self.cursor.at_end() {
            if self.cursor.take(&[Begin]) && self.cursor.at(&[Atomic]) {
                return Head::Block(Kind::Ddl);
            }
            self.take();
        }
        Head::Is(Kind::Ddl)
    }

    /// SELECT … INTO [TEMPORARY] [TABLE] name.
    pub(super) fn select_into(&mut self) {
        let mut temporary = false;
        while self.cursor.at(&[Temp, Temporary, Unlogged, Local, Global, Table]) {
            temporary |= self.cursor.at(&[Temp, Temporary]);
            self.cursor.next();
        }
        self.seen.makes_table = true;
        self.tables.expect_target(false);
        self.relation(Create, temporary);
    }
}
