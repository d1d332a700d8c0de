//! Prepared statements across pooled connections.
//!
//! A client's named statement is a text and types. All clients that prepare the same share one name
//! of the guard's own on the server, so a connection prepares it once, whoever uses it. Where it is
//! missing, a Parse goes ahead of the client's message; where it is there already, the client's
//! Parse is answered by the guard. Names are numbers that are never used again.
//!
//! The unnamed statement is not shared: a client's last one is kept with the client, and brought
//! along where another client's lies on the connection.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::BytesMut;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use policy::sql::{Dialect, Scratch, Shape};

/// What names of the guard's own begin with.
pub const PREFIX: &[u8] = b"tidegate_";

/// Texts remembered before those that nobody uses are swept out.
const SWEEP_AT: usize = 1024;

/// A prepared statement, shared by all clients that prepared the same.
#[derive(Debug)]
pub struct Statement {
    /// Its number.
    id: u64,
    /// Its name on the server.
    pub name: Box<[u8]>,
    /// The body of its Parse behind the name: text and types.
    pub rest: Box<[u8]>,
    /// What executing it does.
    pub shape: Arc<Shape>,
    /// Literals and tags of its text.
    pub scratch: Scratch,
}

/// All statements that clients have prepared, by what is in their Parse.
#[derive(Debug, Default)]
pub struct Statements {
    known: Mutex<HashMap<Box<[u8]>, Weak<Statement>, RandomState>>,
    next: AtomicU64,
    /// Counts definitions that were changed: what was prepared before may have other columns now.
    definitions: AtomicU64,
}

