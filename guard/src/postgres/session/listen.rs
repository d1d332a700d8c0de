//! What a session listens to, over a shared connection; see [`listeners`](crate::postgres::listeners).
//!
//! LISTEN goes to the server as any statement, and takes effect with its COMMIT there. When the look
//! behind it finds channels, and nothing else ties the session to its connection, they are handed to
//! the shared one. What may end that, or asks for it (UNLISTEN, DISCARD ALL, a function that nobody
//! has read), has the channels *brought* first: the session's connection listens to them as well, so
//! the server answers as it would, and the look behind it tells which are left.
//!
//! A client is told of notifications between transactions only, and then before the ReadyForQuery: so
//! that is withheld until the shared connection has caught up.

use std::{future::poll_fn, sync::Arc};

use bytes::BytesMut;
use tracing::debug;
use wire::postgres::backend::{NotificationResponse, TransactionStatus, put_ready_for_query};

use super::{End, Lost, Session, Transaction, relay::Unit, unit::Task};
use crate::{
    postgres::{
        connection::Connection,
        holdings::Suspicion,
        listeners::{CHANNELS_MAX, Channel, Overdue, Subscription, for_each, put_quoted},
    },
    session::pins::Pin,
};

/// What of a unit's end the client is told behind the notifications that came before it, in this order.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Messages on settings that it has changed: the server reports them at its end only.
    pub statuses: Vec<u8>,
    /// How often it may go on. More than once where a COPY that failed has made it send Sync twice.
    pub ready: u32,
}

impl Due {
    /// What comes behind the statuses after all lets them go first.
    #[cold]
    pub(super) fn put_statuses(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&std::mem::take(&mut self.statuses));
    }

    fn put(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.statuses);
        for _ in 0..self.ready {
            put_ready_for_query(out, TransactionStatus::Idle);
        }
    }
}

/// The question on which channels a connection listens.
const CHANNELS: &[u8] = b"SELECT pg_catalog.pg_listening_channels()";

impl Session {
    /// Brings the channels to the session's connection, if the unit may change them or ask for them.
    /// Inside a transaction they are there once that is committed, as what it changes is.
    pub(super) async fn bring_channels(&mut self, task: &Task) -> Result<(), Lost> {
        let Some(subscription) = &mut self.subscription else { return Ok(()) };
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        if !Suspicion::of(&task.shape, &self.pins).has(Suspicion::CHANNELS)
            || subscription.is_brought
        {
            return Ok(());
        }
        let mut sql = Vec::new();
        for channel in &subscription.channels {
            sql.extend_from_slice(b"LISTEN ");
            put_quoted(&mut sql, channel);
            sql.push(b';');
        }
        // A transaction that has failed changes nothing.
        subscription.is_brought = lease.query(&sql).await?.is_ok();
        self.suspicion = self.suspicion.and(Suspicion::CHANNELS);
        Ok(())
    }

    /// Takes over from the server to what the session listens now, and hands it to the shared
    /// connection where it would be all that ties the session to its own.
    pub(super) async fn share_channels(&mut self) -> Result<(), Lost> {
        let own = self.subscription.as_mut();
        let has_brought = own.is_some_and(|own| std::mem::take(&mut own.is_brought));
        if !self.pins.has(Pin::Listen) {
            if has_brought {
                self.keep_channels(&[]).await;
            }
            self.drop_notifications();
            return Ok(());
        }
        let is_shareable =
            self.pins.iter().eq([Pin::Listen]) && self.shared.engine.listeners.are_wanted();
        if !is_shareable && !has_brought {
            self.pass_notifications_on(None);
            return Ok(());
        }
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        let Some(listens) = channels_of(lease).await? else {
            self.pass_notifications_on(None);
            return Ok(());
        };
        if has_brought {
            self.keep_channels(&listens).await;
        }
        if !is_shareable || !self.hand_channels_over(listens).await? {
            self.pass_notifications_on(None);
            return Ok(());
        }
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        if lease.query(b"UNLISTEN *").await?.is_ok() {
            self.pins.remove(Pin::Listen);
        }
        self.drop_notifications();
        Ok(())
    }

    /// Has the shared connection pass on what the session listens to. Returns whether it does.
    async fn hand_channels_over(&mut self, mut listens: Vec<Channel>) -> Result<bool, Lost> {
        listens.retain(|channel| !self.is_shared(channel));
        if listens.is_empty() {
            return Ok(true);
        }
        let known = self.subscription.as_ref().map_or(0, |own| own.channels.len());
        if known + listens.len() > CHANNELS_MAX {
            return Ok(false);
        }
        let Some(lease) = self.lease.as_mut() else { return Ok(false) };
        let listeners = &self.shared.engine.listeners;
        let hand_over = listeners.next_hand_over();
        let own = match self.subscription.take() {
            Some(own) => own,
            None => match listeners.of(self.database.as_bytes(), &self.shared.metrics) {
                Ok(hub) => Box::new(Subscription::new(hub)),
                Err(error) => {
                    debug!(session = self.entry.card.id, %error, "it listens for itself");
                    return Ok(false);
                }
            },
        };
        let encoding = lease.parameter(b"client_encoding");
        let joined = own.hub().join(listens.clone(), &own.inbox, hand_over, encoding).await;
        let told = match &joined {
            Ok(()) => lease.query(listeners.sql_of(hand_over).as_bytes()).await?.is_ok(),
            Err(_) => false,
        };
        if !told {
            debug!(session = self.entry.card.id, ?joined, "it listens for itself");
            if joined.is_ok() {
                own.hub().leave(listens, &own.inbox).await;
            }
            self.subscription = Some(own).filter(|own| !own.channels.is_empty());
            return Ok(false);
        }
        self.subscription = Some(own);
        self.pass_notifications_on(Some(hand_over));
        if let Some(own) = &mut self.subscription {
            own.channels.extend(listens);
        }
        Ok(true)
    }

