//! Functions that do something to the session.

use crate::sql::classify::{Reader, Subjects};
use crate::sql::function::postgres::is_built_in;
use crate::sql::keyword::Keyword::As;
use crate::sql::lexer::{Token, TokenKind};
use crate::sql::{Effects, Subject};

impl Reader<'_> {
    /// `token` stands before a parenthesis.
    pub(in crate::sql::classify) fn postgres_call(&mut self, token: Token) {
        let is_name =
            matches!(token.kind, TokenKind::Word | TokenKind::Quoted | TokenKind::Keyword(_));
        // Columns of an alias, `CAST(a AS type(n))`, `a::type(n)`.
        let before = self.before.map(|before| before.kind);
        if !is_name || matches!(before, Some(TokenKind::Keyword(As) | TokenKind::Sign(b':'))) {
            return;
        }
        let name = self.dialect.name(token.span.of(self.sql));
        let effect = match &*name {
            "pg_advisory_lock" | "pg_try_advisory_lock" => self.advisory(Effects::GET_LOCK),
            "pg_advisory_unlock" => self.advisory(Effects::RELEASE_LOCK),
            "pg_advisory_lock_shared" | "pg_try_advisory_lock_shared" => {
                self.subject = Subjects::Many;
                Effects::GET_LOCK
            }
            "pg_advisory_unlock_shared" => {
                self.subject = Subjects::Many;
                Effects::RELEASE_LOCK
            }
            "pg_advisory_unlock_all" => Effects::RELEASE_ALL_LOCKS,
            "currval" | "lastval" => Effects::LAST_INSERT_ID,
            "nextval" | "setval" => Effects::DRAWS,
            "pg_backend_pid" => Effects::CONNECTION_ID,
            "set_config" => self.set_config(),
            "pg_advisory_xact_lock"
            | "pg_advisory_xact_lock_shared"
            | "pg_try_advisory_xact_lock"
            | "pg_try_advisory_xact_lock_shared"
            | "pg_notify"
            | "txid_current"
            | "pg_cancel_backend"
            | "pg_blocking_pids"
            | "pg_is_in_recovery"
            | "pg_last_wal_replay_lsn" => Effects::OF_THE_SERVER,
            _ => {
                self.seen.calls |= self.is_of_user(token, &name);
                Effects::NONE
            }
        };
        self.effects |= effect;
    }

    /// Whether what has this name may be a function of the user's own.
    fn is_of_user(&self, token: Token, name: &str) -> bool {
        match self.schema {
            Some(schema) => &*self.dialect.name(schema.span.of(self.sql)) != "pg_catalog",
            None => token.kind == TokenKind::Quoted || !is_built_in(name),
        }
    }

    /// The key counts when it is the first value: only then it is the first in every text of this
    /// digest. A lock of two keys is known by none.
    fn advisory(&mut self, effect: Effects) -> Effects {
        let is_value =
            matches!(self.cursor.peek(1), Some(TokenKind::Literal | TokenKind::Parameter));
        if is_value && self.cursor.peek(2) == Some(TokenKind::Sign(b')')) && self.values == 0 {
            self.is_about(Subject::FirstValue);
        } else {
            self.subject = Subjects::Many;
        }
        effect
    }
}
