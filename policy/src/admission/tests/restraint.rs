//! What a pile-up takes away, and how it comes back.

use super::*;
use proptest::prelude::*;

use crate::restraint::{Restraint, Stage};

const READS: Arrival = Arrival { about: About { reads_only: true, ..ABOUT }, ..DEFAULT };
const HOLDS: Arrival = Arrival { may_hold_locks: true, ..DEFAULT };

/// Eight connections, a class that waits, and one that may be refused.
fn classes() -> Arc<Policy> {
    let waits = Limits { queue_length: 20, queue_time: ms(20_000), ..Limits::default() };
    let batch = Class { sheddable: true, ..class("batch", waits) };
    let classes = vec![class("default", waits), batch];
    Arc::new(Policy { classes, overall: waits, connections: Some(8), ..Policy::default() })
}

impl Scene {
    fn freeze(&mut self) {
        let frozen = Restraint::frozen(Mode::Enforce, self.now, 0.75);
        self.admission.restrain(self.now, Some(frozen));
    }

    fn rise(&mut self) {
        let rising = Restraint::rising(Mode::Enforce, self.now);
        self.admission.restrain(self.now, Some(rising));
    }

    fn admitted(&mut self) -> Vec<Admitted> {
        let next = || match self.admission.poll() {
            Some(Event::Admitted(_, admitted)) => Some(admitted),
            None => None,
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(next).collect()
    }
}

#[test]
fn a_freeze_holds_up_writers_lets_readers_use_half_and_refuses_who_may_be() {
    let mut scene = Scene::new(classes());
    let mut running: Vec<_> = (0..3).map(|_| scene.admit(DEFAULT)).collect();
    scene.freeze();
    let writer = scene.wait(DEFAULT);
    running.extend((0..4).map(|_| scene.admit(READS)));
    let reader = scene.wait(READS);
    let refusal = scene.shed(BATCH);
    assert_eq!((refusal.reason, refusal.limit, refusal.measured), (Reason::Melt, 0.2, 0.75));
    assert!(refusal.retry_after >= ms(1000) && refusal.retry_after <= ms(2000), "{refusal}");
    assert!(refusal.to_string().ends_with("changed_by=melt.mode"), "{refusal}");
    assert_eq!(scene.admission.restrained(), Restrained { held: 2, shed: 1 });
    // A writer that ends makes no room for another; a reader does for its like.
    scene.finish(running.remove(0));
    scene.expect_quiet();
    scene.finish(running.pop().unwrap());
    running.push(scene.expect_admitted(reader));
    scene.expect_quiet();
    scene.admission.restrain(scene.now, None);
    running.push(scene.expect_admitted(writer));
}

#[test]
fn who_may_be_refused_and_waits_is_when_a_freeze_begins() {
    let mut scene = Scene::new(classes());
    let running: Vec<_> = (0..8).map(|_| scene.admit(DEFAULT)).collect();
    let (batch, writer) = (scene.wait(BATCH), scene.wait(DEFAULT));
    scene.freeze();
    assert_eq!(scene.expect_shed(batch).reason, Reason::Melt);
    scene.expect_quiet();
    scene.freeze();
    scene.expect_quiet();
    scene.admission.abandon(scene.now, writer);
    drop(running);
}

#[test]
fn invariant_4_what_holds_locks_passes_a_freeze() {
    let mut scene = Scene::new(classes());
    scene.freeze();
    let holders: Vec<_> = (0..20).map(|_| scene.admit(HOLDS)).collect();
    let _writer = scene.wait(DEFAULT);
    for holder in holders {
        scene.finish(holder);
    }
    scene.expect_quiet();
}

#[test]
fn a_freeze_ends_by_itself_and_the_limit_rises_from_half() {
    let mut scene = Scene::new(classes());
    scene.freeze();
    for _ in 0..20 {
        scene.wait(DEFAULT);
    }
    let mut running = Vec::new();
    let mut counts = Vec::new();
    while running.len() < 8 {
        let due = scene.admission.poll_timeout().unwrap();
        scene.pass(due.saturating_duration_since(scene.now));
        running.extend(scene.admitted());
        counts.push(running.len());
    }
    counts.dedup();
    assert_eq!(counts, [4, 5, 6, 7, 8], "nobody looked for two seconds");
}

#[test]
fn what_a_freeze_held_up_too_long_is_told_so() {
    let mut scene = Scene::new(policy(limits(9, 9), Limits::default(), Limits::default()));
    scene.freeze();
    let waited = scene.wait(DEFAULT);
    let refusal = scene.shed(BATCH);
    assert_eq!(refusal.reason, Reason::Melt, "its class has no queue");
    scene.pass(ms(100));
    assert_eq!(scene.expect_shed(waited).reason, Reason::Melt);
    // While the limit rises there is room, or a queue.
    scene.rise();
    let _first = scene.admit(BATCH);
}

#[test]
fn the_adaptive_limit_stands_still_and_is_used_in_part() {
    let mut policy = Policy::clone(&adaptive());
    policy.limit.start = 8;
    policy.classes.iter_mut().for_each(|class| class.limits.queue_time = ms(20_000));
    let mut scene = Scene::new(Arc::new(policy));
    let mut running: Vec<_> = (0..8).map(|_| scene.admit(DEFAULT)).collect();
    let seen = Contention {
        blocked: 7,
        blocked_share: 0.9,
        conflict_ratio: 9.0,
        longest_wait: ms(900),
        rolling_back: 0,
    };
    scene.freeze();
    for _ in 0..10 {
        scene.pass(ms(100));
        scene.admission.observe(scene.now, seen);
    }
    let base = |scene: &Scene| scene.admission.limit().unwrap().report().base;
    assert_eq!(base(&scene), 8.0, "a pile-up says nothing of the limit");
    for _ in 0..6 {
        scene.wait(DEFAULT);
    }
    running.drain(..5).for_each(|one| scene.finish(one));
    scene.expect_quiet();
    scene.rise();
    running.extend(scene.admitted());
    assert_eq!(running.len(), 4, "half of it, those included that still run");
    for _ in 0..20 {
        scene.pass(ms(100));
        running.extend(scene.admitted());
    }
    assert_eq!((running.len(), base(&scene)), (8, 8.0));
}

#[test]
fn invariant_11_a_restraint_that_observes_counts_and_that_is_all() {
    let mut scene = Scene::new(classes());
    let stage = Stage::Frozen { until: scene.now + ms(1000), waiting: 0.9 };
    scene.admission.restrain(scene.now, Some(Restraint { mode: Mode::Observe, stage }));
    let _running = [scene.admit(DEFAULT), scene.admit(BATCH), scene.admit(READS)];
    let classes = scene.admission.snapshot(scene.now).classes;
    let counts = classes.iter().map(|of| (of.counts.would_wait, of.counts.would_shed));
    assert_eq!(counts.collect::<Vec<_>>(), [(1, 0), (0, 1)]);
    assert_eq!(scene.admission.restrained(), Restrained::default());
}

#[test]
fn a_database_that_has_just_come_back_is_given_little_at_first() {
    let mut scene = Scene::new(classes());
    let mut running: Vec<_> = (0..8).map(|_| scene.admit(DEFAULT)).collect();
    scene.admission.start_over(scene.now);
    let waiting = scene.wait(DEFAULT);
    running.drain(..7).for_each(|one| scene.finish(one));
    scene.expect_quiet();
    running.drain(..).for_each(|one| scene.finish(one));
    running.push(scene.expect_admitted(waiting));
    for _ in 0..7 {
        scene.wait(DEFAULT);
    }
    for _ in 0..70 {
        scene.pass(ms(50));
        running.extend(scene.admitted());
    }
    assert!(running.len() < 4, "a while later: {}", running.len());
    for _ in 0..60 {
        scene.pass(ms(50));
        running.extend(scene.admitted());
    }
    assert_eq!(running.len(), 8);
    // The limit that finds its place begins at its least, and what was learned of its place is gone.
    let mut policy = Policy::clone(&adaptive());
    policy.limit.start = 40;
    let mut scene = Scene::new(Arc::new(policy));
    scene.admission.start_over(scene.now);
    assert_eq!(scene.admission.limit().unwrap().report().base, 1.0);
    assert_eq!(scene.admission.restraint(), None);
}

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    Arrive(Arrival),
    Finish(usize),
    Pass(u64),
    Freeze,
    Rise,
    Over,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let arrivals = prop::sample::select(vec![DEFAULT, READS, BATCH, HOLDS]);
    let step = prop_oneof![
        8 => arrivals.prop_map(Step::Arrive),
        6 => any::<usize>().prop_map(Step::Finish),
        3 => (0..900_u64).prop_map(Step::Pass),
        1 => Just(Step::Freeze),
        1 => Just(Step::Rise),
        1 => Just(Step::Over),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    /// Whatever happens while things are frozen and let up: what may hold locks never waits, no writer
    /// is let in by a freeze, there are never more than there may be, and everybody gets an answer.
    #[test]
    fn invariants_4_and_9_hold_under_any_restraint(steps in steps()) {
        let mut scene = Scene::new(classes());
        let mut running: Vec<(Admitted, bool)> = Vec::new();
        let mut waiting = std::collections::BTreeMap::new();
        let ends = (0..100).flat_map(|_| [Step::Pass(300), Step::Finish(0)]);
        for step in steps.into_iter().chain(ends) {
            let mut admitted = Vec::new();
            match step {
                Step::Arrive(arrival) => match scene.admission.arrive(scene.now, arrival) {
                    Verdict::Admit(one) => admitted.push((one, arrival)),
                    Verdict::Wait(ticket) => {
                        prop_assert!(!arrival.may_hold_locks);
                        waiting.insert(ticket, arrival);
                    }
                    Verdict::Shed(_) => prop_assert!(!arrival.may_hold_locks),
                },
                Step::Finish(which) if !running.is_empty() => {
                    let (one, _) = running.swap_remove(which % running.len());
                    scene.finish(one);
                }
                Step::Finish(_) => {}
                Step::Pass(millis) => scene.pass(ms(millis)),
                Step::Freeze => scene.freeze(),
                Step::Rise => scene.rise(),
                Step::Over => scene.admission.restrain(scene.now, None),
            }
            while let Some(event) = scene.admission.poll() {
                match event {
                    Event::Admitted(ticket, one) => {
                        admitted.push((one, waiting.remove(&ticket).unwrap()));
                    }
                    Event::Shed(ticket, _) => prop_assert!(waiting.remove(&ticket).is_some()),
                }
            }
            let is_frozen = scene.admission.restraint().is_some_and(Restraint::is_frozen);
            for (one, arrival) in admitted {
                let may = !is_frozen || arrival.may_hold_locks || arrival == READS;
                prop_assert!(may, "{arrival:?} is let in");
                running.push((one, arrival.may_hold_locks));
            }
            let bounded = running.iter().filter(|(_, holds)| !holds).count();
            prop_assert!(bounded <= 8, "{bounded} of 8");
            prop_assert_eq!(scene.admission.snapshot(scene.now).overall.in_flight as usize, running.len());
        }
        prop_assert!(waiting.is_empty() && scene.admission.restraint().is_none());
    }
}
