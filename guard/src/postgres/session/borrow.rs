//! How a unit gets a connection that is as its session is.

use std::{sync::atomic::Ordering, time::Instant};

use policy::refusal::Reason;
use wire::postgres::{frame::HEADER_LEN, frontend::Kind};

use super::{
    End, Lease, Session, Transaction,
    away::Failing,
    dialect,
    unit::{Task, text_of},
};
use crate::{
    postgres::{
        Postgres,
        connection::Lost,
        handover::{HandoverError, Incoming, hand_over},
        refuse::{self, Error},
        sequences::{self, Draws, may_draw},
        traffic::Count,
    },
    replica::Blame,
};

/// Connections that are tried for one unit before it is given up. More than one is needed when idle
/// connections died together, as in a restart of the database.
const LEASE_TRIES: usize = 64;

/// How often BEGIN is sent on one connection. One late cancel hits once.
const BEGIN_TRIES: usize = 2;

/// What came of borrowing a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Borrowed {
    /// The session has one.
    Yes,
    /// It has none; the client has been told, and where no transaction is open, the permit is given back.
    Told,
    /// The replica has none to give. The client has not been told.
    Elsewhere(Failing),
}

/// Why a connection is not what a unit needs.
enum Misfit {
    /// The database, or the guard, says no; the connection is as it was.
    Refused(Error),
    /// The transaction is none for a standby; the connection is as it was.
    Standby,
    /// It is broken.
    Lost(Lost),
}

impl From<HandoverError> for Misfit {
    fn from(error: HandoverError) -> Self {
        match error {
            HandoverError::Refused(error) => Self::Refused(Error::Server(error)),
            HandoverError::Lost(lost) => Self::Lost(lost),
        }
    }
}

impl Session {
    /// Sees to it that the session has a connection in its own state.
    ///
    /// Cancel-safe at a replica, where nothing runs on a connection before it is borrowed.
    pub(super) async fn borrow(&mut self, task: &Task) -> Result<Borrowed, End> {
        let is_assigned = self.lease.is_none();
        self.resume();
        if self.is_in_transaction() {
            return self.go_on(task).await;
        }
        // What is pinned on a connection cannot be had on another one.
        let is_bound = self.lease.is_some() && !self.pins.is_empty();
        let mut refusal = None;
        for _ in 0..LEASE_TRIES {
            let mut lease = match self.lease.take() {
                Some(lease) => lease,
                None => match self.lease_new().await? {
                    Ok(lease) => lease,
                    Err((_, blame)) if self.away.is_some() => {
                        return Ok(Borrowed::Elsewhere(Failing::Replica(blame)));
                    }
                    Err((error, _)) => {
                        refusal = Some(error);
                        break;
                    }
                },
            };
            let fitted = self.fit(&mut lease, task).await;
            if fitted.is_ok() || is_bound {
                self.lease = Some(lease);
            } else if let Err(Misfit::Refused(_) | Misfit::Standby) = &fitted {
                lease.give_back();
            } else {
                // No statement runs on it and no transaction is open: closing it is enough.
                drop(lease.detach());
            }
            match fitted {
                Ok(()) => {
                    self.client.traffic.add(Count::Assignments, is_assigned.into());
                    return Ok(Borrowed::Yes);
                }
                Err(Misfit::Standby) => return Ok(Borrowed::Elsewhere(Failing::Standby)),
                // What it is set to may not have come there yet, as a new role.
                Err(Misfit::Refused(_)) if self.away.is_some() => {
                    return Ok(Borrowed::Elsewhere(Failing::Replica(Blame::Nobody)));
                }
                Err(Misfit::Refused(error)) => {
                    refusal = Some(error);
                    break;
                }
                Err(Misfit::Lost(lost)) if is_bound => {
                    self.lose(Some(task.first), &lost).await?;
                    return Err(End::UpstreamLost);
                }
                // Nothing of the client's was sent: another connection will do.
                Err(Misfit::Lost(_)) => {}
            }
        }
        if self.away.is_some() {
            return Ok(Borrowed::Elsewhere(Failing::Replica(Blame::BrokeOff)));
        }
        self.permit = None;
        self.orders.metrics.of(task.class).note_shed(Reason::Upstream);
        self.show();
        let refusal = refusal.unwrap_or_else(|| refuse::unavailable("no connection survived"));
        self.decline(task.first, &refusal);
        Ok(Borrowed::Told)
    }

