//! Binary prepared statements across pooled connections.
//!
//! A statement id belongs to one server connection, but a client keeps its ids for as long as it
//! likes. So the guard gives each client ids of its own ([`ClientStatements`]), remembers the SQL
//! behind them, and prepares it lazily on whichever connection the session leases
//! ([`ServerStatements`], one per connection, least recently used first out). Whoever prepares the
//! same SQL shares one server statement, but for as long as a cursor or long data is in it, and for
//! whoever keeps the connection until it is reset: then it is held by one client's id.
//!
//! A client may send its parameter types once and then leave them out; the server remembers them
//! by statement. The guard does too, and puts them back when the statement moved.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use foldhash::fast::RandomState;

use super::{read_as::ReadAs, settings::Settings};
use crate::mysql::texts::Text;

/// The id by which MariaDB's clients name the statement they prepared last.
pub const LAST_PREPARED: u32 = u32::MAX;

/// One statement as its client knows it.
#[derive(Debug, Clone)]
pub struct ClientStatement {
    /// What was prepared.
    pub text: Arc<Text>,
    /// What the session's settings were then: wherever the statement is executed, it goes on to
    /// mean what it meant.
    pub settings: Arc<Settings>,
    /// Number of parameters.
    pub params: u16,
    /// The parameter types the client sent last; empty before the first execution.
    pub types: Box<[u8]>,
    /// As what MySQL would read its values; empty on MariaDB.
    pub read_as: ReadAs,
}

/// The prepared statements of one client, bounded by `statements_per_client`.
#[derive(Debug, Default)]
pub struct ClientStatements {
    by_id: HashMap<u32, ClientStatement, RandomState>,
    last_id: u32,
}

impl ClientStatements {
    /// Whether one more would pass `max`.
    pub fn is_full(&self, max: usize) -> bool {
        self.by_id.len() >= max
    }

    /// Takes a new statement in and returns the id the client will use.
    pub fn insert(&mut self, statement: ClientStatement) -> u32 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            let is_usable = self.last_id != 0 && self.last_id != LAST_PREPARED;
            if is_usable && !self.by_id.contains_key(&self.last_id) {
                self.by_id.insert(self.last_id, statement);
                return self.last_id;
            }
        }
    }

    /// Resolves MariaDB's "last prepared" to the id it stands for.
    pub fn resolve(&self, id: u32) -> u32 {
        if id == LAST_PREPARED { self.last_id } else { id }
    }

    /// The statement behind a (resolved) id.
    pub fn find(&self, id: u32) -> Option<&ClientStatement> {
        self.by_id.get(&id)
    }

    /// As [`Self::find`], to note something of it.
    pub fn find_mut(&mut self, id: u32) -> Option<&mut ClientStatement> {
        self.by_id.get_mut(&id)
    }

    /// Forgets a statement the client closed.
    pub fn remove(&mut self, id: u32) -> Option<ClientStatement> {
        self.by_id.remove(&id)
    }

    /// Forgets all of them: `COM_RESET_CONNECTION`, `COM_CHANGE_USER`.
    pub fn clear(&mut self) {
        self.by_id.clear();
    }

    /// How many the client holds.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether the client holds none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

/// One statement as a server connection knows it.
#[derive(Debug)]
pub struct ServerStatement {
    /// The server's id.
    pub id: u32,
    /// What was prepared.
    text: Arc<Text>,
    /// The parameter types the server saw last for it.
    pub types: Box<[u8]>,
    /// As what MySQL reads its values by now; empty on MariaDB.
    pub read_as: ReadAs,
    /// What the connection's settings were: the same text means something else under another
    /// schema or `sql_mode`.
    settings: Arc<Settings>,
    used: u64,
}

/// The statements prepared on one server connection, bounded by `statements_per_connection`, and
/// those held by `statements_per_client`.
#[derive(Debug, Default)]
pub struct ServerStatements {
    /// By the number of their text.
    by_text: HashMap<u64, ServerStatement, RandomState>,
    /// Those that belong to one client's statement alone, by its id. They tie their session to the
    /// connection, so the ids are all of one client.
    held: HashMap<u32, ServerStatement>,
    clock: u64,
}

impl ServerStatements {
    /// The server statement for `client`'s `statement`, if it is prepared in the same scene and reads
    /// the values as a fresh one.
    pub fn find(
        &mut self,
        client: u32,
        statement: &ClientStatement,
    ) -> Option<&mut ServerStatement> {
        let ClientStatement { text, settings, read_as, .. } = statement;
        if !self.held.is_empty() && self.held.contains_key(&client) {
            return self.held.get_mut(&client);
        }
        let statement = self.by_text.get_mut(&text.number)?;
        let is_same = Arc::ptr_eq(&statement.settings, settings)
            || statement.settings.is_same_scene(settings);
        if !is_same || !statement.read_as.suits(read_as) {
            return None;
        }
        self.clock += 1;
        statement.used = self.clock;
        Some(statement)
    }

