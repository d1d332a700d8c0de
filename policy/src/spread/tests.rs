//! What holds for any batches, windows and forecasts.

use std::time::Duration;

use proptest::prelude::*;

use super::fill::{Piece, level};
use super::forecast::{Forecast, ForecastError};
use super::gate::{Refused, Terms, admit};
use super::place::{Place, Salt, order};
use super::plan::{Batch, BatchError, HASTE_MAX, Plan, Window};
use super::shape::{count, peak_to_mean};

const SECOND: Duration = Duration::from_secs(1);

fn window(opens: u64, deadline: u64) -> Window {
    Window { opens: SECOND * opens as u32, deadline: SECOND * deadline as u32 }
}

fn batch(items: u64, opens: u64, deadline: u64) -> Batch {
    Batch { items, cost: 1.0, window: window(opens, deadline), class: 2, rate_max: None }
}

fn forecast(step: u64, loads: &[f64]) -> Forecast {
    Forecast::new(SECOND * step as u32, loads.to_vec()).unwrap()
}

/// A forecast of up to two minutes.
fn any_forecast() -> impl Strategy<Value = Forecast> {
    let loads = prop::collection::vec(0.0..100.0_f64, 1..12);
    (1..10_u64, loads).prop_map(|(step, loads)| forecast(step, &loads))
}

/// A batch within two minutes, with windows that begin and end within buckets.
fn any_batch() -> impl Strategy<Value = Batch> {
    let window = (0..60_000_u64, 500..60_000_u64);
    (window, 0..3000_u64, 0.1..10.0_f64, 0..4_u8).prop_map(
        |((opens, length), items, cost, class)| {
            let opens = Duration::from_millis(opens);
            let deadline = opens + Duration::from_millis(length);
            Batch { items, cost, window: Window { opens, deadline }, class, rate_max: None }
        },
    )
}

/// Whether a database can do all of it, by another way: each piece goes to whoever's deadline is
/// next.
fn earliest_deadline_first(terms: &Terms, batches: &[Batch], spare: f64) -> bool {
    let capacity = terms.capacity.unwrap();
    let mut left: Vec<f64> = batches.iter().map(|batch| batch.items as f64 * batch.cost).collect();
    // The forecast and the windows of the tests change at whole milliseconds.
    let mut cuts: Vec<Duration> =
        batches.iter().flat_map(|b| [b.window.opens, b.window.deadline]).collect();
    cuts.extend((0..200).map(|bucket| terms.forecast.step() * bucket));
    cuts.sort_unstable();
    for pair in cuts.windows(2) {
        let free = (capacity - terms.forecast.at(pair[0])).max(0.0);
        let mut room = free * (pair[1] - pair[0]).as_secs_f64() * spare;
        let mut open: Vec<usize> = (0..batches.len())
            .filter(|b| {
                batches[*b].window.opens <= pair[0] && batches[*b].window.deadline >= pair[1]
            })
            .collect();
        open.sort_by_key(|b| batches[*b].window.deadline);
        for batch in open {
            let taken = left[batch].min(room);
            (left[batch], room) = (left[batch] - taken, room - taken);
        }
    }
    left.iter().all(|left| *left < 1e-6)
}

// === who ===

#[test]
fn a_place_never_changes() {
    // Stored plans stand on these: should one fail, the hash is wrong, not the number.
    let place = |family, recipient: &str| Place::new(Salt::new(family), recipient.as_bytes());
    assert_eq!(place("reminders", "user-1"), place("reminders", "user-1"));
    assert_ne!(place("reminders", "user-1"), place("digests", "user-1"));
    let shares = ["user-1", "user-2", ""].map(|user| place("reminders", user).share());
    assert_eq!(shares.map(|share| (share * 1e6) as u64), [724_219, 725_583, 87_202]);
}

#[test]
fn a_recipient_keeps_its_moment_when_others_come_and_go() {
    let everybody: Vec<String> = (0..20_000).map(|user| format!("user-{user}")).collect();
    let salt = Salt::new("reminders");
    let share = |recipients: &[String]| {
        let mut shares = vec![0.0; everybody.len()];
        for (rank, index) in order(salt, recipients).into_iter().enumerate() {
            let user: usize = recipients[index]["user-".len()..].parse().unwrap();
            shares[user] = (rank as f64 + 0.5) / recipients.len() as f64;
        }
        shares
    };
    // About half of them: those whose numbers have two or five digits.
    let here: Vec<String> = everybody.iter().filter(|user| user.len() % 2 == 0).cloned().collect();
    let (all, some) = (share(&everybody), share(&here));
    let moved = all.iter().zip(&some).filter(|(_, some)| **some > 0.0);
    let furthest = moved.map(|(all, some)| (all - some).abs()).fold(0.0, f64::max);
    // Kolmogorov's bound, which one sample in a million exceeds.
    let bound = ((2e6_f64).ln() / (2.0 * here.len() as f64)).sqrt();
    assert!(furthest < bound, "{furthest}, {bound}");
}

