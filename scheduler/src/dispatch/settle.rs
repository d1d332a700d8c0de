//! What follows for the books from what became of an offer.

use jiff::Timestamp;

use super::clock::between;
use crate::ledger::Claim;
use crate::sink::afterwards::{Config, Next, OnAmbiguous};
use crate::sink::{Fate, Item};

/// How many items took which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// Sent.
    pub sent: u64,
    /// Failed, and to be tried again.
    pub retries: u64,
    /// Not sent, for a reason that is the sink's.
    pub postponed: u64,
    /// Given up.
    pub dead: u64,
    /// Sent, with an outcome that nobody knows.
    pub ambiguous: u64,
    /// The chunk is somebody else's: nothing may be written.
    pub is_fenced: bool,
}

/// Writes into a claim's progress what became of these items. `dice` draws evenly.
pub fn settle(
    config: &Config,
    claim: &mut Claim,
    (items, fates): (&[Item], Vec<Fate>),
    time: Timestamp,
    mut dice: impl FnMut() -> u64,
) -> Settled {
    let mut settled = Settled::default();
    for (item, fate) in items.iter().zip(fates) {
        let position = item.position;
        let late = between(claim.moment(position), time);
        let progress = &mut claim.progress;
        match config.judge(time, item, fate, dice()) {
            Next::Done => {
                progress.sent(position, late);
                settled.sent += 1;
            }
            Next::Skipped(why) => {
                progress.doubt(position, None, &why.to_string());
                progress.sent(position, late);
                (settled.sent, settled.ambiguous) = (settled.sent + 1, settled.ambiguous + 1);
            }
            Next::Again { at, why, is_ambiguous: true, .. } => {
                progress.doubt(position, Some(at), &why.to_string());
                settled.ambiguous += 1;
            }
            Next::Again { at, attempt, why, .. } if attempt > item.attempt => {
                progress.failed(position, at, &why.to_string());
                settled.retries += 1;
            }
            Next::Again { at, why, .. } => {
                progress.postpone(position, at, &why.to_string());
                settled.postponed += 1;
            }
            Next::Held(why) => {
                progress.doubt(position, None, &why.to_string());
                settled.ambiguous += 1;
            }
            Next::Dead(why) => {
                progress.bury(position, &why.to_string());
                settled.dead += 1;
            }
            Next::Stop => settled.is_fenced = true,
        }
    }
    settled
}

/// Decides what a holder before had offered and not settled, by the sink's rule. The ledger has it offered
/// again, which is right for [`OnAmbiguous::Resend`].
pub fn take_over(config: &Config, claim: &mut Claim, time: Timestamp) {
    for position in std::mem::take(&mut claim.ambiguous) {
        match config.ambiguous {
            OnAmbiguous::Resend => {}
            OnAmbiguous::Hold => claim.progress.hold(position),
            OnAmbiguous::Skip => {
                let late = between(claim.moment(position), time);
                claim.progress.sent(position, late);
            }
        }
    }
}
