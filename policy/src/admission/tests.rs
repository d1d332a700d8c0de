//! Admission in simulated time.

use std::num::NonZeroU32;

use super::*;
use crate::class::{Class, DatabaseId, Limits, Rate};
use crate::refusal::{Reason, Refusal, Scope};

mod properties;
mod restraint;
mod traces;
mod waiting;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
fn start() -> Instant {
    Instant::now()
}

/// So many in flight, so many waiting for 100 ms.
fn limits(in_flight: u32, queue_length: u32) -> Limits {
    Limits { in_flight: Some(in_flight), queue_length, queue_time: ms(100), ..Limits::default() }
}

fn class(name: &str, limits: Limits) -> Class {
    Class { name: name.to_owned(), limits, ..Class::unlimited() }
}

/// Two classes without limits unless they are given, and everything overall.
fn policy(default: Limits, batch: Limits, overall: Limits) -> Arc<Policy> {
    Arc::new(Policy {
        classes: vec![class("default", default), class("batch", batch)],
        overall,
        ..Policy::default()
    })
}

const ABOUT: About = About {
    digest: crate::sql::Digest(0),
    reads_only: false,
    deadline: None,
    waited: Duration::ZERO,
    tenant: Tenant::NONE,
    asker: retry::Asker { application: 0, request: 0 },
};
const DEFAULT: Arrival = Arrival {
    class: ClassId(0),
    database: None,
    needs_connection: true,
    may_hold_locks: false,
    about: ABOUT,
};
const BATCH: Arrival = Arrival { class: ClassId(1), ..DEFAULT };

/// An admission with a clock, and helpers that say what is expected.
struct Scene {
    admission: Admission,
    now: Instant,
}

impl Scene {
    fn new(policy: Arc<Policy>) -> Self {
        let now = start();
        Self { admission: Admission::new(now, policy), now }
    }

    fn admit(&mut self, arrival: Arrival) -> Admitted {
        match self.admission.arrive(self.now, arrival) {
            Verdict::Admit(admitted) => admitted,
            other => panic!("not admitted: {other:?}"),
        }
    }

    fn wait(&mut self, arrival: Arrival) -> Ticket {
        match self.admission.arrive(self.now, arrival) {
            Verdict::Wait(ticket) => ticket,
            other => panic!("does not wait: {other:?}"),
        }
    }

    fn shed(&mut self, arrival: Arrival) -> Refusal {
        match self.admission.arrive(self.now, arrival) {
            Verdict::Shed(refusal) => refusal,
            other => panic!("not shed: {other:?}"),
        }
    }

    fn finish(&mut self, admitted: Admitted) {
        self.admission.finish(self.now, admitted, Outcome::Success, ms(1));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.admission.handle_timeout(self.now);
    }

    /// The next event admits this ticket.
    fn expect_admitted(&mut self, ticket: Ticket) -> Admitted {
        match self.admission.poll() {
            Some(Event::Admitted(of, admitted)) if of == ticket => admitted,
            other => panic!("{ticket:?} is not admitted: {other:?}"),
        }
    }

    fn expect_shed(&mut self, ticket: Ticket) -> Refusal {
        match self.admission.poll() {
            Some(Event::Shed(of, refusal)) if of == ticket => refusal,
            other => panic!("{ticket:?} is not shed: {other:?}"),
        }
    }

    fn expect_quiet(&mut self) {
        assert_eq!(self.admission.poll(), None);
    }
}

#[test]
fn a_hold_keeps_what_comes_and_what_waits_and_lets_locks_pass() {
    let mut scene = Scene::new(policy(limits(1, 10), Limits::default(), Limits::default()));
    let runs = scene.admit(DEFAULT);
    let waited = scene.wait(DEFAULT);
    scene.admission.hold(Hold { until: scene.now + ms(500), length: 3 });
    // A class without a limit, and without a queue, is held as well.
    let held = scene.wait(BATCH);
    let locks = scene.admit(Arrival { may_hold_locks: true, ..BATCH });
    scene.finish(runs);
    scene.finish(locks);
    scene.pass(ms(400));
    scene.expect_quiet();
    let gone = scene.wait(DEFAULT);
    let refusal = scene.shed(DEFAULT);
    assert_eq!((refusal.reason, refusal.limit, refusal.measured), (Reason::Paused, 3.0, 3.0));
    scene.admission.abandon(scene.now, gone);
    let last = scene.wait(DEFAULT);
    assert!(scene.admission.release(scene.now));
    assert!(!scene.admission.release(scene.now));
    let first = [scene.admission.poll().unwrap(), scene.admission.poll().unwrap()];
    let of = |event: &Event| matches!(event, Event::Admitted(ticket, _) if [waited, held].contains(ticket));
    assert!(first.iter().all(of), "{first:?}");
    scene.expect_quiet();
    // What is left waits as if it had just come.
    scene.pass(ms(99));
    scene.expect_quiet();
    scene.pass(ms(1));
    assert_eq!(scene.expect_shed(last).reason, Reason::QueueTime);
}

