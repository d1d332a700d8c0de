//! What came out.

use crate::clock::{Nanos, seconds};
use crate::scenario::{Expect, Figure, Scenario};

/// The length of one cell of time, in seconds.
const CELL: f64 = 0.1;

/// What happened to one template in one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Transactions that clients wanted.
    pub wanted: u32,
    /// Attempts.
    pub asked: u32,
    /// Attempts that were refused.
    pub refused: u32,
    /// Transactions that were committed while their client waited.
    pub good: u32,
    /// Committed with nobody waiting.
    pub late: u32,
    /// Rolled back.
    pub failed: u32,
    /// Attempts that were admitted.
    pub admitted: u32,
    /// Of these, attempts after the first.
    pub again: u32,
    /// Attempts whose client hung up in the line.
    pub hung_up: u32,
    /// The longest wait in the line that ended, however it did, in milliseconds.
    pub wait_ms_max: u32,
}

/// Times, by their logarithm: 16 to an octave, from 10 µs.
#[derive(Debug, Clone)]
struct Times([u32; 400]);

/// What came out of one run.
#[derive(Debug, Clone)]
pub struct Report {
    peak: f64,
    names: Vec<String>,
    /// By cell, then by template.
    cells: Vec<Vec<Counts>>,
    /// By second, then by template.
    times: Vec<Vec<Times>>,
    /// The limit in each cell.
    pub limits: Vec<f64>,
    /// Good transactions of each tenant of each template.
    pub tenants: Vec<Vec<u32>>,
    /// Cuts of the limit because of locks.
    pub cuts: u64,
    /// When transactions were rolled back to undo a pile-up, in seconds.
    kills: Vec<f64>,
    kills_at_once: usize,
    /// Things that happened in the model: what a run costs.
    pub events: u64,
}

