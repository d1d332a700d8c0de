//! LISTEN for many clients over few connections.
//!
//! A session that listens would keep its connection for ever. So what it listens to is handed to
//! a connection of the guard's that all who listen in a database share: it listens to every channel
//! that one of them does, and passes each notification to those who want it.
//!
//! ```text
//!  session's connection:  LISTEN a (the client's own) … NOTIFY hand-over ┐ UNLISTEN *
//!  notifications:           n1   n2          n3         hand-over   n4   n5
//!  shared connection:             LISTEN a   n3 (kept back) ─────┘  n4   n5 ──► inbox
//! ```
//!
//! The server has one queue of notifications for a database, in the order of commits, and all who
//! listen read it in that order. So the *hand-over* is a notification itself: the session's own
//! connection has passed on all before it, the shared one passes on all behind it. None is lost and
//! none comes twice.
//!
//! When the shared connection breaks, nobody can tell what was missed. Its sessions end then, as they
//! would have with connections of their own.

mod hub;
mod inbox;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::BytesMut;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use wire::postgres::{
    backend::{Kind, NotificationResponse},
    frame::{HEADER_LEN, Header},
};

pub use self::inbox::{Inbox, Overdue, WAITING_LEN_MAX};
use crate::{account::Account, metrics::Metrics, upstream::target::Target};

/// The most channels that one client listens to over a shared connection. With more it keeps a
/// connection of its own.
pub const CHANNELS_MAX: usize = 256;

/// Orders that may wait for a shared connection. Past it sessions wait to give theirs, which takes
/// no longer than the orders before.
const ORDERS_MAX: usize = 1024;

/// A channel, as the server names it.
pub type Channel = Box<[u8]>;

/// The shared connections of a guard, one for each database in which clients listen.
#[derive(Debug)]
pub struct Listeners {
    with: Arc<With>,
    /// The most of them.
    max: usize,
    hubs: Mutex<HashMap<Box<[u8]>, Hub>>,
    hand_overs: AtomicU64,
}

/// What shared connections are opened with.
#[derive(Debug)]
struct With {
    target: Arc<Target>,
    account: Arc<Account>,
    /// Which server they must lead to.
    identity: Arc<str>,
    /// The channel of hand-overs. It tells guards apart that listen at the same server.
    channel: String,
    /// How long one that nobody needs any more stays open.
    idle_timeout: Duration,
}

/// What shared connections are to be like.
#[derive(Debug)]
pub struct ListenOptions {
    /// Where the server is.
    pub target: Arc<Target>,
    /// The account of the reserved connections; to LISTEN takes no privilege.
    pub account: Arc<Account>,
    /// Which server it is, as the reserved connections found it.
    pub identity: Arc<str>,
    /// The most shared connections; none with 0.
    pub max: u32,
    /// How long one that nobody needs any more stays open.
    pub idle_timeout: Duration,
}

/// The way to a shared connection.
#[derive(Debug, Clone)]
pub struct Hub {
    orders: mpsc::Sender<Order>,
    shown: Arc<Shown>,
}

/// What others may know of a shared connection.
#[derive(Debug)]
struct Shown {
    opened: Instant,
    clients: AtomicU32,
    channels: AtomicU32,
}

/// A shared connection, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubStatus {
    /// Its database.
    pub database: String,
    /// Clients that listen over it.
    pub clients: u32,
    /// Channels that it listens on, but for the guard's own.
    pub channels: u32,
    /// For how long it has been there.
    pub age: Duration,
}

/// Why a session does not listen over a shared connection.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum NotShared {
    /// There is one for each of so many other databases already.
    #[error("all {0} shared connections are taken by other databases")]
    Full(usize),
    /// It cannot be opened, or has broken.
    #[error("there is no shared connection: {0}")]
    Unavailable(String),
    /// The server would convert what it notifies of to another encoding for this client.
    #[error("the client reads another encoding than the shared connection")]
    Encoding,
}

