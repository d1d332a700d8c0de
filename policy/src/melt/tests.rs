//! Pile-ups in virtual time.

use super::*;
use crate::locks::{Object, Wait};
use crate::restraint::Stage;

#[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
fn start() -> Instant {
    Instant::now()
}

/// Old enough to be older than all that is done to it.
fn transaction(backend: u32, activity: Activity, changed: u64) -> Transaction {
    Transaction {
        backend,
        since: 0,
        id: 0,
        activity,
        age: Duration::from_secs(60),
        for_time: Duration::from_secs(2),
        rows_locked: 1,
        rows_modified: changed,
        user: String::new(),
        database: String::new(),
        statement: String::new(),
    }
}

/// Has these wait for `blocker`.
fn wait(locks: &mut Locks, waiters: std::ops::Range<u32>, blocker: u32) {
    for waiter in waiters {
        locks.transactions.push(transaction(waiter, Activity::Waits, 0));
        locks.waits.push(Wait { waiter, blocker, object: Object::default() });
    }
}

/// This one, and twenty that wait for it.
fn behind(first: Transaction) -> Locks {
    let backend = first.backend;
    let mut locks = Locks { transactions: vec![first], has_waits: true, ..Locks::default() };
    wait(&mut locks, 100..120, backend);
    locks
}

/// A machine and its clock.
struct Scene {
    melt: Melt,
    now: Instant,
    config: Config,
}

impl Scene {
    fn new(config: Config) -> Self {
        Self { melt: Melt::default(), now: start(), config }
    }

    /// Shows it the same locks every 200 ms, and collects what it wants.
    fn show(&mut self, locks: &Locks, times: u32) -> Vec<Action> {
        self.show_where(locks, times, |_: &Transaction| true)
    }

    fn show_where(&mut self, locks: &Locks, times: u32, known: impl Known) -> Vec<Action> {
        let mut actions = Vec::new();
        for _ in 0..times {
            self.now += Duration::from_millis(200);
            actions.extend(self.melt.step(self.now, &self.config, locks, &known));
        }
        actions
    }
}

fn cancel(backend: u32, cause: Cause, behind: usize) -> Action {
    Action::Cancel(Victim { backend, cause, behind })
}

#[test]
fn one_silent_blocker_costs_one_cancel() {
    let mut scene = Scene::new(Config::default());
    let locks = behind(transaction(1, Activity::Idle, 500));
    assert_eq!(scene.show(&locks, 2), [Action::Freeze]);
    assert_eq!(scene.show(&locks, 2), [cancel(1, Cause::IdleBlocker, 20)]);
    // Until it is gone nothing else is touched.
    assert_eq!(scene.show(&locks, 5), []);
    let gone = Locks::default();
    assert_eq!(scene.show(&gone, 7), [Action::Gone(1), Action::Thaw]);
    assert!(matches!(scene.melt.state(), State::Probation(_)));
    assert_eq!(scene.show(&gone, 30), []);
    assert_eq!(scene.melt.state(), State::Normal);
}

#[test]
fn most_pile_ups_end_when_nothing_new_comes() {
    let mut scene = Scene::new(Config::default());
    let locks = behind(transaction(1, Activity::Idle, 0));
    assert_eq!(scene.show(&locks, 2), [Action::Freeze]);
    assert_eq!(scene.show(&Locks::default(), 1), [Action::Thaw]);
}

#[test]
fn the_cheapest_root_for_its_waiters_goes_first() {
    let mut scene = Scene::new(Config::default());
    let mut locks = behind(transaction(1, Activity::Runs, 1_000_000));
    locks.transactions.push(transaction(2, Activity::Runs, 10));
    wait(&mut locks, 200..210, 2);
    let actions = scene.show(&locks, 4);
    assert_eq!(actions, [Action::Freeze, cancel(2, Cause::RootBlocker, 10)]);
    // Where a rollback costs nothing, who frees more goes first, and several go at once.
    let mut scene = Scene::new(Config::default().of_postgres());
    let actions = scene.show(&locks, 4);
    let roots = [cancel(1, Cause::RootBlocker, 20), cancel(2, Cause::RootBlocker, 10)];
    assert_eq!(actions[1..], roots);
}

