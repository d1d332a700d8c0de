//! When logins to a database begin: few in a second, more while that goes well, and after a failure
//! not before a pause.
//!
//! A new connection costs the database a thread or a process, an authentication, often a TLS
//! handshake. A herd of them tips a database over that has just come back. So after a failure, or when
//! the database has been restarted, nothing is left of what could have begun at once, and the pace
//! begins anew.

use std::time::{Duration, Instant};

/// The shortest wait after a failed login.
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait after failed logins. One login a second costs no database anything that is down or
/// starting, and service should be back within two seconds of its answering (`tidegate drill herd`).
pub const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// The pace grows by this factor with each second in which every login succeeded.
const GROWTH: f64 = 1.5;
/// It grows no further than to so many a second.
const RATE_MAX: f64 = 1000.0;
/// When nobody logged in for so long, the pace begins anew: what the database could do then says
/// nothing of now.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// How long to wait after `failures` logins failed in a row: doubling, with full jitter, so that
/// guards that failed together do not come back together. `dice` is uniform in 0..1.
#[must_use]
pub fn backoff(failures: u32, dice: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let ceiling = BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    BACKOFF_MIN / 2 + ceiling.mul_f64(dice.clamp(0.0, 1.0))
}

/// The pace of logins to one database.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Logins a second to begin with, and so many at once when none began for a while.
    start: f64,
    rate: f64,
    /// Logins that may begin at once, as of `counted`.
    tokens: f64,
    counted: Instant,
    /// So many are saved up at most while none begins. One where the database has yet to show that it
    /// is back: a server that is starting takes connections long before it answers them.
    saved_max: f64,
    /// When the first succeeded of those that all have, at this rate.
    well_since: Option<Instant>,
    /// How many failed in a row.
    failures: u32,
    /// None begins before this.
    not_before: Instant,
}

impl Pace {
    /// So many a second, one at least.
    #[must_use]
    pub fn new(now: Instant, per_second: u32) -> Self {
        let start = f64::from(per_second.max(1));
        Self {
            start,
            rate: start,
            tokens: start,
            counted: now,
            saved_max: start,
            well_since: None,
            failures: 0,
            not_before: now,
        }
    }