    /// Ends what the session does not listen to any more.
    async fn keep_channels(&mut self, listens: &[Channel]) {
        let Some(own) = &mut self.subscription else { return };
        let is_left = |channel: &mut Channel| !listens.contains(channel);
        let left: Vec<_> = own.channels.extract_if(.., is_left).collect();
        if own.channels.is_empty() {
            // Dropping it ends it.
            self.subscription = None;
        } else if !left.is_empty() {
            own.hub().leave(left, &own.inbox).await;
        }
    }

    /// Tells the client what came on its own connection while the guard asked there: what the shared
    /// one does not pass on, up to the hand-over if there is one.
    fn pass_notifications_on(&mut self, hand_over: Option<u64>) {
        let Some(lease) = self.lease.as_mut() else { return };
        let came = lease.notifications.split();
        let mut is_over = false;
        let listeners = &self.shared.engine.listeners;
        let subscription = self.subscription.as_deref();
        let out = self.client.out();
        for_each(&came, |notified, message| {
            let handed_over = listeners.hand_over(notified);
            is_over |= handed_over.is_some() && handed_over == hand_over;
            let is_shared = subscription.is_some_and(|own| own.has(notified.channel));
            if !is_over && !is_shared && handed_over.is_none() {
                out.extend_from_slice(message);
            }
        });
    }

    fn drop_notifications(&mut self) {
        if let Some(lease) = self.lease.as_mut() {
            lease.notifications.clear();
        }
    }

    fn is_shared(&self, channel: &[u8]) -> bool {
        self.subscription.as_ref().is_some_and(|own| own.has(channel))
    }

    /// Tells the client that it may go on, where that was withheld, behind what was notified of
    /// before its transaction ended.
    pub(super) async fn catch_up(&mut self, unit: &Unit) {
        if unit.due.ready == 0 {
            return;
        }
        if let Some(own) = &self.subscription {
            own.hub().catch_up().await;
        }
        self.tell_notifications();
        unit.due.put(self.client.out());
    }

    /// A transaction that did not commit has changed nothing of what the session listens to.
    pub(super) fn forget_brought(&mut self) {
        if let Some(own) = &mut self.subscription {
            own.is_brought = false;
        }
    }

    /// Brings what waits to the client's buffer.
    pub(super) fn tell_notifications(&mut self) {
        if let Some(own) = &self.subscription {
            let count = own.take(self.client.out());
            self.shared.metrics.listen.notifications.increment(count);
        }
    }

    /// What is to be done with notifications that came while the client was silent.
    pub(super) fn hear_notifications(&mut self) -> Result<(), End> {
        self.tell_notifications();
        match self.subscription.as_ref().and_then(|own| own.inbox.overdue()) {
            Some(overdue) => Err(End::Overdue(overdue)),
            None => Ok(()),
        }
    }

    /// Returns when there are notifications that the client may be told of now.
    pub(super) fn notified(&self) -> impl Future<Output = ()> + use<> {
        let is_idle = matches!(self.transaction, Transaction::Idle);
        let own = self.subscription.as_ref().filter(|_| is_idle);
        let inbox = own.map(|own| Arc::clone(&own.inbox));
        poll_fn(move |context| match &inbox {
            Some(inbox) => inbox.poll_ready(context),
            None => std::task::Poll::Pending,
        })
    }
}

/// Whether a message of the session's own connection notifies of what the shared one passes on.
pub(super) fn is_shared(subscription: Option<&Subscription>, body: &[u8]) -> bool {
    let Some(own) = subscription else { return false };
    NotificationResponse::parse(body).is_ok_and(|notified| own.has(notified.channel))
}

/// On which channels a connection listens; `None` if the server does not say.
async fn channels_of(lease: &mut Connection) -> Result<Option<Vec<Channel>>, Lost> {
    let Ok(rows) = lease.query(CHANNELS).await? else { return Ok(None) };
    let channels =
        rows.into_iter().filter_map(|row| Some(Channel::from(&**row.first()?.as_ref()?)));
    Ok(Some(channels.collect()))
}

/// What a client is told whose notifications are not complete any more.
pub(super) const fn overdue_words(overdue: Overdue) -> ([u8; 5], &'static str) {
    match overdue {
        Overdue::Lost => (
            *b"57P01",
            "terminating connection: the connection by which its notifications came was lost, and \
             some may have been missed",
        ),
        Overdue::TooMany => (
            *b"53400",
            "terminating connection: more than 1 MiB of notifications waited for this client; it \
             has to read them, and to end its transactions",
        ),
    }
}
