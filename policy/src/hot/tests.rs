use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

#[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
fn start() -> Instant {
    Instant::now()
}

fn enforced() -> HotKeys {
    HotKeys::new(Config { mode: Mode::Enforce, ..Config::default() })
}

/// So many waiters for each key.
fn waiting(keys: &[(u64, u32)]) -> Vec<Wanted> {
    let of = |(key, waiters): &(u64, u32)| {
        std::iter::repeat_n(Wanted { key: Key(*key), shape: None }, *waiters as usize)
    };
    keys.iter().flat_map(of).collect()
}

fn inside_and_parked(keys: &HotKeys, key: u64) -> (u32, u32) {
    let usage = keys.usage();
    let gate = usage.iter().find(|usage| usage.key == Key(key)).unwrap().gate.unwrap();
    (gate.inside, gate.parked)
}

fn begin(key: u64, mode: Mode) -> Begin {
    Begin { row: Some(Key(key)), first: None, mode }
}

fn arrive(keys: &mut HotKeys, now: Instant, key: u64) -> Passage {
    keys.arrive(now, begin(key, Mode::Enforce))
}

fn entered(passage: Passage) -> Place {
    let Passage::Enter(place) = passage else { panic!("{passage:?}") };
    place
}

fn parked(passage: Passage) -> Ticket {
    let Passage::Park(ticket) = passage else { panic!("{passage:?}") };
    ticket
}

#[test]
fn a_key_that_many_wait_for_is_gated_two_wide_until_the_end() {
    let (mut keys, now) = (enforced(), start());
    assert_eq!(arrive(&mut keys, now, 7), Passage::Free);
    keys.observe(now, waiting(&[(7, 5), (8, 1)]));
    assert!(keys.is_gated(Key(7)) && !keys.is_gated(Key(8)));
    let first = entered(arrive(&mut keys, now, 7));
    let second = entered(arrive(&mut keys, now, 7));
    let third = parked(arrive(&mut keys, now, 7));
    let fourth = parked(arrive(&mut keys, now, 7));
    // The first in line enters, and nobody before somebody has left.
    let (ticket, place) = keys.leave(first).unwrap();
    assert_eq!((ticket, place.key()), (third, Key(7)));
    assert_eq!(inside_and_parked(&keys, 7), (2, 1));
    // Who gives up makes no room inside.
    keys.abandon(fourth);
    assert_eq!(inside_and_parked(&keys, 7), (2, 0));
    assert_eq!(keys.leave(second), None);
    assert_eq!(keys.leave(place), None);
    assert_eq!(inside_and_parked(&keys, 7), (0, 0));
    assert_eq!(arrive(&mut keys, now, 8), Passage::Free);
}

#[test]
fn who_may_hold_locks_enters_and_counts() {
    let (mut keys, now) = (enforced(), start());
    assert_eq!(keys.join(Key(7), None, false), None);
    keys.observe(now, waiting(&[(7, 5)]));
    let places: Vec<_> = (0..3).map(|_| keys.join(Key(7), None, false).unwrap()).collect();
    assert_eq!(keys.join(Key(7), None, true), None, "it has one");
    assert_eq!(inside_and_parked(&keys, 7), (3, 0));
    parked(arrive(&mut keys, now, 7));
    assert_eq!(keys.leave(places[0]), None, "there are still two");
    assert!(keys.leave(places[1]).is_some());
}

#[test]
fn a_transaction_that_will_come_to_a_key_waits_before_its_first_statement() {
    let (mut keys, now, first) = (enforced(), start(), Some(Digest(1)));
    keys.observe(now, waiting(&[(7, 5)]));
    let other = Begin { row: None, first, mode: Mode::Enforce };
    for _ in 0..5 {
        assert_eq!(keys.arrive(now, other), Passage::Free);
        let place = keys.join(Key(7), first, false).unwrap();
        assert_eq!(keys.leave(place), None);
    }
    let place = entered(keys.arrive(now, other));
    assert_eq!(place.key(), Key(7));
    entered(keys.arrive(now, other));
    parked(keys.arrive(now, other));
    // Its own row goes before what others did, if it is hot.
    keys.observe(now, waiting(&[(7, 1), (8, 5)]));
    let own = |row| Begin { row: Some(Key(row)), ..other };
    assert_eq!(entered(keys.arrive(now, own(8))).key(), Key(8));
    parked(keys.arrive(now, own(9)));
}

#[test]
fn parking_is_bounded_for_a_key_and_for_all() {
    let (mut keys, now) = (enforced(), start());
    let hot: Vec<_> = (0..60).map(|key| (key, 5)).collect();
    keys.observe(now, waiting(&hot));
    let mut all = 0;
    for key in 0..60 {
        let got: Vec<_> = (0..40).map(|_| arrive(&mut keys, now, key)).collect();
        let here = got.iter().filter(|got| matches!(got, Passage::Park(_))).count() as u32;
        let Some(Passage::Full(full)) = got.last() else { panic!("{got:?}") };
        let bound = if here == PARKED_MAX {
            ("parked", PARKED_MAX, PARKED_MAX)
        } else {
            ("parked_all", PARKED_ALL_MAX, PARKED_ALL_MAX)
        };
        assert_eq!((full.limit_name, full.limit, full.measured), bound);
        all += here;
    }
    assert_eq!((all, keys.parked()), (PARKED_ALL_MAX, PARKED_ALL_MAX));
}

