//! Who waits, for how long, in which order, and who is told at once that it need not.

use super::*;
use crate::retry::{self, Asker};
use crate::sql::Digest;

/// The limit that finds its place, from two on; a queue that is kept to 20 ms.
fn kept_to_20_ms() -> Policy {
    let mut policy = Policy::clone(&adaptive());
    for class in &mut policy.classes {
        class.limits.queue_target = ms(20);
        class.limits.queue_length = 1000;
        class.limits.queue_time = ms(1000);
    }
    policy
}

/// A scene in which both places are taken, and a queue of three has moved by one every 10 ms for so
/// long; who runs, and who waits.
fn standing(policy: Policy, time: u64) -> (Scene, Admitted, Vec<Ticket>) {
    let mut scene = Scene::new(Arc::new(policy));
    let (mut running, _other) = (scene.admit(DEFAULT), scene.admit(DEFAULT));
    let mut waiting: Vec<_> = (0..3).map(|_| scene.wait(DEFAULT)).collect();
    for _ in 0..time / 10 {
        scene.now += ms(10);
        scene.finish(running);
        running = scene.expect_admitted(waiting.remove(0));
        waiting.push(scene.wait(DEFAULT));
    }
    (scene, running, waiting)
}

#[test]
fn a_burst_waits_and_a_queue_that_stands_takes_what_it_can_serve_soon() {
    let (mut scene, _running, _waiting) = standing(kept_to_20_ms(), 90);
    // Nine hundredths of a second: a burst, however long its queue.
    let _burst: Vec<_> = (0..50).map(|_| scene.wait(DEFAULT)).collect();
    scene.now += ms(20);
    let refusal = scene.shed(DEFAULT);
    assert_eq!(refusal.reason, Reason::QueueTarget);
    assert_eq!((refusal.limit, refusal.limit_name), (0.02, "queue_target"));
    assert!(refusal.measured > 0.4, "{refusal}");
    assert_eq!(refusal.scope, Scope::Class("default".into()));
}

#[test]
fn who_is_let_into_a_standing_queue_is_not_kept_much_longer_than_was_expected() {
    let mut policy = kept_to_20_ms();
    policy.classes[0].limits.queue_target = ms(30);
    let (mut scene, _running, waiting) = standing(policy, 90);
    waiting[1..].iter().for_each(|ticket| scene.admission.abandon(scene.now, *ticket));
    scene.now += ms(11);
    let late = scene.wait(DEFAULT);
    scene.pass(ms(59));
    scene.expect_quiet();
    // Nobody was served for twice the time that it was to take at most.
    scene.pass(ms(1));
    assert_eq!(scene.expect_shed(late).reason, Reason::QueueTarget);
}

#[test]
fn who_was_left_behind_by_a_burst_lets_the_newest_tenth_of_a_second_go_first() {
    let (mut scene, mut running, mut waiting) = standing(kept_to_20_ms(), 90);
    waiting.extend((0..20).map(|_| scene.wait(DEFAULT)));
    // In the order of arrival, until the oldest has waited for a tenth of a second.
    for _ in 0..11 {
        scene.now += ms(10);
        scene.finish(running);
        running = scene.expect_admitted(waiting.remove(0));
    }
    let (newer, newest) = (scene.wait(DEFAULT), scene.wait(DEFAULT));
    for ticket in [newer, newest, waiting[0]] {
        scene.finish(running);
        running = scene.expect_admitted(ticket);
    }
}

#[test]
fn before_a_limit_that_is_set_order_is_kept_however_long_the_queue_stands() {
    let (mut own, common) = (kept_to_20_ms(), Limits { in_flight: None, ..limits(0, 100) });
    own.classes[0].limits.in_flight = Some(2);
    let set = Policy::clone(&policy(common, common, limits(2, 100)));
    for policy in [own, set] {
        let mut scene = Scene::new(Arc::new(policy));
        let (first, _second) = (scene.admit(DEFAULT), scene.admit(DEFAULT));
        let old = scene.wait(DEFAULT);
        scene.now += ms(90);
        let _newer: Vec<_> = (0..20).map(|_| scene.wait(DEFAULT)).collect();
        scene.finish(first);
        let _old = scene.expect_admitted(old);
    }
}

/// An arrival whose client needs the answer in so many milliseconds.
fn within(millis: u64) -> Arrival {
    Arrival { about: About { deadline: Some(ms(millis)), ..ABOUT }, ..DEFAULT }
}