proptest! {
    /// Nobody is lost or doubled, and how they were listed makes no difference.
    #[test]
    fn an_order_is_of_all_and_of_nothing_but_who_they_are(
        family in ".{0,9}",
        recipients in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3), 0..300),
        rotate in 0..300_usize,
    ) {
        let salt = Salt::new(&family);
        let ranked = order(salt, &recipients);
        let mut indices = ranked.clone();
        indices.sort_unstable();
        prop_assert_eq!(indices, (0..recipients.len()).collect::<Vec<_>>());
        let mut other = recipients.clone();
        other.rotate_left(rotate % recipients.len().max(1));
        let named = |ranked: Vec<usize>, all: &[Vec<u8>]| -> Vec<Vec<u8>> {
            ranked.into_iter().map(|index| all[index].clone()).collect()
        };
        prop_assert_eq!(named(ranked, &recipients), named(order(salt, &other), &other));
    }
}

// === when ===

#[test]
fn a_flat_forecast_makes_a_flat_line() {
    for (items, seconds, most) in
        [(1_000_000, 900, 1.001), (100_000, 900, 1.01), (54_000, 60, 1.01)]
    {
        let plan = Plan::pour(&Forecast::flat(100.0), &[batch(items, 0, seconds)]).unwrap();
        let slots = plan.curves()[0].slots();
        let counts = count(slots, Duration::ZERO, SECOND * seconds as u32, SECOND);
        let flat = peak_to_mean(&counts).unwrap();
        assert!(flat <= most, "{items} in {seconds} s: {flat}");
    }
}

#[test]
fn water_stands_in_the_valley() {
    let plan = Plan::pour(&forecast(10, &[50.0, 10.0, 90.0, 30.0]), &[batch(600, 0, 40)]).unwrap();
    let totals: Vec<f64> = plan.stretches().iter().map(|s| s.forecast + s.planned).collect();
    // 10 (L - 50) + 10 (L - 10) + 10 (L - 30) = 600
    assert_eq!(totals, [50.0, 50.0, 90.0, 50.0]);
    assert!((plan.peak() - 50.0).abs() < 1e-9);
}

#[test]
fn the_urgent_make_way_for_who_has_less_time() {
    let urgent = Batch { class: 0, ..batch(1000, 0, 100) };
    let bulk = Batch { class: 3, ..batch(100, 0, 10) };
    let plan = Plan::pour(&Forecast::flat(0.0), &[urgent, bulk]).unwrap();
    assert!((plan.peak() - 11.0).abs() < 1e-6, "{}", plan.peak());
    let terms = Terms { forecast: Forecast::flat(0.0), capacity: Some(11.0) };
    assert!(admit(&terms, &[urgent, bulk]).is_ok());
    // By classes the urgent would stand at 10 everywhere, and of the bulk's 100 items 10 fit above.
    let terms = Terms { capacity: Some(11.0), forecast: Forecast::flat(10.0) };
    assert!(admit(&terms, &[bulk]).is_err());
}

#[test]
fn what_is_no_batch_and_no_forecast_is_named() {
    let pour = |batch| Plan::pour(&Forecast::flat(0.0), &[batch]).unwrap_err();
    assert_eq!(pour(batch(1, 5, 5)), BatchError::NoWindow { batch: 0 });
    for cost in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = pour(Batch { cost, ..batch(1, 0, 1) });
        assert!(matches!(error, BatchError::NotPositive { what: "cost", .. }), "{error}");
    }
    let error = pour(Batch { rate_max: Some(0.0), ..batch(1, 0, 1) });
    assert_eq!(error.to_string(), "batch 0: rate_max is 0: it has to be a number above 0");
    let many = vec![batch(1, 0, 1); 65];
    assert_eq!(Plan::pour(&Forecast::flat(0.0), &many), Err(BatchError::TooMany(65)));
    let of = |loads: &[f64]| Forecast::new(SECOND, loads.to_vec());
    assert_eq!(of(&[]), Err(ForecastError::NoBuckets));
    assert!(matches!(of(&[1.0, f64::NAN]), Err(ForecastError::Load { bucket: 1, .. })));
    assert_eq!(Forecast::new(Duration::ZERO, vec![1.0]), Err(ForecastError::NoStep));
}

