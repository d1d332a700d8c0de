use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "some instant to start from")]
fn start() -> Instant {
    Instant::now()
}

fn config() -> Config {
    Config {
        max_lag: 2 * SECOND,
        max_lag_bytes: None,
        slow_start: 10 * SECOND,
        wait: Duration::ZERO,
        otherwise: Otherwise::Primary,
    }
}

fn at(number: u64) -> Option<Position> {
    (number > 0).then(|| Position::MariaDb([(0, number)].into()))
}

fn look(number: u64) -> Look {
    Look { position: at(number), replicates: true, took: MS, reads: Reads::default() }
}

fn ask(now: Instant) -> Ask {
    Ask { came: now, wrote: None, tried: Tried::default(), dice: 0.5 }
}

/// A primary at 5 and as many replicas that are there too.
fn fleet(now: Instant, config: Config, weights: &[u32]) -> Fleet {
    let mut fleet = Fleet::new(config, weights.iter().copied());
    fleet.see_primary(now, at(5));
    (0..weights.len()).for_each(|index| fleet.see(now, index, &look(5)));
    fleet
}

fn share(fleet: &Fleet, now: Instant, index: usize) -> Result<f64, Unfit> {
    fleet.report(now, index).unwrap().share
}

#[test]
fn a_replica_that_was_not_looked_at_serves_nothing() {
    let now = start();
    let mut fleet = Fleet::new(config(), [1]);
    assert_eq!(fleet.choose(now, &ask(now)), Choice::Primary);
    assert_eq!(share(&fleet, now, 0), Err(Unfit::Unknown));
    fleet.see(now, 0, &look(5));
    assert_eq!(share(&fleet, now, 0), Err(Unfit::Unknown), "the primary has told nothing");
    fleet.see_primary(now, at(5));
    fleet.see(now, 0, &look(5));
    assert_eq!(
        fleet.choose(now, &ask(now)),
        Choice::Replica(0),
        "first seen well: its whole share"
    );
    let later = now + LOOK_KEEPS + MS;
    assert_eq!(share(&fleet, later, 0), Err(Unfit::Unknown), "looks have stopped");
}

#[test]
fn what_does_not_replicate_tells_no_position_or_is_silent_is_out_at_once() {
    let now = start();
    let cases =
        [(Look { replicates: false, ..look(5) }, Unfit::Stopped), (look(0), Unfit::NoPosition)];
    for (sick, why) in cases {
        let mut fleet = fleet(now, config(), &[1]);
        fleet.see(now, 0, &sick);
        assert_eq!(share(&fleet, now, 0), Err(why));
        assert_eq!(fleet.choose(now, &ask(now)), Choice::Primary);
    }
    let mut fleet = fleet(now, config(), &[1]);
    fleet.silence(0);
    assert_eq!(share(&fleet, now, 0), Err(Unfit::Silent));
}

#[test]
fn lag_is_since_when_the_primary_is_known_to_be_further() {
    let now = start();
    let mut fleet = fleet(now, config(), &[1]);
    assert_eq!(fleet.lag(now), Some(Duration::ZERO));
    fleet.see_primary(now + SECOND, at(6));
    fleet.see_primary(now + 2 * SECOND, at(7));
    let seen = now + 2 * SECOND;
    fleet.see(seen, 0, &look(5));
    assert_eq!(fleet.lag(seen), Some(SECOND));
    assert_eq!(fleet.choose(seen, &ask(seen)), Choice::Replica(0));
    let later = now + 3 * SECOND + MS;
    fleet.see(later, 0, &look(5));
    assert_eq!(
        share(&fleet, later, 0),
        Err(Unfit::Behind),
        "it ages without a look at the primary"
    );
    fleet.see(later, 0, &look(6));
    assert_eq!(fleet.report(later, 0).unwrap().lag, Some(SECOND + MS));
    fleet.see(later, 0, &look(7));
    assert_eq!(fleet.report(later, 0).unwrap().lag, Some(Duration::ZERO));
}

#[test]
fn bytes_count_where_positions_do() {
    let now = start();
    let config = Config { max_lag_bytes: Some(100), ..config() };
    let bytes = |number| Some(Position::Postgres(number));
    let mut fleet = Fleet::new(config, [1]);
    fleet.see_primary(now, bytes(1000));
    for (position, expect) in [(1000, Ok(1.0)), (899, Err(Unfit::Behind)), (900, Ok(1.0))] {
        fleet.see(now, 0, &Look { position: bytes(position), ..look(1) });
        assert_eq!(fleet.report(now, 0).unwrap().lag_bytes, Some(1000 - position));
        assert_eq!(share(&fleet, now, 0), expect, "{position}");
    }
    let mut gtids = self::fleet(now, config, &[1]);
    gtids.see_primary(now, at(900));
    gtids.see(now, 0, &look(5));
    assert_eq!(share(&gtids, now, 0), Ok(1.0), "transactions are no bytes");
    assert_eq!(gtids.report(now, 0).unwrap().lag_bytes, None);
}

