//! Pile-ups in virtual time.

use super::*;

#[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
fn start() -> Instant {
    Instant::now()
}

fn transaction(id: u64, doing: Doing, waits_for: &[u64], changed: u64) -> Transaction {
    Transaction {
        id: TransactionId(id),
        age: Duration::from_secs(3),
        doing,
        waits_for: waits_for.iter().copied().map(TransactionId).collect(),
        locks: 1,
        changed,
        class: None,
        key: None,
        is_protected: false,
    }
}

const IDLE: Doing = Doing::Idle(Duration::from_secs(2));
const WAITING: Doing = Doing::Waiting(Duration::from_secs(2));

/// These, and twenty that wait for the first of them.
fn behind(first: &[Transaction]) -> Snapshot {
    let waiters = (100..120).map(|id| transaction(id, WAITING, &[first[0].id.0], 0));
    Snapshot { transactions: first.iter().cloned().chain(waiters).collect() }
}

/// Shows it the same locks every 200 ms, and collects what it wants.
fn show(melt: &mut Melt, now: &mut Instant, locks: &Snapshot, times: u32) -> Vec<Action> {
    let mut actions = Vec::new();
    for _ in 0..times {
        *now += Duration::from_millis(200);
        actions.extend(melt.step(*now, locks, locks.contention(|_| false)));
    }
    actions
}

fn cancel(id: u64, cause: Cause) -> Action {
    Action::Cancel(TransactionId(id), cause)
}

#[test]
fn one_silent_blocker_costs_one_cancel() {
    let (mut melt, mut now) = (Melt::new(Config::default()), start());
    let locks = behind(&[transaction(1, IDLE, &[], 500)]);
    assert_eq!(show(&mut melt, &mut now, &locks, 2), [Action::Freeze]);
    assert_eq!(show(&mut melt, &mut now, &locks, 2), [cancel(1, Cause::IdleBlocker)]);
    // Until it is gone nothing else is touched.
    assert_eq!(show(&mut melt, &mut now, &locks, 5), []);
    let gone = Snapshot::default();
    assert_eq!(show(&mut melt, &mut now, &gone, 7), [Action::Thaw]);
    assert!(matches!(melt.state(), State::Probation(_)));
    assert_eq!(show(&mut melt, &mut now, &gone, 30), []);
    assert_eq!(melt.state(), State::Normal(0));
}

#[test]
fn most_pile_ups_end_when_nothing_new_comes() {
    let (mut melt, mut now) = (Melt::new(Config::default()), start());
    let locks = behind(&[transaction(1, IDLE, &[], 0)]);
    assert_eq!(show(&mut melt, &mut now, &locks, 2), [Action::Freeze]);
    assert_eq!(show(&mut melt, &mut now, &Snapshot::default(), 1), [Action::Thaw]);
}

#[test]
fn the_cheapest_root_for_its_waiters_goes_first() {
    let (mut melt, mut now) = (Melt::new(Config::default()), start());
    let mut locks = behind(&[transaction(1, Doing::Running, &[], 1_000_000)]);
    locks.transactions.push(transaction(2, Doing::Running, &[], 10));
    locks.transactions.extend((200..210).map(|id| transaction(id, WAITING, &[2], 0)));
    let actions = show(&mut melt, &mut now, &locks, 4);
    assert_eq!(actions, [Action::Freeze, cancel(2, Cause::RootBlocker)]);
    // Where a rollback costs nothing, who frees more goes first, and several go at once.
    let mut melt = Melt::new(Config { pace: 4, row_cost: 0.0 });
    let actions = show(&mut melt, &mut now, &locks, 4);
    let roots = [cancel(1, Cause::RootBlocker), cancel(2, Cause::RootBlocker)];
    assert_eq!(actions[1..], roots);
}

#[test]
fn what_ends_already_is_never_touched_and_counts_against_the_pace() {
    let mut system = transaction(4, Doing::Running, &[], 0);
    system.is_protected = true;
    let mut young = transaction(5, Doing::Running, &[], 0);
    young.age = Duration::from_millis(50);
    for first in [
        transaction(1, Doing::Committing, &[], 5),
        transaction(2, Doing::RollingBack, &[], 5),
        system,
        young,
    ] {
        let (mut melt, mut now) = (Melt::new(Config::default()), start());
        let mut locks = behind(std::slice::from_ref(&first));
        // Who waits has changed something, so waiters are no way out either.
        locks.transactions.iter_mut().for_each(|it| it.changed = 1);
        assert_eq!(show(&mut melt, &mut now, &locks, 20), [Action::Freeze], "{first:?}");
    }
}

#[test]
fn without_a_root_waiters_that_changed_nothing_go_one_by_one() {
    let (mut melt, mut now) = (Melt::new(Config::default()), start());
    // The holder is not listed: not everything goes through what we may see.
    let mut locks = behind(&[transaction(1, WAITING, &[99], 7)]);
    locks.transactions[1].age = Duration::from_secs(1);
    let actions = show(&mut melt, &mut now, &locks, 4);
    assert_eq!(actions, [Action::Freeze, cancel(100, Cause::Waiter)]);
    // It does not go away: after two seconds another one is tried.
    let next = show(&mut melt, &mut now, &locks, 12);
    assert_eq!(next.len(), 1);
    assert_ne!(next[0], cancel(100, Cause::Waiter));
}