#[test]
fn a_hold_ends_by_itself_and_refuses_then_what_may_not_wait() {
    let none = Limits { in_flight: Some(1), ..Limits::default() };
    let mut scene = Scene::new(policy(none, Limits::default(), Limits::default()));
    scene.admission.hold(Hold { until: scene.now + ms(500), length: 10 });
    let (first, second) = (scene.wait(DEFAULT), scene.wait(DEFAULT));
    assert_eq!(scene.admission.poll_timeout(), Some(scene.now + ms(500)));
    scene.pass(ms(500));
    let _runs = scene.expect_admitted(first);
    assert_eq!(scene.expect_shed(second).reason, Reason::InFlight);
    assert_eq!(scene.admission.held(), None);
}

#[test]
fn what_has_room_runs_and_the_rest_waits_in_order() {
    let mut scene = Scene::new(policy(limits(2, 10), Limits::default(), Limits::default()));
    let (first, second) = (scene.admit(DEFAULT), scene.admit(DEFAULT));
    let (third, fourth) = (scene.wait(DEFAULT), scene.wait(DEFAULT));
    scene.expect_quiet();
    scene.finish(second);
    let third = scene.expect_admitted(third);
    scene.expect_quiet();
    scene.finish(first);
    scene.finish(third);
    let fourth = scene.expect_admitted(fourth);
    scene.finish(fourth);
    let usage = scene.admission.snapshot(scene.now).overall;
    assert_eq!((usage.in_flight, usage.connections, usage.queued), (0, 0, 0));
    assert_eq!((usage.counts.admitted, usage.counts.succeeded), (4, 4));
}

#[test]
fn a_queue_is_bounded_in_length() {
    let mut scene = Scene::new(policy(limits(1, 1), Limits::default(), Limits::default()));
    let _running = scene.admit(DEFAULT);
    let _waiting = scene.wait(DEFAULT);
    let refusal = scene.shed(DEFAULT);
    assert_eq!((refusal.reason, refusal.limit, refusal.measured), (Reason::QueueFull, 1.0, 1.0));
    assert_eq!(refusal.scope, Scope::Class("default".into()));
}

#[test]
fn without_a_queue_nothing_waits() {
    let none = Limits { queue_time: Duration::ZERO, ..limits(1, 5) };
    for limits in [limits(1, 0), none] {
        let mut scene = Scene::new(policy(limits, Limits::default(), Limits::default()));
        let _running = scene.admit(DEFAULT);
        let refusal = scene.shed(DEFAULT);
        assert_eq!((refusal.reason, refusal.limit_name), (Reason::InFlight, "in_flight"));
    }
}

#[test]
fn a_class_without_a_queue_does_not_wait_for_other_limits_either() {
    let queue = |length| Limits { in_flight: None, ..limits(0, length) };
    for (class, overall, expect) in [(0, 5, false), (5, 0, false), (5, 5, true)] {
        let mut scene = Scene::new(policy(queue(class), Limits::default(), limits(1, overall)));
        let _running = scene.admit(DEFAULT);
        let verdict = scene.admission.arrive(scene.now, DEFAULT);
        assert_eq!(matches!(verdict, Verdict::Wait(_)), expect, "{class} {overall}");
    }
}

#[test]
fn a_waiter_past_its_deadline_is_shed() {
    let mut scene = Scene::new(policy(limits(1, 10), Limits::default(), Limits::default()));
    let running = scene.admit(DEFAULT);
    let early = scene.wait(DEFAULT);
    scene.pass(ms(60));
    let late = scene.wait(DEFAULT);
    assert_eq!(scene.admission.poll_timeout(), Some(scene.now + ms(40)));
    scene.pass(ms(39));
    scene.expect_quiet();
    scene.pass(ms(1));
    let refusal = scene.expect_shed(early);
    assert_eq!((refusal.reason, refusal.limit, refusal.measured), (Reason::QueueTime, 0.1, 0.1));
    scene.expect_quiet();
    scene.finish(running);
    let _late = scene.expect_admitted(late);
    assert_eq!(scene.admission.poll_timeout(), None);
}