#[test]
fn what_ends_already_is_never_touched_nor_who_waits_for_it() {
    let mut young = transaction(5, Activity::Runs, 0);
    young.age = Duration::from_millis(50);
    for first in [
        transaction(1, Activity::Commits, 5),
        transaction(2, Activity::RollsBack, 5),
        transaction(3, Activity::Prepared, 5),
        young,
    ] {
        let mut scene = Scene::new(Config::default());
        assert_eq!(scene.show(&behind(first.clone()), 20), [Action::Freeze], "{first:?}");
    }
    let mut scene = Scene::new(Config::default());
    let locks = behind(transaction(4, Activity::Idle, 0));
    let actions = scene.show_where(&locks, 20, |one: &Transaction| one.backend != 4);
    assert_eq!(actions, [Action::Freeze], "somebody else's");
}

#[test]
fn what_is_being_undone_counts_against_the_pace() {
    let mut scene = Scene::new(Config::default());
    let mut locks = behind(transaction(1, Activity::Idle, 0));
    locks.transactions.push(transaction(2, Activity::RollsBack, 900));
    assert_eq!(scene.show(&locks, 9), [Action::Freeze]);
    locks.transactions.pop();
    assert_eq!(scene.show(&locks, 1), [cancel(1, Cause::IdleBlocker, 20)]);
    // Its rollback may take long: it is waited for, and it has not stayed.
    locks.transactions[0].activity = Activity::RollsBack;
    assert_eq!(scene.show(&locks, 50), []);
}

#[test]
fn what_does_not_go_is_told_and_not_tried_again_but_what_went_on_is() {
    let mut scene = Scene::new(Config::default());
    let locks = behind(transaction(1, Activity::Idle, 0));
    assert_eq!(scene.show(&locks, 4).last(), Some(&cancel(1, Cause::IdleBlocker, 20)));
    assert_eq!(scene.show(&locks, 20), [Action::Stayed(1)]);
    scene.melt.missed(1);
    assert_eq!(scene.show(&locks, 1), [cancel(1, Cause::IdleBlocker, 20)]);
}

#[test]
fn the_next_transaction_of_a_backend_is_another_one() {
    let mut scene = Scene::new(Config::default());
    let mut locks = behind(transaction(1, Activity::Idle, 0));
    assert_eq!(scene.show(&locks, 4).len(), 2);
    scene.now += Duration::from_secs(2);
    locks.transactions[0].age = Duration::from_millis(1200);
    assert_eq!(scene.show(&locks, 1), [Action::Gone(1), cancel(1, Cause::IdleBlocker, 20)]);
}

#[test]
fn who_waits_for_nobody_in_sight_goes_one_by_one() {
    let mut scene = Scene::new(Config::default());
    // The holder is not listed: not everything goes through what we may see.
    let mut locks = Locks { has_waits: true, ..Locks::default() };
    wait(&mut locks, 1..20, 99);
    locks.transactions[0].rows_modified = 7;
    locks.transactions[3].age = Duration::from_secs(50);
    let actions = scene.show(&locks, 5);
    assert_eq!(actions, [Action::Freeze, cancel(4, Cause::Waiter, 0)]);
    // It does not go away: after two seconds another one is tried.
    let next = scene.show(&locks, 10);
    assert!(matches!(next[..], [Action::Stayed(4), Action::Cancel(victim)] if victim.backend != 4));
}

#[test]
fn without_a_graph_nobody_is_touched() {
    let mut scene = Scene::new(Config::default());
    let mut locks = behind(transaction(1, Activity::Idle, 0));
    locks.waits.clear();
    locks.has_waits = false;
    assert_eq!(scene.show(&locks, 20), [Action::Freeze]);
}

#[test]
fn a_pile_that_moves_is_none() {
    let mut scene = Scene::new(Config::default());
    let mut locks = behind(transaction(1, Activity::Runs, 0));
    for look in 1..20 {
        // The same backends wait again, each in its next transaction.
        locks.transactions.iter_mut().for_each(|one| one.id = look);
        assert_eq!(scene.show(&locks, 1), []);
    }
    assert_eq!(scene.show(&locks, 1), [Action::Freeze], "now it stands");
}