/// What a session asks of a shared connection.
#[derive(Debug)]
enum Order {
    /// To listen to these as well, and to keep all back until the hand-over of that number.
    Join {
        channels: Vec<Channel>,
        inbox: Arc<Inbox>,
        hand_over: u64,
        encoding: Box<[u8]>,
        told: oneshot::Sender<Result<(), NotShared>>,
    },
    /// To pass on no more of these; of none if it names none.
    Leave { channels: Option<Vec<Channel>>, inbox: Arc<Inbox>, told: Option<oneshot::Sender<()>> },
    /// To pass on all that was notified of before.
    CatchUp { told: oneshot::Sender<()> },
}

impl Listeners {
    /// None yet. `instance` tells guards apart.
    pub fn new(instance: u32, options: ListenOptions) -> Self {
        let ListenOptions { target, account, identity, max, idle_timeout } = options;
        let channel = format!("tidegate.{instance:08x}");
        let with = Arc::new(With { target, account, identity, channel, idle_timeout });
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Self { with, max, hubs: Mutex::default(), hand_overs: AtomicU64::new(0) }
    }

    /// Whether there are to be any.
    pub fn are_wanted(&self) -> bool {
        self.max > 0
    }

    /// The one of a database, which is opened if it is not there. Whether it can be, its first
    /// answer tells.
    ///
    /// # Errors
    /// When there are as many as there may be.
    pub fn of(&self, database: &[u8], metrics: &Arc<Metrics>) -> Result<Hub, NotShared> {
        let mut hubs = self.hubs.lock();
        hubs.retain(|_, hub| !hub.orders.is_closed());
        if let Some(hub) = hubs.get(database) {
            return Ok(hub.clone());
        }
        if hubs.len() >= self.max {
            return Err(NotShared::Full(self.max));
        }
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        let (clients, channels) = (AtomicU32::new(0), AtomicU32::new(0));
        let shown = Arc::new(Shown { opened: Instant::now(), clients, channels });
        let with = Arc::clone(&self.with);
        tokio::spawn(hub::run(with, database.into(), orders, Arc::clone(&shown), metrics.clone()));
        let hub = Hub { orders: sender, shown };
        hubs.insert(database.into(), hub.clone());
        Ok(hub)
    }

    /// The number of a new hand-over.
    pub fn next_hand_over(&self) -> u64 {
        self.hand_overs.fetch_add(1, Ordering::Relaxed)
    }

    /// The SQL by which a session's own connection says that from here on the shared one passes
    /// notifications on. It hears so itself.
    pub fn sql_of(&self, hand_over: u64) -> String {
        let channel = &self.with.channel;
        format!("LISTEN \"{channel}\";NOTIFY \"{channel}\",'{hand_over}'")
    }

    /// The number of the hand-over that a notification is, if it is one: of that session, or of
    /// another whose hand-over came while this one's connection began to hear of them.
    pub fn hand_over(&self, notified: &NotificationResponse<'_>) -> Option<u64> {
        self.with.hand_over(notified)
    }

    /// Those that there are.
    pub fn list(&self) -> Vec<HubStatus> {
        let hubs = self.hubs.lock();
        let alive = hubs.iter().filter(|(_, hub)| !hub.orders.is_closed());
        alive
            .map(|(database, Hub { shown, .. })| HubStatus {
                database: String::from_utf8_lossy(database).into_owned(),
                clients: shown.clients.load(Ordering::Relaxed),
                channels: shown.channels.load(Ordering::Relaxed),
                age: shown.opened.elapsed(),
            })
            .collect()
    }
}

impl With {
    /// The number of the hand-over that a notification is, if it is one.
    fn hand_over(&self, notified: &NotificationResponse<'_>) -> Option<u64> {
        let is_ours = notified.channel == self.channel.as_bytes();
        str::from_utf8(notified.payload).ok().filter(|_| is_ours)?.parse().ok()
    }
}

