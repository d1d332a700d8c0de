//! Schedules, over all zones that there are.

use jiff::civil::{DateTime, Time, date, time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, db};
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use proptest::prelude::*;

use super::clock::{Fold, Gap, Rule, Schedule};
use super::cron::{Cron, CronError};
use super::missed::{Due, Misfire, Overlap, Start, due};
use super::quiet::Quiet;

const GAPS: [Gap; 3] = [Gap::Shift, Gap::Skip, Gap::Before];
const FOLDS: [Fold; 3] = [Fold::First, Fold::Second, Fold::Both];

fn cron(text: &str) -> Cron {
    text.parse().unwrap()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What is due in UTC from one moment until another, as text.
fn run(text: &str, zone_name: &str, rule: Option<Rule>, from: &str, until: &str) -> Vec<String> {
    let cron = cron(text);
    let rule = rule.unwrap_or(Rule::of(&cron));
    let schedule = Schedule { cron, zone: zone(zone_name), rule };
    schedule.between(at(from), at(until), 100).map(|moment| moment.to_string()).collect()
}

// === cron ===

#[test]
fn expressions_are_read_as_crontab_has_them() {
    let from = date(2026, 11, 21).at(20, 30, 1, 0);
    for (text, expected) in [
        ("0 13 * * *", "2026-11-22T13:00:00"),
        ("*/15 * * * *", "2026-11-21T20:45:00"),
        ("30 20 * * *", "2026-11-22T20:30:00"),
        ("5-10/5,59 20 * * *", "2026-11-21T20:59:00"),
        ("0 0 1 jan *", "2027-01-01T00:00:00"),
        ("0 9 * * mon-fri", "2026-11-23T09:00:00"),
        ("0 9 * * 7", "2026-11-22T09:00:00"),
        ("0 9 L * *", "2026-11-30T09:00:00"),
        ("0 9 29 2 *", "2028-02-29T09:00:00"),
        // Either will do where both are restricted: the 13th or a Friday.
        ("0 0 13 * 5", "2026-11-27T00:00:00"),
        // With a step from `*`, a field is not restricted.
        ("0 0 */2 * 1", "2026-11-23T00:00:00"),
        ("*/20 30 20 * * *", "2026-11-21T20:30:20"),
        ("@hourly", "2026-11-21T21:00:00"),
    ] {
        let next = cron(text).next(from).unwrap();
        assert_eq!(next, expected.parse::<DateTime>().unwrap(), "{text}");
    }
}

#[test]
fn what_is_no_expression_is_told_why() {
    let error = |text: &str| text.parse::<Cron>().unwrap_err();
    assert_eq!(error("0 13 * *"), CronError::Fields(4));
    assert_eq!(error(""), CronError::Fields(0));
    assert_eq!(error("0 0 30 2 *"), CronError::Never);
    assert!(matches!(error("@reboot"), CronError::Name(_)));
    for (text, told) in [
        ("60 * * * *", "minute \"60\""),
        ("0 24 * * *", "hour \"24\""),
        ("0 0 0 * *", "day \"0\""),
        ("0 0 15W * *", "day \"15W\""),
        ("0 0 * * 5#2", "weekday \"5#2\""),
        ("H * * * *", "minute \"H\""),
        ("*/0 * * * *", "minute \"*/0\""),
        ("9-5 * * * *", "minute \"9-5\""),
        ("1,,2 * * * *", "minute \"\""),
        ("0 0 * foo *", "month \"foo\""),
    ] {
        assert!(error(text).to_string().starts_with(told), "{text}: {}", error(text));
    }
}

proptest! {
    /// The next time is the first that matches, by trying every minute.
    #[test]
    fn the_next_time_is_the_first_that_matches(
        minutes in prop::collection::btree_set(0..60_i8, 1..4),
        hours in prop::collection::btree_set(0..24_i8, 1..4),
        weekday in prop::option::of(0..7_i8),
        day in 0..3000_i32,
        minute in 0..1440_i32,
    ) {
        let list = |values: &std::collections::BTreeSet<i8>| {
            values.iter().map(i8::to_string).collect::<Vec<_>>().join(",")
        };
        let weekday_text = weekday.map_or("*".to_owned(), |weekday| weekday.to_string());
        let text = format!("{} {} * * {weekday_text}", list(&minutes), list(&hours));
        let from = date(2026, 1, 1).at(0, 0, 0, 0) + day.days() + minute.minutes();
        let is_due = |wall: &DateTime| {
            let weekday_is = weekday.is_none_or(|w| wall.weekday().to_sunday_zero_offset() == w);
            minutes.contains(&wall.minute()) && hours.contains(&wall.hour()) && weekday_is
        };
        let tried = (0..8 * 1440).map(|minute| from + minute.minutes()).find(is_due);
        prop_assert_eq!(cron(&text).next(from), tried);
    }
}

// === the clock ===

/// Paris skips 2 to 3 on 29 March 2026, and has it twice on 25 October.
#[test]
fn the_hour_that_is_skipped_and_the_one_that_comes_twice() {
    let spring = |text, rule| {
        run(text, "Europe/Paris", rule, "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z")
    };
    assert_eq!(spring("30 2 * * *", None), ["2026-03-29T01:00:00Z"]);
    // A list is shifted as one time is, and due once.
    assert_eq!(spring("0,30 2 * * *", None), ["2026-03-29T01:00:00Z"]);
    let rule = |gap| Some(Rule { gap, fold: Fold::First });
    assert_eq!(spring("30 2 * * *", rule(Gap::Skip)), [""; 0]);
    assert_eq!(spring("30 2 * * *", rule(Gap::Before)), ["2026-03-29T00:59:59Z"]);
    // What is due every hour is due in every hour that passes.
    assert_eq!(spring("30 * * * *", None), ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"]);
    let autumn = |text, rule| {
        run(text, "Europe/Paris", rule, "2026-10-24T23:30:00Z", "2026-10-25T01:30:00Z")
    };
    assert_eq!(autumn("30 2 * * *", None), ["2026-10-25T00:30:00Z"]);
    let rule = |fold| Some(Rule { gap: Gap::Shift, fold });
    assert_eq!(autumn("30 2 * * *", rule(Fold::Second)), ["2026-10-25T01:30:00Z"]);
    assert_eq!(
        autumn("0,30 2 * * *", rule(Fold::Both)),
        [
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z"
        ]
    );
    assert_eq!(autumn("30 * * * *", None), ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]);
}

/// When the clock says what a schedule asks for, by trying every minute of the wall around a
/// transition.
fn tried(schedule: &Schedule, from: DateTime, minutes: i32) -> Vec<Timestamp> {
    let mut moments = Vec::new();
    for minute in 0..minutes {
        let wall = from + minute.minutes();
        if schedule.cron.next(wall) != Some(wall) {
            continue;
        }
        let at = |offset: Offset| offset.to_timestamp(wall).unwrap();
        match schedule.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => moments.push(at(offset)),
            AmbiguousOffset::Fold { before, after } => match schedule.rule.fold {
                Fold::First => moments.push(at(before)),
                Fold::Second => moments.push(at(after)),
                Fold::Both => moments.extend([at(before), at(after)]),
            },
            AmbiguousOffset::Gap { before, .. } => {
                // The last moment before it that exists, to the second, found by going back.
                let jump = schedule.zone.preceding(at(before) + 1.second());
                let jump = jump.map(|jump| jump.timestamp()).next().unwrap();
                match schedule.rule.gap {
                    Gap::Shift => moments.push(jump),
                    Gap::Before => moments.push(jump - 1.second()),
                    Gap::Skip => {}
                }
            }
        }
    }
    moments.sort_unstable();
    moments.dedup();
    moments
}