impl Report {
    /// Nothing has come out yet.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            peak: scenario.load.peak,
            names: scenario.mix.iter().map(|template| template.name.clone()).collect(),
            cells: Vec::new(),
            times: Vec::new(),
            limits: Vec::new(),
            tenants: scenario.mix.iter().map(|of| vec![0; of.tenants.max(1) as usize]).collect(),
            cuts: 0,
            kills: Vec::new(),
            kills_at_once: 0,
            events: 0,
        }
    }

    /// The counts of now.
    pub fn count(&mut self, now: Nanos, template: usize) -> &mut Counts {
        let cell = (seconds(now) / CELL) as usize;
        while self.cells.len() <= cell {
            self.cells.push(vec![Counts::default(); self.names.len()]);
        }
        &mut self.cells[cell][template]
    }

    /// A transaction is rolled back to undo a pile-up, and so many are now.
    pub fn killed(&mut self, now: Nanos, at_once: usize) {
        self.kills.push(seconds(now));
        self.kills_at_once = self.kills_at_once.max(at_once);
    }

    /// A good one took so long.
    pub fn took(&mut self, now: Nanos, template: usize, time: Nanos) {
        let second = seconds(now) as usize;
        while self.times.len() <= second {
            self.times.push(vec![Times::new(); self.names.len()]);
        }
        self.times[second][template].add(time);
    }

    /// The sum over a stretch of time, of one template or of all.
    #[must_use]
    pub fn sum(&self, from: f64, to: f64, of: Option<&str>) -> Counts {
        let mut sum = Counts::default();
        for (cell, counts) in self.cells.iter().enumerate() {
            let at = (cell as f64 + 0.5) * CELL;
            if at < from || at >= to {
                continue;
            }
            for (counts, name) in counts.iter().zip(&self.names) {
                if of.is_none_or(|of| of == name) {
                    sum.wanted += counts.wanted;
                    sum.asked += counts.asked;
                    sum.refused += counts.refused;
                    sum.good += counts.good;
                    sum.late += counts.late;
                    sum.failed += counts.failed;
                    sum.admitted += counts.admitted;
                    sum.again += counts.again;
                    sum.hung_up += counts.hung_up;
                    sum.wait_ms_max = sum.wait_ms_max.max(counts.wait_ms_max);
                }
            }
        }
        sum
    }

    /// Good transactions a second.
    #[must_use]
    pub fn rate(&self, from: f64, to: f64, of: Option<&str>) -> f64 {
        let to = to.min(self.cells.len() as f64 * CELL);
        f64::from(self.sum(from, to, of).good) / (to - from).max(CELL)
    }

    /// Seconds after `since` from which on, in every second that begins then or later, at least
    /// `share` of what clients wanted was good; `None`: never.
    #[must_use]
    pub fn recovered(&self, since: f64, share: f64) -> Option<f64> {
        let end = self.cells.len() as f64 * CELL;
        let mut at = end - 1.0;
        let mut good_from = None;
        while at >= since {
            let sum = self.sum(at, at + 1.0, None);
            if f64::from(sum.good) < share * f64::from(sum.wanted) {
                break;
            }
            good_from = Some(at);
            at -= CELL;
        }
        good_from.map(|at| (at - since).max(0.0))
    }

    /// The value of a figure.
    #[must_use]
    pub fn figure(&self, what: Figure, from: f64, to: f64, of: Option<&str>) -> f64 {
        let sum = self.sum(from, to, of);
        let limits = || {
            let place = |at: f64| ((at / CELL) as usize).min(self.limits.len());
            &self.limits[place(from)..place(to)]
        };
        let ratio = |part: u32, whole: u32| f64::from(part) / f64::from(whole.max(1));
        match what {
            Figure::Goodput => self.rate(from, to, of) / self.peak,
            Figure::Served => ratio(sum.good, sum.wanted),
            Figure::P99 => self.quantile(0.99, from, to, of) * 1000.0,
            Figure::Refused => ratio(sum.refused, sum.asked),
            Figure::HungUp => ratio(sum.hung_up, sum.asked),
            Figure::WaitMax => f64::from(sum.wait_ms_max),
            Figure::Again => ratio(sum.again, sum.admitted),
            Figure::Jain => self.jain(of),
            Figure::Limit => limits().iter().sum::<f64>() / limits().len().max(1) as f64,
            Figure::LimitMax => limits().iter().copied().fold(0.0, f64::max),
            Figure::Kills => self.kills.iter().filter(|at| (from..to).contains(at)).count() as f64,
            Figure::KillsAtOnce => self.kills_at_once as f64,
            Figure::Recovery => self.recovered(from, 0.9).unwrap_or(f64::INFINITY),
        }
    }

    /// Jain's index over the tenants of a template, or of all.
    fn jain(&self, of: Option<&str>) -> f64 {
        let templates = self.tenants.iter().zip(&self.names);
        let wanted = templates.filter(|(_, name)| of.is_none_or(|of| of == *name));
        let good: Vec<f64> =
            wanted.flat_map(|(good, _)| good).map(|good| f64::from(*good)).collect();
        let (sum, squares) = good
            .iter()
            .fold((0.0, 0.0), |(sum, squares), good| (sum + good, squares + good * good));
        sum * sum / (good.len() as f64 * squares).max(1.0)
    }

    /// What was expected and did not come out, in words.
    #[must_use]
    pub fn failures(&self, scenario: &Scenario) -> Vec<String> {
        let judge = |expect: &Expect| {
            let value = self.figure(expect.what, expect.from, expect.to, expect.of.as_deref());
            let is_in = expect.min.is_none_or(|min| value >= min)
                && expect.max.is_none_or(|max| value <= max);
            (!is_in).then(|| format!("{value:.3} is not what is expected: {expect:?}"))
        };
        scenario.expect.iter().filter_map(judge).collect()
    }

    /// A quantile of the times of good ones, in seconds.
    #[must_use]
    pub fn quantile(&self, share: f64, from: f64, to: f64, of: Option<&str>) -> f64 {
        let mut all = Times::new();
        for (second, times) in self.times.iter().enumerate() {
            if (second as f64) < from || second as f64 >= to {
                continue;
            }
            for (times, name) in times.iter().zip(&self.names) {
                if of.is_none_or(|of| of == name) {
                    all.merge(times);
                }
            }
        }
        all.quantile(share)
    }
}

// === impl Times ===

impl Times {
    const fn new() -> Self {
        Self([0; 400])
    }

    fn add(&mut self, time: Nanos) {
        let place = ((time as f64 / 10_000.0).max(1.0).log2() * 16.0) as usize;
        self.0[place.min(399)] += 1;
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    fn quantile(&self, share: f64) -> f64 {
        let all: u32 = self.0.iter().sum();
        let mut left = (f64::from(all) * share).ceil() as u32;
        for (place, count) in self.0.iter().enumerate() {
            if *count >= left && left > 0 {
                return 1e-5 * ((place as f64 + 0.5) / 16.0).exp2();
            }
            left -= count;
        }
        0.0
    }
}
