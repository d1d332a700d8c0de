//! What a look at the database teaches of rows that are fought for.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use policy::{
    hot::{Key, Wanted},
    locks::{Activity, Locks, Transaction},
};

use crate::{
    control::{dialect, judge},
    engine::Engine,
    shared::Shared,
};

/// The most characters that servers are asked for of a statement; one as long may be cut off.
const STATEMENT_LEN_MAX: usize = 256;

/// Notes which statements wait for which rows. Returns the backends that wait for a row that has a
/// gate: what they show of the database is dealt with there.
///
/// What a session runs it tells itself, once rows are watched. For one that began before, or that does
/// not come through this guard, there is the text that the server tells.
pub fn learn<E: Engine>(shared: &Shared<E>, now: Instant, locks: &Locks) -> HashSet<u32> {
    let cards = shared.sessions.all();
    let running: HashMap<u32, Option<Key>> =
        cards.iter().filter_map(|card| Some((card.backend()?, card.row()))).collect();
    let mut waiting = Vec::new();
    let is_waiting = |one: &&Transaction| one.activity == Activity::Waits;
    let wanted = locks.transactions.iter().filter(is_waiting).filter_map(|one| {
        let told = running.get(&one.backend).copied().flatten();
        let server = shared.sight.seen().server;
        let shape =
            (!one.statement.is_empty()).then(|| judge(&shared.statements, server, &one.statement));
        let key = told.or_else(|| {
            let is_whole = one.statement.chars().count() < STATEMENT_LEN_MAX;
            let shape = shape.as_ref().filter(|_| is_whole)?;
            let home = one.database.as_bytes();
            shape.row(one.statement.as_bytes(), dialect(server), home, |_| None)
        })?;
        waiting.push((one.backend, key));
        Some(Wanted { key, shape })
    });
    let wanted: Vec<_> = wanted.collect();
    shared.hot.observe(now, true, wanted);
    let is_gated = |(backend, key): (u32, Key)| shared.hot.is_gated(key).then_some(backend);
    waiting.into_iter().filter_map(is_gated).collect()
}
