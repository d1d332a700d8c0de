//! What was noted of a client's statements ahead of the server's answers, and is taken back where they
//! are errors.

use std::sync::Arc;

use super::relay::Relay;
use crate::postgres::statements::{Undo, unboxed};

impl Relay<'_> {
    /// Takes back what was noted of requests that have failed or were skipped.
    pub(super) fn undo_from(&mut self, request: u64) {
        let mut noted = std::mem::take(&mut self.statements.undo);
        let undone = noted.extract_if(.., |undo| undo.request() >= request);
        // The last first: a name may have been closed and prepared anew.
        for undo in undone.collect::<Vec<_>>().into_iter().rev() {
            match undo {
                Undo::Prepared { name, statement, .. } => {
                    self.statements.remove(&name);
                    self.connection.statements.doubt(&statement);
                }
                Undo::Ahead { statement, .. } => self.connection.statements.doubt(&statement),
                Undo::Unnamed { request: number, before } => {
                    // One that fails has ended the one before.
                    self.statements.unnamed = unboxed(before.filter(|_| number > request));
                    self.connection.statements.unnamed = u64::MAX;
                }
                Undo::Brought { .. } => self.connection.statements.unnamed = u64::MAX,
                Undo::Evicted { statement, .. } => self.connection.statements.restore(statement),
                // The one that failed was closed before; only what was skipped was not.
                Undo::Closed { request: number, name, statement } => {
                    if number > request {
                        self.statements.insert(&name, statement);
                    }
                }
            }
        }
        self.statements.undo = noted;
    }

    /// Keeps the client's statements that were prepared behind a request which has ended all.
    pub(super) fn keep_later(&mut self, request: u64) {
        let undo = std::mem::take(&mut self.statements.undo);
        for noted in &undo {
            if let Undo::Prepared { request: number, name, statement } = noted
                && *number > request
            {
                self.statements.insert(name, Arc::clone(statement));
            }
        }
        self.statements.undo = undo;
    }
}
