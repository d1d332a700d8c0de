//! One shared connection, and the task that serves it.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::{Channel, Inbox, NotShared, Order, Shown, With, for_each, put_quoted};
use crate::{
    metrics::Metrics,
    postgres::{
        connect::{self, ConnectError, ServerError, Wishes},
        connection::{Connection, Lost},
        courier::read_identity,
    },
};

/// Orders that are carried out together.
const BATCH_LEN: usize = 128;

/// How long the server may take to answer before the connection counts as broken.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a shared connection is none.
#[derive(Debug, Error)]
enum Broken {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error("the database refused: {0}")]
    Refused(ServerError),
    #[error("it leads to another server: {0}")]
    OtherServer(String),
    #[error("the database does not answer")]
    Silent,
}

/// Opens the shared connection of a database, and serves it until nobody has needed it for a while,
/// or it breaks. Who asks for something then is told that there is none.
pub(super) async fn run(
    with: Arc<With>,
    database: Box<[u8]>,
    mut orders: mpsc::Receiver<Order>,
    shown: Arc<Shown>,
    metrics: Arc<Metrics>,
) {
    let name = String::from_utf8_lossy(&database).into_owned();
    let connection = match open(&with, &database).await {
        Ok(connection) => connection,
        Err(error) => {
            warn!(database = name, %error, "no shared connection to listen by; clients keep their own");
            return refuse(orders, &NotShared::Unavailable(error.to_string())).await;
        }
    };
    info!(
        database = name,
        backend = connection.backend.id,
        "clients listen by a shared connection"
    );
    metrics.listen.connections.increment(1.0);
    let (members, joining) = (HashMap::new(), HashMap::new());
    let mut work = Work { with, connection, members, joining, shown, metrics };
    match work.serve(&mut orders).await {
        Ok(()) => info!(database = name, "nobody listens any more"),
        Err(error) => {
            let clients = work.inboxes().len();
            warn!(database = name, clients, %error,
                "the shared connection was lost; those who listened by it are ended");
        }
    }
    for inbox in work.inboxes() {
        inbox.lose();
    }
    work.members.clear();
    work.show();
    work.metrics.listen.connections.decrement(1.0);
    refuse(orders, &NotShared::Unavailable("it was closed".into())).await;
}

async fn open(with: &With, database: &[u8]) -> Result<Connection, Broken> {
    let wishes = Wishes::control(Some(database.to_vec()));
    let connected = connect::connect(&with.target, &with.account, &wishes).await?;
    let mut connection = Connection::new(connected);
    let set_up = async {
        let found = read_identity(&mut connection).await?.map_err(Broken::Refused)?;
        if *found != *with.identity {
            return Err(Broken::OtherServer(found));
        }
        // It is silent for long; the parameter came with PostgreSQL 14.
        let sql = format!(
            "SELECT pg_catalog.set_config(name,'0',false) FROM pg_catalog.pg_settings \
             WHERE name OPERATOR(pg_catalog.=) 'idle_session_timeout';LISTEN \"{}\"",
            with.channel
        );
        connection.query(sql.as_bytes()).await?.map_err(Broken::Refused)
    };
    tokio::time::timeout(ANSWER_TIMEOUT, set_up).await.map_err(|_| Broken::Silent)??;
    Ok(connection)
}

/// Answers what is still asked, and takes no more.
async fn refuse(mut orders: mpsc::Receiver<Order>, why: &NotShared) {
    orders.close();
    while let Some(order) = orders.recv().await {
        if let Order::Join { told, .. } = order {
            let _gone = told.send(Err(why.clone()));
        }
    }
}

/// Somebody who listens to a channel.
#[derive(Debug)]
struct Member {
    inbox: Arc<Inbox>,
    /// The hand-over before which nothing is passed on.
    from: Option<u64>,
}

/// A shared connection at work.
struct Work {
    with: Arc<With>,
    connection: Connection,
    /// Who listens, by channel. The connection listens to these, and to that of hand-overs.
    members: HashMap<Channel, Vec<Member>>,
    /// Hand-overs that are due, with what they are about.
    joining: HashMap<u64, (Arc<Inbox>, Vec<Channel>)>,
    shown: Arc<Shown>,
    metrics: Arc<Metrics>,
}

/// How an order is answered once the server has.
enum Told {
    Join(oneshot::Sender<Result<(), NotShared>>),
    Other(oneshot::Sender<()>),
}

impl Work {
    async fn serve(&mut self, orders: &mut mpsc::Receiver<Order>) -> Result<(), Broken> {
        let mut batch = Vec::with_capacity(BATCH_LEN);
        loop {
            let is_idle = self.members.is_empty();
            tokio::select! {
                biased;
                count = orders.recv_many(&mut batch, BATCH_LEN) => if count == 0 {
                    return Ok(());
                },
                filled = self.connection.fill() => filled?,
                () = rest(self.with.idle_timeout, is_idle) => return Ok(()),
            }
            while self.connection.next_event()?.is_some() {}
            self.deliver();
            if !batch.is_empty() {
                let carried = tokio::time::timeout(ANSWER_TIMEOUT, self.carry(&mut batch)).await;
                carried.map_err(|_| Broken::Silent)??;
            }
        }
    }