#[test]
fn who_wrote_is_served_by_a_replica_that_has_it_and_else_waits_or_goes_elsewhere() {
    let now = start();
    let wrote = now + 10 * MS;
    let of = |came| Ask { wrote: Some(wrote), ..ask(came) };
    for (wait, otherwise, expect) in [
        (Duration::ZERO, Otherwise::Primary, Choice::Primary),
        (Duration::ZERO, Otherwise::Refuse, Choice::Refuse),
        (SECOND, Otherwise::Refuse, Choice::Wait(wrote + SECOND)),
    ] {
        let mut fleet = fleet(now, Config { wait, otherwise, ..config() }, &[1, 1]);
        assert_eq!(fleet.choose(wrote, &of(wrote)), expect);
        // A look at the primary behind the write covers it, where a replica has reached that.
        let asked = wrote + MS;
        fleet.see_primary(asked, at(6));
        fleet.see(asked, 0, &look(5));
        fleet.see(asked, 1, &look(6));
        assert_eq!(fleet.choose(asked, &of(wrote)), Choice::Replica(1));
        let one_that_failed = Ask { tried: Tried(2), ..of(wrote) };
        assert_eq!(fleet.choose(asked, &one_that_failed), expect);
    }
    let fleet = fleet(now, Config { wait: SECOND, ..config() }, &[1]);
    assert_eq!(fleet.choose(wrote + SECOND, &of(wrote)), Choice::Primary, "it has waited");
}

#[test]
fn reads_go_by_weight_and_share() {
    let now = start();
    let mut fleet = fleet(now, config(), &[1, 3]);
    let count = |fleet: &Fleet, choice| {
        let asks = (0..400).map(|n| Ask { dice: f64::from(n) / 400.0, ..ask(now) });
        asks.filter(|ask| fleet.choose(now, ask) == choice).count()
    };
    assert_eq!(count(&fleet, Choice::Replica(0)), 100);
    assert_eq!(count(&fleet, Choice::Replica(1)), 300);
    fleet.stumble(1);
    assert_eq!(count(&fleet, Choice::Replica(0)), 160, "1 against 1.5");
    assert_eq!(count(&fleet, Choice::Primary), 0, "a sibling has its whole share");
    fleet.stumble(0);
    assert_eq!(count(&fleet, Choice::Primary), 200, "half of what there was");
    fleet.reconfigure(Config { otherwise: Otherwise::Refuse, ..config() });
    assert_eq!(count(&fleet, Choice::Refuse), 0, "what replicas are there for is not refused");
}

#[test]
fn one_that_returns_gets_its_share_by_and_by() {
    let now = start();
    let mut fleet = fleet(now, config(), &[1]);
    fleet.silence(0);
    fleet.see(now, 0, &look(5));
    assert_eq!(share(&fleet, now, 0), Ok(SHARE_MIN));
    let half = now + 5 * SECOND;
    fleet.see(half, 0, &look(5));
    assert_eq!(share(&fleet, half, 0), Ok(SHARE_MIN + 0.5));
    fleet.see(half + 5 * SECOND, 0, &look(5));
    assert_eq!(share(&fleet, half + 5 * SECOND, 0), Ok(1.0));
}

#[test]
fn one_that_is_slower_than_its_siblings_leaves_by_halves_and_comes_back() {
    let now = start();
    let slow = |took: Duration, reads: Reads| Look { took, reads, ..look(5) };
    let quick = slow(MS, Reads { count: 10, time: 10 * MS });
    for sick in [slow(500 * MS, Reads::default()), slow(MS, Reads { count: 10, time: 400 * MS })] {
        let mut fleet = fleet(now, config(), &[1, 1, 1]);
        let mut before = 1.0;
        let mut looks = 0;
        while let Ok(held) = share(&fleet, now, 0) {
            assert!(held >= before / 2.0, "{held} after {before}");
            before = held;
            (1..3).for_each(|index| fleet.see(now, index, &quick));
            fleet.see(now, 0, &sick);
            looks += 1;
            assert!(looks < 20, "it never leaves");
        }
        assert_eq!(share(&fleet, now, 0), Err(Unfit::Slow));
        assert!(looks > 5, "{looks} looks are no gradual leave");
        assert_eq!(share(&fleet, now, 1), Ok(1.0));
        // Well again, and no reads that tell otherwise: the mean forgets.
        let later = now + 6 * SECOND;
        (0..20).for_each(|_| fleet.see(later, 0, &look(5)));
        assert!(share(&fleet, later, 0).is_ok());
    }
}

