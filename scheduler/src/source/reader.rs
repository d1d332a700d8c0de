//! Who is read from: a replica that has what the primary had, the primary by a trickle, or whoever answers.
//!
//! ```text
//!  the primary: how far? ──► mark ──► a replica that has reached it ──► page, page, …
//!                                       │ none in time                    │ it fails
//!                                       ▼                                 ▼
//!                              wait | primary, slowly | refuse     another, from the same key on
//! ```

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::SourceError;
use super::fleet::Fleet;
use super::mark::Mark;
use super::origin::{Origin, Otherwise};
use super::session::{Behind, Page, Session};
use crate::sink::sql::Dialect;

/// A reading goes on from another replica so many times.
const MOVES_MAX: u32 = 5;

/// Whom rows are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Whoever answers at the source's URL.
    Source,
    /// The replica of this number.
    Replica(usize),
    /// The primary, because no replica was fit.
    Primary,
}

/// Reads pages from whoever has what the primary had. Dropping it closes its connections.
#[derive(Debug)]
pub struct Reader {
    origin: Arc<Origin>,
    fleet: Fleet,
    /// To the source's URL, where that is read from.
    direct: Option<Session>,
    whom: Whom,
    mark: Mark,
    moves: u32,
}

impl Reader {
    /// Asks the primary how far it is, and waits for whoever has that: for ever where the source says so.
    ///
    /// # Errors
    /// [`SourceError::NoReplica`] where there is none in time and the source says to refuse, and when the
    /// primary does not answer.
    pub async fn open(origin: Arc<Origin>) -> Result<Self, SourceError> {
        let mark = Mark { position: None, time: Timestamp::UNIX_EPOCH };
        let fleet = Fleet::new(Arc::clone(&origin));
        let (direct, whom, moves) = (None, Whom::Source, 0);
        let mut reader = Self { origin, fleet, direct, whom, mark, moves };
        reader.renew().await?;
        Ok(reader)
    }

    /// The same again, for what is read from now on.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn renew(&mut self) -> Result<(), SourceError> {
        let mut session = Session::open(&self.origin.url).await?;
        self.mark = match self.origin.replicas.is_empty() {
            true => session.time().await?,
            false => session.mark().await?,
        };
        self.direct = Some(session);
        self.settle().await
    }

    async fn settle(&mut self) -> Result<(), SourceError> {
        let Some(mark) = &self.mark.position else {
            // Whoever answers has by then what there was before.
            sleep(self.origin.max_lag).await;
            self.whom = Whom::Source;
            return Ok(());
        };
        let (wait, otherwise) = (self.origin.wait, self.origin.otherwise);
        self.whom = loop {
            match (self.fleet.fit(mark, wait).await, otherwise) {
                (Ok(index), _) => {
                    self.direct = None;
                    break Whom::Replica(index);
                }
                (Err(error), Otherwise::Wait) => {
                    warn!(%error, "recipients are read when a replica is fit");
                }
                (Err(error), Otherwise::Primary) => {
                    warn!(%error, rows = self.origin.primary_rows, "the primary is read from, slowly");
                    break Whom::Primary;
                }
                (Err(error), Otherwise::Refuse) => return Err(error),
            }
        };
        Ok(())
    }

    /// Reads a page from whom it is, or from the next who is fit; and how long that took.
    pub(super) async fn page(
        &mut self,
        sql: &str,
        behind: Option<&Behind>,
    ) -> Result<(Page, Duration), SourceError> {
        loop {
            let asked = Instant::now();
            let session = match self.whom {
                Whom::Replica(index) => self.fleet.session(index),
                Whom::Source | Whom::Primary => self.direct.as_mut(),
            };
            let read = match session {
                Some(session) => session.page(sql, behind).await,
                None => {
                    self.open_again().await?;
                    continue;
                }
            };
            match (read, self.whom) {
                (Ok(page), _) => return Ok((page, asked.elapsed())),
                (Err(error), Whom::Replica(index))
                    if error.is_the_servers() && self.moves < MOVES_MAX =>
                {
                    warn!(%error, replica = index + 1, "it failed amid a page; another goes on");
                    self.moves += 1;
                    self.fleet.leave(index);
                    self.settle().await?;
                }
                (Err(error), _) => return Err(error),
            }
        }
    }

    async fn open_again(&mut self) -> Result<(), SourceError> {
        match self.whom {
            Whom::Replica(_) => self.settle().await,
            Whom::Source | Whom::Primary => {
                self.direct = Some(Session::open(&self.origin.url).await?);
                Ok(())
            }
        }
    }

    /// How many rows the next page has at most.
    pub(super) fn rows_max(&self) -> u64 {
        match self.whom {
            Whom::Primary => u64::from(self.origin.primary_rows),
            Whom::Source | Whom::Replica(_) => u64::MAX,
        }
    }

    /// Waits for as long as what was read in that time must take of the primary.
    pub(super) async fn rest(&self, rows: usize, took: Duration) {
        if self.whom == Whom::Primary {
            sleep(pause(rows, took, self.origin.primary_rows)).await;
        }
    }

    /// Whom the last page came from.
    #[must_use]
    pub const fn whom(&self) -> Whom {
        self.whom
    }

    /// The primary's clock when it was asked how far it was.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.mark.time
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.origin.dialect
    }
}

/// How long to do nothing after so many rows that took so long, so that there are `most` a second.
fn pause(rows: usize, took: Duration, most: u32) -> Duration {
    Duration::from_secs_f64(rows as f64 / f64::from(most.max(1))).saturating_sub(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_rests_until_its_second_is_over() {
        let ms = Duration::from_millis;
        assert_eq!(pause(2_000, ms(100), 2_000), ms(900));
        assert_eq!(pause(500, ms(400), 1_000), ms(100));
        assert_eq!(pause(500, ms(900), 1_000), Duration::ZERO);
    }
}