    /// Notes that `text` is now statement `id`. Returns the id that must be closed to stay within
    /// `max`: the one it replaces, or the least recently used.
    pub fn insert(
        &mut self,
        text: Arc<Text>,
        id: u32,
        settings: Arc<Settings>,
        max: usize,
    ) -> Option<u32> {
        self.clock += 1;
        let number = text.number;
        let statement = ServerStatement {
            id,
            text,
            types: Box::default(),
            read_as: ReadAs::default(),
            settings,
            used: self.clock,
        };
        if let Some(replaced) = self.by_text.insert(number, statement) {
            return Some(replaced.id);
        }
        if self.by_text.len() <= max.max(1) {
            return None;
        }
        let others = self.by_text.iter().filter(|(other, _)| **other != number);
        let oldest = others.min_by_key(|(_, statement)| statement.used).map(|(other, _)| *other)?;
        self.by_text.remove(&oldest).map(|statement| statement.id)
    }

    /// Keeps the statement for `text` to `client`'s alone: others prepare one of their own.
    pub fn hold(&mut self, client: u32, text: &Text) {
        if !self.held.contains_key(&client)
            && let Some(found) = self.by_text.remove(&text.number)
        {
            self.held.insert(client, found);
        }
    }

    /// Shares what `client`'s statement held. Returns the id that must be closed, where others have
    /// prepared the same meanwhile.
    pub fn share(&mut self, client: u32) -> Option<u32> {
        if self.held.is_empty() {
            return None;
        }
        let statement = self.held.remove(&client)?;
        match self.by_text.entry(statement.text.number) {
            Entry::Occupied(_) => Some(statement.id),
            Entry::Vacant(vacant) => {
                vacant.insert(statement);
                None
            }
        }
    }

    /// Forgets what `client`'s statement held. Returns the id that must be closed.
    pub fn remove_held(&mut self, client: u32) -> Option<u32> {
        self.held.remove(&client).map(|statement| statement.id)
    }

    /// Forgets all of them: the connection was reset.
    pub fn clear(&mut self) {
        self.by_text.clear();
        self.held.clear();
    }

    /// How many are prepared on the connection.
    pub fn len(&self) -> usize {
        self.by_text.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_text.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use policy::sql::{Dialect, Kind, LexMode, Scratch, Shape};

    use super::*;
    use crate::mysql::texts::Texts;

    fn text(sql: &str) -> Arc<Text> {
        static TEXTS: LazyLock<Texts> = LazyLock::new(Texts::default);
        let shape = Arc::new(Shape::of_command(Kind::Select));
        let dialect = Dialect::MySql(LexMode::default());
        TEXTS.intern(sql.as_bytes(), dialect, shape, &Scratch::default())
    }

    fn statement(sql: &str, settings: &Arc<Settings>) -> ClientStatement {
        ClientStatement {
            text: text(sql),
            settings: Arc::clone(settings),
            params: 0,
            types: Box::default(),
            read_as: ReadAs::default(),
        }
    }

    #[test]
    fn the_least_recently_used_server_statement_is_closed_first() {
        let settings = Arc::new(Settings::default());
        let mut statements = ServerStatements::default();
        assert_eq!(statements.insert(text("a"), 1, Arc::clone(&settings), 2), None);
        assert_eq!(statements.insert(text("b"), 2, Arc::clone(&settings), 2), None);
        assert!(statements.find(1, &statement("a", &settings)).is_some());
        assert_eq!(statements.insert(text("c"), 3, Arc::clone(&settings), 2), Some(2));
        assert!(statements.find(2, &statement("b", &settings)).is_none());
        assert_eq!(statements.len(), 2);
    }

    #[test]
    fn a_statement_in_use_is_not_shared() {
        let settings = Arc::new(Settings::default());
        let mut statements = ServerStatements::default();
        statements.insert(text("a"), 1, Arc::clone(&settings), 8);
        statements.hold(10, &text("a"));
        assert_eq!(statements.find(10, &statement("a", &settings)).map(|found| found.id), Some(1));
        assert!(statements.find(11, &statement("a", &settings)).is_none());
        assert_eq!(statements.insert(text("a"), 2, Arc::clone(&settings), 8), None);
        assert_eq!(statements.share(10), Some(1), "the other one is shared by now");
        assert_eq!(statements.find(10, &statement("a", &settings)).map(|found| found.id), Some(2));
        statements.hold(11, &text("a"));
        assert_eq!(statements.share(11), None);
        assert_eq!(statements.remove_held(11), None);
    }

    #[test]
    fn the_same_text_under_other_settings_is_another_statement() {
        let plain = Arc::new(Settings::default());
        let mut ansi = Settings::default();
        ansi.set_variable(b"sql_mode", b"ANSI_QUOTES");
        let ansi = Arc::new(ansi);
        let mut statements = ServerStatements::default();
        statements.insert(text("select \"a\""), 1, Arc::clone(&plain), 8);
        assert!(statements.find(1, &statement("select \"a\"", &ansi)).is_none());
        assert_eq!(statements.insert(text("select \"a\""), 2, ansi, 8), Some(1));
    }

    #[test]
    fn a_statement_is_shared_where_it_reads_the_values_alike() {
        const DOUBLE: [u8; 2] = [5, 0];
        let settings = Arc::new(Settings::default());
        let mut statements = ServerStatements::default();
        statements.insert(text("a"), 1, Arc::clone(&settings), 8);
        let texts = statement("a", &settings);
        let mut numbers = statement("a", &settings);
        numbers.read_as.note([Some(DOUBLE)].into_iter());
        statements.find(1, &numbers).unwrap().read_as = numbers.read_as.clone();
        assert!(statements.find(2, &texts).is_none());
        assert!(statements.find(3, &numbers).is_some());
    }
}
