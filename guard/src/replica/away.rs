//! A session that works at a replica, of any engine: what it has there, what it left, and what it has written.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use policy::refusal::{Reason, Refusal, Scope, retry_after};

use super::{Replica, Replicas};
use crate::{
    engine::{ConnectError as _, Engine, OpenError},
    session::turn::At,
    shared::Shared,
    upstream::{
        Upstream,
        linger::Slot,
        pool::{LeaseError, LeaseErrorOf, Pool},
    },
};

/// A longer read is not carried elsewhere when its replica fails: it is not kept.
pub const KEPT_MAX: usize = 256 * 1024;

/// Where a session works that is not at home.
#[derive(Debug)]
pub struct Away<E: Engine> {
    /// At this one.
    pub replica: Arc<Replica<E>>,
    /// What leads there.
    pub upstream: Arc<Upstream<E>>,
    /// The primary's, meanwhile.
    pub home: (Arc<Pool<E>>, Arc<Slot<E>>),
    /// The client's own bytes, until some of the answer is with it.
    pub kept: Option<BytesMut>,
}

impl<E: Engine> Away<E> {
    /// Where a session asks for its turns.
    pub fn at<'a>(away: Option<&'a Self>, shared: &'a Shared<E>) -> At<'a, E> {
        match away {
            Some(away) => At { gate: &away.replica.gate, upstream: &away.upstream },
            None => At::primary(shared),
        }
    }

    /// Whether it is at the server that this leads to.
    pub fn is_at(&self, upstream: &Arc<Upstream<E>>) -> bool {
        Arc::ptr_eq(&self.upstream, upstream)
    }
}

/// What a read that failed at a replica tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nothing: the session's schema or its account is not there, all connections are in use, or it is no read.
    Nobody,
    /// Its connection broke off, or the server is sick.
    BrokeOff,
    /// No connection can be opened, or it is silent.
    CannotOpen,
}

impl Blame {
    /// By why no connection could be lent.
    pub fn of<E: Engine>(error: &LeaseErrorOf<E>) -> Self {
        match error {
            LeaseError::NoRoom(_) => Self::Nobody,
            LeaseError::Open(OpenError::Connect(error)) if error.is_refusal() => Self::Nobody,
            LeaseError::Open(_) => Self::CannotOpen,
        }
    }
}

/// What a session has written. It is part of every session, and as small as a time.
#[derive(Debug, Default)]
pub enum Written {
    /// Nothing.
    #[default]
    Nothing,
    /// It may have, and the database has not confirmed the end yet.
    Open,
    /// The last of it was over by then.
    Over(Instant),
}

impl Written {
    /// A statement was sent to the primary that may write. COMMIT does not by itself: what it ends is noted.
    pub fn note(&mut self) {
        *self = Self::Open;
    }

    /// What was open is over by now.
    pub fn settle(&mut self, now: Instant) {
        if matches!(self, Self::Open) {
            *self = Self::Over(now);
        }
    }

    /// When the last write was over. To be asked where none is open.
    pub fn last(&self) -> Option<Instant> {
        match self {
            Self::Over(at) => Some(*at),
            Self::Nothing | Self::Open => None,
        }
    }
}

impl<E: Engine> Replicas<E> {
    /// A read failed at a replica.
    pub fn blame(&self, replica: &Replica<E>, blame: Blame) {
        match blame {
            Blame::Nobody => {}
            Blame::BrokeOff => self.fleet.lock().stumble(replica.index),
            // It serves nobody until a look shows otherwise.
            Blame::CannotOpen => self.fleet.lock().silence(replica.index),
        }
    }

    /// What a read of `class` is told for which none is fit.
    pub fn none_fit(&self, now: Instant, class: &str) -> Refusal {
        Refusal {
            reason: Reason::Replica,
            class: class.into(),
            scope: Scope::Routing,
            limit_name: "otherwise",
            limit: 0.0,
            measured: self.lag(now).map_or(0.0, |lag| lag.as_millis() as f64 / 1000.0),
            retry_after: retry_after(0.5, fastrand::f64()),
            held: Duration::ZERO,
            note: Some("no replica is fit for this read".into()),
        }
    }
}
