//! What sessions were doing, before the trigger and after it.

use std::collections::BTreeMap;

use guard::control::{Recording, TextId};

/// A statement, and how much of what was going on it was.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// Normalised.
    pub(super) statement: String,
    /// Sessions that were at it, on average, before and after.
    pub(super) before: f64,
    pub(super) after: f64,
}

/// Statements that are told.
const PARTS_MAX: usize = 8;
/// After the trigger this much is looked at: later it is over, or something else.
const AFTER_MS: i64 = 30_000;

/// The statements that most more sessions were at after the trigger than before.
pub(super) fn grown(recording: &Recording) -> Vec<Part> {
    let mut sums: BTreeMap<TextId, (f64, f64)> = BTreeMap::new();
    let (mut before, mut after) = (0_u32, 0_u32);
    for second in recording.seconds.iter().filter(|one| one.at_ms < AFTER_MS) {
        let is_before = second.at_ms < 0;
        *(if is_before { &mut before } else { &mut after }) += 1;
        for doing in &second.doing {
            let sum = sums.entry(doing.statement).or_default();
            *(if is_before { &mut sum.0 } else { &mut sum.1 }) += f64::from(doing.sessions);
        }
    }
    let mean = |sum: f64, seconds: u32| sum / f64::from(seconds.max(1));
    let part = |(statement, sum): (TextId, (f64, f64))| Part {
        statement: recording.text(statement).to_owned(),
        before: mean(sum.0, before),
        after: mean(sum.1, after),
    };
    let mut parts: Vec<Part> = sums.into_iter().map(part).collect();
    parts.retain(|part| part.after > part.before && part.after >= 0.1);
    parts.sort_by(|a, b| (b.after - b.before).total_cmp(&(a.after - a.before)));
    parts.truncate(PARTS_MAX);
    parts
}
