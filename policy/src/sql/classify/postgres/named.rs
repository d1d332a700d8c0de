//! Statements about something that has a name of the session's own.

use crate::sql::classify::{Reader, Subjects};
use crate::sql::keyword::Keyword::{self, *};
use crate::sql::{Effects, Kind, Subject};

impl Reader<'_> {
    pub(super) fn postgres_named(&mut self, first: Keyword) -> Kind {
        match first {
            Prepare if self.cursor.take(&[Transaction]) => return Kind::Xa,
            Deallocate => _ = self.cursor.take(&[Prepare]),
            _ => {}
        }
        if self.cursor.at(&[All]) || self.cursor.at_sign(b'*') {
            self.subject = Subjects::Many;
        } else if let Some(name) = self.take_name() {
            self.is_about(Subject::Name(name));
        }
        match first {
            Prepare => self.prepare_statement(),
            Declare => self.declare_cursor(),
            Execute => {
                self.effects |= Effects::DYNAMIC;
                Kind::Execute
            }
            Deallocate => Kind::Deallocate,
            Close => Kind::Close,
            Listen => {
                self.effects |= Effects::LISTENS;
                Kind::Listen
            }
            Unlisten => {
                self.effects |= Effects::UNLISTENS;
                Kind::Unlisten
            }
            _ => Kind::Notify,
        }
    }

    fn prepare_statement(&mut self) -> Kind {
        self.effects |= Effects::PREPARES;
        while !self.cursor.at_end() && !self.cursor.take(&[As]) {
            self.take();
        }
        self.inner_statement();
        Kind::Prepare
    }

    fn declare_cursor(&mut self) -> Kind {
        while !self.cursor.at_end() && !self.cursor.take(&[For]) {
            if self.cursor.take(&[With]) {
                if self.cursor.at(&[Hold]) {
                    self.effects |= Effects::HOLDS_CURSOR;
                }
            } else {
                self.take();
            }
        }
        self.inner_statement();
        Kind::Declare
    }
}
