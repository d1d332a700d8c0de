//! What the drill tells: a line for each crowd while it runs, then a table.

use super::{Point, Recovery, Report, Try, Way};
use crate::sheet::{self, Plot, Series, Sheet, Table, Tone, figure};

pub(super) fn point(point: &Point) -> String {
    format!(
        "{:<9} {:>4} clients {:>6.0} commits in time/s, {:>5.0} deadlocks, {:>5.0} hung up, \
         {:>4} wait for locks{}",
        point.way.name(),
        point.clients,
        point.good_per_second,
        point.deadlocks_per_second,
        point.timed_out_per_second,
        point.lock_waiters_max,
        point.limit().map_or(String::new(), |limit| format!(", limit {limit:.1}")),
    )
}

pub(super) fn tried(tried: &Try) -> String {
    format!("limit {:>3} {:>6.0} commits in time/s", tried.limit, tried.good_per_second)
}

pub(super) fn found(point: &Point) -> String {
    let seconds: Vec<String> = point.good_by_second.iter().map(u64::to_string).collect();
    let limits = point.limits.iter().step_by(10).map(|moment| moment.limit.to_string());
    format!(
        "commits in each second: {}\nthe limit:              {}",
        seconds.join(" "),
        limits.collect::<Vec<_>>().join(" ")
    )
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fixed => "fixed",
            Self::Adaptive => "adaptive",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Direct => Tone::Direct,
            Self::Fixed => Tone::Usual,
            Self::Adaptive => Tone::Guarded,
        }
    }
}

const HEAD: [&str; 11] = [
    "way",
    "clients",
    "load",
    "good/s",
    "p50 ms",
    "p99 ms",
    "refused/s",
    "deadlocks/s",
    "hung up/s",
    "lock waiters",
    "limit",
];

impl sheet::Report for Report {
    fn sheet(&self) -> Sheet {
        let ways = [Way::Direct, Way::Fixed, Way::Adaptive];
        let mut notes = vec![self.tried()];
        notes.extend(ways.into_iter().filter_map(|way| self.sentence(way)));
        notes.extend(self.recoveries.iter().map(sentence));
        Sheet {
            name: "tipping",
            about: "Ever more clients that update a few of the same rows in random order, and so deadlock.",
            scene: format!("On a private {}.", self.engine),
            promise: "with the most clients more is committed in time behind the guard than without it",
            is_kept: self.guard_is_better(),
            tables: vec![Table::listing(
                1,
                &HEAD,
                self.points.iter().map(|point| self.line(point)).collect(),
            )],
            notes,
            plots: vec![self.plot(&ways)],
        }
    }
}

impl Report {
    fn line(&self, point: &Point) -> Vec<String> {
        let limit = match point.way {
            Way::Fixed => Some(f64::from(self.best_limit)),
            Way::Direct | Way::Adaptive => point.limit(),
        };
        vec![
            point.way.name().to_owned(),
            point.clients.to_string(),
            figure(Some(point.load)) + "x",
            format!("{:.0}", point.good_per_second),
            figure(point.p50_ms),
            figure(point.p99_ms),
            format!("{:.0}", point.refused_per_second),
            format!("{:.0}", point.deadlocks_per_second),
            format!("{:.0}", point.timed_out_per_second),
            point.lock_waiters_max.to_string(),
            figure(limit),
        ]
    }

    fn tried(&self) -> String {
        let tries = self.tries.iter();
        let tries = tries.map(|tried| format!("{}: {:.0}", tried.limit, tried.good_per_second));
        format!("fixed limits tried, good/s: {}", tries.collect::<Vec<_>>().join(", "))
    }

    /// What a way keeps with the largest crowd.
    fn sentence(&self, way: Way) -> Option<String> {
        let name = format!("{}:", way.name());
        let kept = self.kept(way)? * 100.0;
        let line = format!("{name:<9} {kept:.0} % of its own best with the largest crowd");
        let Some(share) = self.share().filter(|_| way == Way::Adaptive) else { return Some(line) };
        let each = self.shares().into_iter();
        let each = each.map(|(clients, share)| format!("{clients} clients {:.0} %", share * 100.0));
        let each = each.collect::<Vec<_>>().join(", ");
        Some(format!("{line}; {:.0} % of the best fixed limit ({each})", share * 100.0))
    }

    fn plot(&self, ways: &[Way]) -> Plot {
        let series = ways.iter().map(|way| {
            // Of clients that keep no pace: each number once.
            let mut points: Vec<(f64, f64)> = self
                .of(*way)
                .filter(|point| point.paced_per_second.is_none())
                .map(|point| (point.load, point.good_per_second))
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Series { name: way.name().to_owned(), tone: way.tone(), points }
        });
        Plot {
            title: "what is committed in time, by what is offered".into(),
            x: "offered load, in parts of the most that the server does directly",
            y: "commits in time, a second",
            is_logarithmic: true,
            series: series.collect(),
            ..Plot::default()
        }
    }
}

pub(super) fn sentence(recovery: &Recovery) -> String {
    let back = recovery.back_after_ms.map_or("not back in time".to_owned(), |back| {
        format!("back {:.1} s after it", back as f64 / 1000.0)
    });
    format!(
        "{:<9} a storm on top of 0.8 load ({:.0}/s): {:.0} good/s before, {:.0} in it, {back}",
        recovery.way.name(),
        recovery.offered_per_second,
        recovery.before_per_second,
        recovery.storm_per_second,
    )
}