#[test]
fn who_leaves_the_queue_leaves_no_trace() {
    let mut scene = Scene::new(policy(limits(1, 2), Limits::default(), Limits::default()));
    let running = scene.admit(DEFAULT);
    let (first, second) = (scene.wait(DEFAULT), scene.wait(DEFAULT));
    scene.admission.abandon(scene.now, first);
    scene.admission.abandon(scene.now, first);
    let third = scene.wait(DEFAULT);
    scene.finish(running);
    let admitted = scene.expect_admitted(second);
    scene.finish(admitted);
    // Given a permit, but gone before anyone polled: the permit is taken back.
    scene.admission.abandon(scene.now, third);
    scene.expect_quiet();
    assert_eq!(scene.admission.snapshot(scene.now).overall.in_flight, 0);
}

#[test]
fn a_full_class_does_not_block_another() {
    let mut scene = Scene::new(policy(limits(1, 10), limits(1, 10), limits(3, 10)));
    let running = scene.admit(DEFAULT);
    let _waiting = scene.wait(DEFAULT);
    let batch = scene.admit(BATCH);
    let waiting = scene.wait(BATCH);
    scene.finish(batch);
    let _batch = scene.expect_admitted(waiting);
    drop(running);
}

#[test]
fn freed_room_goes_round_the_classes() {
    let queue = Limits { queue_length: 10, queue_time: ms(100), ..Limits::default() };
    let mut scene = Scene::new(policy(queue, queue, limits(1, 20)));
    let mut running = scene.admit(DEFAULT);
    let flood: Vec<Ticket> = (0..4).map(|_| scene.wait(DEFAULT)).collect();
    let batch: Vec<Ticket> = (0..2).map(|_| scene.wait(BATCH)).collect();
    for ticket in [batch[0], flood[0], batch[1], flood[1], flood[2], flood[3]] {
        scene.finish(running);
        running = scene.expect_admitted(ticket);
    }
}

#[test]
fn freed_room_goes_by_shares_and_to_whom_it_may_be_free() {
    let queue = Limits { queue_length: 100, queue_time: ms(100), ..Limits::default() };
    let share = |share| NonZeroU32::new(share).unwrap();
    let classes = vec![
        Class { share: share(30), ..class("default", queue) },
        Class { share: share(10), ..class("batch", queue) },
    ];
    let overall = limits(1, 200);
    let mut scene = Scene::new(Arc::new(Policy { classes, overall, ..Policy::default() }));
    let mut running = scene.admit(BATCH);
    for _ in 0..40 {
        scene.wait(DEFAULT);
        scene.wait(BATCH);
    }
    let mut admitted = [0, 0];
    for _ in 0..40 {
        scene.finish(running);
        running = match scene.admission.poll() {
            Some(Event::Admitted(_, next)) => next,
            other => panic!("{other:?}"),
        };
        admitted[usize::from(running.class.0)] += 1;
    }
    assert_eq!(admitted, [30, 10]);
}

#[test]
fn a_full_database_holds_up_only_its_own() {
    let mut policy = Policy::clone(&policy(limits(10, 10), Limits::default(), Limits::default()));
    policy.databases = vec![("shop".to_owned(), limits(1, 5))];
    let mut scene = Scene::new(Arc::new(policy));
    let shop = Arrival { database: Some(DatabaseId(0)), ..DEFAULT };
    let running = scene.admit(shop);
    let waiting = scene.wait(shop);
    let _elsewhere = scene.admit(DEFAULT);
    for _ in 0..4 {
        scene.wait(shop);
    }
    let refusal = scene.shed(shop);
    assert_eq!(refusal.scope, Scope::Database("shop".into()));
    scene.finish(running);
    let _admitted = scene.expect_admitted(waiting);
}

#[test]
fn invariant_4_who_may_hold_locks_never_waits() {
    let mut scene = Scene::new(policy(limits(0, 0), Limits::default(), limits(0, 0)));
    let holder = scene.admit(Arrival { may_hold_locks: true, ..DEFAULT });
    assert_eq!(scene.admission.snapshot(scene.now).overall.in_flight, 1);
    scene.shed(DEFAULT);
    scene.finish(holder);
}