#[test]
fn one_that_was_silent_and_answers_slowly_is_told_as_slow() {
    let now = start();
    let mut fleet = fleet(now, config(), &[1, 1]);
    fleet.silence(0);
    fleet.see(now, 0, &Look { took: 500 * MS, ..look(5) });
    assert_eq!(share(&fleet, now, 0), Err(Unfit::Slow));
    (0..9).for_each(|_| fleet.see(now, 0, &look(5)));
    assert!(share(&fleet, now, 0).is_ok(), "it is well again");
}

#[test]
fn alone_or_quick_nobody_is_slow() {
    let now = start();
    let mut alone = fleet(now, config(), &[1]);
    alone.see(now, 0, &Look { took: 900 * MS, ..look(5) });
    assert_eq!(share(&alone, now, 0), Ok(1.0), "there is nobody to compare with");
    let mut two = fleet(now, config(), &[1, 1]);
    (0..9).for_each(|_| two.see(now, 0, &Look { took: 90 * MS, ..look(5) }));
    assert_eq!(share(&two, now, 0), Ok(1.0), "noise");
}

#[test]
fn a_primary_that_has_lost_what_it_had_is_another_one() {
    let now = start();
    let mut fleet = fleet(now, config(), &[1]);
    fleet.see_primary(now + SECOND, at(2));
    assert_eq!(share(&fleet, now + SECOND, 0), Err(Unfit::Unknown));
    fleet.see(now + SECOND, 0, &look(2));
    assert_eq!(share(&fleet, now + SECOND, 0), Ok(1.0));
}

#[derive(Debug, Clone)]
enum Step {
    /// The primary commits.
    Commit,
    /// The session writes.
    Write,
    /// The primary is asked.
    SeePrimary,
    /// A replica applies so much of what is missing.
    Apply(usize, u64),
    /// A replica is looked at.
    See(usize),
    /// The session reads.
    Read(f64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Commit),
        1 => Just(Step::Write),
        3 => Just(Step::SeePrimary),
        4 => (0..3_usize, 1..4_u64).prop_map(|(index, most)| Step::Apply(index, most)),
        4 => (0..3_usize).prop_map(Step::See),
        4 => (0.0..1.0_f64).prop_map(Step::Read),
    ]
}

proptest! {
    /// Whatever happens in whatever order, who wrote never reads from a replica that has it not, and
    /// nobody from one that is known to be further behind than allowed.
    #[test]
    fn a_session_never_misses_its_own_write(
        steps in prop::collection::vec((step(), 0..400_u64), 1..600),
    ) {
        let mut now = start();
        let mut fleet = Fleet::new(config(), [1, 2, 3]);
        let (mut primary, mut applied) = (1_u64, [1_u64; 3]);
        let mut written: Option<(Instant, u64)> = None;
        // When the primary was first asked behind each number.
        let mut told: Vec<(u64, Instant)> = Vec::new();
        for (step, passed) in steps {
            now += Duration::from_millis(passed);
            match step {
                Step::Commit => primary += 1,
                Step::Write => {
                    primary += 1;
                    written = Some((now, primary));
                }
                Step::SeePrimary => {
                    fleet.see_primary(now, at(primary));
                    told.push((primary, now));
                }
                Step::Apply(index, most) => {
                    applied[index] = primary.min(applied[index] + most);
                }
                Step::See(index) => fleet.see(now, index, &look(applied[index])),
                Step::Read(dice) => {
                    let wrote = written.map(|(at, _)| at);
                    let ask = Ask { wrote, dice, ..ask(now) };
                    if let Choice::Replica(index) = fleet.choose(now, &ask) {
                        let needed = written.map_or(0, |(_, number)| number);
                        prop_assert!(applied[index] >= needed, "{} of {needed}", applied[index]);
                    }
                }
            }
        }
    }

    /// However far back, what is told of a lag is never more than there is.
    #[test]
    fn a_lag_is_never_overstated(commits in prop::collection::vec(1..500_u64, 1..300), at_number in 1..300_u64) {
        let begin = start();
        let mut now = begin;
        let mut fleet = Fleet::new(config(), [1]);
        let mut further_since = None;
        for (number, passed) in (1_u64..).zip(&commits) {
            now += Duration::from_millis(*passed);
            fleet.see_primary(now, at(number));
            if number == at_number + 1 {
                further_since = Some(now);
            }
        }
        let position = at_number.min(commits.len() as u64);
        fleet.see(now, 0, &look(position));
        let lag = fleet.report(now, 0).unwrap().lag.unwrap_or_default();
        let most = further_since.map_or(Duration::ZERO, |since| now - since);
        prop_assert!(lag <= most, "{lag:?} of {most:?}");
    }
}
