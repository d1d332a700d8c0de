//! MySQL and MariaDB: the first words of a statement, which tell its kind and where its tables
//! stand, and the words inside that do something to the session.

use super::{Head, Reader, Subjects, data_kind};
use crate::sql::digest::unquote;
use crate::sql::function::mysql;
use crate::sql::keyword::Keyword::{self, *};
use crate::sql::lexer::{Token, TokenKind};
use crate::sql::{Begin, Effects, Kind, Subject};

impl Reader<'_> {
    /// The first words of a statement.
    pub(super) fn mysql_head(&mut self) -> Head {
        let Some(TokenKind::Keyword(first)) = self.cursor.peek(0) else {
            return Head::Is(Kind::Other);
        };
        if first == With {
            return Head::Later;
        }
        // Nothing of UPDATE and TABLE but the head introduces tables, so it is told here.
        self.take();
        if let Some(kind) = data_kind(first) {
            self.data(first);
            return Head::Is(kind);
        }
        match first {
            Begin | Start | Commit | Rollback | Savepoint | Release => self.transaction(first),
            Set => self.set(),
            Create | Alter | Drop | Rename | Truncate | Grant | Revoke | Install | Uninstall
            | Import => self.ddl(first),
            Explain | Describe | Desc | Analyze => self.explain(first),
            Show | Help | Get => self.show(first),
            Lock | Unlock | Flush | Backup => self.lock(first),
            Use => Head::Is(Kind::Use),
            Do => Head::Is(Kind::Do),
            Call => Head::Is(Kind::Call),
            Load => self.load(),
            Prepare | Execute | Deallocate | Handler => self.named(first),
            Xa => self.holds(Kind::Xa),
            Kill => Head::Is(Kind::Kill),
            Check | Checksum | Optimize | Repair => {
                self.tables.expect_target(true);
                self.admin()
            }
            Cache | Reset | Purge | Change | Stop | Shutdown | Restart | Clone | Binlog => {
                self.admin()
            }
            _ => Head::Is(Kind::Other),
        }
    }

    fn admin(&mut self) -> Head {
        self.effects |= Effects::IMPLICIT_COMMIT;
        Head::Is(Kind::Admin)
    }

    fn transaction(&mut self, first: Keyword) -> Head {
        match first {
            Begin if self.cursor.at(&[Not]) => Head::Block(Kind::Other),
            Begin => {
                self.cursor.take(&[Work]);
                self.begin_with(Begin::Plain);
                Head::Is(Kind::Begin)
            }
            Start if self.cursor.take(&[Transaction]) => {
                self.start_transaction();
                Head::Is(Kind::Begin)
            }
            Start => self.admin(),
            Rollback => {
                self.cursor.take(&[Work]);
                if self.cursor.at(&[To]) {
                    Head::Is(Kind::Savepoint)
                } else {
                    self.end(Kind::Rollback)
                }
            }
            Commit => {
                self.cursor.take(&[Work]);
                self.end(Kind::Commit)
            }
            _ => Head::Is(Kind::Savepoint),
        }
    }

    fn begin_with(&mut self, begin: Begin) {
        if self.cursor.at_end() {
            self.begin = Some(begin);
        }
    }

    fn start_transaction(&mut self) {
        if self.cursor.take(&[Read]) {
            if self.cursor.take(&[Only]) {
                self.begin_with(Begin::ReadOnly);
            } else if self.cursor.take(&[Write]) {
                self.begin_with(Begin::ReadWrite);
            }
        } else {
            self.begin_with(Begin::Plain);
        }
    }

    fn end(&mut self, kind: Kind) -> Head {
        if self.cursor.take(&[And]) && self.cursor.take(&[Chain]) {
            self.effects |= Effects::CHAINS;
        }
        Head::Is(kind)
    }

    /// Assignments, each with its scope: `SET GLOBAL a = 1, @b = 2, @@session.c = 3`.
    fn set(&mut self) -> Head {
        if self.cursor.take(&[Statement]) {
            self.effects |= Effects::FOR_STATEMENT;
            while !self.cursor.at_end() && !self.cursor.at(&[For]) {
                self.take();
            }
            self.cursor.take(&[For]);
            return if self.cursor.at_end() { Head::Is(Kind::Set) } else { Head::Wraps };
        }
        if self.cursor.at(&[Password]) {
            self.effects |= Effects::IMPLICIT_COMMIT;
        }
        if self.cursor.at(&[Role]) {
            self.effects |= Effects::HOLDS;
        }
        let (mut depth, mut starts) = (0_usize, true);
        while !self.cursor.at_end() {
            if starts {
                self.assignment();
            }
            starts = depth == 0 && self.cursor.at_sign(b',');
            match self.cursor.peek(0) {
                Some(TokenKind::Sign(b'(')) => depth += 1,
                Some(TokenKind::Sign(b')')) => depth = depth.saturating_sub(1),
                _ => {}
            }
            if !self.cursor.at_end() {
                self.take();
            }
        }
        Head::Is(Kind::Set)
    }

    /// The left side of one assignment.
    fn assignment(&mut self) {
        let global = self.cursor.take(&[Global, Persist, PersistOnly]);
        let scoped = global || self.cursor.take(&[Session, Local]);
        if global {
            self.effects |= Effects::SETS_GLOBAL;
        }
        if !scoped && self.cursor.at(&[Transaction]) {
            self.effects |= Effects::NEXT_TRANSACTION;
        }
        let Some(kind) = self.cursor.peek(0) else { return };
        match kind {
            TokenKind::UserVariable => self.effects |= Effects::ASSIGNS_USER_VARIABLE,
            TokenKind::Word | TokenKind::Quoted | TokenKind::SystemVariable => {
                let Some(token) = self.take() else { return };
                self.sets(unquote(token.span.of(self.sql)), global);
            }
            _ => {}
        }
    }

    fn sets(&mut self, name: &[u8], global: bool) {
        let name = name.to_ascii_lowercase();
        if name.starts_with(b"@@global.") || name.starts_with(b"@@persist") {
            self.effects |= Effects::SETS_GLOBAL;
            return;
        }
        match last_part(&name) {
            b"autocommit" if !global => self.effects |= Effects::SETS_AUTOCOMMIT,
            // The manual: "SET @@var_name applies only to the next single transaction".
            b"@@transaction_isolation"
            | b"@@tx_isolation"
            | b"@@transaction_read_only"
            | b"@@tx_read_only" => self.effects |= Effects::NEXT_TRANSACTION,
            b"@@autocommit" => self.effects |= Effects::SETS_AUTOCOMMIT,
            _ => {}
        }
    }

    fn ddl(&mut self, first: Keyword) -> Head {
        let temporary = loop {
            if self.cursor.take(&[Temporary]) {
                break true;
            }
            if !self.cursor.take(&[Or, Replace]) {
                break false;
            }
        };
        match first {
            Create if temporary => self.seen.creates_temporary = true,
            Drop if temporary => self.effects |= Effects::DROPS_TEMPORARY,
            Drop if self.cursor.take(&[Prepare]) => return self.named(Deallocate),
            _ => self.effects |= Effects::IMPLICIT_COMMIT,
        }
        let stored = [Procedure, Function, Trigger, Event];
        while !self.cursor.at_end() {
            if self.cursor.at(&[Table, Tables, View]) {
                self.take();
                self.tables.expect_target(matches!(first, Drop | Rename));
                break;
            }
            if self.cursor.at(&[Index, Trigger, Select, Insert, Update, Delete, All]) {
                self.seen.arms_on = true;
            }
            if self.cursor.at(&stored) && matches!(first, Create | Alter) {
                return Head::Block(Kind::Ddl);
            }
            if self.cursor.at(&[On]) || first == Truncate {
                break;
            }
            self.take();
        }
        if first == Truncate
            && !matches!(self.before, Some(Token { kind: TokenKind::Keyword(Table), .. }))
        {
            self.tables.expect_target(false);
        }
        if temporary && let Some((_, name)) = self.table_ahead() {
            self.is_about(Subject::Name(name));
        }
        Head::Is(Kind::Ddl)
    }

    fn explain(&mut self, first: Keyword) -> Head {
        let runs = if first == Analyze {
            !self.cursor.at(&[Table, Tables, Local, NoWriteToBinlog])
        } else {
            self.cursor.take(&[Analyze])
        };
        if first == Analyze && !runs {
            self.tables.expect_target(true);
            return self.admin();
        }
        if matches!(self.cursor.peek(0), Some(TokenKind::Word | TokenKind::Quoted)) {
            self.tables.expect_target(false);
            return Head::Is(Kind::Explain);
        }
        while let Some(kind) = self.cursor.peek(0).filter(|kind| *kind != TokenKind::Sign(b';')) {
            let inner = match kind {
                TokenKind::Keyword(With) => Some(With),
                TokenKind::Keyword(keyword) => data_kind(keyword).and(Some(keyword)),
                _ => None,
            };
            if runs && inner.is_some() {
                return Head::Wraps;
            }
            self.take();
            if let Some(keyword) = inner {
                self.data(keyword);
                break;
            }
        }
        Head::Is(Kind::Explain)
    }

    fn show(&mut self, first: Keyword) -> Head {
        if first == Get {
            self.effects |= Effects::WARNINGS | Effects::ASSIGNS_USER_VARIABLE;
            return Head::Is(Kind::Other);
        }
        while !self.cursor.at_end() {
            if self.cursor.at(&[Warnings, Errors]) {
                self.effects |= Effects::WARNINGS;
            }
            if self.cursor.at(&[Columns, Fields, Index, Keys]) {
                self.tables.expect_from();
            }
            let names_table = self.cursor.at(&[Table, View]);
            self.take();
            if names_table {
                self.tables.expect_target(false);
            }
        }
        Head::Is(Kind::Show)
    }

    fn lock(&mut self, first: Keyword) -> Head {
        match first {
            Lock => {
                self.effects |= Effects::IMPLICIT_COMMIT;
                self.tables.expect_target(true);
                self.holds(Kind::LockTables)
            }
            Unlock => {
                self.effects |= Effects::IMPLICIT_COMMIT;
                Head::Is(Kind::UnlockTables)
            }
            Backup => self.holds(Kind::LockTables),
            _ => {
                let mut tables = false;
                let mut locks = false;
                while !self.cursor.at_end() {
                    tables |= self.cursor.at(&[Table, Tables]);
                    locks |= tables && self.cursor.at(&[With, For]);
                    self.take();
                }
                self.effects |= Effects::IMPLICIT_COMMIT;
                if locks { self.holds(Kind::LockTables) } else { Head::Is(Kind::Admin) }
            }
        }
    }

    fn load(&mut self) -> Head {
        if !self.cursor.at(&[Data, Xml]) {
            return self.admin();
        }
        while !self.cursor.at_end() && !self.cursor.at(&[Into]) {
            if self.cursor.at(&[Local]) {
                self.effects |= Effects::INFILE_LOCAL;
            }
            self.take();
        }
        self.tables.expect_target(false);
        Head::Is(Kind::Load)
    }

    /// Statements about something that has a name of the session's own.
    fn named(&mut self, first: Keyword) -> Head {
        let kind = match first {
            Prepare => Kind::Prepare,
            Execute => Kind::Execute,
            Deallocate => Kind::Deallocate,
            _ => Kind::Handler,
        };
        if matches!(kind, Kind::Prepare | Kind::Execute) {
            self.effects |= Effects::DYNAMIC;
        }
        if kind == Kind::Handler {
            self.tables.expect_target(false);
        }
        self.cursor.take(&[Prepare]);
        if matches!(self.cursor.peek(0), Some(TokenKind::Word | TokenKind::Quoted))
            && let Some(token) = self.take()
        {
            self.is_about(Subject::Name(self.dialect.name(token.span.of(self.sql))));
        }
        match kind {
            Kind::Prepare | Kind::Handler => self.holds(kind),
            _ => Head::Is(kind),
        }
    }

    fn holds(&mut self, kind: Kind) -> Head {
        self.effects |= Effects::HOLDS;
        Head::Is(kind)
    }

    /// Whether what has this name before a parenthesis may be a function of the user's own.
    pub(super) fn is_named_by_user(&self, token: Token) -> bool {
        let is_qualified = self.before.is_some_and(|before| before.kind == TokenKind::Sign(b'.'));
        match token.kind {
            TokenKind::Quoted => true,
            TokenKind::Word | TokenKind::Keyword(_) => {
                is_qualified || !mysql::is_built_in(token.span.of(self.sql))
            }
            _ => false,
        }
    }

    /// A word that is no keyword, for what it asks of the server alone.
    pub(super) fn mysql_name(&mut self, token: Token) {
        const LOCKS: [&[u8]; 2] = [b"IS_FREE_LOCK", b"IS_USED_LOCK"];
        // With sql_mode = ORACLE.
        const SEQUENCES: [&[u8]; 2] = [b"NEXTVAL", b"CURRVAL"];
        let is_qualified = self.before.is_some_and(|before| before.kind == TokenKind::Sign(b'.'));
        let names = if is_qualified { SEQUENCES } else { LOCKS };
        let name = token.span.of(self.sql);
        if names.iter().any(|one| one.eq_ignore_ascii_case(name)) {
            self.effects |= Effects::OF_THE_SERVER;
        }
    }

    pub(super) fn mysql_word(&mut self, keyword: Keyword, next: Option<TokenKind>) {
        let called = next == Some(TokenKind::Sign(b'('));
        let effect = match keyword {
            GetLock if called => self.lock_function(Effects::GET_LOCK),
            ReleaseLock if called => self.lock_function(Effects::RELEASE_LOCK),
            ReleaseAllLocks if called => Effects::RELEASE_ALL_LOCKS,
            LastInsertId | Lastval if called => Effects::LAST_INSERT_ID,
            RowCount if called => Effects::ROW_COUNT,
            FoundRows if called => Effects::FOUND_ROWS,
            ConnectionId if called => Effects::CONNECTION_ID,
            SqlCalcFoundRows => Effects::CALC_FOUND_ROWS,
            Snapshot => Effects::SERIAL_SNAPSHOT,
            Into if next == Some(TokenKind::UserVariable) => {
                Effects::INTO_VARIABLE | Effects::ASSIGNS_USER_VARIABLE
            }
            Into if matches!(next, Some(TokenKind::Keyword(Outfile | Dumpfile))) => {
                Effects::OF_THE_SERVER
            }
            // NEXT VALUE FOR, PREVIOUS VALUE FOR.
            Value if next == Some(TokenKind::Keyword(For)) => Effects::OF_THE_SERVER,
            _ => Effects::NONE,
        };
        self.effects |= effect;
        if let (Using, Some(TokenKind::Word | TokenKind::Quoted)) = (keyword, next) {
            self.tables.using();
        }
    }

    /// The name of the lock counts when it is the first value: only then it is the first in every
    /// text of this digest.
    fn lock_function(&mut self, effect: Effects) -> Effects {
        let value = match self.cursor.peek(1) {
            Some(TokenKind::Literal | TokenKind::Parameter) => true,
            Some(TokenKind::Keyword(keyword)) => matches!(keyword, Null | True | False),
            _ => false,
        };
        let alone = matches!(self.cursor.peek(2), Some(TokenKind::Sign(b',' | b')')));
        if value && alone && self.values == 0 {
            self.is_about(Subject::FirstValue);
        } else {
            self.subject = Subjects::Many;
        }
        effect
    }

    pub(super) fn user_variable(&mut self, token: Token) {
        let account = self.before.is_some_and(|before| {
            before.span.end == token.span.start
                && matches!(before.kind, TokenKind::Literal | TokenKind::Word | TokenKind::Quoted)
        });
        if account {
            return;
        }
        self.effects |= Effects::USER_VARIABLE;
        if self.cursor.at_sign(b':') && self.cursor.peek(1) == Some(TokenKind::Sign(b'=')) {
            self.effects |= Effects::ASSIGNS_USER_VARIABLE;
        }
    }

    pub(super) fn system_variable(&mut self, token: Token) {
        let name = token.span.of(self.sql).to_ascii_lowercase();
        self.effects |= match last_part(&name).trim_ascii_start() {
            b"last_insert_id" | b"identity" | b"@@last_insert_id" | b"@@identity" => {
                Effects::LAST_INSERT_ID
            }
            b"warning_count" | b"error_count" | b"@@warning_count" | b"@@error_count" => {
                Effects::WARNINGS
            }
            b"pseudo_thread_id" | b"@@pseudo_thread_id" => Effects::CONNECTION_ID,
            _ => Effects::NONE,
        };
    }
}

/// `@@session.x` to `x`, `@@x` to itself.
fn last_part(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b'.').next().unwrap_or(name)
}
