//! What the guard sends ahead of a client's message, so that the connection has what that needs.

use std::sync::Arc;

use bytes::BufMut;
use policy::sql::{Kind as StatementKind, parameters};
use wire::postgres::{
    frame::write_message,
    frontend::{Kind, Target, put_bind, put_close, put_execute, put_parse},
    list::Format,
    result::{Asker, Request},
};

use super::{
    answer::take_name,
    dialect,
    relay::{Relay, Stop},
};
use crate::postgres::{
    sequences::forget_unless_drawn,
    statements::{Statement, Undo},
    traffic::Count,
};

/// The type `text`.
const TEXT: u32 = 25;

/// A statement has no more parameters: their number has 16 bits.
const PARAMETERS_MAX: usize = u16::MAX as usize;

impl Relay<'_> {
    /// Sees to it that the unnamed statement on the connection is the client's, or none.
    pub(super) fn bring_unnamed(&mut self) -> Result<(), Stop> {
        let mine = &self.statements.unnamed;
        let there = self.connection.statements.unnamed;
        if mine.serial == there {
            return Ok(());
        }
        if mine.serial == 0 {
            let request = self.push(Request::Close, Asker::Guard)?;
            put_close(&mut self.connection.outbuf, Target::Statement(b""));
            self.statements.undo.push(Undo::Brought { request });
        } else {
            let request = self.push(Request::Parse, Asker::Guard)?;
            let mine = &self.statements.unnamed;
            put_raw_parse(&mut self.connection.outbuf, b"", &mine.rest);
            self.statements.undo.push(Undo::Brought { request });
        }
        self.connection.statements.unnamed = self.statements.unnamed.serial;
        Ok(())
    }

    /// Prepares a statement of the client's where the connection lacks it.
    pub(super) fn prepare_ahead(&mut self, statement: &Arc<Statement>) -> Result<(), Stop> {
        if self.connection.statements.uses(statement) {
            return Ok(());
        }
        if self.connection.statements.may_hold(statement) {
            self.close(statement)?;
        }
        let definitions = self.shared.engine.statements.definitions();
        let request = self.push(Request::Parse, Asker::Guard)?;
        put_raw_parse(&mut self.connection.outbuf, &statement.name, &statement.rest);
        self.count(Count::ServerParses);
        self.statements.undo.push(Undo::Ahead { request, statement: Arc::clone(statement) });
        self.hold(statement, definitions)
    }

    /// Binds the portal without a name to a statement of the client's, as it is bound here.
    pub(super) fn bring_portal(&mut self, name: &[u8]) -> Result<(), Stop> {
        let statement = self.statements.get(name).cloned();
        match &statement {
            Some(statement) => self.prepare_ahead(statement)?,
            None if name.is_empty() => self.bring_unnamed()?,
            // It is forgotten meanwhile.
            None => return Ok(()),
        }
        self.push(Request::Bind, Asker::Guard)?;
        let name = statement.as_ref().map_or(&b""[..], |statement| &statement.name);
        put_bind(&mut self.connection.outbuf, b"", name, &[], Format::Text);
        Ok(())
    }

    /// Notes a statement that is on its way to the connection; what has to go for it is closed.
    pub(super) fn hold(
        &mut self,
        statement: &Arc<Statement>,
        definitions: u64,
    ) -> Result<(), Stop> {
        let max = self.shared.upstream.statements_per_connection;
        self.connection.statements.insert(Arc::clone(statement), definitions);
        while let Some(statement) = self.connection.statements.evict(max) {
            let request = self.close(&statement)?;
            self.statements.undo.push(Undo::Evicted { request, statement });
        }
        Ok(())
    }

    pub(super) fn close(&mut self, statement: &Statement) -> Result<u64, Stop> {
        let request = self.push(Request::Close, Asker::Guard)?;
        put_close(&mut self.connection.outbuf, Target::Statement(&statement.name));
        Ok(request)
    }

    /// Where a transaction has failed and the connection lacks a statement: prepares an empty one in its
    /// place, with as many parameters. The server takes that, as it takes no other, and refuses a Bind
    /// of it in the words that it has for the client's own. Returns whether it did.
    pub(super) fn stand_in(&mut self, name: &[u8]) -> Result<bool, Stop> {
        let types = self.types_of(name);
        if name.is_empty() {
            if [0, self.connection.statements.unnamed].contains(&self.statements.unnamed.serial) {
                return Ok(false);
            }
            self.push(Request::Parse, Asker::Guard)?;
            put_parse(&mut self.connection.outbuf, b"", b"", &types);
            self.connection.statements.unnamed = u64::MAX;
            return Ok(true);
        }
        let Some(statement) = self.statements.get(name).cloned() else { return Ok(false) };
        if self.connection.statements.uses(&statement) {
            return Ok(false);
        }
        if self.connection.statements.may_hold(&statement) {
            self.close(&statement)?;
        }
        let definitions = self.shared.engine.statements.definitions();
        self.push(Request::Parse, Asker::Guard)?;
        put_parse(&mut self.connection.outbuf, &statement.name, b"", &types);
        self.hold(&statement, definitions)?;
        // Whoever uses it next prepares it anew.
        self.connection.statements.doubt(&statement);
        Ok(true)
    }

    /// A type for each parameter of a client's statement: declared, or found in its text.
    fn types_of(&self, name: &[u8]) -> Vec<u32> {
        let mut rest = self.statements.rest(name);
        let text = take_name(&mut rest).unwrap_or_default();
        let declared = rest.first_chunk().map_or(0, |count| u16::from_be_bytes(*count).into());
        vec![TEXT; parameters(text, dialect(self.settings)).min(PARAMETERS_MAX).max(declared)]
    }

    /// Has the transaction forget what others have drawn, ahead of a statement that asks.
    pub(super) fn forget_draws(&mut self, name: &[u8]) -> Result<(), Stop> {
        const OURS: &[u8] = b"tidegate_draws";
        let mut rest = self.statements.rest(name);
        let question = take_name(&mut rest).unwrap_or_default();
        let block = forget_unless_drawn(question, dialect(self.settings));
        // What an earlier one may have left goes first. Both are named, as the client may be using
        // what has no name.
        let requests =
            [Request::Close, Request::Close, Request::Parse, Request::Bind, Request::Execute];
        for request in requests {
            self.push(request, Asker::Guard)?;
        }
        let out = &mut self.connection.outbuf;
        put_close(out, Target::Portal(OURS));
        put_close(out, Target::Statement(OURS));
        put_parse(out, OURS, block.as_bytes(), &[]);
        put_bind(out, OURS, OURS, &[], Format::Text);
        put_execute(out, OURS, 0);
        Ok(())
    }
}

/// Whether a statement of that kind reads or writes data, and surely ends no transaction.
pub(super) const fn is_of_data(kind: StatementKind) -> bool {
    use StatementKind::{Delete, Insert, LockingSelect, Select, Update};
    matches!(kind, Select | LockingSelect | Insert | Update | Delete)
}

/// Appends a Parse whose body behind the name is `rest`.
fn put_raw_parse(out: &mut bytes::BytesMut, name: &[u8], rest: &[u8]) {
    write_message(out, Kind::Parse.byte(), |out| {
        out.put_slice(name);
        out.put_u8(0);
        out.put_slice(rest);
    });
}
