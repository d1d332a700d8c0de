//! When each item of a batch is due: its window, without the quiet hours, never in the past; within it,
//! where a forecast leaves room.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use policy::spread::forecast::{BUCKETS_MAX, Forecast};
use policy::spread::gate::{self, Refused};
use policy::spread::plan::{Batch, BatchError, Plan, Window};

use super::Shape;

/// The moments of a batch.
#[derive(Debug)]
pub struct Planned {
    /// None: it has no items.
    plan: Option<Plan>,
    /// How much of the window has passed when a stretch of it begins, and when that is.
    stretches: Vec<(Duration, Timestamp)>,
    /// When the first may go.
    pub opens: Timestamp,
    /// When the last is to have gone.
    pub deadline: Timestamp,
    /// They do not fit into the window before the deadline at the rate that is allowed: it is longer.
    pub is_over: bool,
}

/// A forecast is looked up at least so often of a window, that is late or goes on after quiet hours and so does
/// not begin where a bucket does.
const STEP_MAX: Duration = Duration::from_secs(10);

/// What was let in.
struct Admitted {
    /// None of no items.
    plan: Option<Plan>,
    length: Duration,
    is_over: bool,
}

impl Shape {
    /// Plans so many items of a batch that is due at `nominal`, at the time `now`. What is late begins now and
    /// has its whole window: nothing is made up for all at once. The forecast counts from `nominal`.
    ///
    /// # Errors
    /// When no window within a day after its own would do at its rate.
    pub fn plan(
        &self,
        items: u64,
        (nominal, now): (Timestamp, Timestamp),
        zone: &TimeZone,
        forecast: Option<&Forecast>,
    ) -> Result<Planned, BatchError> {
        let opens = nominal.max(now);
        let forecast = match forecast {
            Some(forecast) => self.expected(forecast, (nominal, opens), zone),
            None => Forecast::flat(0.0),
        };
        let Admitted { plan, length, is_over } = self.admit(items, forecast)?;
        let stretches = self.stretches(opens, length, zone);
        let opens = stretches.first().map_or(opens, |(_, begin)| *begin);
        let mut planned = Planned { plan, stretches, opens, deadline: opens, is_over };
        let end = planned.moment(length);
        planned.deadline = end.max(later(nominal, self.deadline));
        Ok(planned)
    }

    fn stretches(
        &self,
        opens: Timestamp,
        length: Duration,
        zone: &TimeZone,
    ) -> Vec<(Duration, Timestamp)> {
        match &self.quiet {
            Some(quiet) => quiet.awake(opens, length, zone),
            None => vec![(Duration::ZERO, opens)],
        }
    }

    /// The load in the time that the window counts, which begins when it opens and stands in quiet hours.
    fn expected(
        &self,
        forecast: &Forecast,
        (nominal, opens): (Timestamp, Timestamp),
        zone: &TimeZone,
    ) -> Forecast {
        let length = self.deadline.max(forecast.end());
        let stretches = self.stretches(opens, length, zone);
        let step = forecast.step().min(STEP_MAX);
        let buckets = length.as_nanos().div_ceil(step.as_nanos()).clamp(1, BUCKETS_MAX as u128);
        let load = |bucket: u128| {
            let at = moment(&stretches, step.saturating_mul(bucket as u32));
            forecast.at(Duration::try_from(at.duration_since(nominal)).unwrap_or_default())
        };
        let loads = (0..buckets).map(load).collect();
        // Loads of a forecast are loads.
        Forecast::new(step, loads).unwrap_or_else(|_| Forecast::flat(0.0))
    }

