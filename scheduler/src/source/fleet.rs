//! The replicas of a source, and which of them has what the primary had.

use std::sync::Arc;
use std::time::Duration;

use policy::replica::Position;
use tokio::time::{Instant, sleep};

use super::SourceError;
use super::origin::Origin;
use super::session::Session;

/// They are asked so often while none is far enough.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Connections to replicas, opened when they are needed.
#[derive(Debug)]
pub(super) struct Fleet {
    origin: Arc<Origin>,
    sessions: Vec<Option<Session>>,
    /// That which was fit last is asked first.
    first: usize,
}

impl Fleet {
    /// Of a source's replicas. Which of them is asked first is drawn, so that batches share them.
    pub(super) fn new(origin: Arc<Origin>) -> Self {
        let sessions: Vec<Option<Session>> = origin.replicas.iter().map(|_| None).collect();
        let first = fastrand::usize(..sessions.len().max(1));
        Self { origin, sessions, first }
    }

    /// The number of a replica that has all up to `mark`, as soon as one has, within so long.
    ///
    /// # Errors
    /// [`SourceError::NoReplica`] with what is wrong with each.
    pub(super) async fn fit(
        &mut self,
        mark: &Position,
        within: Duration,
    ) -> Result<usize, SourceError> {
        let until = Instant::now() + within;
        loop {
            let mut told = Vec::new();
            for turn in 0..self.sessions.len() {
                let index = (self.first + turn) % self.sessions.len();
                match self.has_reached(index, mark).await {
                    Ok(true) => {
                        self.first = index;
                        return Ok(index);
                    }
                    Ok(false) => told.push(format!("replica {} is behind", index + 1)),
                    Err(error) => told.push(format!("replica {}: {error}", index + 1)),
                }
            }
            if Instant::now() >= until {
                return Err(SourceError::NoReplica { within, told: told.join("; ") });
            }
            sleep(ASK_EVERY).await;
        }
    }

    async fn has_reached(&mut self, index: usize, mark: &Position) -> Result<bool, SourceError> {
        // Out of its place while it is asked: whoever is dropped amid an answer leaves no connection on which
        // the next would get it.
        let mut session = match self.take(index) {
            Some(session) => session,
            None => Session::open(&self.origin.replicas[index]).await?,
        };
        let reached = session.has_reached(mark).await?;
        self.give(index, session);
        Ok(reached)
    }

    /// The connection to one that was fit.
    pub(super) fn session(&mut self, index: usize) -> Option<&mut Session> {
        self.sessions.get_mut(index)?.as_mut()
    }

    /// Lends the connection to one that was fit. Not given back, it is closed.
    pub(super) fn take(&mut self, index: usize) -> Option<Session> {
        self.sessions.get_mut(index)?.take()
    }

    /// Takes a connection back.
    pub(super) fn give(&mut self, index: usize, session: Session) {
        self.sessions[index] = Some(session);
    }

    /// Closes the connection to one that has failed, and asks another first from now on.
    pub(super) fn leave(&mut self, index: usize) {
        self.sessions[index] = None;
        self.first = (index + 1) % self.sessions.len();
    }
}
