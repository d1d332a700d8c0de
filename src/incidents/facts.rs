//! What a recording says in numbers: curves, what was usual before, and sums.

use std::collections::BTreeMap;

use guard::control::{Counted, LockLook, LockTransaction, Recording, Second, TextId};

/// What is usual is taken from before this, in milliseconds from the trigger: what leads to a trigger begins earlier.
const USUAL_UNTIL_MS: i64 = -10_000;

/// Without a look for longer than this nobody waited.
const UNSEEN_MS: i64 = 2000;

/// A number over time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    /// When, in milliseconds from the trigger, and how much.
    pub(super) points: Vec<(i64, f64)>,
    /// Less than this is nothing to speak of.
    pub(super) least: f64,
    /// Whether it is the fall that is bad.
    pub(super) falls: bool,
}

impl Curve {
    /// The median of the calm time before; none where there is no such time.
    pub(super) fn usual(&self) -> Option<f64> {
        let before = |until| {
            let values = self.points.iter().filter(move |(at, _)| *at < until);
            values.map(|(_, value)| *value).collect::<Vec<_>>()
        };
        let calm = before(USUAL_UNTIL_MS);
        let mut values = if calm.is_empty() { before(0) } else { calm };
        values.sort_by(f64::total_cmp);
        // Of two in the middle the calmer one.
        values.get(values.len().saturating_sub(1) / 2).copied()
    }

    /// The greatest, and when.
    pub(super) fn most(&self) -> (i64, f64) {
        let most = self.points.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        most.unwrap_or_default()
    }

    /// The least from the trigger on, and when.
    pub(super) fn least_after(&self) -> Option<(i64, f64)> {
        let after = self.points.iter().copied().filter(|(at, _)| *at >= 0);
        after.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// When it left what is usual, for three points on end: twice as much, or half where it is the fall that
    /// counts.
    pub(super) fn left(&self) -> Option<(i64, f64)> {
        let usual = self.usual()?;
        let is_off = |value: f64| match self.falls {
            true => usual >= self.least && value < usual / 2.0,
            false => value >= self.least && value > usual * 2.0,
        };
        let run =
            self.points.windows(3).find(|three| three.iter().all(|(_, value)| is_off(*value)));
        run.map(|three| three[0])
    }
}

/// All that is worth a plot, in the order in which a reader wants it.
pub(super) fn curves(recording: &Recording) -> Vec<Curve> {
    let samples = &recording.samples;
    let column = |values: &[u32]| -> Vec<(i64, f64)> {
        samples.at_ms.iter().copied().zip(values.iter().map(|value| f64::from(*value))).collect()
    };
    let by_second = |of: &dyn Fn(&Second) -> f64| -> Vec<(i64, f64)> {
        recording.seconds.iter().map(|second| (second.at_ms, of(second))).collect()
    };
    let curve = |name, unit, least, points| Curve { name, unit, points, least, falls: false };
    let finished = per_second(&column(&samples.finished));
    vec![
        Curve { falls: true, ..curve("throughput", "transactions/s", 5.0, finished) },
        curve("in flight", "transactions", 4.0, column(&samples.in_flight)),
        curve("limit", "transactions", f64::INFINITY, column(&samples.limit)),
        curve("waiting for a turn", "transactions", 4.0, column(&samples.queued)),
        curve("waiting for locks", "transactions", 3.0, blocked(recording)),
        curve("slowest of 100", "ms", 20.0, by_second(&|one| f64::from(one.p99_us) / 1000.0)),
        curve("refused", "transactions/s", 1.0, per_second(&column(&samples.shed))),
        curve("pressure", "", 1.0, {
            let pressure = samples.pressure.iter().map(|value| f64::from(*value));
            samples.at_ms.iter().copied().zip(pressure).collect()
        }),
    ]
}

/// How many waited for locks. As long as nobody waits there are no looks.
fn blocked(recording: &Recording) -> Vec<(i64, f64)> {
    let mut points = vec![(recording.head.from_ms, 0.0)];
    for look in &recording.looks {
        let before = points.last().map_or(look.at_ms, |(at, _)| *at);
        if look.at_ms - before > UNSEEN_MS {
            // The server's own count is asked for once a second, and told of nobody then.
            points.push((look.at_ms - 1000, 0.0));
        }
        points.push((look.at_ms, f64::from(look.blocked)));
    }
    points
}

/// What was counted in each second, by the second in which it was.
fn per_second(counts: &[(i64, f64)]) -> Vec<(i64, f64)> {
    let mut seconds: BTreeMap<i64, f64> = BTreeMap::new();
    for (at, count) in counts {
        *seconds.entry(at.div_euclid(1000)).or_default() += count;
    }
    // The first and the last second are not whole.
    let whole = seconds.len().saturating_sub(2);
    seconds.into_iter().skip(1).take(whole).map(|(second, sum)| (second * 1000, sum)).collect()
}

/// What something was counted by, all together from the trigger on, most first.
pub(super) fn sums(recording: &Recording, of: fn(&Second) -> &[Counted]) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<TextId, u64> = BTreeMap::new();
    for counted in recording.seconds.iter().filter(|one| one.at_ms >= 0).flat_map(of) {
        *sums.entry(counted.what).or_default() += u64::from(counted.count);
    }
    let mut sums: Vec<_> =
        sums.into_iter().map(|(what, sum)| (recording.text(what).to_owned(), sum)).collect();
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    sums
}

