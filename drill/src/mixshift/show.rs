//! What the drill tells: a line for each limit and each way while it runs, then a table.

use super::{Mix, Phase, Report, Run, Try, Way};
use crate::sheet::{self, Plot, Series, Sheet, Table, Tone, figure, seconds};

pub(super) fn tried(tried: &Try) -> String {
    format!("limit {:>3} {:>6.0} commits in time/s", tried.limit, tried.good_per_second)
}

pub(super) fn run(run: &Run) -> String {
    let phases: Vec<String> = run
        .phases
        .iter()
        .map(|phase| {
            let limit = phase.limit.map_or(String::new(), |limit| format!(" (limit {limit:.1})"));
            format!("{:>5.0}{limit}", phase.settled_per_second)
        })
        .collect();
    format!("{:<9} commits in time/s once settled: {}", run.way.name(), phases.join(", "))
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::Direct => "direct".to_owned(),
            Self::Fixed(limit) => format!("fixed {limit}"),
            Self::Adaptive => "adaptive".to_owned(),
        }
    }
}

const HEAD: [&str; 11] = [
    "way",
    "mix",
    "good/s",
    "settled",
    "of best",
    "settled after",
    "p50 ms",
    "p99 ms",
    "deadlocks/s",
    "hung up/s",
    "limit",
];

impl sheet::Report for Report {
    fn sheet(&self) -> Sheet {
        let lines = self.runs.iter().flat_map(|run| {
            let phases = run.phases.iter().zip(self.shares(run));
            phases.map(|(phase, share)| line(run.way, phase, share))
        });
        Sheet {
            name: "mixshift",
            about: "What clients ask for changes from pages that are read to rows that deadlock, and back.",
            scene: format!(
                "{} clients, who begin anew as soon as they are done, on a private {}.",
                self.clients, self.engine
            ),
            promise: "the limit that finds itself settles within five seconds of each change, on three quarters or \
                      more of what the best fixed limit of that phase brings",
            is_kept: self.limit_follows(),
            tables: vec![Table::listing(2, &HEAD, lines.collect())],
            notes: [Mix::Reads, Mix::Updates].map(|mix| self.tried(mix)).into(),
            plots: vec![self.goodput(), self.limits()],
        }
    }
}

impl Report {
    /// What fixed limits were tried with a mix.
    fn tried(&self, mix: Mix) -> String {
        let of_it = self.tries.iter().filter(|tried| tried.mix == mix);
        let each: Vec<String> =
            of_it.map(|tried| format!("{}: {:.0}", tried.limit, tried.good_per_second)).collect();
        format!("fixed limits tried with {}, good/s: {}", mix.name(), each.join(", "))
    }

    fn goodput(&self) -> Plot {
        let tone = |way| match way {
            Way::Direct => Tone::Direct,
            Way::Fixed(limit) if self.best(Mix::Reads) == Some(limit) => Tone::Usual,
            Way::Fixed(_) => Tone::Other,
            Way::Adaptive => Tone::Guarded,
        };
        let series =
            |run: &Run| Series::by_second(&run.way.name(), tone(run.way), &run.good_by_second);
        let title = "reads, then updates, then reads again";
        Plot::goodput(title, None, self.runs.iter().map(series).collect())
    }

    fn limits(&self) -> Plot {
        let moving = self.runs.iter().filter(|run| !run.limits.is_empty());
        let point = |moment: &crate::watch::limit::Moment| {
            (moment.at_ms as f64 / 1000.0, f64::from(moment.limit))
        };
        let series = moving.map(|run| Series {
            name: run.way.name(),
            tone: Tone::Guarded,
            points: run.limits.iter().map(point).collect(),
        });
        Plot {
            title: "the limit that finds itself".into(),
            x: "second",
            y: "transactions in flight, at most",
            series: series.collect(),
            ..Plot::default()
        }
    }
}

fn line(way: Way, phase: &Phase, share: f64) -> Vec<String> {
    let limit = match way {
        Way::Fixed(limit) => Some(f64::from(limit)),
        Way::Direct | Way::Adaptive => phase.limit,
    };
    let settle = phase.settle_ms.map_or("never".to_owned(), |ms| seconds(Some(ms)) + " s");
    vec![
        way.name(),
        phase.mix.name().to_owned(),
        format!("{:.0}", phase.good_per_second),
        format!("{:.0}", phase.settled_per_second),
        format!("{:.0} %", share * 100.0),
        settle,
        figure(phase.p50_ms),
        figure(phase.p99_ms),
        format!("{:.0}", phase.deadlocks_per_second),
        format!("{:.0}", phase.timed_out_per_second),
        figure(limit),
    ]
}