impl Statements {
    /// The statement for a Parse whose body is `rest` behind its name, just judged.
    pub fn intern(&self, rest: &[u8], shape: &Arc<Shape>, scratch: &Scratch) -> Arc<Statement> {
        let mut known = self.known.lock();
        if let Some(statement) = known.get(rest).and_then(Weak::upgrade) {
            return statement;
        }
        if known.len() >= SWEEP_AT && known.len() == known.capacity() {
            known.retain(|_, statement| statement.strong_count() > 0);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let name = [PREFIX, id.to_string().as_bytes()].concat().into();
        let (rest, shape, scratch) = (Box::from(rest), Arc::clone(shape), scratch.clone());
        let statement = Arc::new(Statement { id, name, rest, shape, scratch });
        known.insert(statement.rest.clone(), Arc::downgrade(&statement));
        statement
    }

    /// A number for an unnamed statement that no other has.
    pub fn next_serial(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Notes that definitions have changed: connections prepare anew what clients prepare anew.
    pub fn note_definition(&self) {
        self.definitions.fetch_add(1, Ordering::Relaxed);
    }

    /// How often definitions have changed.
    pub fn definitions(&self) -> u64 {
        self.definitions.load(Ordering::Relaxed)
    }
}

/// The statements of one client.
#[derive(Debug, Default)]
pub struct ClientStatements {
    named: HashMap<Box<[u8]>, Arc<Statement>, RandomState>,
    /// The unnamed one.
    pub unnamed: Unnamed,
    /// What was noted of requests that the server has not answered yet. Kept from unit to unit for
    /// its room.
    pub undo: Vec<Undo>,
}

/// What a failed request has not done, by its number.
#[derive(Debug)]
pub enum Undo {
    /// The client's statement of that name, new, was not prepared.
    Prepared {
        /// Which request.
        request: u64,
        /// The client's name for it.
        name: Box<[u8]>,
        /// What it is.
        statement: Arc<Statement>,
    },
    /// The guard's Parse ahead of the client's message.
    Ahead {
        /// Which request.
        request: u64,
        /// Of what.
        statement: Arc<Statement>,
    },
    /// The unnamed statement was not replaced; skipped, it is the one before.
    Unnamed {
        /// Which request.
        request: u64,
        /// What it was, where anything was before it in its series.
        before: Option<Box<Unnamed>>,
    },
    /// The unnamed statement, brought along by the guard.
    Brought {
        /// Which request.
        request: u64,
    },
    /// The statement that had to go from the connection is still there.
    Evicted {
        /// Which request.
        request: u64,
        /// Which statement.
        statement: Arc<Statement>,
    },
    /// The client's statement of that name was not closed.
    Closed {
        /// Which request.
        request: u64,
        /// The client's name for it.
        name: Box<[u8]>,
        /// What it is.
        statement: Arc<Statement>,
    },
}

impl Undo {
    /// The number of the request.
    pub fn request(&self) -> u64 {
        match self {
            Self::Prepared { request, .. }
            | Self::Ahead { request, .. }
            | Self::Unnamed { request, .. }
            | Self::Brought { request }
            | Self::Evicted { request, .. }
            | Self::Closed { request, .. } => *request,
        }
    }
}

/// A client's unnamed statement.
#[derive(Debug, Default)]
pub struct Unnamed {
    /// The body of its Parse behind the name. Empty if there is none.
    pub rest: BytesMut,
    /// What executing it does.
    pub shape: Option<Arc<Shape>>,
    /// Literals and tags of its text.
    pub scratch: Scratch,
    /// How its text was read.
    dialect: Dialect,
    /// Which it is: no two of the guard's life are the same. 0 for none.
    pub serial: u64,
}

/// What was before; nothing where nothing was.
pub fn unboxed(before: Option<Box<Unnamed>>) -> Unnamed {
    before.map(|before| *before).unwrap_or_default()
}

impl Unnamed {
    /// It is another one: the body of its Parse behind the name, just judged.
    pub fn set(&mut self, rest: &[u8], judged: (Arc<Shape>, &Scratch, Dialect), serial: u64) {
        let (shape, scratch, dialect) = judged;
        self.rest.clear();
        self.rest.extend_from_slice(rest);
        self.shape = Some(shape);
        self.scratch.clone_from(scratch);
        self.dialect = dialect;
        self.serial = serial;
    }

    /// What was found out about this text, if it is the one that this has.
    pub fn judged(&self, sql: &[u8], dialect: Dialect) -> Option<(&Arc<Shape>, &Scratch)> {
        let is_same = self.dialect == dialect
            && self.rest.get(sql.len()) == Some(&0)
            && self.rest[..sql.len()] == *sql;
        let shape = self.shape.as_ref().filter(|_| is_same)?;
        Some((shape, &self.scratch))
    }

    /// There is none any more.
    pub fn forget(&mut self) {
        self.rest.clear();
        self.shape = None;
        self.serial = 0;
    }
}

impl ClientStatements {
    /// The client's statement of that name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        self.named.get(name)
    }

    /// Takes back what was noted of the unit under way, which is sent once more, elsewhere.
    pub fn take_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Prepared { name, .. } => _ = self.remove(&name),
                Undo::Closed { name, statement, .. } => _ = self.insert(&name, statement),
                Undo::Unnamed { before, .. } => self.unnamed = unboxed(before),
                Undo::Ahead { .. } | Undo::Brought { .. } | Undo::Evicted { .. } => {}
            }
        }
    }

    /// Adds a statement; returns the one that it replaces.
    pub fn insert(&mut self, name: &[u8], statement: Arc<Statement>) -> Option<Arc<Statement>> {
        self.named.insert(name.into(), statement)
    }

    /// Forgets a statement.
    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<Statement>> {
        self.named.remove(name)
    }

    /// Forgets all that have a name.
    pub fn clear(&mut self) {
        self.named.clear();
    }

    /// Whether there are `max`, and none may come.
    pub fn is_full(&self, max: usize) -> bool {
        self.named.len() >= max
    }

    /// The client's name for what has that name on the server.
    pub fn name_of(&self, server_name: &[u8]) -> Option<&[u8]> {
        let found = self.named.iter().find(|(_, statement)| *statement.name == *server_name);
        found.map(|(name, _)| &**name)
    }

    /// What executing the statement of that name does, the unnamed one included.
    pub fn shape(&self, name: &[u8]) -> Option<&Arc<Shape>> {
        if name.is_empty() {
            return self.unnamed.shape.as_ref();
        }
        self.get(name).map(|statement| &statement.shape)
    }

    /// Its text, the unnamed one's included, and the literals and tags of that; nothing if there is
    /// none.
    pub fn text(&self, name: &[u8]) -> (&[u8], &Scratch) {
        let scratch = match name {
            b"" => Some(&self.unnamed.scratch),
            _ => self.get(name).map(|statement| &statement.scratch),
        };
        let text = self.rest(name).split(|&byte| byte == 0).next().unwrap_or_default();
        (text, scratch.unwrap_or(Scratch::NONE))
    }

    /// The body of its Parse behind the name, the unnamed one included; empty if there is none.
    pub fn rest(&self, name: &[u8]) -> &[u8] {
        if name.is_empty() {
            return &self.unnamed.rest;
        }
        self.get(name).map_or(&[], |statement| &statement.rest)
    }
}

/// The statements prepared on one connection, bounded.
#[derive(Debug, Default)]
pub struct ServerStatements {
    held: HashMap<u64, Held, RandomState>,
    clock: u64,
    /// Which client's unnamed statement lies there: [`Unnamed::serial`]. 0 for none, and
    /// [`u64::MAX`] where nobody can tell.
    pub unnamed: u64,
}

#[derive(Debug)]
struct Held {
    statement: Arc<Statement>,
    used: u64,
    definitions: u64,
    /// Whether it may not be there: an error came before the server had told.
    is_doubtful: bool,
}

impl ServerStatements {
    /// Whether the statement is there. It is then the one used last.
    pub fn uses(&mut self, statement: &Statement) -> bool {
        self.clock += 1;
        let clock = self.clock;
        let held = self.held.get_mut(&statement.id);
        held.is_some_and(|held| {
            held.used = clock;
            !held.is_doubtful
        })
    }

    /// Whether the statement may be there, and has to be closed before it is prepared.
    pub fn may_hold(&self, statement: &Statement) -> bool {
        self.held.contains_key(&statement.id)
    }