#[test]
fn what_cannot_be_done_in_time_is_refused_at_once_and_never_begun() {
    let mut scene = Scene::new(policy(limits(1, 100), Limits::default(), Limits::default()));
    let mut running = scene.admit(DEFAULT);
    // One every 10 ms; four wait.
    let mut ahead: Vec<_> = (0..4).map(|_| scene.wait(DEFAULT)).collect();
    for _ in 0..3 {
        scene.now += ms(10);
        scene.finish(running);
        running = scene.expect_admitted(ahead.remove(0));
        ahead.push(scene.wait(DEFAULT));
    }
    let refusal = scene.shed(within(49));
    assert_eq!(refusal.reason, Reason::Deadline);
    assert!((refusal.limit - 0.049).abs() < 1e-9 && (refusal.measured - 0.05).abs() < 1e-3);
    assert!(refusal.to_string().ends_with("changed_by=tag deadline_ms"), "{refusal}");
    let hopeful = scene.wait(within(51));
    // It goes slower than was expected: the ticket leaves in time, by itself.
    scene.pass(ms(50));
    scene.expect_quiet();
    scene.pass(ms(1));
    assert_eq!(scene.expect_shed(hopeful).reason, Reason::Deadline);
    // Nor is it begun if nobody looked when its time was over.
    let hopeful = scene.wait(within(99));
    scene.now += ms(99);
    scene.finish(running);
    let events: Vec<_> = std::iter::from_fn(|| scene.admission.poll()).collect();
    let is_begun =
        |event: &Event| matches!(event, Event::Admitted(ticket, _) if *ticket == hopeful);
    assert!(!events.iter().any(is_begun), "{events:?}");
}

#[test]
fn the_deadline_of_a_class_holds_for_who_says_nothing_and_bounds_who_does() {
    let own = Limits { deadline: Some(ms(30)), ..limits(1, 100) };
    for arrival in [DEFAULT, within(60)] {
        let mut scene = Scene::new(policy(own, Limits::default(), Limits::default()));
        let _running = scene.admit(DEFAULT);
        let ticket = scene.wait(arrival);
        scene.pass(ms(30));
        let refusal = scene.expect_shed(ticket);
        assert!(refusal.to_string().ends_with("changed_by=class.default.deadline"), "{refusal}");
    }
    // With room there is nothing to wait for, and it runs whatever it says.
    let mut scene = Scene::new(policy(own, Limits::default(), Limits::default()));
    let _running = scene.admit(within(0));
}

/// It has waited for a row before.
#[test]
fn who_has_waited_elsewhere_may_wait_so_much_less() {
    let mut scene = Scene::new(policy(limits(1, 10), Limits::default(), Limits::default()));
    let _running = scene.admit(DEFAULT);
    let about = About { waited: ms(70), ..ABOUT };
    let late = scene.wait(Arrival { about, ..DEFAULT });
    scene.pass(ms(30));
    let refusal = scene.expect_shed(late);
    assert_eq!(refusal.reason, Reason::QueueTime);
    assert!((refusal.limit - 0.1).abs() < 1e-9, "{refusal}");
    let about = About { waited: ms(80), deadline: Some(ms(100)), ..ABOUT };
    let late = scene.wait(Arrival { about, ..DEFAULT });
    scene.pass(ms(20));
    let refusal = scene.expect_shed(late);
    assert!((refusal.limit - 0.1).abs() < 1e-9 && refusal.measured >= 0.1, "{refusal}");
    let about = About { waited: ms(101), deadline: Some(ms(100)), ..ABOUT };
    assert_eq!(scene.shed(Arrival { about, ..DEFAULT }).reason, Reason::Deadline);
}

#[test]
fn a_pause_does_not_outlast_what_a_client_can_wait() {
    let mut scene = Scene::new(policy(limits(1, 10), Limits::default(), Limits::default()));
    scene.admission.hold(Hold { until: scene.now + ms(500), length: 10 });
    let (short, long) = (scene.wait(within(50)), scene.wait(DEFAULT));
    scene.pass(ms(50));
    assert_eq!(scene.expect_shed(short).reason, Reason::Deadline);
    scene.pass(ms(450));
    let _long = scene.expect_admitted(long);
}

/// An arrival of a tenant.
fn of(tenant: &str) -> Arrival {
    Arrival { about: About { tenant: Tenant::named(tenant.as_bytes()), ..ABOUT }, ..DEFAULT }
}

