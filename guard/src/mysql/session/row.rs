//! Which row a statement is about, by its text and its parameters. Nobody asks while no row is fought
//! for.

use policy::{
    hot::Key,
    sql::{Shape, Value},
};
use wire::mysql::{
    command::{Command, Parameter, StmtExecute},
    frame::HEADER_LEN,
};

use super::{Session, client::First, pins::Pin};

impl Session {
    /// The row that a text is about.
    pub(super) fn row_of_text(&self, shape: &Shape, sql: &[u8]) -> Option<Key> {
        if !self.shared.hot.is_watching() {
            return None;
        }
        let home = self.settings.schema.as_deref().unwrap_or_default();
        shape.row(sql, self.dialect(), home, |_| None)
    }

    /// The row that an execution is about, whose first packet lies at the front of the client's buffer.
    pub(super) fn row_of_execution(
        &mut self,
        first: First,
        command: Command,
        id: u32,
    ) -> Option<Key> {
        // Values that were sent ahead stand nowhere any more.
        let is_whole = !first.continues && !self.pins.may_have(Pin::LongData, &id.to_le_bytes());
        if !self.shared.hot.is_watching() || command != Command::StmtExecute || !is_whole {
            return None;
        }
        let dialect = self.dialect();
        let statement = self.statements.find(id)?;
        let payload = &self.client.inbuf[HEADER_LEN..first.packet];
        let capabilities = self.client.capabilities;
        let execute = StmtExecute::parse(payload, statement.params, capabilities).ok()?;
        let home = statement.settings.schema.as_deref().unwrap_or_default();
        statement.text.shape.row(&statement.text.sql, dialect, home, |number| {
            let parameter = execute.parameters(&statement.types).nth(number)?;
            Some(match parameter? {
                Parameter::Signed(number) => Value::Signed(number),
                Parameter::Unsigned(number) => Value::Unsigned(number),
                Parameter::Real(number) => Value::Real(number),
                Parameter::Bytes(bytes) => Value::Text(bytes),
            })
        })
    }
}
