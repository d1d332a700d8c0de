//! Reminders, and the application that they belong to.
//!
//! A reminder is a job: it reads the one who is to be reminded and writes a notification. A *worker* does such
//! jobs one after the other. Meanwhile users look at their pages, each a transaction that reads who they are and what
//! notifications they have, and notes that they were there.

use super::dice::Dice;
use super::{Fault, Peer, Target, Transaction, tables};
use crate::error::Error;
use crate::server::Server;
use crate::server::engine::Engine;

/// How many somebody sees of his notifications.
const SHOWN: u32 = 5;

/// What a reminder's statements say of themselves, as sqlcommenter and marginalia write it.
const TAG: &str = "/*job='reminder'*/";

/// Makes and fills the tables, as an application does: recipients numbered from 0.
///
/// # Errors
/// When the server refuses.
pub async fn load(server: &Server, recipients: u64) -> Result<(), Error> {
    let rows = (0..recipients).map(|id| format!("({id},'recipient {id}',0)"));
    let rows = tables::insert("recipient", rows);
    tables::make(server, create(server.engine()).into_iter().chain(rows)).await
}

fn create(engine: Engine) -> [String; 3] {
    let numbered =
        if engine.is_postgres() { "GENERATED ALWAYS AS IDENTITY" } else { "AUTO_INCREMENT" };
    [
        "CREATE TABLE recipient (id INT PRIMARY KEY, name VARCHAR(64) NOT NULL, seen INT NOT NULL)"
            .into(),
        // No key keeps doubles out: they would show.
        format!(
            "CREATE TABLE notification (id BIGINT {numbered} PRIMARY KEY, \
             reminder VARCHAR(64) NOT NULL, recipient INT NOT NULL, body VARCHAR(200) NOT NULL)"
        ),
        "CREATE INDEX notification_recipient ON notification (recipient)".into(),
    ]
}

/// Removes all notifications.
///
/// # Errors
/// When the server refuses.
pub async fn clear(server: &Server) -> Result<(), Error> {
    tables::make(server, ["TRUNCATE TABLE notification".to_owned()]).await
}

/// What there is of notifications.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// All of them.
    pub all: u64,
    /// Different reminders that they are of.
    pub reminders: u64,
}

/// Counts the notifications on the server itself.
///
/// # Errors
/// When it refuses.
pub async fn written(server: &Server) -> Result<Written, Error> {
    let sql = "SELECT CONCAT(COUNT(*), ' ', COUNT(DISTINCT reminder)) FROM notification";
    let odd = |log: String| Error::Failed { program: "counting notifications".into(), log };
    let told = tables::ask(server, sql).await?.unwrap_or_default();
    let counts = told.split_once(' ').and_then(|(all, reminders)| {
        Some(Written { all: all.parse().ok()?, reminders: reminders.parse().ok()? })
    });
    counts.ok_or_else(|| odd(told))
}

/// A page of somebody's own.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// How many recipients there are.
    pub recipients: u64,
}

impl Transaction for Page {
    async fn run(&self, peer: &mut Peer, number: u64) -> Result<(), Fault> {
        let id = Dice::new(number).below(self.recipients.max(1));
        peer.run("BEGIN").await?;
        peer.run(&format!("SELECT name FROM recipient WHERE id = {id}")).await?;
        let shown = format!(
            "SELECT body FROM notification WHERE recipient = {id} ORDER BY id DESC LIMIT {SHOWN}"
        );
        peer.run(&shown).await?;
        peer.run(&format!("UPDATE recipient SET seen = seen + 1 WHERE id = {id}")).await?;
        peer.run("COMMIT").await
    }
}

/// Does reminders, one at a time.
#[derive(Debug)]
pub struct Worker {
    /// Reads over a connection of its own, or over the one that writes.
    reads: Option<Connection>,
    writes: Connection,
}

impl Worker {
    /// With one connection for all.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { reads: None, writes: Connection { target, peer: None } }
    }

    /// With one that only reads, as applications have that read from replicas: a guard lets a session that
    /// has written read from the primary until a replica has it.
    #[must_use]
    pub fn apart(target: Target) -> Self {
        Self { reads: Some(Connection { target, peer: None }), ..Self::new(target) }
    }

    /// Does one: `reminder` is its name, of letters, digits and dashes.
    ///
    /// # Errors
    /// When it is not done; [`Fault::Lost`] leaves open whether it is. It connects anew then, with the next.
    /// Dropping the future in the middle leaves that open, too, and the worker must not be used again.
    pub async fn remind(&mut self, reminder: &str, recipient: u64) -> Result<(), Fault> {
        let read = format!("SELECT name FROM recipient WHERE id = {recipient} {TAG}");
        let name = match self.reads.as_mut().unwrap_or(&mut self.writes).value(&read).await {
            Ok(name) => name,
            // What was only read is not done, for certain.
            Err(Fault::Lost(why)) => return Err(Fault::TurnedAway(why)),
            Err(fault) => return Err(fault),
        };
        let Some(name) = name else {
            return Err(Fault::Refused(format!("there is no recipient {recipient}")));
        };
        let write = format!(
            "INSERT INTO notification (reminder, recipient, body) \
             VALUES ('{reminder}', {recipient}, 'It is one o''clock, {name}') {TAG}"
        );
        self.writes.value(&write).await.map(drop)
    }
}

/// A connection that is opened when it is needed.
#[derive(Debug)]
struct Connection {
    target: Target,
    peer: Option<Peer>,
}

impl Connection {
    async fn value(&mut self, sql: &str) -> Result<Option<String>, Fault> {
        let peer = match &mut self.peer {
            Some(peer) => peer,
            empty => empty.insert(Peer::login(self.target, &self.target.account()).await?),
        };
        let told = peer.value(sql).await;
        if matches!(told, Err(Fault::TurnedAway(_) | Fault::Lost(_))) {
            self.peer = None;
        }
        told
    }
}