/// Over every zone's transitions from 1970 to 2037, each with one of several schedules and rules in
/// turn: moments only go forward, and they are those that the wall shows, no more and no fewer.
#[test]
fn every_transition_of_every_zone_keeps_the_rule() {
    let crons =
        ["*/7 * * * *", "30 2 * * *", "0,30 0-3 * * *", "59 23 * * *", "15 */2 * * *"].map(cron);
    let (begin, end) = (at("1970-01-01T00:00:00Z"), at("2038-01-01T00:00:00Z"));
    let (mut zones, mut transitions, mut moments) = (0, 0, 0);
    for name in db().available() {
        let Ok(zone) = TimeZone::get(name.as_str()) else { continue };
        zones += 1;
        let mut offset = zone.to_offset(begin);
        for transition in zone.following(begin).take_while(|t| t.timestamp() < end) {
            let (before, moment) = (offset, transition.timestamp());
            offset = transition.offset();
            let jump = offset.duration_since(before).abs();
            if jump.is_zero() {
                continue;
            }
            transitions += 1;
            let rule = Rule { gap: GAPS[transitions % 3], fold: FOLDS[transitions / 3 % 3] };
            let cron = crons[transitions % crons.len()];
            let schedule = Schedule { cron, zone: zone.clone(), rule };
            // An hour more than the clock jumps, on both sides, from a full minute of the wall on.
            let side = jump + SignedDuration::from_hours(1);
            let wall = before.to_datetime(moment - side);
            let wall = wall.date().at(wall.hour(), wall.minute(), 0, 0);
            let until = before.to_timestamp(wall).unwrap() + side + side;
            let wall_minutes = (side * 2 + jump * 2).as_mins() as i32 + 2;
            let first = before.to_timestamp(wall).unwrap();
            let within = |moment: &Timestamp| *moment >= first && *moment < until;
            let expected: Vec<Timestamp> =
                tried(&schedule, wall, wall_minutes).into_iter().filter(within).collect();
            let got: Vec<Timestamp> =
                schedule.between(first - 1.nanosecond(), until - 1.nanosecond(), 10_000).collect();
            assert!(got.is_sorted_by(|one, next| one < next), "{name:?} {moment} {rule:?}");
            assert_eq!(got, expected, "{name:?} {moment} {rule:?} {cron:?}");
            moments += got.len();
        }
    }
    println!("{zones} zones, {transitions} transitions, {moments} moments");
    assert!(zones > 300 && transitions > 10_000, "{zones} zones, {transitions} transitions");
}