    /// In the window if it fits there, else in the nearest that would do.
    fn admit(&self, items: u64, forecast: Forecast) -> Result<Admitted, BatchError> {
        if items == 0 {
            return Ok(Admitted { plan: None, length: self.spread, is_over: false });
        }
        let load = self.load.as_ref();
        let terms = gate::Terms { forecast, capacity: load.and_then(|load| load.capacity) };
        let window = Window { opens: Duration::ZERO, deadline: self.spread };
        let cost = load.map_or(1.0, |load| load.cost);
        let batch = Batch { items, cost, window, class: self.class, rate_max: self.rate };
        let admitted =
            |plan, length| Admitted { plan: Some(plan), length, is_over: length > self.deadline };
        let window = match gate::admit(&terms, &[batch]) {
            Ok(plan) => return Ok(admitted(plan, self.spread)),
            Err(Refused::Batch(error)) => return Err(error),
            Err(Refused::Infeasible { nearest: Some(window), .. }) => window,
            // Beyond a day it is no use to look: at its rate as long as it takes; where the load leaves no room,
            // by its deadline all the same, with a warning.
            Err(Refused::Infeasible { nearest: None, .. }) => {
                let at_rate = |rate| Duration::try_from_secs_f64(items as f64 / rate * 1.001 + 1.0);
                let longest = self.rate.map(|rate| at_rate(rate).unwrap_or(Duration::MAX));
                let deadline = longest.unwrap_or_default().max(self.deadline);
                let window = Window { deadline, ..window };
                let plan = Plan::pour(&terms.forecast, &[Batch { window, ..batch }])?;
                return Ok(Admitted { is_over: true, ..admitted(plan, deadline) });
            }
        };
        let plan = Plan::pour(&terms.forecast, &[Batch { window, ..batch }])?;
        Ok(admitted(plan, window.deadline))
    }
}

impl Planned {
    /// The moment of each item, by rank.
    pub fn moments(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let slots = self.plan.iter().flat_map(|plan| plan.curves()[0].slots());
        slots.map(|slot| self.moment(slot))
    }

    /// When so much of the window has passed.
    fn moment(&self, slot: Duration) -> Timestamp {
        moment(&self.stretches, slot)
    }
}

/// When so much of these stretches has passed.
fn moment(stretches: &[(Duration, Timestamp)], slot: Duration) -> Timestamp {
    let after = stretches.partition_point(|(passed, _)| *passed <= slot);
    let (passed, begin) = stretches[after.saturating_sub(1)];
    later(begin, slot.saturating_sub(passed))
}

