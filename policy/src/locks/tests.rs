use proptest::prelude::*;

use super::*;

fn transaction(backend: u32, activity: Activity, for_ms: u64) -> Transaction {
    Transaction {
        backend,
        since: 0,
        id: 0,
        activity,
        age: Duration::from_millis(for_ms),
        for_time: Duration::from_millis(for_ms),
        rows_locked: 0,
        rows_modified: 0,
        user: String::new(),
        database: String::new(),
        statement: String::new(),
    }
}

fn look(waits: &[(u32, u32)]) -> Locks {
    let mut backends: Vec<u32> = waits.iter().flat_map(|(a, b)| [*a, *b]).collect();
    backends.sort_unstable();
    backends.dedup();
    let waits_itself = |backend: u32| waits.iter().any(|(waiter, _)| *waiter == backend);
    let activity = |backend| match waits_itself(backend) {
        true => Activity::Waits,
        false => Activity::Idle,
    };
    Locks {
        transactions: backends
            .iter()
            .map(|backend| transaction(*backend, activity(*backend), u64::from(*backend)))
            .collect(),
        waits: waits
            .iter()
            .map(|(waiter, blocker)| Wait {
                waiter: *waiter,
                blocker: *blocker,
                object: Object::default(),
            })
            .collect(),
        has_waits: true,
        is_cut_short: false,
    }
}

fn root(backend: u32, waiters: usize) -> Root {
    Root { backend, waiters, in_circle: false }
}

#[test]
fn a_root_has_all_behind_it_and_waits_for_nobody() {
    // 1 holds up 2 and 3, 3 holds up 4; 9 holds up 8.
    let locks = look(&[(2, 1), (3, 1), (4, 3), (8, 9)]);
    assert_eq!(locks.roots(), [root(1, 3), root(9, 1)]);
    let leaf = |backend| Branch { backend, waiters: vec![] };
    let three = Branch { backend: 3, waiters: vec![leaf(4)] };
    assert_eq!(locks.tree(1), Branch { backend: 1, waiters: vec![leaf(2), three] });
}

#[test]
fn what_an_earlier_look_told_holds_for_those_who_wait_still() {
    // 1 holds up 2, 3 and 4; then 3 has its lock, and 4 is another transaction.
    let before = look(&[(2, 1), (3, 1), (4, 1)]);
    let mut now = Locks { waits: Vec::new(), has_waits: false, ..before.clone() };
    let of = |locks: &Locks, backend| {
        locks.transactions.iter().position(|one| one.backend == backend).unwrap()
    };
    let (three, four) = (of(&now, 3), of(&now, 4));
    now.transactions[three].activity = Activity::Runs;
    now.transactions[four].id += 1;
    assert_eq!(now.with_waits_of(&before).roots(), [root(1, 1)]);
    let one = of(&now, 1);
    now.transactions.remove(one);
    assert_eq!(now.with_waits_of(&before).roots(), [], "who held them up is gone");
}

#[test]
fn who_waits_for_two_counts_behind_both_and_stands_once_in_a_tree() {
    let locks = look(&[(3, 1), (3, 2), (4, 3), (4, 1)]);
    assert_eq!(locks.roots(), [root(1, 2), root(2, 2)]);
    let leaf = |backend| Branch { backend, waiters: vec![] };
    assert_eq!(locks.tree(1).waiters, [leaf(3), leaf(4)]);
}

#[test]
fn what_most_wait_for_is_named_by_its_table() {
    let mut locks = look(&[(2, 1), (3, 2), (4, 2), (5, 9)]);
    let object =
        |table: &str| Object { kind: "row".into(), table: table.into(), ..Object::default() };
    locks.waits[1].object = Object { key: "7".into(), ..object("shop.account") };
    locks.waits[3].object = object("shop.other");
    assert_eq!(locks.mostly_waited_for(1), object("shop.account"));
    assert_eq!(locks.mostly_waited_for(77), Object::default());
}

#[test]
fn a_circle_has_the_longest_wait_for_its_root() {
    // 5 waits behind the circle of 1, 2 and 3.
    let locks = look(&[(1, 2), (2, 3), (3, 1), (5, 2)]);
    assert_eq!(locks.roots(), [Root { backend: 3, waiters: 3, in_circle: true }]);
    assert_eq!(look(&[(7, 7)]).roots(), [], "who waits for itself is an artefact");
}

#[test]
fn contention_counts_what_stands_still() {
    let mut locks = look(&[(2, 1), (3, 1), (4, 1)]);
    locks.transactions.push(transaction(6, Activity::Runs, 1));
    locks.transactions.push(transaction(7, Activity::RollsBack, 1));
    locks.transactions[0].rows_locked = 10;
    let seen = locks.contention();
    assert_eq!((seen.blocked, seen.rolling_back), (3, 1));
    assert!((seen.blocked_share - 3.0 / 6.0).abs() < 1e-9, "the idle one counts as open");
    // 10 + 1 + 1 are free, three more are not.
    assert!((seen.conflict_ratio - 15.0 / 12.0).abs() < 1e-9);
    assert_eq!(seen.longest_wait, Duration::from_millis(4));
    let calm = Locks::default().contention();
    assert_eq!((calm.blocked_share, calm.conflict_ratio), (0.0, 1.0));
}

fn size(branch: &Branch) -> usize {
    1 + branch.waiters.iter().map(size).sum::<usize>()
}

proptest! {
    /// Whatever a database says: everybody who waits is behind a root, no tree goes round in
    /// circles, and roots but those of circles wait for nobody.
    #[test]
    fn any_edges_make_trees(waits in prop::collection::vec((0u32..12, 0u32..12), 0..40)) {
        let locks = look(&waits);
        let roots = locks.roots();
        let waiting: HashMap<u32, Vec<u32>> = locks.blockers();
        let mut covered = HashSet::new();
        for root in &roots {
            prop_assert_eq!(root.in_circle, waiting.contains_key(&root.backend));
            let tree = locks.tree(root.backend);
            prop_assert_eq!(size(&tree), root.waiters + 1);
            let mut open = vec![&tree];
            while let Some(branch) = open.pop() {
                covered.insert(branch.backend);
                open.extend(&branch.waiters);
            }
        }
        for waiter in waiting.keys() {
            prop_assert!(covered.contains(waiter), "{} is behind no root", waiter);
        }
    }
}