impl Hub {
    /// Listens to `channels` for `inbox`, and keeps all back until `hand_over`. On return the
    /// server has confirmed it. `encoding` is what the client reads.
    ///
    /// Dropping the future leaves the order standing.
    ///
    /// # Errors
    /// [`NotShared`]; nothing has changed then.
    pub async fn join(
        &self,
        channels: Vec<Channel>,
        inbox: &Arc<Inbox>,
        hand_over: u64,
        encoding: &[u8],
    ) -> Result<(), NotShared> {
        let (told, answer) = oneshot::channel();
        let (inbox, encoding) = (Arc::clone(inbox), encoding.into());
        let order = Order::Join { channels, inbox, hand_over, encoding, told };
        let gone = || NotShared::Unavailable("it has just been closed".into());
        self.orders.send(order).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Passes on no more of `channels`. On return none comes any more.
    pub async fn leave(&self, channels: Vec<Channel>, inbox: &Arc<Inbox>) {
        let (told, left) = oneshot::channel();
        let (channels, inbox) = (Some(channels), Arc::clone(inbox));
        if self.orders.send(Order::Leave { channels, inbox, told: Some(told) }).await.is_ok() {
            // Without an answer it is closed, and passes nothing on either.
            let _closed = left.await;
        }
    }

    /// On return all that was notified of before is in the inboxes. The server signals those who
    /// listen before it answers a COMMIT, and a backend that was signalled tells its client before
    /// it answers what comes then.
    pub async fn catch_up(&self) {
        let (told, done) = oneshot::channel();
        if self.orders.send(Order::CatchUp { told }).await.is_ok() {
            // Without an answer it is closed; the inbox says so.
            let _closed = done.await;
        }
    }
}

/// What one session listens to over a shared connection. Dropping it ends that.
#[derive(Debug)]
pub struct Subscription {
    hub: Hub,
    /// Where notifications wait for it.
    pub inbox: Arc<Inbox>,
    /// In the order in which it came to listen.
    pub channels: Vec<Channel>,
    /// Whether the session's own connection listens to them as well, from the end of this
    /// transaction on, and then tells which are left.
    pub is_brought: bool,
}

impl Subscription {
    /// To nothing yet.
    pub fn new(hub: Hub) -> Self {
        Self { hub, inbox: Arc::default(), channels: Vec::new(), is_brought: false }
    }

    /// The shared connection.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Whether a channel is among them.
    pub fn has(&self, channel: &[u8]) -> bool {
        self.channels.iter().any(|own| **own == *channel)
    }

    /// Takes the notifications that wait, without those of channels that are not listened to any
    /// more. Returns how many there are.
    pub fn take(&self, out: &mut BytesMut) -> u64 {
        let mut count = 0;
        for_each(&self.inbox.take(), |notified, message| {
            if self.has(notified.channel) {
                out.extend_from_slice(message);
                count += 1;
            }
        });
        count
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.inbox.close();
        let inbox = Arc::clone(&self.inbox);
        // Where there is no room for one more order, the hub finds the closed inbox by itself.
        let _found_later =
            self.hub.orders.try_send(Order::Leave { channels: None, inbox, told: None });
    }
}

/// Shows each notification of a row of messages, with its bytes.
pub fn for_each(mut messages: &[u8], mut show: impl FnMut(&NotificationResponse<'_>, &[u8])) {
    while let Ok(Some(header)) = Header::peek(messages)
        && let Some((message, rest)) = messages.split_at_checked(header.message_len())
    {
        if header.kind == Kind::NotificationResponse.byte()
            && let Ok(notified) = NotificationResponse::parse(&message[HEADER_LEN..])
        {
            show(&notified, message);
        }
        messages = rest;
    }
}

/// Appends a name as an identifier of SQL.
pub fn put_quoted(sql: &mut Vec<u8>, name: &[u8]) {
    sql.push(b'"');
    for &byte in name {
        sql.extend(std::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
    }
    sql.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted() {
        let mut sql = Vec::new();
        put_quoted(&mut sql, br#"a"b c"#);
        assert_eq!(sql, br#""a""b c""#);
    }
}