/// Whom the waiters are of: some weigh ten.
struct Weighed(std::ops::Range<u32>);

impl Known for Weighed {
    fn may_end(&self, _: &Transaction) -> bool {
        true
    }

    fn weight(&self, backend: u32) -> f64 {
        if self.0.contains(&backend) { 10.0 } else { 1.0 }
    }
}

#[test]
fn who_holds_up_a_class_that_weighs_more_goes_first() {
    let mut locks = behind(transaction(1, Activity::Runs, 0));
    locks.transactions.push(transaction(2, Activity::Runs, 0));
    wait(&mut locks, 200..203, 2);
    for (heavy, first, waiters) in [(200..203, 2, 3), (300..303, 1, 20)] {
        let mut scene = Scene::new(Config::default());
        let actions = scene.show_where(&locks, 4, Weighed(heavy));
        assert_eq!(actions, [Action::Freeze, cancel(first, Cause::RootBlocker, waiters)]);
    }
}

/// What admission is told: `frozen`, `rising` since so many milliseconds, or nothing.
fn told(scene: &Scene) -> Option<Result<Duration, &'static str>> {
    let restraint = scene.melt.restraint(scene.now, Mode::Enforce, 0.9)?;
    Some(match restraint.stage {
        Stage::Frozen { .. } => Err("frozen"),
        Stage::Rising { since, .. } => Ok(scene.now - since),
    })
}

#[test]
fn writers_are_frozen_out_before_anybody_is_cancelled_and_let_in_when_little_waits() {
    let mut scene = Scene::new(Config::default());
    let locks = behind(transaction(1, Activity::Idle, 0));
    scene.show(&locks, 1);
    assert_eq!(told(&scene), None);
    assert_eq!(scene.show(&locks, 1), [Action::Freeze]);
    assert_eq!(told(&scene), Some(Err("frozen")));
    assert_eq!(scene.show(&locks, 1), [], "it has its chance");
    assert_eq!(scene.show(&locks, 1), [cancel(1, Cause::IdleBlocker, 20)]);
    assert_eq!(told(&scene), Some(Err("frozen")));
    // One look without waits is enough to let some in; a second of them, to call it over.
    scene.show(&Locks::default(), 1);
    assert_eq!(told(&scene), Some(Ok(Duration::ZERO)));
    scene.show(&Locks::default(), 3);
    assert_eq!(told(&scene), Some(Ok(Duration::from_millis(600))));
    let next = behind(transaction(2, Activity::Idle, 0));
    assert_eq!(scene.show(&next, 1), [cancel(2, Cause::IdleBlocker, 20)], "the next one");
    assert_eq!(told(&scene), Some(Err("frozen")));
    let over = scene.show(&Locks::default(), 6);
    assert_eq!(over, [Action::Gone(2), Action::Thaw]);
    assert_eq!(told(&scene), Some(Ok(Duration::from_secs(1))), "it has risen since then");
    scene.show(&Locks::default(), 30);
    assert_eq!(told(&scene), None);
}

#[test]
fn a_freeze_that_cannot_help_ends() {
    // Nobody may end who holds them up.
    let mut scene = Scene::new(Config::default());
    let locks = behind(transaction(1, Activity::Idle, 0));
    scene.show_where(&locks, 4, |_: &Transaction| false);
    assert_eq!(told(&scene), Some(Ok(Duration::ZERO)));
    scene.show_where(&locks, 20, |_: &Transaction| false);
    assert_eq!(told(&scene), Some(Ok(Duration::ZERO)), "writers by half, until little waits");
    // Who was ended does not go.
    let mut scene = Scene::new(Config::default());
    scene.show(&locks, 10);
    assert_eq!(told(&scene), Some(Err("frozen")));
    scene.show(&locks, 10);
    assert_eq!(told(&scene), Some(Ok(Duration::ZERO)));
    // Who is young will be old enough soon.
    let mut scene = Scene::new(Config::default());
    let mut young = locks;
    young.transactions[0].age = Duration::from_millis(700);
    assert_eq!(scene.show(&young, 6), [Action::Freeze]);
    assert_eq!(told(&scene), Some(Err("frozen")));
}