#[test]
fn the_part_that_is_refused_is_told() {
    let (mut keys, now) = (enforced(), start());
    keys.observe(now, waiting(&[(7, 5)]));
    let mut ratios = (0..32).filter_map(|_| match arrive(&mut keys, now, 7) {
        Passage::Full(full) => Some(full.rejection_ratio),
        _ => None,
    });
    let first = ratios.next().unwrap();
    assert!(first > 0.3 && ratios.last().unwrap() > first);
}

#[test]
fn a_gate_that_nobody_waits_at_closes_and_one_in_use_does_not() {
    let (mut keys, mut now) = (enforced(), start());
    let opened = |key| Turned { key: Key(key), shape: None, closed: None };
    let turned = keys.observe(now, waiting(&[(1, 9), (2, 9)]));
    assert_eq!(turned, [opened(1), opened(2)]);
    assert_eq!(keys.observe(now, waiting(&[(1, 9)])), [], "it is open");
    let place = entered(arrive(&mut keys, now, 2));
    now += CLOSE_AFTER;
    let closed = Turned { closed: Some(Counts::default()), ..opened(1) };
    assert_eq!(keys.observe(now, []), [closed]);
    assert!(!keys.is_gated(Key(1)) && keys.is_gated(Key(2)));
    assert_eq!(keys.leave(place), None);
    keys.observe(now, []);
    assert!(keys.is_empty());
    // One that has forgotten who is inside is not left by them.
    keys.observe(now, waiting(&[(2, 9)]));
    entered(arrive(&mut keys, now, 2));
    assert_eq!(keys.leave(place), None);
    assert_eq!(inside_and_parked(&keys, 2), (1, 0));
}

#[test]
fn a_key_that_leads_for_a_second_is_gated_and_one_that_does_so_at_times_is_not() {
    for (others, is_hot) in [(0, true), (7, true), (8, false)] {
        let (mut keys, mut now) = (enforced(), start());
        let mut seen = vec![(1, 2)];
        seen.extend((0..others).map(|key| (100 + key, 1)));
        for _ in 0..7 {
            keys.observe(now, waiting(&seen));
            now += Duration::from_millis(200);
        }
        // Beside eight others it has two of ten.
        assert_eq!(keys.is_gated(Key(1)), is_hot, "{others}");
    }
    let (mut keys, mut now) = (enforced(), start());
    for round in 0..20 {
        keys.observe(now, waiting(&[(1, 1 + round % 2)]));
        now += Duration::from_millis(200);
    }
    assert!(!keys.is_gated(Key(1)));
}

#[test]
fn many_cold_keys_do_not_push_out_a_hot_one() {
    let (mut keys, mut now) = (enforced(), start());
    for round in 0..100 {
        let mut seen = vec![(1, 4)];
        seen.extend((0..50).map(|key| (1000 + round * 50 + key, 1)));
        keys.observe(now, waiting(&seen));
        now += Duration::from_millis(200);
    }
    assert!(keys.keys.len() <= KEYS_MAX && keys.keys.contains_key(&Key(1)));
}

#[test]
fn invariant_11_observing_lets_all_in_and_off_looks_for_nothing() {
    let now = start();
    let mut keys = HotKeys::new(Config { mode: Mode::Observe, ..Config::default() });
    keys.observe(now, waiting(&[(7, 5)]));
    (0..5).for_each(|_| _ = entered(arrive(&mut keys, now, 7)));
    assert_eq!(keys.usage()[0].gate.unwrap().counts.would_park, 3);
    let mut keys = enforced();
    keys.observe(now, waiting(&[(7, 5)]));
    (0..5).for_each(|_| _ = entered(keys.arrive(now, begin(7, Mode::Observe))));
    let mut keys = HotKeys::default();
    keys.observe(now, waiting(&[(7, 5)]));
    assert!(keys.is_empty());
}

#[test]
fn who_is_parked_goes_on_where_nobody_is_parked_any_more() {
    for mode in [Mode::Off, Mode::Observe] {
        let (mut keys, now) = (enforced(), start());
        keys.observe(now, waiting(&[(7, 5)]));
        let inside = entered(arrive(&mut keys, now, 7));
        entered(arrive(&mut keys, now, 7));
        let tickets: Vec<_> = (0..3).map(|_| parked(arrive(&mut keys, now, 7))).collect();
        let freed = keys.reconfigure(Config { mode, ..Config::default() });
        assert_eq!(freed.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), tickets);
        assert_eq!(keys.parked(), 0);
        for place in freed.into_iter().map(|(_, place)| place).chain([inside]) {
            assert_eq!(keys.leave(place), None);
        }
    }
}

