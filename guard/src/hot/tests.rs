use std::{
    task::{Wake, Waker},
    time::Duration,
};

use super::*;

/// Wakes nobody.
struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

fn let_in(parked: &mut Parked) -> Option<Inside> {
    let waker = Waker::from(Arc::new(Nobody));
    match Pin::new(parked).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(inside) => Some(inside),
        Poll::Pending => None,
    }
}

/// One row that is hot.
fn hot() -> Arc<Hot> {
    let config = Config { mode: Mode::Enforce, ..Config::default() };
    let hot = Hot::new(&Policy { hot: config, ..Policy::default() });
    hot.observe(Instant::now(), true, (0..5).map(|_| Wanted { key: Key(7), shape: None }));
    hot
}

fn arrive(hot: &Arc<Hot>) -> Way {
    hot.arrive(Instant::now(), Begin { row: Some(Key(7)), first: None, mode: Mode::Enforce })
}

fn inside_and_parked(hot: &Hot) -> (u32, u32) {
    let gate = hot.report().keys[0].gate.unwrap();
    (gate.inside, gate.parked)
}

#[test]
fn who_leaves_lets_the_next_in_and_who_was_let_in_and_left_does_too() {
    let hot = hot();
    assert!(hot.is_watching());
    let (Way::Enter(first), Way::Enter(_second)) = (arrive(&hot), arrive(&hot)) else { panic!() };
    let (Way::Park(mut third), Way::Park(mut fourth)) = (arrive(&hot), arrive(&hot)) else {
        panic!()
    };
    assert!(let_in(&mut third).is_none());
    drop(first);
    assert_eq!(inside_and_parked(&hot), (2, 1));
    assert!(let_in(&mut fourth).is_none(), "the third is first");
    // It was let in, and never noticed.
    drop(third);
    let inside = let_in(&mut fourth).unwrap();
    assert_eq!(inside_and_parked(&hot), (2, 0));
    drop((fourth, inside));
    assert_eq!(inside_and_parked(&hot), (1, 0));
}

#[test]
fn a_reload_that_turns_it_off_lets_all_go_on() {
    let hot = hot();
    let places = (arrive(&hot), arrive(&hot));
    let Way::Park(mut parked) = arrive(&hot) else { panic!() };
    assert!(let_in(&mut parked).is_none());
    hot.reconfigure(&Policy::default());
    assert!(let_in(&mut parked).is_some());
    hot.observe(Instant::now(), true, []);
    assert!(!hot.is_watching());
    drop(places);
}

#[test]
fn rows_are_watched_while_it_is_tense_or_one_is_known() {
    let hot = hot();
    let now = Instant::now();
    hot.observe(now, false, []);
    assert!(hot.is_watching(), "one has a gate");
    hot.observe(now + Duration::from_secs(3600), false, []);
    assert!(!hot.is_watching());
    hot.observe(now + Duration::from_secs(3600), true, []);
    assert!(hot.is_watching());
}

/// Sessions come, are let in, notice or do not, and go, in any order. In the end nobody is inside and
/// nobody parked.
#[test]
fn whoever_goes_leaves_nothing_behind() {
    for seed in 0..200 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let hot = hot();
        let (mut inside, mut parked): (Vec<Inside>, Vec<Parked>) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            match dice.u8(0..5) {
                0 | 1 => match arrive(&hot) {
                    Way::Enter(place) => inside.push(place),
                    Way::Park(place) => parked.push(place),
                    Way::Free | Way::Full(_) => {}
                },
                2 if !inside.is_empty() => drop(inside.swap_remove(dice.usize(0..inside.len()))),
                3 if !parked.is_empty() => {
                    let gone = parked.swap_remove(dice.usize(0..parked.len()));
                    if dice.bool() {
                        gone.give_up();
                    }
                }
                4 if !parked.is_empty() => {
                    let at = dice.usize(0..parked.len());
                    if let Some(place) = let_in(&mut parked[at]) {
                        parked.swap_remove(at);
                        inside.push(place);
                    }
                }
                _ => {}
            }
            let (now_inside, now_parked) = inside_and_parked(&hot);
            assert!(now_inside <= policy::hot::WIDTH, "seed {seed}");
            let all = inside.len() + parked.len();
            assert_eq!((now_inside + now_parked) as usize, all, "seed {seed}");
        }
        drop((inside, parked));
        assert_eq!(inside_and_parked(&hot), (0, 0), "seed {seed}");
        assert!(hot.core.lock().parked.is_empty(), "seed {seed}");
    }
}