#[test]
fn tenants_that_wait_go_in_turn() {
    let mut scene = Scene::new(policy(limits(1, 100), Limits::default(), Limits::default()));
    let mut running = scene.admit(of("hog"));
    let hog: Vec<_> = (0..20).map(|_| scene.wait(of("hog"))).collect();
    let (ann, bob) = (scene.wait(of("ann")), scene.wait(of("bob")));
    let mut first = Vec::new();
    for _ in 0..4 {
        scene.finish(running);
        running = match scene.admission.poll() {
            Some(Event::Admitted(ticket, admitted)) => {
                first.push(ticket);
                admitted
            }
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(first.iter().filter(|ticket| hog.contains(ticket)).count(), 2, "{first:?}");
    assert!(first.contains(&ann) && first.contains(&bob), "{first:?}");
}

#[test]
fn a_tenant_takes_half_beside_others_and_all_when_alone() {
    let mut scene = Scene::new(policy(limits(8, 100), Limits::default(), limits(8, 100)));
    let mut hog: Vec<_> = (0..7).map(|_| scene.admit(of("hog"))).collect();
    let ann = scene.admit(of("ann"));
    scene.finish(hog.pop().unwrap());
    // There is room, but not for it.
    let waiting = scene.wait(of("hog"));
    let refusal = {
        scene.pass(ms(100));
        scene.expect_shed(waiting)
    };
    assert_eq!(refusal.reason, Reason::QueueTime);
    let waiting = scene.wait(of("hog"));
    let bob = scene.admit(of("bob"));
    scene.expect_quiet();
    scene.finish(ann);
    scene.finish(bob);
    let _waiting = scene.expect_admitted(waiting);
}

#[test]
fn a_class_takes_no_more_than_its_cap() {
    let queue = Limits { queue_length: 10, queue_time: ms(100), ..Limits::default() };
    let capped = Limits { cap: Some(30), ..queue };
    let mut scene = Scene::new(policy(queue, capped, limits(10, 100)));
    let mut running: Vec<_> = (0..3).map(|_| scene.admit(BATCH)).collect();
    let waiting = scene.wait(BATCH);
    let _others: Vec<_> = (0..7).map(|_| scene.admit(DEFAULT)).collect();
    scene.finish(running.pop().unwrap());
    let _waiting = scene.expect_admitted(waiting);
    // Where nothing says how many may run, there is nothing to take a part of.
    let mut scene = Scene::new(policy(queue, capped, Limits::default()));
    let _running: Vec<_> = (0..20).map(|_| scene.admit(BATCH)).collect();
}

#[test]
fn who_comes_again_too_often_does_not_wait() {
    let mut policy = Policy::clone(&policy(limits(1, 1), Limits::default(), Limits::default()));
    policy.retries = retry::Config { mode: Mode::Enforce, ..retry::Config::default() };
    let mut scene = Scene::new(Arc::new(policy));
    let request = |request| {
        let asker = Asker { application: 1, request };
        Arrival { about: About { asker, ..ABOUT }, ..DEFAULT }
    };
    let running = scene.admit(request(1));
    let waiting = scene.wait(request(2));
    assert_eq!(scene.shed(request(3)).reason, Reason::QueueFull);
    scene.admission.abandon(scene.now, waiting);
    scene.now += ms(60);
    let refusal = scene.shed(request(3));
    assert_eq!((refusal.reason, refusal.scope.clone()), (Reason::Retries, Scope::Retries));
    assert!(refusal.held.is_zero() && refusal.to_string().ends_with("changed_by=retries.budget"));
    // At once: the refusal is held back.
    let held = scene.shed(request(3)).held;
    assert!(held > Duration::ZERO && held <= retry::HELD_MAX, "{held:?}");
    // Others wait, and where there is room it runs.
    let waiting = scene.wait(request(4));
    scene.finish(running);
    let running = scene.expect_admitted(waiting);
    scene.finish(running);
    let _again = scene.admit(request(3));
}

#[test]
fn work_is_known_by_its_statement() {
    let mut scene = Scene::new(Arc::new(kept_to_20_ms()));
    let long = About { digest: Digest(7), ..ABOUT };
    for _ in 0..30 {
        let admitted = scene.admit(Arrival { about: long, ..DEFAULT });
        scene.now += ms(40);
        scene.admission.finish(scene.now, admitted, Outcome::Success, ms(40));
        scene.pass(ms(60));
    }
    let _running = [scene.admit(DEFAULT), scene.admit(DEFAULT)];
    let short = About { deadline: Some(ms(30)), ..ABOUT };
    let refusal = scene.shed(Arrival { about: About { digest: Digest(7), ..short }, ..DEFAULT });
    assert_eq!(refusal.reason, Reason::Deadline);
    let _other = scene.wait(Arrival { about: short, ..DEFAULT });
}