fn later(moment: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    moment.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;
    use jiff::civil::time;
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::Load;
    use crate::trigger::quiet::Quiet;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}Z").parse().unwrap()
    }

    fn shape(spread: u64) -> Shape {
        Shape {
            spread: Duration::from_secs(spread),
            deadline: Duration::from_secs(spread),
            quiet: None,
            class: 2,
            rate: None,
            load: None,
            family: "a".into(),
            sink: "app".into(),
        }
    }

    #[test]
    fn what_is_late_has_its_whole_window_from_now_on() {
        let planned =
            |now| shape(900).plan(900, (at("13:00:00"), at(now)), &TimeZone::UTC, None).unwrap();
        let on_time = planned("12:59:30");
        assert_eq!((on_time.opens, on_time.deadline), (at("13:00:00"), at("13:15:00")));
        let late = planned("13:10:00");
        assert_eq!((late.opens, late.deadline), (at("13:10:00"), at("13:25:00")));
        let moments: Vec<Timestamp> = late.moments().collect();
        assert_eq!(moments.len(), 900);
        assert!(moments.is_sorted());
        // One a second: never all at once.
        assert!(moments.windows(2).all(|pair| pair[1].duration_since(pair[0]).as_millis() >= 999));
    }

    #[test]
    fn a_rate_makes_the_window_longer_than_the_deadline_if_it_must() {
        let mut slow = shape(60);
        slow.rate = Some(10.0);
        let now = (at("13:00:00"), at("13:00:00"));
        let plan = |items| slow.plan(items, now, &TimeZone::UTC, None).unwrap();
        assert!(!plan(600).is_over);
        let over = plan(1_200);
        assert!(over.is_over);
        assert_eq!(over.deadline, at("13:02:00"));
        // Three days' worth.
        assert_eq!(plan(2_592_000).deadline.duration_since(at("13:00:00")).as_hours(), 72);
        assert_eq!(plan(0).moments().count(), 0);
    }

    /// How many of the moments are in each minute from 13:00 on.
    fn by_minute(planned: &Planned, minutes: usize) -> Vec<usize> {
        let mut counts = vec![0; minutes];
        for moment in planned.moments() {
            counts[(moment.duration_since(at("13:00:00")).as_secs() / 60) as usize] += 1;
        }
        counts
    }

    fn loaded(spread: u64, capacity: Option<f64>) -> Shape {
        let load = Load { forecast: "load.csv".into(), cost: 1.0, capacity };
        Shape { load: Some(load), ..shape(spread) }
    }

    #[test]
    fn items_go_where_the_forecast_leaves_room() {
        let minute = Duration::from_secs(60);
        let surge = Forecast::new(minute, vec![10.0, 0.0, 10.0, 5.0]).unwrap();
        let plan = |now| {
            let now = (at("13:00:00"), at(now));
            loaded(240, None).plan(600, now, &TimeZone::UTC, Some(&surge)).unwrap()
        };
        // Up to 7.5 a second in the second minute and the fourth.
        assert_eq!(by_minute(&plan("13:00:00"), 4), [0, 450, 0, 150]);
        // Half a minute late, it knows what is left of the first, and that the last goes on.
        let late = by_minute(&plan("13:00:30"), 5);
        assert_eq!(late[0] + late[2], 0, "{late:?}");
        assert_eq!(late.iter().sum::<usize>(), 600);
        assert!(late[1] > 380 && late[3] > 100 && late[4] > 50, "{late:?}");
    }

    #[test]
    fn a_capacity_makes_the_window_longer_and_is_given_up_where_it_leaves_no_room() {
        let busy = Forecast::new(Duration::from_secs(60), vec![9.0]).unwrap();
        let plan = |capacity| {
            let now = (at("13:00:00"), at("13:00:00"));
            loaded(60, Some(capacity)).plan(120, now, &TimeZone::UTC, Some(&busy)).unwrap()
        };
        let longer = plan(10.0);
        assert!(longer.is_over);
        assert_eq!(longer.deadline, at("13:02:00"));
        let never = plan(8.0);
        assert!(never.is_over);
        assert_eq!((by_minute(&never, 1), never.deadline), (vec![120], at("13:01:00")));
    }

    #[test]
    fn a_window_goes_on_after_the_quiet_hours() {
        let mut night = shape(3_600);
        night.quiet = Some(Quiet { from: time(22, 0, 0, 0), until: time(8, 0, 0, 0) });
        let now = (at("21:30:00"), at("21:30:00"));
        let planned = night.plan(3_600, now, &TimeZone::UTC, None).unwrap();
        let moments: Vec<Timestamp> = planned.moments().collect();
        let before = moments.iter().filter(|moment| **moment < at("22:00:00")).count();
        assert_eq!(before, 1_800);
        let morning: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        assert!(moments[1_800] >= morning && moments[1_800] < morning + 1.seconds());
        assert_eq!(planned.deadline, morning + 30.minutes());
    }

    proptest! {
        /// In any zone, across any change of its clock: nothing in quiet hours, nothing before its time,
        /// all in order, and the window as long as it was to be.
        #[test]
        fn nothing_is_planned_into_quiet_hours(
            minute in 0..40_i64 * 365 * 1440,
            (from, until) in (0..1440_i16, 0..1440_i16).prop_filter("half an hour in which it is not quiet", |(from, until)| {
                    (30..1440).contains(&(from - until).rem_euclid(1440))
                }),
            spread in 60..200_000_u64,
            name in prop::sample::select(vec![
                "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo",
            ]),
        ) {
            let of_day = |minute: i16| time((minute / 60) as i8, (minute % 60) as i8, 0, 0);
            let quiet = Quiet { from: of_day(from), until: of_day(until) };
            let zone = TimeZone::get(name).unwrap();
            let nominal = Timestamp::from_second(946_684_800 + minute * 60).unwrap();
            let mut shape = shape(spread);
            shape.quiet = Some(quiet);
            let planned = shape.plan(50, (nominal, nominal), &zone, None).unwrap();
            let moments: Vec<Timestamp> = planned.moments().collect();
            prop_assert!(moments.is_sorted() && moments[0] >= planned.opens && planned.opens >= nominal);
            prop_assert!(*moments.last().unwrap() <= planned.deadline);
            for moment in moments {
                prop_assert!(!quiet.has(zone.to_datetime(moment).time()), "{} is quiet", moment);
            }
        }
    }
}