    /// Begins a login, or says when to ask again.
    ///
    /// # Errors
    /// When none may begin yet: the time at which one may, if none fails meanwhile and nobody else
    /// begins one.
    pub fn begin(&mut self, now: Instant) -> Result<(), Instant> {
        let passed = now.saturating_duration_since(self.counted);
        if passed >= FORGOTTEN {
            self.rate = self.start;
            self.well_since = None;
        }
        self.tokens = (self.tokens + passed.as_secs_f64() * self.rate).min(self.saved_max);
        self.counted = self.counted.max(now);
        if now < self.not_before {
            return Err(self.not_before);
        }
        if self.tokens < 1.0 {
            // A microsecond more, lest rounding have it asked too early again and again.
            let wait = (1.0 - self.tokens) / self.rate + 1e-6;
            return Err(now + Duration::from_secs_f64(wait));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// A login has ended. `dice` is uniform in 0..1.
    pub fn ended(&mut self, now: Instant, is_success: bool, dice: f64) {
        if !is_success {
            self.failures = self.failures.saturating_add(1);
            self.start_over(now);
            self.not_before = now + backoff(self.failures, dice);
            // Nothing is saved up in a pause.
            self.counted = self.not_before;
            return;
        }
        self.failures = 0;
        let well_since = *self.well_since.get_or_insert(now);
        if now.saturating_duration_since(well_since) >= Duration::from_secs(1) {
            self.rate = (self.rate * GROWTH).min(RATE_MAX.max(self.start));
            self.saved_max = self.start;
            self.well_since = Some(now);
        }
    }

    /// The database is another one, or has been restarted: as at the begin, and nothing at once.
    pub fn start_over(&mut self, now: Instant) {
        self.rate = self.start;
        self.tokens = 0.0;
        self.counted = self.counted.max(now);
        self.saved_max = 1.0;
        self.well_since = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
    fn start() -> Instant {
        Instant::now()
    }

    /// Begins all that may in a stretch of time, each a success at once; when they did.
    fn run(pace: &mut Pace, mut now: Instant, time: Duration) -> Vec<Instant> {
        let (end, mut began) = (now + time, Vec::new());
        while now < end {
            match pace.begin(now) {
                Ok(()) => {
                    began.push(now);
                    pace.ended(now, true, 0.5);
                }
                Err(at) => now = at,
            }
        }
        began
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        assert_eq!(backoff(1, 0.0), BACKOFF_MIN / 2);
        assert_eq!(backoff(1, 1.0), BACKOFF_MIN / 2 + BACKOFF_MIN);
        assert_eq!(backoff(3, 1.0), BACKOFF_MIN / 2 + BACKOFF_MIN * 4);
        assert_eq!(backoff(u32::MAX, 1.0), BACKOFF_MIN / 2 + BACKOFF_MAX);
    }

    #[test]
    fn it_grows_by_half_with_each_second_that_goes_well() {
        let now = start();
        let mut pace = Pace::new(now, 20);
        pace.start_over(now);
        let began = run(&mut pace, now, 4_000 * MS);
        let in_second = |second: u64| {
            let from = now + Duration::from_secs(second);
            began.iter().filter(|at| (from..from + 1_000 * MS).contains(*at)).count()
        };
        let counts: Vec<_> = (0..4).map(in_second).collect();
        for (count, expect) in counts.iter().zip([20, 30, 45, 67]) {
            assert!(count.abs_diff(expect) <= 2, "{counts:?}");
        }
        // A failure takes all of that back.
        let later = now + 4_000 * MS;
        pace.ended(later, false, 0.0);
        assert_eq!(pace.begin(later), Err(later + BACKOFF_MIN / 2));
        let again = run(&mut pace, later + BACKOFF_MIN / 2, 1_000 * MS).len();
        assert!((19..=22).contains(&again), "{again}");
        // However long the pause was, nothing is saved up in it.
        let much_later = later + 2_000 * MS;
        (0..9).for_each(|_| pace.ended(much_later, false, 1.0));
        let back = much_later + BACKOFF_MIN / 2 + BACKOFF_MAX;
        assert_eq!(pace.begin(back - MS), Err(back));
        let again = run(&mut pace, back, 1_000 * MS).len();
        assert!((19..=22).contains(&again), "{again}");
    }

    #[test]
    fn logins_that_hang_save_nothing_up_and_are_no_success() {
        let now = start();
        let mut pace = Pace::new(now, 20);
        pace.ended(now, false, 0.0);
        let back = now + BACKOFF_MIN / 2;
        // Four begin and get no answer for three seconds.
        let hang = (1..=4).map(|nth| back + nth * 51 * MS);
        hang.for_each(|at| pace.begin(at).unwrap());
        let answered = back + 3_000 * MS;
        (0..4).for_each(|_| pace.ended(answered, true, 0.0));
        let began = run(&mut pace, answered, 990 * MS).len();
        assert!((19..=21).contains(&began), "{began}");
    }

    #[test]
    fn after_a_quiet_time_some_begin_at_once_and_the_pace_is_as_at_first() {
        let now = start();
        let mut pace = Pace::new(now, 20);
        run(&mut pace, now, 5_000 * MS);
        let began = run(&mut pace, now + 60_000 * MS, 990 * MS).len();
        assert!((38..=40).contains(&began), "{began}");
    }

    proptest! {
        /// However logins end and whenever they are asked for: at most so many in a second as the pace may
        /// have grown to, none in a pause, and one that asks again when it was told to begins in
        /// the end.
        #[test]
        fn no_second_sees_more_than_the_pace(
            per_second in 1..50_u32,
            steps in prop::collection::vec((0..400_u64, prop::bool::weighted(0.9), 0.0..1.0_f64), 1..400),
        ) {
            let began_at = start();
            let mut pace = Pace::new(began_at, per_second);
            let mut now = began_at;
            let (mut begun, mut pause): (Vec<Instant>, _) = (Vec::new(), now);
            let mut failed = now;
            for (wait, is_success, dice) in steps {
                now += Duration::from_millis(wait);
                let mut asked = 0;
                while let Err(at) = pace.begin(now) {
                    prop_assert!(at > now, "it is asked to wait for nothing");
                    now = at;
                    asked += 1;
                    prop_assert!(asked <= 3, "it is put off for ever");
                }
                prop_assert!(now >= pause, "in a pause");
                begun.push(now);
                let from = now - now.saturating_duration_since(failed).min(1_000 * MS);
                let recent = begun.iter().filter(|at| **at > from).count();
                let most = f64::from(per_second) + pace.rate + 1.0;
                prop_assert!(recent as f64 <= most, "{} in a second, at {}", recent, pace.rate);
                pace.ended(now, is_success, dice);
                if !is_success {
                    pause = pace.not_before;
                    failed = now;
                    prop_assert!(pause >= now + BACKOFF_MIN / 2);
                    prop_assert!(pause <= now + BACKOFF_MIN / 2 + BACKOFF_MAX);
                }
            }
        }
    }
}
