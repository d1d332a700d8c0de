//! Cores that are shared equally, and get slower in a crowd.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use crate::clock::{Nanos, nanos, seconds};

/// Who computes: a thread and its turn.
type Job = (usize, u64);

/// Work, in units of 2^-40 s, so that it can be ordered.
const UNIT: f64 = (1_u64 << 40) as f64;

/// All cores. Every job has had the same share since it began, so one sum is enough for all: a job
/// is done when the sum has grown by its work.
#[derive(Debug)]
pub(super) struct Cpu {
    cores: f64,
    crowd: f64,
    friction: f64,
    speed: f64,
    threads: u32,
    /// What each job has been given since the beginning, in seconds.
    given: f64,
    at: Nanos,
    active: u32,
    jobs: BinaryHeap<Reverse<(u64, Job)>>,
    removed: HashSet<Job>,
}

impl Cpu {
    pub(super) fn new(cores: f64, crowd: f64, friction: f64) -> Self {
        Self {
            cores,
            crowd,
            friction,
            speed: 1.0,
            threads: 0,
            given: 0.0,
            at: 0,
            active: 0,
            jobs: BinaryHeap::new(),
            removed: HashSet::new(),
        }
    }

    pub(super) fn add(&mut self, now: Nanos, job: Job, work: f64) {
        self.advance(now);
        self.active += 1;
        self.jobs.push(Reverse((((self.given + work) * UNIT) as u64, job)));
    }

    pub(super) fn remove(&mut self, now: Nanos, job: Job) {
        self.advance(now);
        self.active -= 1;
        self.removed.insert(job);
    }

    /// How many threads there are, those that wait for locks included.
    pub(super) fn set_threads(&mut self, now: Nanos, threads: u32) {
        self.advance(now);
        self.threads = threads;
    }

    pub(super) fn set_speed(&mut self, now: Nanos, speed: f64) {
        self.advance(now);
        self.speed = speed;
    }

    /// When the next job is done.
    pub(super) fn next(&mut self) -> Nanos {
        self.forget_removed();
        self.jobs.peek().map_or(Nanos::MAX, |Reverse((until, _))| {
            let left = *until as f64 / UNIT - self.given;
            self.at + nanos((left / self.rate()).max(0.0)) + 1
        })
    }

    /// A job that is done.
    pub(super) fn pop(&mut self, now: Nanos) -> Option<Job> {
        self.advance(now);
        self.forget_removed();
        let Reverse((until, job)) = *self.jobs.peek()?;
        if until as f64 / UNIT > self.given + 1e-12 {
            return None;
        }
        self.jobs.pop();
        self.active -= 1;
        Some(job)
    }

    fn forget_removed(&mut self) {
        while let Some(Reverse((_, job))) = self.jobs.peek() {
            if self.removed.is_empty() || !self.removed.remove(job) {
                return;
            }
            self.jobs.pop();
        }
    }

    fn rate(&self) -> f64 {
        let share = (self.cores / f64::from(self.active.max(1))).min(1.0);
        let over = (f64::from(self.threads) - self.crowd).max(0.0);
        (self.speed * share / (1.0 + self.friction * over)).max(1e-9)
    }

    fn advance(&mut self, now: Nanos) {
        if now > self.at {
            if self.active > 0 {
                self.given += seconds(now - self.at) * self.rate();
            }
            self.at = now;
        }
    }
}
