//! Medians over the rounds, and what each contestant costs beside the forwarder and each PgBouncer.

use super::contestant::Contestant;
use super::{Sample, Workload};
use crate::report::{Table, number};
use crate::statistics::median;

/// Whom the others are compared with, besides each PgBouncer.
const DIRECT: &str = "direct";
const FORWARDER: &str = "forwarder";
const GUARD: &str = "guard";

/// The table of some workloads. Ratios are taken within a round before their median is.
pub(super) fn table(
    samples: &[Sample],
    workloads: &[Workload],
    contestants: &[Contestant],
) -> Table {
    let peers: Vec<&str> =
        contestants.iter().filter(|one| one.is_peer()).map(|one| one.name.as_str()).collect();
    let mut heading =
        ["workload", "who", "tps", "tps / guard", "mean ms", "p50 ms", "CPU µs", "least"]
            .map(str::to_owned)
            .to_vec();
    heading.push(format!("CPU / {FORWARDER}"));
    heading.extend(peers.iter().map(|peer| format!("CPU / {peer}")));
    heading.extend(peers.iter().map(|peer| format!("p50 added / {peer}")));
    let mut table = Table::new(2, &heading.iter().map(String::as_str).collect::<Vec<_>>());
    for workload in workloads {
        let name = workload.to_string();
        let here: Vec<&Sample> = samples.iter().filter(|sample| sample.workload == name).collect();
        for contestant in contestants {
            let own = Own { samples: &here, target: &contestant.name };
            let who = match contestant.left_out_of(workload.mode) {
                Some(why) => format!("{}: {why}", contestant.name),
                None => contestant.name.clone(),
            };
            let mut row = vec![
                name.clone(),
                who,
                number(own.middle(|sample| sample.tps), 0),
                number(own.tps_over(GUARD), 2),
                number(own.middle(|sample| sample.latency_ms), 3),
                number(own.middle(|sample| sample.p50_ms), 3),
                number(own.middle(|sample| sample.cpu_us), 1),
                number(own.all().map(|sample| sample.cpu_us).fold(f64::NAN, f64::min), 1),
                number(own.cpu_over(FORWARDER), 2),
            ];
            row.extend(peers.iter().map(|peer| number(own.cpu_over(peer), 2)));
            row.extend(peers.iter().map(|peer| number(own.p50_added_over(peer), 2)));
            table.push(row);
        }
    }
    table
}

/// One contestant's samples among all of a workload.
struct Own<'a> {
    samples: &'a [&'a Sample],
    target: &'a str,
}

impl Own<'_> {
    fn all(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().copied().filter(|sample| sample.target == self.target)
    }

    fn middle(&self, value: fn(&Sample) -> f64) -> f64 {
        median(self.all().map(value))
    }

    /// What `other` did in the round of `sample`, unless its run failed.
    fn beside(&self, sample: &Sample, other: &str) -> Option<&Sample> {
        let is_it = |it: &&&Sample| it.target == other && it.round == sample.round;
        self.samples.iter().find(is_it).copied()
    }

    /// Transactions per second over those of `other`.
    fn tps_over(&self, other: &str) -> f64 {
        let ratio = |own: &Sample| Some(own.tps / self.beside(own, other)?.tps);
        median(self.all().filter_map(ratio))
    }

    /// CPU over that of `other`; not a number for direct access, which has none.
    fn cpu_over(&self, other: &str) -> f64 {
        if self.target == DIRECT {
            return f64::NAN;
        }
        let ratio = |own: &Sample| Some(own.cpu_us / self.beside(own, other)?.cpu_us);
        median(self.all().filter_map(ratio))
    }

    /// What it adds to the median latency of direct access, over what `other` adds.
    fn p50_added_over(&self, other: &str) -> f64 {
        if self.target == DIRECT {
            return f64::NAN;
        }
        let ratio = |own: &Sample| {
            let (peer, direct) = (self.beside(own, other)?, self.beside(own, DIRECT)?);
            Some((own.p50_ms - direct.p50_ms) / (peer.p50_ms - direct.p50_ms))
        };
        median(self.all().filter_map(ratio))
    }
}