/// `melt 200, queue_time 31`.
pub(super) fn listed(sums: &[(String, u64)]) -> String {
    let one = |(what, sum): &(String, u64)| format!("{what} {sum}");
    sums.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The look at which most waited, of those that tell who waits for whom; the first of several.
pub(super) fn worst_look(recording: &Recording) -> Option<&LockLook> {
    let told = recording.looks.iter().filter(|look| look.has_waits && look.blocked > 0);
    told.min_by_key(|look| std::cmp::Reverse(look.blocked))
}

/// Those of a look who held others up and waited for nobody, or for one of those behind them.
pub(super) fn roots(look: &LockLook) -> impl Iterator<Item = &LockTransaction> {
    look.transactions.iter().filter(|one| one.waits_for == 0 && one.behind > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(falls: bool, value: impl Fn(i64) -> f64) -> Curve {
        let points = (-200..200).map(|tenth| (tenth * 100, value(tenth * 100))).collect();
        Curve { name: "c", unit: "", points, least: 4.0, falls }
    }

    #[test]
    fn a_curve_leaves_what_is_usual_when_it_doubles_for_a_while() {
        let rising = curve(false, |at| if at >= -1500 { 9.0 } else { 4.0 });
        assert_eq!((rising.usual(), rising.left()), (Some(4.0), Some((-1500, 9.0))));
        assert_eq!(rising.most(), (19_900, 9.0));
        let blip = curve(false, |at| if at == 0 { 90.0 } else { 4.0 });
        assert_eq!(blip.left(), None);
        let little = curve(false, |at| if at >= 0 { 3.0 } else { 0.0 });
        assert_eq!(little.left(), None, "three are nothing to speak of");
        let falling = curve(true, |at| if at >= 500 { 10.0 } else { 100.0 });
        assert_eq!((falling.left(), falling.least_after()), (Some((500, 10.0)), Some((500, 10.0))));
        assert_eq!(Curve { points: Vec::new(), ..falling }.left(), None);
    }

    #[test]
    fn counts_are_summed_by_whole_seconds() {
        let counts: Vec<_> = (-15..25).map(|tenth| (tenth * 100, 1.0)).collect();
        assert_eq!(per_second(&counts), [(-1000, 10.0), (0, 10.0), (1000, 10.0)]);
        assert_eq!(per_second(&[]), []);
    }
}
