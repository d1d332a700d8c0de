//! What the guard has answered in the server's place since the session's last statement there.
//!
//! A ping, the end of an empty transaction, an unknown command: the guard answers them by itself,
//! so the server's session does not know of them. When a statement asks for `ROW_COUNT()` or the
//! warnings, it must find what it would on a direct connection; so the guard first sends what has
//! the same effect there.

use bytes::{BufMut, BytesMut};
use policy::sql::Effects;
use wire::mysql::command::{self, Command, SetOption};

use super::refuse::Error;
use crate::mysql::connection::{Connection, Lost};

/// What a statement finds of a statement before it: its warnings and how many rows it counted.
const ASKED: Effects = Effects::ROW_COUNT.or(Effects::WARNINGS);

/// The longest `MESSAGE_TEXT` of both servers, in characters.
const MESSAGE_MAX: usize = 128;

/// The last of the guard's own answers.
#[derive(Debug, Default)]
pub struct Answered {
    error: Option<Box<Error>>,
    /// A statement that came behind, with an OK.
    ok: bool,
    /// A command without SQL that came behind: it counts no rows, and leaves the warnings.
    command: Option<Command>,
}

impl Answered {
    /// An OK to a statement, such as the end of an empty transaction. It uses no tables, so MariaDB keeps the
    /// warnings of before.
    pub fn ok(&mut self, mariadb: bool) {
        let error = self.error.take().filter(|_| mariadb);
        *self = Self { error, ok: true, command: None };
    }

    /// An error.
    pub fn error(&mut self, error: Error) {
        *self = Self { error: Some(Box::new(error)), ok: false, command: None };
    }

    /// The answer to `COM_PING` or `COM_SET_OPTION`.
    pub fn command(&mut self, command: Command) {
        self.command = Some(command);
    }

    /// Whether all that `effect` asks for is known, whatever the server's session was.
    pub fn covers(&self, effect: Effects) -> bool {
        (self.ok || self.is_error()) && ASKED.contains(effect)
            || self.command.is_some() && effect == Effects::ROW_COUNT
    }

    /// Whether the server's session knows of all that was answered.
    pub fn is_nothing(&self) -> bool {
        !self.ok && self.error.is_none() && self.command.is_none()
    }

    /// Whether it is an error, which stays in the warnings until a statement uses tables.
    pub fn is_error(&self) -> bool {
        self.error.is_some()
    }

    /// Sends what has the same effect, before a statement with these effects, which counts anew.
    ///
    /// # Errors
    /// [`Lost`]. Not cancel-safe.
    pub async fn repeat(
        &mut self,
        connection: &mut Connection,
        effects: Effects,
    ) -> Result<(), Lost> {
        let Self { error, ok, command } = std::mem::take(self);
        if !effects.intersects(ASKED) {
            return Ok(());
        }
        if let Some(error) = error {
            connection.execute(&signal(&error)).await?;
        }
        if ok {
            connection.execute(b"DO 0").await?;
        }
        match command {
            Some(Command::SetOption) => {
                let option = SetOption::multi_statements(connection.settings.multi_statements);
                command::put_set_option(&mut connection.outbuf, option);
                connection.command(Command::SetOption).await?;
            }
            Some(_) => {
                command::put_simple(&mut connection.outbuf, Command::Ping);
                connection.command(Command::Ping).await?;
            }
            None => {}
        }
        Ok(())
    }
}

/// The statement that fails with this error.
fn signal(error: &Error) -> BytesMut {
    let mut sql = BytesMut::from(&b"SIGNAL SQLSTATE '"[..]);
    sql.put_slice(&error.sqlstate);
    sql.put_slice(format!("' SET MYSQL_ERRNO={},MESSAGE_TEXT='", error.code).as_bytes());
    for letter in error.message.chars().take(MESSAGE_MAX) {
        match letter {
            '\'' => sql.put_slice(b"''"),
            // Whether it must be doubled depends on the session.
            '\\' => sql.put_u8(b'/'),
            _ => sql.put_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    sql.put_u8(b'\'');
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_signalled_as_it_was() {
        let error = Error { code: 1243, sqlstate: *b"HY000", message: "it's\\".repeat(30) };
        let sql = String::from_utf8(signal(&error).to_vec()).unwrap();
        let text = sql
            .strip_prefix("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO=1243,MESSAGE_TEXT='it''s/it''s")
            .and_then(|rest| rest.strip_suffix('\''))
            .expect("the statement as it is");
        assert_eq!("it's/it's".len() + text.replace("''", "'").len(), MESSAGE_MAX);
    }

    #[test]
    fn a_ping_leaves_the_warnings() {
        let mut answered = Answered::default();
        assert!(!answered.covers(Effects::ROW_COUNT));
        answered.command(Command::Ping);
        assert!(answered.covers(Effects::ROW_COUNT) && !answered.covers(Effects::WARNINGS));
        answered.ok(false);
        assert!(answered.covers(Effects::WARNINGS) && !answered.covers(Effects::FOUND_ROWS));
    }

    #[test]
    fn mariadb_keeps_an_error_behind_an_ok() {
        for mariadb in [false, true] {
            let mut answered = Answered::default();
            answered.error(Error { code: 1243, sqlstate: *b"HY000", message: String::new() });
            answered.ok(mariadb);
            assert_eq!(answered.is_error(), mariadb);
        }
    }
}