#[test]
fn a_time_of_day_has_its_moment_in_each_recipients_zone() {
    let nine = date(2026, 3, 29).at(9, 0, 0, 0);
    let moment = |name| Rule::default().moments(&zone(name), nine)[0].to_string();
    assert_eq!(moment("Pacific/Kiritimati"), "2026-03-28T19:00:00Z");
    assert_eq!(moment("Europe/Paris"), "2026-03-29T07:00:00Z");
    assert_eq!(moment("America/New_York"), "2026-03-29T13:00:00Z");
    // Samoa had no 30 December 2011.
    let lost = date(2011, 12, 30).at(9, 0, 0, 0);
    assert_eq!(Rule::default().moments(&zone("Pacific/Apia"), lost), [at("2011-12-30T10:00:00Z")]);
    let skip = Rule { gap: Gap::Skip, ..Rule::default() };
    assert_eq!(skip.moments(&zone("Pacific/Apia"), lost), []);
    let twice = Rule { fold: Fold::Both, ..Rule::default() };
    assert_eq!(twice.moments(&zone("Europe/Paris"), date(2026, 10, 25).at(2, 30, 0, 0)).len(), 2);
}

// === missed runs, overlap, quiet hours ===

#[test]
fn missed_runs_are_caught_up_within_bounds() {
    let schedule = Schedule { cron: cron("0 * * * *"), zone: TimeZone::UTC, rule: Rule::default() };
    let (last, now) = (at("2026-11-21T03:00:00Z"), at("2026-11-21T09:00:20Z"));
    let bounds = (SignedDuration::from_mins(1), SignedDuration::from_hours(4));
    let hours = |run: &[i8]| -> Vec<Timestamp> {
        run.iter().map(|hour| at(&format!("2026-11-21T{hour:02}:00:00Z"))).collect()
    };
    // 4 and 5 are too long ago; 9 is late by no more than is allowed.
    let of = |misfire| due(&schedule, last, now, misfire, bounds);
    assert_eq!(of(Misfire::Skip), Due { run: hours(&[9]), given_up: 5 });
    assert_eq!(of(Misfire::Once), Due { run: hours(&[9]), given_up: 5 });
    assert_eq!(of(Misfire::All(2)), Due { run: hours(&[7, 8, 9]), given_up: 3 });
    assert_eq!(of(Misfire::All(99)), Due { run: hours(&[6, 7, 8, 9]), given_up: 2 });
    let later = now + 10.minutes();
    let once = due(&schedule, last, later, Misfire::Once, bounds);
    assert_eq!(once, Due { run: hours(&[9]), given_up: 5 });
    assert_eq!(due(&schedule, now, later, Misfire::All(9), bounds), Due::default());
}

#[test]
fn a_run_that_is_due_while_another_runs_is_decided_on() {
    let decide =
        |running| [Overlap::Allow, Overlap::Skip, Overlap::Wait].map(|o| o.decide(running));
    assert_eq!(decide(0), [Start::Now; 3]);
    assert_eq!(decide(1), [Start::Now, Start::Never, Start::Next]);
}

proptest! {
    /// Nobody is disturbed in the quiet hours of its own clock, nothing comes early, and nothing is
    /// held back longer than a day and a jump of the clock.
    #[test]
    fn what_is_due_in_quiet_hours_waits_for_their_end(
        minute in 0..68_i64 * 365 * 1440,
        from in 0..1440_i16,
        until in 0..1440_i16,
        name in prop::sample::select(vec![
            "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo",
        ]),
    ) {
        let of_day = |minute: i16| time((minute / 60) as i8, (minute % 60) as i8, 0, 0);
        let quiet = Quiet { from: of_day(from), until: of_day(until) };
        let moment = Timestamp::from_second(minute * 60).unwrap();
        let released = quiet.release(moment, &zone(name));
        prop_assert!(released >= moment);
        prop_assert!(released.duration_since(moment) <= SignedDuration::from_hours(26));
        let is_quiet = |moment: Timestamp| {
            let wall: Time = zone(name).to_datetime(moment).time();
            quiet.has(wall)
        };
        prop_assert_eq!(released == moment, !is_quiet(moment));
        prop_assert!(!is_quiet(released), "{:?} {} {}", quiet, moment, released);
    }
}
