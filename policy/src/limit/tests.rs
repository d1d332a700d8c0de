//! The limit before databases of one formula, in virtual time.

use super::*;

#[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
fn start() -> Instant {
    Instant::now()
}

fn config(start: u32) -> Config {
    Config { mode: Mode::Enforce, start, ..Config::default() }
}

/// A database that takes `time(n)` seconds for each of n transactions, and always has more to do.
struct Scene {
    limit: Limit,
    now: Instant,
    /// When each that runs will end.
    running: Vec<Instant>,
    begun: usize,
    /// What all that begin are.
    kind: Digest,
}

impl Scene {
    fn new(config: Config) -> Self {
        let now = start();
        let (limit, kind) = (Limit::new(now, config, 0, None), Digest(1));
        Self { limit, now, running: Vec::new(), begun: 0, kind }
    }

    /// Lets so many seconds pass with at most `offered` in flight.
    fn pass(&mut self, seconds: f64, offered: usize, time: impl Fn(usize) -> f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            while self.running.len() < offered.min(self.limit.value() as usize) {
                self.limit.began(self.now, self.kind);
                let spread = 0.75 + 0.5 * (self.begun * 5 % 8) as f64 / 8.0;
                self.begun += 1;
                let took = time(self.running.len() + 1) * spread;
                self.running.push(self.now + Duration::from_secs_f64(took));
            }
            self.now += Duration::from_millis(1);
            let ended = self.running.iter().filter(|at| **at <= self.now).count();
            self.running.retain(|at| *at > self.now);
            for _ in 0..ended {
                let service = Duration::from_secs_f64(time(self.running.len() + 1));
                self.limit.ended(self.now, self.kind, Outcome::Success, service);
            }
            self.limit.tick(self.now);
        }
    }
}

/// The most work is done by `top` at a time.
fn usl(top: f64) -> impl Fn(usize) -> f64 {
    move |n| 0.01 * (1.0 + 0.01 * n as f64 + (n as f64 / top).powi(2))
}

const STUCK: Contention = Contention {
    blocked: 90,
    blocked_share: 0.9,
    conflict_ratio: 9.0,
    rolling_back: 0,
    longest_wait: Duration::from_secs(1),
};

#[test]
fn it_finds_the_top_from_below_and_from_above() {
    for (top, from) in [(12.0, 2), (40.0, 4), (40.0, 300), (100.0, 8)] {
        let mut scene = Scene::new(config(from));
        scene.pass(20.0, 1000, usl(top));
        let base = scene.limit.report().base;
        assert!((0.5 * top..1.3 * top).contains(&base), "{top} from {from}: {base}");
    }
}

#[test]
fn it_does_not_stick_to_the_floor() {
    let mut scene = Scene::new(Config { start: 2, min: 1, ..config(2) });
    scene.pass(8.0, 1000, usl(64.0));
    assert!(scene.limit.value() > 30, "{:?}", scene.limit.report());
}

/// PostgreSQL and a mix that deadlocks, which it notices after a second.
fn stands_still_by_twos(n: usize) -> f64 {
    if n < 2 { 0.002 } else { 0.25 * n as f64 }
}

#[test]
fn where_two_are_too_many_one_runs_and_two_are_seldom_tried() {
    let begun = |max| {
        let mut scene = Scene::new(Config { max, ..config(1) });
        scene.pass(15.0, 1000, stands_still_by_twos);
        let before = scene.begun;
        scene.pass(60.0, 1000, stands_still_by_twos);
        scene.begun - before
    };
    let share = begun(512) as f64 / begun(1) as f64;
    assert!(share > 0.9, "{share}");
}

#[test]
fn it_leaves_the_floor_when_more_helps_again() {
    let mut scene = Scene::new(config(1));
    scene.pass(5.0, 1000, stands_still_by_twos);
    assert!(scene.limit.report().base < 2.0, "{:?}", scene.limit.report());
    // It may take twice as long as it was so until more is tried.
    scene.pass(20.0, 1000, |_| 0.02);
    assert!(scene.limit.value() > 16, "{:?}", scene.limit.report());
}

#[test]
fn what_was_found_of_one_mix_is_not_held_against_another() {
    let mut scene = Scene::new(config(1));
    scene.pass(15.0, 1000, stands_still_by_twos);
    assert!(scene.limit.report().base < 2.0, "{:?}", scene.limit.report());
    scene.kind = Digest(2);
    scene.pass(4.0, 1000, |_| 0.004);
    assert!(scene.limit.value() > 16, "{:?}", scene.limit.report());
}

#[test]
fn a_leap_beyond_what_is_asked_for_is_compared_with_what_was_before() {
    let mut scene = Scene::new(config(8));
    // At 32 there is room left, and 28 do less than 16.
    scene.pass(10.0, 28, usl(20.0));
    assert!(scene.limit.report().base < 27.0, "{:?}", scene.limit.report());
}

#[test]
fn what_nobody_asks_for_teaches_nothing_and_decays() {
    let mut scene = Scene::new(config(8));
    scene.pass(10.0, 1000, usl(60.0));
    let learned = scene.limit.report().base;
    scene.pass(5.0, 2, usl(60.0));
    assert!(scene.limit.report().base > 0.9 * learned);
    scene.pass(600.0, 2, |_| 0.02);
    let left = scene.limit.report().base;
    assert!(left < 0.6 * learned && left >= 8.0, "{learned} {left}");
}