    /// Whether the statement is there, and no definition has changed since it was prepared.
    pub fn is_fresh(&self, statement: &Statement, definitions: u64) -> bool {
        let held = self.held.get(&statement.id);
        held.is_some_and(|held| held.definitions == definitions && !held.is_doubtful)
    }

    /// Notes that the statement is prepared.
    pub fn insert(&mut self, statement: Arc<Statement>, definitions: u64) {
        self.clock += 1;
        let held = Held { statement, used: self.clock, definitions, is_doubtful: false };
        self.held.insert(held.statement.id, held);
    }

    /// Where there are more than `max`, forgets the one used longest ago, and returns it to be closed.
    pub fn evict(&mut self, max: usize) -> Option<Arc<Statement>> {
        if self.held.len() <= max.max(1) {
            return None;
        }
        let oldest = self.held.iter().min_by_key(|(_, held)| held.used).map(|(id, _)| *id)?;
        self.held.remove(&oldest).map(|held| held.statement)
    }

    /// Notes that one that was evicted may be there after all. It is the first to go again.
    pub fn restore(&mut self, statement: Arc<Statement>) {
        let held = Held { statement, used: 0, definitions: 0, is_doubtful: true };
        self.held.entry(held.statement.id).or_insert(held);
    }

    /// Notes that the statement may not be there.
    pub fn doubt(&mut self, statement: &Statement) {
        if let Some(held) = self.held.get_mut(&statement.id) {
            held.is_doubtful = true;
        }
    }

    /// Notes that none may be there.
    pub fn doubt_all(&mut self) {
        self.held.values_mut().for_each(|held| held.is_doubtful = true);
    }

    /// Notes that none with a name is there.
    pub fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use policy::sql::Kind;

    use super::*;

    fn shape() -> Arc<Shape> {
        Arc::new(Shape::of_command(Kind::Select))
    }

    #[test]
    fn the_same_text_is_one_statement_and_a_name_is_never_used_again() {
        let statements = Statements::default();
        let first = statements.intern(b"SELECT 1\0\0\0", &shape(), Scratch::NONE);
        assert!(Arc::ptr_eq(
            &first,
            &statements.intern(b"SELECT 1\0\0\0", &shape(), Scratch::NONE)
        ));
        let name = first.name.clone();
        drop(first);
        assert_ne!(statements.intern(b"SELECT 1\0\0\0", &shape(), Scratch::NONE).name, name);
    }

    #[test]
    fn texts_that_nobody_uses_are_swept_out() {
        let statements = Statements::default();
        for number in 0..100_000 {
            statements.intern(format!("SELECT {number}").as_bytes(), &shape(), Scratch::NONE);
        }
        assert!(statements.known.lock().len() < 8 * SWEEP_AT);
    }

    #[test]
    fn what_is_sent_once_more_finds_names_as_they_were() {
        let statements = Statements::default();
        let [old, new] =
            [b"old", b"new"].map(|text| statements.intern(text, &shape(), Scratch::NONE));
        let mut client = ClientStatements::default();
        client.insert(b"a", Arc::clone(&old));
        // A series closes it, and prepares others, one by the same name.
        client.remove(b"a");
        let name = || Box::from(*b"a");
        client.undo.push(Undo::Closed { request: 0, name: name(), statement: Arc::clone(&old) });
        for (request, name) in [(1, name()), (2, Box::from(*b"b"))] {
            client.insert(&name, Arc::clone(&new));
            client.undo.push(Undo::Prepared { request, name, statement: Arc::clone(&new) });
        }
        client.take_back();
        assert!(Arc::ptr_eq(client.get(b"a").unwrap(), &old));
        assert!(client.get(b"b").is_none() && client.undo.is_empty());
    }

    #[test]
    fn a_connection_gives_up_the_statement_used_longest_ago() {
        let statements = Statements::default();
        let [a, b, c] =
            [b"a", b"b", b"c"].map(|text| statements.intern(text, &shape(), Scratch::NONE));
        let mut held = ServerStatements::default();
        held.insert(Arc::clone(&a), 0);
        held.insert(Arc::clone(&b), 0);
        assert!(held.evict(2).is_none());
        assert!(held.uses(&a));
        held.insert(Arc::clone(&c), 0);
        assert!(Arc::ptr_eq(&held.evict(2).unwrap(), &b));
        assert!(held.evict(2).is_none());
        assert!(!held.uses(&b) && !held.may_hold(&b));
        assert!(held.is_fresh(&a, 0) && !held.is_fresh(&a, 1));
        // An error has skipped its Close: it may be there, and is the first to go again.
        held.restore(Arc::clone(&b));
        assert!(!held.uses(&b) && held.may_hold(&b) && !held.is_fresh(&b, 0));
        held.uses(&b);
        held.restore(Arc::clone(&a));
        assert!(held.uses(&a));
        held.insert(statements.intern(b"d", &shape(), Scratch::NONE), 0);
        assert_eq!([held.evict(2), held.evict(2)].iter().flatten().count(), 2);
        assert!(held.evict(2).is_none() && held.may_hold(&a));
    }
}
