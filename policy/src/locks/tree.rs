//! From edges to roots and trees, whatever the edges are.

use std::collections::{HashMap, HashSet};

use super::Locks;

/// One that others wait for, directly or behind others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The backend, or 0 for a prepared transaction.
    pub backend: u32,
    /// How many wait behind it in all.
    pub waiters: usize,
    /// Whether it waits itself, for one of those behind it: a circle, which the database's own
    /// search for deadlocks is about to end, or which came of an inconsistent look.
    pub in_circle: bool,
}

/// A backend and those that wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The backend.
    pub backend: u32,
    /// Who waits for it, in the order of the look.
    pub waiters: Vec<Self>,
}

pub(super) fn roots(locks: &Locks) -> Vec<Root> {
    let (waiters, blockers) = (locks.waiters(), locks.blockers());
    let mut met = HashSet::new();
    let mut roots = Vec::new();
    let mut free: Vec<u32> =
        waiters.keys().copied().filter(|backend| !blockers.contains_key(backend)).collect();
    free.sort_unstable();
    for backend in free {
        let behind = behind(&waiters, [backend]);
        roots.push(Root { backend, waiters: behind.len(), in_circle: false });
        met.insert(backend);
        met.extend(behind);
    }
    // What is behind no root goes round in circles: the longest wait of each stands for it.
    let mut rest: Vec<u32> = blockers.keys().copied().filter(|one| !met.contains(one)).collect();
    let for_time = |backend: &u32| locks.transaction(*backend).map(|one| one.for_time);
    rest.sort_unstable_by_key(|backend| (std::cmp::Reverse(for_time(backend)), *backend));
    for backend in rest {
        let behind = behind(&waiters, [backend]);
        // Behind a circle, but not in one: it is met with the circle.
        if met.contains(&backend) || !behind.contains(&backend) {
            continue;
        }
        roots.push(Root { backend, waiters: behind.len() - 1, in_circle: true });
        met.extend(behind);
    }
    roots.sort_by_key(|root| std::cmp::Reverse(root.waiters));
    roots
}

/// All that wait behind these; one of these among them if it waits for one of them.
pub(super) fn behind(
    waiters: &HashMap<u32, Vec<u32>>,
    holders: impl IntoIterator<Item = u32>,
) -> HashSet<u32> {
    let mut behind = HashSet::new();
    let mut open: Vec<u32> = holders.into_iter().collect();
    while let Some(next) = open.pop() {
        let new = waiters.get(&next).into_iter().flatten().copied();
        open.extend(new.filter(|waiter| behind.insert(*waiter)));
    }
    behind
}

/// As deep as a tree is drawn and built. A database with deeper chains of locks has other troubles.
const DEPTH_MAX: usize = 64;

pub(super) fn tree(locks: &Locks, root: u32) -> Branch {
    let waiters = locks.waiters();
    let mut met = HashSet::from([root]);
    grow(&waiters, root, &mut met, DEPTH_MAX)
}

fn grow(
    waiters: &HashMap<u32, Vec<u32>>,
    backend: u32,
    met: &mut HashSet<u32>,
    depth: usize,
) -> Branch {
    let mut branch = Branch { backend, waiters: Vec::new() };
    if depth == 0 {
        return branch;
    }
    // All of this level are met before any is gone into: a waiter stands as near to the root as it can.
    let direct = waiters.get(&backend).into_iter().flatten().copied();
    let direct: Vec<u32> = direct.filter(|waiter| met.insert(*waiter)).collect();
    branch.waiters =
        direct.into_iter().map(|waiter| grow(waiters, waiter, met, depth - 1)).collect();
    branch
}