#[test]
fn a_wider_gate_lets_more_in_at_once() {
    let (mut keys, now) = (enforced(), start());
    keys.observe(now, waiting(&[(7, 5)]));
    (0..5).for_each(|_| _ = arrive(&mut keys, now, 7));
    assert_eq!(inside_and_parked(&keys, 7), (2, 3));
    let wider = Config { mode: Mode::Enforce, width: 4, ..Config::default() };
    assert_eq!(keys.reconfigure(wider).len(), 2);
    assert_eq!(inside_and_parked(&keys, 7), (4, 1));
}

/// What may happen to keys.
#[derive(Debug, Clone)]
enum Act {
    Arrive(u64),
    Begin(u64),
    Join(u64, u64),
    /// Ends the transaction in this place among those that are inside.
    Leave(usize),
    /// Gives up the ticket in this place among those that are parked.
    Abandon(usize),
    Observe(u64, u32),
    Wait(u64),
    Reconfigure(u32, bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3_u64).prop_map(Act::Arrive),
        1 => (0..2_u64).prop_map(Act::Begin),
        1 => (0..3_u64, 0..2_u64).prop_map(|(key, first)| Act::Join(key, first)),
        4 => any::<usize>().prop_map(Act::Leave),
        1 => any::<usize>().prop_map(Act::Abandon),
        2 => (0..3_u64, 0..8_u32).prop_map(|(key, waiters)| Act::Observe(key, waiters)),
        1 => (0..40_u64).prop_map(Act::Wait),
        1 => (1..4_u32, prop::bool::weighted(0.8)).prop_map(|(width, is_on)| Act::Reconfigure(width, is_on)),
    ]
}

proptest! {
    /// Whatever happens: no more enter than there is room for, who is parked is let in by those who
    /// leave and in order, and when all have gone nobody is inside and nobody parked.
    #[test]
    fn all_who_enter_leave_and_none_is_forgotten(acts in prop::collection::vec(act(), 0..200)) {
        let (mut keys, mut now) = (enforced(), start());
        let mut inside: Vec<Place> = Vec::new();
        let mut line: VecDeque<(Ticket, Key)> = VecDeque::new();
        let let_in = |keys: &mut HotKeys, place: Place, line: &mut VecDeque<_>| {
            let (ticket, place) = keys.leave(place)?;
            let at = line.iter().position(|(_, key)| *key == place.key()).unwrap();
            assert_eq!(line.remove(at).unwrap().0, ticket, "the first of its key");
            Some(place)
        };
        for act in acts {
            match act {
                Act::Arrive(key) => match arrive(&mut keys, now, key) {
                    Passage::Enter(place) => inside.push(place),
                    Passage::Park(ticket) => line.push_back((ticket, Key(key))),
                    Passage::Free | Passage::Full(_) => {}
                },
                Act::Begin(first) => {
                    let begin = Begin { row: None, first: Some(Digest(first)), mode: Mode::Enforce };
                    match keys.arrive(now, begin) {
                        Passage::Enter(place) => inside.push(place),
                        Passage::Park(ticket) => line.push_back((ticket, ticket.key)),
                        Passage::Free | Passage::Full(_) => {}
                    }
                }
                Act::Join(key, first) => {
                    inside.extend(keys.join(Key(key), Some(Digest(first)), false));
                }
                Act::Leave(at) if !inside.is_empty() => {
                    let place = inside.swap_remove(at % inside.len());
                    inside.extend(let_in(&mut keys, place, &mut line));
                }
                Act::Abandon(at) if !line.is_empty() => {
                    let (ticket, _) = line.remove(at % line.len()).unwrap();
                    keys.abandon(ticket);
                }
                Act::Leave(_) | Act::Abandon(_) => {}
                Act::Observe(key, waiters) => _ = keys.observe(now, waiting(&[(key, waiters)])),
                Act::Wait(seconds) => now += Duration::from_secs(seconds),
                Act::Reconfigure(width, is_on) => {
                    let mode = if is_on { Mode::Enforce } else { Mode::Off };
                    let config = Config { mode, width, ..Config::default() };
                    for (ticket, place) in keys.reconfigure(config) {
                        let at = line.iter().position(|(one, _)| *one == ticket).unwrap();
                        line.remove(at);
                        inside.push(place);
                    }
                }
            }
            prop_assert_eq!(keys.parked() as usize, line.len());
            for usage in keys.usage() {
                let Some(gate) = usage.gate else { continue };
                let here = line.iter().filter(|(_, key)| *key == usage.key).count();
                prop_assert_eq!(gate.parked as usize, here);
                prop_assert!(gate.parked == 0 || gate.inside > 0, "somebody will let them in");
            }
        }
        for (ticket, _) in line.drain(..) {
            keys.abandon(ticket);
        }
        for place in inside.drain(..) {
            prop_assert_eq!(keys.leave(place), None);
        }
        for gate in keys.usage().into_iter().filter_map(|usage| usage.gate) {
            prop_assert_eq!((gate.inside, gate.parked), (0, 0));
        }
        prop_assert_eq!(keys.parked(), 0);
    }
}