#[test]
fn locks_cut_at_once_and_no_faster_than_a_cut_shows() {
    let mut scene = Scene::new(config(64));
    scene.pass(2.0, 1000, |_| 0.05);
    let before = scene.limit.report().base;
    scene.limit.observe(scene.now, STUCK);
    let once = scene.limit.report().base;
    assert!(once < 0.7 * before);
    scene.limit.observe(scene.now + Duration::from_millis(1), STUCK);
    assert_eq!(scene.limit.report().base, once);
    assert_eq!(scene.limit.report().cuts, 1);
}

#[test]
fn few_waiters_are_noise() {
    let mut scene = Scene::new(config(8));
    let few = Contention { blocked: 3, ..STUCK };
    scene.limit.observe(scene.now, few);
    assert_eq!(scene.limit.report().cuts, 0);
    scene.pass(3.0, 1000, usl(40.0));
    assert!(scene.limit.value() > 8);
}

#[test]
fn most_of_what_fails_cuts_without_any_word_from_the_database() {
    let mut scene = Scene::new(Config { max: 30, ..config(30) });
    scene.pass(1.0, 1000, |_| 0.05);
    let before = scene.limit.report().base;
    for _ in 0..20 {
        for _ in 0..5 {
            let service = Duration::from_secs(1);
            scene.limit.ended(scene.now, Digest(1), Outcome::Overload, service);
            scene.limit.began(scene.now, Digest(1));
        }
        scene.now += TICK;
        scene.limit.tick(scene.now);
    }
    assert!(scene.limit.report().base < 0.7 * before, "{:?}", scene.limit.report());
}

#[test]
fn a_change_of_the_mix_is_no_change_of_the_database() {
    let mut scene = Scene::new(config(8));
    let costs = [(Digest(1), 0.001), (Digest(2), 0.05)];
    scene.limit =
        Limit::new(scene.now, config(8), 0, Some(Memory { base: 0.0, baselines: costs.to_vec() }));
    for (digest, ended) in [(Digest(1), 500), (Digest(2), 10)] {
        for _ in 0..ended {
            scene.limit.began(scene.now, digest);
            let service = Duration::from_secs_f64(if digest == Digest(1) { 0.001 } else { 0.05 });
            scene.limit.ended(scene.now, digest, Outcome::Success, service);
        }
        scene.now += TICK;
        scene.limit.tick(scene.now);
        let work = scene.limit.report().work;
        assert!((work - 5.0).abs() < 0.1, "{digest:?}: {work}");
    }
}

#[test]
fn what_is_known_survives_a_restart() {
    let mut scene = Scene::new(config(8));
    scene.pass(10.0, 1, |_| 0.01);
    scene.pass(20.0, 1000, usl(60.0));
    let memory = scene.limit.memory();
    assert!((memory.baselines[0].1 - 0.01).abs() < 0.005, "{memory:?}");
    let again = Limit::new(scene.now, config(8), 0, Some(memory.clone()));
    let expected = memory.base * Memory::TRUST;
    assert!((again.report().base - expected).abs() < 1e-9);
    // Nothing remembered makes it begin below the start, nor above what is allowed.
    let low = Memory { base: 2.0, ..memory.clone() };
    assert_eq!(Limit::new(scene.now, config(8), 0, Some(low)).value(), 8);
    let high = Memory { base: 1e9, ..memory };
    assert_eq!(Limit::new(scene.now, config(8), 0, Some(high)).value(), 512);
}

#[test]
fn a_stalled_clock_moves_nothing() {
    let mut scene = Scene::new(config(8));
    scene.pass(5.0, 1000, usl(40.0));
    let before = scene.limit.report().base;
    scene.limit.tick(scene.now + Duration::from_secs(3600));
    scene.limit.tick(scene.now);
    assert_eq!(scene.limit.report().base, before);
}

#[test]
fn observing_proposes_the_knee_and_tries_nothing() {
    let mut scene = Scene::new(Config { mode: Mode::Observe, max: 512, ..config(8) });
    for offered in (2..70).chain((2..70).rev()).chain(2..70) {
        // Observing does not hold anybody up: the load sets what is in flight.
        for _ in 0..3 {
            let time = usl(40.0)(offered);
            let ended = (offered as f64 / time * 0.1).round() as u32;
            while scene.limit.meter.in_flight() < offered as f64 {
                scene.limit.began(scene.now, Digest(1));
            }
            for _ in 0..ended {
                let service = Duration::from_secs_f64(time);
                scene.limit.ended(scene.now, Digest(1), Outcome::Success, service);
                scene.limit.began(scene.now, Digest(1));
            }
            scene.now += TICK;
            scene.limit.tick(scene.now);
        }
        while scene.limit.meter.in_flight() > 0.0 {
            scene.limit.ended(scene.now, Digest(1), Outcome::Ignored, Duration::ZERO);
        }
    }
    let knee = scene.limit.report().knee.unwrap();
    assert!((30.0..50.0).contains(&knee), "{knee}");
    assert_eq!(scene.limit.value(), knee.round() as u32);
}

#[test]
fn bounds_that_contradict_each_other_are_no_reason_to_panic() {
    let bounds = |min, max| Config { min, max, ..Config::default() };
    for (min, max, value) in [(2, 1, 1.0), (0, 0, 1.0), (2, 4, 4.0), (9, 4, 4.0), (20, 30, 20.0)] {
        assert_eq!(bounds(min, max).bounded(8.0), value, "{min} to {max}");
    }
}