    /// Carries out orders with one query, and answers them once all that was notified of before is
    /// in the inboxes.
    async fn carry(&mut self, batch: &mut Vec<Order>) -> Result<(), Broken> {
        let (mut sql, mut tolds, mut joined) = (Vec::new(), Vec::new(), Vec::new());
        let has_changed = batch.iter().any(|order| !matches!(order, Order::CatchUp { .. }));
        for order in batch.drain(..) {
            match order {
                Order::Join { encoding, told, .. } if !self.reads(&encoding) => {
                    let _gone = told.send(Err(NotShared::Encoding));
                }
                Order::Join { channels, inbox, hand_over, told, .. } => {
                    self.join(&channels, &inbox, hand_over, &mut sql);
                    joined.push(Some(hand_over));
                    self.joining.insert(hand_over, (inbox, channels));
                    tolds.push(Told::Join(told));
                }
                Order::Leave { channels, inbox, told } => {
                    self.leave(channels.as_deref(), &inbox, &mut sql);
                    tolds.extend(told.map(Told::Other));
                }
                Order::CatchUp { told } => tolds.push(Told::Other(told)),
            }
        }
        let done = self.connection.query(&sql).await?;
        self.deliver();
        if let Err(error) = &done {
            // All of it is one transaction, so nothing was done. Those who wanted to join keep
            // connections of their own; what nobody wants any more is dropped as it comes.
            warn!(%error, "the shared connection cannot listen");
            for members in self.members.values_mut() {
                members.retain(|member| member.from.is_none() || !joined.contains(&member.from));
            }
            self.joining.retain(|hand_over, _| !joined.contains(&Some(*hand_over)));
            self.members.retain(|_, members| !members.is_empty());
        }
        if has_changed {
            self.show();
        }
        for told in tolds {
            let _gone = match told {
                Told::Join(told) => {
                    let refused = |error: &ServerError| NotShared::Unavailable(error.to_string());
                    told.send(done.as_ref().map(drop).map_err(refused)).is_ok()
                }
                Told::Other(told) => told.send(()).is_ok(),
            };
        }
        Ok(())
    }

    /// Whether the server converts what it notifies of to that encoding for this connection.
    fn reads(&self, encoding: &[u8]) -> bool {
        self.connection.parameter(b"client_encoding") == encoding
    }

    fn join(&mut self, channels: &[Channel], inbox: &Arc<Inbox>, from: u64, sql: &mut Vec<u8>) {
        for channel in channels {
            let members = self.members.entry(channel.clone()).or_insert_with(|| {
                sql.extend_from_slice(b"LISTEN ");
                put_quoted(sql, channel);
                sql.push(b';');
                Vec::new()
            });
            members.push(Member { inbox: Arc::clone(inbox), from: Some(from) });
        }
    }

    fn leave(&mut self, channels: Option<&[Channel]>, inbox: &Arc<Inbox>, sql: &mut Vec<u8>) {
        self.members.retain(|channel, members| {
            if channels.is_none_or(|channels| channels.contains(channel)) {
                members.retain(|member| !Arc::ptr_eq(&member.inbox, inbox));
            }
            if members.is_empty() {
                sql.extend_from_slice(b"UNLISTEN ");
                put_quoted(sql, channel);
                sql.push(b';');
            }
            !members.is_empty()
        });
        if channels.is_none() {
            self.joining.retain(|_, (joining, _)| !Arc::ptr_eq(joining, inbox));
        }
    }

    /// Passes on what the server has notified of.
    fn deliver(&mut self) {
        let notifications = self.connection.notifications.split();
        for_each(&notifications, |notified, message| {
            if let Some(hand_over) = self.with.hand_over(notified) {
                if let Some((inbox, channels)) = self.joining.remove(&hand_over) {
                    for channel in &channels {
                        let members = self.members.get_mut(channel).into_iter().flatten();
                        let due = members.filter(|member| Arc::ptr_eq(&member.inbox, &inbox));
                        due.for_each(|member| member.from = None);
                    }
                }
                return;
            }
            let Some(members) = self.members.get_mut(notified.channel) else { return };
            // One whose session is gone or cannot take any more is dropped; its channel with the
            // next order that leaves it empty.
            members.retain(|member| match member.from {
                Some(_) => member.inbox.is_open(),
                None => member.inbox.put(message),
            });
        });
    }

    fn inboxes(&self) -> Vec<Arc<Inbox>> {
        let mut inboxes: Vec<_> =
            self.members.values().flatten().map(|member| Arc::clone(&member.inbox)).collect();
        inboxes.sort_by_key(Arc::as_ptr);
        inboxes.dedup_by_key(|inbox| Arc::as_ptr(inbox));
        inboxes
    }

    /// Shows others how many there are.
    fn show(&self) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (clients, channels) = (count(self.inboxes().len()), count(self.members.len()));
        let before = self.shown.clients.swap(clients, Ordering::Relaxed);
        self.metrics.listen.clients.increment(f64::from(clients) - f64::from(before));
        let before = self.shown.channels.swap(channels, Ordering::Relaxed);
        self.metrics.listen.channels.increment(f64::from(channels) - f64::from(before));
    }
}

async fn rest(idle_timeout: Duration, is_idle: bool) {
    match is_idle {
        true => tokio::time::sleep(idle_timeout).await,
        false => pending().await,
    }
}