    /// Makes a connection without a transaction what this unit needs: set as the session is, with its
    /// transaction begun if one is due.
    async fn fit(&mut self, lease: &mut Lease, task: &Task) -> Result<(), Misfit> {
        let (session, settings) = (self.identity(), &self.settings);
        let lock_timeout = self.times.lock_wait.map(|limit| limit.as_millis().max(1) as u64);
        let asks_draws = self.asks_draws(task);
        hand_over(lease, Incoming { session, settings, lock_timeout, asks_draws }).await?;
        if self.needs_its_own(task, lease.last_used_by) {
            return Err(Misfit::Refused(refuse::sequence_elsewhere()));
        }
        lease.last_used_by = session;
        if self.away.is_some() {
            self.entry.card.set_away(task.class);
            let has_begun = self.begin_away(lease).await.map_err(Misfit::Lost)?;
            return if has_begun { Ok(()) } else { Err(Misfit::Standby) };
        }
        self.begin(lease).await.map_err(Misfit::Lost)?;
        self.entry.card.set_backend(lease.backend(), task.class);
        Ok(())
    }

    /// Goes on with an open transaction, as [`Self::borrow`].
    ///
    /// A query that asks what was drawn is preceded by a block that sees to it that nobody else's draws
    /// are told. In a series, the relay does that.
    async fn go_on(&mut self, task: &Task) -> Result<Borrowed, End> {
        let asks = task.first.kind == Kind::Query && self.asks_draws_now(task);
        let Some(lease) = self.lease.as_mut() else { return Err(End::UpstreamLost) };
        if !asks || lease.draws == Draws::Own {
            return Ok(Borrowed::Yes);
        }
        // Behind the transaction, what others have drawn is forgotten before it is asked for.
        lease.draws = Draws::Others;
        let question = text_of(Kind::Query, &self.client.inbuf[HEADER_LEN..task.first.here]);
        let block = sequences::forget_unless_drawn(question, dialect(&self.settings));
        match lease.query(block.as_bytes()).await {
            Ok(Ok(_)) => Ok(Borrowed::Yes),
            Ok(Err(error)) => {
                self.decline(task.first, &Error::Server(error));
                self.idle_since = Some(Instant::now());
                Ok(Borrowed::Told)
            }
            Err(lost) => {
                self.lose(Some(task.first), &lost).await?;
                Err(End::UpstreamLost)
            }
        }
    }

    /// Begins the transaction that is due. The client's messages go out when the database has
    /// confirmed it: had somebody cancelled BEGIN, what is behind it would commit by itself.
    async fn begin(&mut self, lease: &mut Lease) -> Result<(), Lost> {
        let Transaction::Begun(sql) = self.transaction else { return Ok(()) };
        for _ in 0..BEGIN_TRIES {
            if lease.query(sql).await?.is_ok() {
                self.transaction = Transaction::Open { since: self.now };
                return Ok(());
            }
        }
        Err(Lost::Closed)
    }

    /// Whether this unit, or one behind it, may ask what was drawn from sequences.
    fn asks_draws(&self, task: &Task) -> bool {
        self.asks_draws_now(task) || self.pool.memory.asks_draws.load(Ordering::Relaxed)
    }

    /// Whether the unit begins with a statement that asks. It is remembered of the account.
    fn asks_draws_now(&self, task: &Task) -> bool {
        let asks = sequences::asks(&task.shape);
        if asks {
            self.pool.memory.asks_draws.store(true, Ordering::Relaxed);
        }
        asks
    }

    /// Whether a unit does nothing but ask for what only the connection knows that this session used
    /// last: the server's error would say that nothing was drawn.
    fn needs_its_own(&self, task: &Task, last_used_by: u64) -> bool {
        sequences::asks(&task.shape)
            && !may_draw(&task.shape)
            && !matches!(self.transaction, Transaction::Begun(_))
            && last_used_by != self.identity()
    }

    /// Leases a connection from the pool. The inner error is for the client; with it what it tells of a replica.
    async fn lease_new(&mut self) -> Result<Result<Lease, (Error, Blame)>, End> {
        let patience = self.now + self.shared.options.lease_timeout;
        let leased = tokio::select! {
            biased;
            leased = self.pool.lease() => leased,
            error = self.client.gone() => return Err(End::Client(error)),
            () = self.timer.until(Some(patience)) => {
                let error = refuse::unavailable("no connection could be opened in time");
                return Ok(Err((error, Blame::CannotOpen)));
            }
        };
        self.now = Instant::now();
        Ok(leased.map_err(|error| (refuse::not_leased(&error), Blame::of::<Postgres>(&error))))
    }
}