#[test]
fn pinned_sessions_count_as_connections_and_not_as_in_flight() {
    let limits = Limits { connections: Some(2), ..limits(2, 10) };
    let mut scene = Scene::new(policy(limits, Limits::default(), Limits::default()));
    let mut first = scene.admit(DEFAULT);
    let pinned = scene.admission.pin(&mut first).unwrap();
    assert!(scene.admission.pin(&mut first).is_none());
    scene.finish(first);
    let usage = scene.admission.snapshot(scene.now).classes.remove(0);
    assert_eq!((usage.in_flight, usage.connections, usage.pinned), (0, 1, 1));
    let _second = scene.admit(DEFAULT);
    let third = scene.wait(DEFAULT);
    // The pinned session itself needs no further connection, so it passes those that do.
    let again = scene.admit(Arrival { needs_connection: false, ..DEFAULT });
    scene.finish(again);
    scene.expect_quiet();
    scene.admission.unpin(scene.now, pinned);
    let _third = scene.expect_admitted(third);
}

#[test]
fn a_rate_refuses_with_the_time_of_the_next() {
    let one = NonZeroU32::MIN;
    let rate = Limits { rate: Some(Rate { per_second: one, burst: one }), ..Limits::default() };
    let mut scene = Scene::new(policy(rate, Limits::default(), Limits::default()));
    let _first = scene.admit(DEFAULT);
    let refusal = scene.shed(DEFAULT);
    assert_eq!(refusal.reason, Reason::Rate);
    assert!(refusal.retry_after >= ms(1000));
    let _other = scene.admit(BATCH);
    scene.pass(ms(1000));
    let _second = scene.admit(DEFAULT);
}

#[test]
fn invariant_11_observe_counts_and_off_does_not() {
    for (mode, would_wait, would_shed) in [(Mode::Observe, 1, 1), (Mode::Off, 0, 0)] {
        let mut policy = Policy::clone(&policy(limits(1, 1), limits(0, 0), limits(1, 1)));
        policy.mode = mode;
        let mut scene = Scene::new(Arc::new(policy));
        let _running = [scene.admit(DEFAULT), scene.admit(DEFAULT), scene.admit(BATCH)];
        let classes = scene.admission.snapshot(scene.now).classes;
        assert_eq!(classes[0].counts.would_wait, would_wait, "{mode:?}");
        assert_eq!(classes[1].counts.would_shed, would_shed, "{mode:?}");
        assert_eq!(classes[0].in_flight, 2);
    }
}

#[test]
fn a_class_that_observes_still_keeps_to_the_overall_limit() {
    let mut policy = Policy::clone(&policy(limits(1, 1), Limits::default(), limits(2, 5)));
    policy.classes[0].mode = Mode::Observe;
    let mut scene = Scene::new(Arc::new(policy));
    let _running = [scene.admit(DEFAULT), scene.admit(DEFAULT)];
    scene.wait(DEFAULT);
}

#[test]
fn limits_may_shrink_below_what_runs_and_classes_may_move() {
    let mut scene = Scene::new(policy(limits(3, 5), limits(1, 5), Limits::default()));
    let running = [scene.admit(DEFAULT), scene.admit(DEFAULT), scene.admit(DEFAULT)];
    let batch = scene.admit(BATCH);
    let waiting = scene.wait(BATCH);
    // "batch" becomes class 2, and "default" is cut to one.
    let cut = Policy {
        classes: vec![
            class("default", limits(1, 5)),
            class("web", Limits::default()),
            class("batch", limits(1, 5)),
        ],
        ..Policy::default()
    };
    scene.admission.reconfigure(scene.now, Arc::new(cut));
    let late = scene.wait(DEFAULT);
    for admitted in running {
        scene.expect_quiet();
        scene.finish(admitted);
    }
    let _late = scene.expect_admitted(late);
    scene.finish(batch);
    let _batch = scene.expect_admitted(waiting);
    let classes = scene.admission.snapshot(scene.now).classes;
    let in_flight: Vec<_> = classes.iter().map(|usage| (&*usage.name, usage.in_flight)).collect();
    assert_eq!(in_flight, [("default", 1), ("web", 0), ("batch", 1)]);
}