#[test]
fn a_window_that_is_too_short_is_answered_with_one_that_will_do() {
    let terms = Terms { forecast: Forecast::flat(2000.0), capacity: Some(2500.0) };
    let refused = admit(&terms, &[batch(1_000_000, 0, 900)]);
    let nearest = Some(window(0, 2000));
    let told = Refused::Infeasible { batch: 0, items: 1_000_000, fits: 450_000, nearest };
    assert_eq!(refused, Err(told));
    assert_eq!(
        told.to_string(),
        "batch 0: 450000 of its 1000000 items can be done by its deadline"
    );
    // A cap of its own does the same.
    let capped = Batch { rate_max: Some(1000.0), ..batch(1_000_000, 0, 900) };
    let free = Terms { forecast: Forecast::flat(0.0), capacity: None };
    let nearest = Some(window(0, 1000));
    let told = Refused::Infeasible { batch: 0, items: 1_000_000, fits: 900_000, nearest };
    assert_eq!(admit(&free, &[capped]), Err(told));
    // Where the application alone needs all, no window will do.
    let full = Terms { forecast: Forecast::flat(2600.0), capacity: Some(2500.0) };
    let told = Refused::Infeasible { batch: 0, items: 9, fits: 0, nearest: None };
    assert_eq!(admit(&full, &[batch(9, 0, 900)]), Err(told));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// All work is placed, within the cap, at one level.
    #[test]
    fn water_stands_at_one_level(
        pieces in prop::collection::vec((0.1..10.0_f64, 0.0..100.0_f64), 1..30),
        work in 0.0..5000.0_f64,
        cap in prop::option::of(0.5..100.0_f64),
    ) {
        let cap = cap.unwrap_or(f64::INFINITY);
        let pieces: Vec<Piece> =
            pieces.into_iter().map(|(seconds, load)| Piece { seconds, load }).collect();
        let level = level(&pieces, work, cap);
        let placed: f64 = pieces.iter().map(|p| p.seconds * p.share(level, cap)).sum();
        let room: f64 = pieces.iter().map(|p| p.seconds * cap).sum();
        prop_assert!((placed - work.min(room)).abs() <= 1e-6 * work.max(1.0), "{placed} of {work}");
    }

    /// Each item has one moment, in its window, in the order of ranks, and no second has more than
    /// the curve and one.
    #[test]
    fn nothing_is_lost_or_doubled_and_bounds_are_kept(
        forecast in any_forecast(),
        batches in prop::collection::vec(any_batch(), 1..5),
        rate_max in prop::option::of(10.0..500.0_f64),
    ) {
        let batches: Vec<Batch> =
            batches.into_iter().map(|batch| Batch { rate_max, ..batch }).collect();
        let plan = Plan::pour(&forecast, &batches).unwrap();
        prop_assert_eq!(&plan, &Plan::pour(&forecast, &batches).unwrap());
        for (batch, curve) in batches.iter().zip(plan.curves()) {
            let slots: Vec<Duration> = curve.slots().collect();
            prop_assert_eq!(slots.len() as u64, batch.items);
            prop_assert!(slots.is_sorted());
            let within = |slot: &Duration| {
                (batch.window.opens..batch.window.deadline).contains(slot)
            };
            prop_assert!(slots.iter().all(within));
            for rank in (0..batch.items).step_by(97) {
                prop_assert_eq!(curve.slot(rank), slots[rank as usize]);
            }
            prop_assert_eq!(curve.slot(u64::MAX), slots.last().copied().unwrap_or(curve.slot(0)));
            let length = batch.window.length().as_secs_f64();
            let fits = batch.rate_max.is_none_or(|most| batch.items as f64 <= most * length);
            prop_assert_eq!(curve.missing() == 0, fits);
            let counts = count(slots.into_iter(), batch.window.opens, batch.window.deadline, SECOND);
            prop_assert_eq!(counts.iter().sum::<f64>(), batch.items as f64);
            for (second, count) in counts.into_iter().enumerate() {
                let at = |second: usize| curve.due(batch.window.opens + SECOND * second as u32);
                prop_assert!((count - (at(second + 1) - at(second))).abs() <= 1.0 + 1e-6);
                if let Some(most) = batch.rate_max.filter(|_| fits) {
                    prop_assert!(count <= most + 1.0 + 1e-6);
                }
            }
        }
    }

    /// No plan has a lower peak: some stretch of time has so much work of its own.
    #[test]
    fn no_plan_has_a_lower_peak(
        forecast in any_forecast(),
        batches in prop::collection::vec(any_batch(), 1..5),
    ) {
        let plan = Plan::pour(&forecast, &batches).unwrap();
        let terms = |capacity| Terms { forecast: forecast.clone(), capacity: Some(capacity) };
        prop_assert!(earliest_deadline_first(&terms(plan.peak() * (1.0 + 1e-6)), &batches, 1.0));
        if batches.iter().any(|batch| batch.items > 0) {
            let lower = terms(plan.peak() * 0.995);
            prop_assert!(!earliest_deadline_first(&lower, &batches, 1.0));
        }
    }

    /// Who is admitted can be done, and who is refused could be done no second earlier than it is
    /// told.
    #[test]
    fn what_the_gate_says_is_so(
        forecast in any_forecast(),
        batches in prop::collection::vec(any_batch(), 1..4),
        capacity in 20.0..400.0_f64,
    ) {
        let terms = Terms { forecast, capacity: Some(capacity) };
        match admit(&terms, &batches) {
            Ok(plan) => {
                prop_assert!(plan.peak() <= capacity * (1.0 + 1e-5));
                prop_assert!(earliest_deadline_first(&terms, &batches, 1.0 + 1e-4));
            }
            Err(Refused::Infeasible { batch: refused, items, fits, nearest }) => {
                let before = |other: &usize| {
                    (batches[*other].class, *other) < (batches[refused].class, refused)
                };
                let others: Vec<Batch> =
                    (0..batches.len()).filter(before).map(|other| batches[other]).collect();
                let can = |changed: Batch, spare| {
                    let all: Vec<Batch> = others.iter().copied().chain([changed]).collect();
                    earliest_deadline_first(&terms, &all, spare)
                };
                let (tight, loose) = (1.0 - 1e-4, 1.0 + 1e-4);
                let batch = batches[refused];
                prop_assert!(!can(batch, tight));
                prop_assert!(fits < items);
                let with_items = |items| Batch { items, ..batch };
                prop_assert!(fits == 0 || can(with_items(fits), loose));
                prop_assert!(!can(with_items(fits + 1), tight));
                let Some(nearest) = nearest else { return Ok(()) };
                prop_assert_eq!(nearest.opens, batch.window.opens);
                let within = |window| Batch { window, ..batch };
                prop_assert!(can(within(nearest), loose));
                let earlier = Window { deadline: nearest.deadline - SECOND, ..nearest };
                prop_assert!(earlier.deadline >= batch.window.deadline);
                prop_assert!(!can(within(earlier), tight));
            }
            Err(Refused::Batch(error)) => prop_assert!(false, "{error}"),
        }
    }

    /// What remains of a batch keeps its order and its deadline, goes on where it was if the plan
    /// was kept, and is spread where it was not: the more is left, the higher everywhere, nowhere
    /// lower.
    #[test]
    fn what_remains_is_spread_anew(
        forecast in any_forecast(),
        batch in any_batch(),
        now in 0.0..1.0_f64,
        held_up in 0.0..1.0_f64,
    ) {
        prop_assume!(batch.items > 10);
        let plan = Plan::pour(&forecast, &[batch]).unwrap();
        let now = batch.window.opens + batch.window.length().mul_f64(now);
        let kept = plan.curves()[0].due(now).floor() as u64;
        let done = (kept as f64 * held_up) as u64;
        let Some(rest) = batch.rest(done, now) else { return Ok(()) };
        prop_assert_eq!(rest.items, batch.items - done);
        prop_assert_eq!(rest.window.opens, now);
        // Never in greater haste, and late only where that would be needed.
        let mean = |batch: Batch| batch.items as f64 / batch.window.length().as_secs_f64();
        let haste = mean(rest) / mean(batch);
        prop_assert!(haste <= HASTE_MAX * 1.001, "{haste}");
        let is_late = rest.window.deadline > batch.window.deadline;
        prop_assert!(rest.window.deadline >= batch.window.deadline);
        prop_assert!(!is_late || haste >= HASTE_MAX * 0.999);
        let anew = Plan::pour(&forecast, &[rest]).unwrap();
        prop_assert!(anew.curves()[0].slots().all(|slot| slot >= now && slot < rest.window.deadline));
        let Some(on_time) = batch.rest(kept, now) else { return Ok(()) };
        // What a valley at the end of the forecast was to take may be more than haste allows.
        if is_late || on_time.window != rest.window {
            return Ok(());
        }
        let unchanged = Plan::pour(&forecast, &[on_time]).unwrap();
        let left = batch.window.deadline.saturating_sub(now);
        for rank in (kept..batch.items).step_by(13) {
            let (was, is) = (plan.curves()[0].slot(rank), unchanged.curves()[0].slot(rank - kept));
            if was < now {
                // Half of it was due by now: it comes next.
                continue;
            }
            // Less than one item of the batch may stand between them.
            let one = left.mul_f64(2.0 / (batch.items - kept) as f64) + SECOND / 1000;
            let level_time = plan.curves()[0].slot(rank + 1).saturating_sub(was);
            prop_assert!(was.abs_diff(is) <= one.max(level_time * 2), "{was:?} {is:?}");
        }
        for (less, more) in unchanged.stretches().iter().zip(anew.stretches()) {
            prop_assert!(more.planned >= less.planned - 1e-6);
        }
    }
}
