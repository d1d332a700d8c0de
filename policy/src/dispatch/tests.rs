//! Lanes before model sinks, and what holds of their parts for any history.

use std::collections::{BinaryHeap, HashMap};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::again::{self, Budget};
use super::concurrency::{self, Concurrency, Ended};
use super::lane::{Config, Lane, Next, Off, PAUSE_MAX, ceiling};
use super::turns::Turns;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Some instant with a past; only distances from it count.
#[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
fn start() -> Instant {
    Instant::now() + 60 * SECOND
}

fn count(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// A receiver with so many workers, each busy for `service` with a request; it answers in turn, or
/// refuses at once who would wait behind more than `queue`.
#[derive(Debug, Clone, Copy)]
struct Model {
    workers: usize,
    service: Duration,
    queue: usize,
}

/// What came of feeding a model.
#[derive(Debug)]
struct Fed {
    answered: usize,
    refused: usize,
    limit: u32,
}

/// Feeds a model with as much as the lane lets go, for so long.
fn feed(model: Model, config: Config, lasting: Duration) -> Fed {
    let began = start();
    let mut lane = Lane::new(began, config);
    let mut free_at = vec![began; model.workers];
    // When it ends, when it began, and whether it was refused; the soonest on top.
    let mut under_way: BinaryHeap<std::cmp::Reverse<(Instant, Instant, bool)>> = BinaryHeap::new();
    let mut fed = Fed { answered: 0, refused: 0, limit: 0 };
    let mut now = began;
    while now < began + lasting {
        while lane.waiting() < 10 {
            lane.push(0, ()).unwrap();
        }
        let wake = loop {
            match lane.next(now) {
                Next::Wait(until) => break until,
                Next::Go(..) => {
                    let busy = free_at.iter().filter(|free| **free > now).count();
                    let queued = under_way.len().saturating_sub(busy);
                    let is_refused = queued > model.queue;
                    let worker = free_at.iter_mut().min().unwrap();
                    let ends = if is_refused {
                        now + MS
                    } else {
                        *worker = (*worker).max(now) + model.service;
                        *worker
                    };
                    under_way.push(std::cmp::Reverse((ends, now, is_refused)));
                    while lane.waiting() < 10 {
                        lane.push(0, ()).unwrap();
                    }
                }
            }
        };
        let soonest = under_way.peek().map(|ends| ends.0.0);
        now = wake.into_iter().chain(soonest).min().unwrap();
        while let Some(std::cmp::Reverse((ends, began, is_refused))) = under_way.peek().copied() {
            if ends > now {
                break;
            }
            under_way.pop();
            let ended = if is_refused { Ended::Pressed } else { Ended::Answered };
            lane.finish(now, 0, now - began, ended);
            *(if is_refused { &mut fed.refused } else { &mut fed.answered }) += 1;
        }
    }
    fed.limit = lane.limit();
    fed
}

#[test]
fn the_limit_finds_what_a_receiver_takes() {
    for (workers, service) in [(1, 20 * MS), (8, 50 * MS), (40, 100 * MS), (150, 30 * MS)] {
        let model = Model { workers, service, queue: 1_000 };
        let fed = feed(model, Config::default(), 60 * SECOND);
        let best = workers as f64 * 60.0 / service.as_secs_f64();
        assert!(fed.answered as f64 > 0.85 * best, "{workers} × {service:?}: {fed:?} of {best}");
        assert!(fed.limit as usize <= 3 * workers / 2 + 6, "{workers} × {service:?}: {fed:?}");
    }
}

#[test]
fn a_receiver_that_refuses_is_rarely_asked_too_much() {
    let model = Model { workers: 20, service: 50 * MS, queue: 5 };
    let fed = feed(model, Config::default(), 60 * SECOND);
    assert!(fed.answered > 20_000, "{fed:?} of 24,000");
    assert!(fed.refused < fed.answered / 20, "{fed:?}");
}

#[test]
fn a_ceiling_is_kept_and_used() {
    let model = Model { workers: 100, service: 10 * MS, queue: 100 };
    for per_second in [50, 500, 5_000] {
        let rate = ceiling(count(per_second));
        let config = Config { ceiling: Some(rate), ..Config::default() };
        let fed = feed(model, config, 10 * SECOND).answered as u32;
        let most = 10 * per_second + rate.burst.get();
        assert!((10 * per_second * 98 / 100..=most).contains(&fed), "{per_second}: {fed}");
    }
}

#[test]
fn one_tenant_never_stands_before_the_others() {
    let began = start();
    let fixed = concurrency::Config { min: 4, max: 4 };
    let config = Config { concurrency: fixed, tenant_max: count(2), ..Config::default() };
    let mut lane = Lane::new(began, config);
    for item in 0..1_000 {
        lane.push(1, item).unwrap();
    }
    lane.push(2, 7_000).unwrap();
    lane.push(3, 8_000).unwrap();
    let mut went = Vec::new();
    while let Next::Go(tenant, item) = lane.next(began) {
        went.push((tenant, item));
    }
    assert_eq!(went, [(1, 0), (2, 7_000), (3, 8_000), (1, 1)]);
    // Two places are free again, but tenant 1 is at its cap.
    lane.finish(began, 2, MS, Ended::Answered);
    lane.finish(began, 3, MS, Ended::Answered);
    assert_eq!(lane.next(began), Next::Wait(None));
    lane.finish(began, 1, MS, Ended::Answered);
    assert_eq!(lane.next(began), Next::Go(1, 2));
}

#[test]
fn a_pause_that_was_asked_for_is_kept_within_its_bound() {
    let now = start();
    let mut lane = Lane::new(now, Config::default());
    lane.push(0, ()).unwrap();
    lane.pause(now, 5 * SECOND);
    lane.pause(now, SECOND);
    assert_eq!(lane.next(now), Next::Wait(Some(now + 5 * SECOND)));
    assert_eq!(lane.next(now + 5 * SECOND), Next::Go(0, ()));
    lane.push(0, ()).unwrap();
    lane.pause(now, Duration::MAX);
    assert_eq!(lane.next(now), Next::Wait(Some(now + PAUSE_MAX)));
}

#[test]
fn a_lane_that_is_off_gives_back_who_waits_and_takes_nobody() {
    let now = start();
    let mut lane = Lane::new(now, Config::default());
    lane.push(0, 'a').unwrap();
    lane.push(1, 'b').unwrap();
    assert_eq!(lane.next(now), Next::Go(0, 'a'));
    assert_eq!(lane.switch_off(Off::Switched), ['b']);
    assert_eq!(lane.switch_off(Off::Gone), []);
    assert_eq!(lane.off(), Some(Off::Switched));
    assert_eq!(lane.push(0, 'c'), Err('c'));
    assert_eq!(lane.next(now), Next::Wait(None));
    lane.finish(now, 0, MS, Ended::Answered);
    lane.switch_on();
    lane.push(0, 'd').unwrap();
    assert_eq!(lane.next(now), Next::Go(0, 'd'));
}

#[test]
fn delays_double_up_to_their_cap_and_end() {
    let config = again::Config { base: SECOND, cap: 10 * SECOND, attempts_max: count(6) };
    let longest: Vec<_> = (1..=6).map(|attempt| config.after(attempt, None, u64::MAX)).collect();
    let seconds = |n: u32| Some(n * SECOND);
    assert_eq!(longest, [seconds(1), seconds(2), seconds(4), seconds(8), seconds(10), None]);
    assert_eq!(config.after(3, None, 0), Some(Duration::ZERO));
    assert_eq!(config.after(2, Some(60 * SECOND), u64::MAX), seconds(62));
    assert_eq!(config.after(u32::MAX, None, 0), None);
}

#[test]
fn a_sink_that_fails_everything_is_asked_a_tenth_more() {
    let began = start();
    let mut budget = Budget::new(began);
    let mut retried = 0;
    for tick in 0..60_000 {
        // A thousand first attempts a second, each of which is tried again if it may.
        budget.earn(1);
        retried += u32::from(budget.pay(began + tick * MS).is_ok());
    }
    assert!((6_000..=6_700).contains(&retried), "{retried}");
}

proptest! {
    /// Whatever comes in which order: nobody is lost or doubled, no tenant has more than its cap
    /// under way, tenants that are ready differ by at most one turn.
    #[test]
    fn turns_are_fair_and_lose_nobody(
        cap in 1..4_u32,
        steps in prop::collection::vec((0..3_u8, 0..5_u64), 1..400),
    ) {
        let mut turns = Turns::new(count(cap));
        let (mut came, mut went) = (0_u32, Vec::new());
        let mut in_flight: HashMap<u64, u32> = HashMap::new();
        for (act, tenant) in steps {
            match act {
                0 => { turns.push(tenant, came).unwrap(); came += 1; }
                1 => if let Some((tenant, item)) = turns.pop() {
                    went.push(item);
                    let now = in_flight.entry(tenant).or_default();
                    *now += 1;
                    prop_assert!(*now <= cap);
                },
                _ => if let Some(now) = in_flight.get_mut(&tenant).filter(|now| **now > 0) {
                    *now -= 1;
                    turns.finish(tenant);
                },
            }
            prop_assert_eq!(turns.waiting() + went.len(), came as usize);
        }
        // Everybody goes in the end, and each once.
        for (tenant, left) in in_flight {
            (0..left).for_each(|_| turns.finish(tenant));
        }
        while let Some((tenant, item)) = turns.pop() {
            went.push(item);
            turns.finish(tenant);
        }
        went.sort_unstable();
        prop_assert_eq!(went, (0..came).collect::<Vec<_>>());
    }

    /// Between two turns of one tenant every other one that waits and is below its cap has one.
    #[test]
    fn who_waits_is_passed_at_most_once_by_each(lens in prop::collection::vec(1..30_usize, 2..8)) {
        let mut turns = Turns::new(NonZeroU32::MAX);
        for (tenant, len) in lens.iter().enumerate() {
            (0..*len).for_each(|item| turns.push(tenant as u64, item).unwrap());
        }
        let mut gone = vec![0; lens.len()];
        while let Some((tenant, item)) = turns.pop() {
            prop_assert_eq!(item, gone[tenant as usize]);
            gone[tenant as usize] += 1;
            let waiting = |other: &usize| gone[*other] < lens[*other];
            let least = (0..lens.len()).filter(waiting).map(|other| gone[other]).min();
            prop_assert!(least.is_none_or(|least| gone[tenant as usize] <= least + 1));
        }
    }

    /// The limit stays within its bounds whatever it is told, also by a clock that goes back.
    #[test]
    fn the_limit_keeps_its_bounds(
        min in 0..20_u32, max in 0..300_u32,
        steps in prop::collection::vec((0..2_000_u64, 0..40_000_u64, 0..3_u8, 0..400_u32), 1..300),
    ) {
        let began = start();
        let mut limit = Concurrency::new(began, concurrency::Config { min, max });
        for (at, took, ended, in_flight) in steps {
            limit.begin(in_flight);
            let ended = [Ended::Answered, Ended::Pressed, Ended::Unused][usize::from(ended)];
            limit.end(began + at as u32 * MS - 30 * SECOND, took as u32 * MS, ended);
            prop_assert!((min.max(1)..=max.max(min).max(1)).contains(&limit.limit()));
        }
    }

    /// Full jitter: never more than the ceiling beyond what was asked for, never less than that.
    #[test]
    fn a_delay_is_within_its_ceiling(
        attempt in 1..40_u32, asked in prop::option::of(0..100_000_u64), dice: u64,
    ) {
        let config = again::Config { attempts_max: count(100), ..again::Config::default() };
        let asked = asked.map(Duration::from_secs);
        let delay = config.after(attempt, asked, dice).unwrap();
        let least = asked.unwrap_or_default();
        let ceiling = SECOND.saturating_mul(2_u32.saturating_pow(attempt - 1)).min(config.cap);
        prop_assert!((least..=least + ceiling).contains(&delay));
    }

    /// However it is asked, no more is paid than was earned, trickled and kept in reserve; and who
    /// comes when told is paid.
    #[test]
    fn a_budget_is_never_overdrawn(
        steps in prop::collection::vec((0..500_u64, 0..20_u32, any::<bool>()), 1..300),
    ) {
        let began = start();
        let (mut budget, mut now) = (Budget::new(began), began);
        let (mut earned, mut paid) = (10.0, 0.0);
        for (passed, first, comes) in steps {
            now += passed as u32 * MS;
            earned += passed as f64 / 100.0;
            budget.earn(first);
            earned += 0.1 * f64::from(first);
            if comes {
                match budget.pay(now) {
                    Ok(()) => paid += 1.0,
                    Err(wait) => prop_assert!(budget.clone().pay(now + wait).is_ok()),
                }
            }
            prop_assert!(paid <= earned + 1e-6, "{paid} of {earned}");
        }
    }
}