#[test]
fn wider_limits_let_waiters_in_at_once() {
    let mut scene = Scene::new(policy(limits(1, 5), Limits::default(), Limits::default()));
    let _running = scene.admit(DEFAULT);
    let (first, second) = (scene.wait(DEFAULT), scene.wait(DEFAULT));
    let wide = policy(limits(2, 5), Limits::default(), Limits::default());
    scene.admission.reconfigure(scene.now, wide);
    let _first = scene.expect_admitted(first);
    scene.expect_quiet();
    let off = Policy { mode: Mode::Off, ..Policy::default() };
    scene.admission.reconfigure(scene.now, Arc::new(off));
    let _second = scene.expect_admitted(second);
}

#[test]
fn connections_that_there_are_not_are_waited_for_in_every_mode() {
    for mode in [Mode::Off, Mode::Observe, Mode::Enforce] {
        let mut class = class("default", limits(9, 1));
        class.limits.in_flight = None;
        let overall = Limits { in_flight: None, ..limits(9, 9) };
        let classes = vec![class];
        let policy = Policy { mode, classes, overall, connections: Some(1), ..Policy::default() };
        let mut scene = Scene::new(Arc::new(policy));
        let mut running = scene.admit(DEFAULT);
        let waiting = scene.wait(DEFAULT);
        assert_eq!(scene.admission.oldest_wait(), Some(scene.now));
        let _needs_none = scene.admit(Arrival { needs_connection: false, ..DEFAULT });
        let pinned = scene.admission.pin(&mut running).unwrap();
        scene.finish(running);
        scene.expect_quiet();
        scene.admission.unpin(scene.now, pinned);
        let _running = scene.expect_admitted(waiting);
        assert_eq!(scene.admission.oldest_wait(), None);
        let _waiting = scene.wait(DEFAULT);
        assert_eq!(scene.shed(DEFAULT).reason, Reason::QueueFull);
    }
    let policy = Policy { connections: Some(0), ..Policy::default() };
    let refusal = Scene::new(Arc::new(policy)).shed(DEFAULT);
    assert!(refusal.to_string().ends_with("changed_by=upstream.connections"), "{refusal}");
}

/// No limits but the one that finds its place, at two to begin with.
fn adaptive() -> Arc<Policy> {
    let waits = Limits { queue_length: 10, queue_time: ms(1000), ..Limits::default() };
    let limit = limit::Config { mode: Mode::Enforce, start: 2, ..limit::Config::default() };
    let policy = policy(waits, waits, Limits::default());
    Arc::new(Policy { limit, ..Policy::clone(&policy) })
}

#[test]
fn the_adaptive_limit_is_waited_for_and_thought_over_in_time() {
    let mut scene = Scene::new(adaptive());
    assert_eq!(scene.admission.poll_timeout(), Some(scene.now + limit::TICK));
    let _running = [scene.admit(DEFAULT), scene.admit(DEFAULT)];
    let waiting = scene.wait(DEFAULT);
    // Two are held up for half a second, which is what it takes to try more.
    for _ in 0..8 {
        scene.pass(ms(100));
    }
    let _more = scene.expect_admitted(waiting);
    let report = scene.admission.limit().unwrap().report();
    assert!(report.limit > 2, "{report:?}");
    // In observe mode nothing waits, and it is counted what would have.
    let mut observe = Policy::clone(&adaptive());
    observe.limit.mode = Mode::Observe;
    scene.admission.reconfigure(scene.now, Arc::new(observe));
    let _all: Vec<_> = (0..20).map(|_| scene.admit(DEFAULT)).collect();
    assert!(scene.admission.snapshot(scene.now).classes[0].counts.would_wait > 10);
}

#[test]
fn invariant_10_a_refusal_says_what_and_when() {
    let mut scene = Scene::new(policy(limits(1, 1), Limits::default(), Limits::default()));
    let _running = scene.admit(DEFAULT);
    let _waiting = scene.wait(DEFAULT);
    let mut hints = Vec::new();
    for _ in 0..1000 {
        let refusal = scene.shed(DEFAULT);
        hints.push(refusal.retry_after);
        let text = refusal.to_string();
        assert!(
            text.starts_with(
                "tidegate: shed class=default reason=queue_full limit=1 measured=1 retry_after_ms="
            ),
            "{text}"
        );
        assert!(text.ends_with("changed_by=class.default.queue_length"), "{text}");
    }
    // The more is refused, the later it should come back, and not all of it at once.
    assert!(hints[0] < ms(1000) && hints[999] > ms(5000), "{:?} {:?}", hints[0], hints[999]);
    hints.sort();
    hints.dedup();
    assert!(hints.len() > 900);
}
