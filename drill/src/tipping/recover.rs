//! A storm that passes, and how long service takes to come back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::measure::{Bench, Slice};
use super::{Recovery, Way};
use crate::error::Error;
use crate::load::rows::Rows;
use crate::load::{Target, Timeline};

/// What the regulars offer, in parts of what their way can do.
const REGULAR: f64 = 0.8;
/// Time before the storm. The first second is not counted.
const CALM: Duration = Duration::from_secs(3);
/// Of what regulars offer, the share that must be served before the storm: what was down already
/// cannot come back.
const CARRIED: f64 = 0.5;
/// Service is back with this share of the commits of before: fewer than a thousand commits a second
/// vary by more than a twentieth.
const BACK: f64 = 0.9;
/// The length of time in which commits are counted.
const WINDOW: Duration = Duration::from_secs(1);
/// How far apart such times begin.
const STEP: Duration = Duration::from_millis(50);

impl Bench {
    /// Lets regulars go one way, which brings `reachable` commits a second, and a storm pass.
    pub(super) async fn recover(
        &self,
        way: Way,
        target: Target,
        reachable: f64,
    ) -> Result<Recovery, Error> {
        let (storm_time, patience) = (self.scene.storm_time, self.scene.patience);
        let timeline = Arc::new(Timeline::new());
        let offered = REGULAR * reachable;
        let regulars = Slice::paced(offered).of(target, CALM + storm_time + patience);
        let storm = Slice::crowd(self.scene.storm).of(target, storm_time);
        let storm = async {
            sleep(CALM).await;
            storm.run(Arc::new(Rows), Arc::new(Timeline::new())).await;
        };
        tokio::join!(regulars.run(Arc::new(Rows), timeline.clone()), storm);
        let served = timeline.sum(0..usize::MAX).served;
        let at: Vec<Duration> = served.iter().map(|served| served.at).collect();
        Ok(recovery(way, offered, &at, storm_time, patience))
    }
}

/// Reads it off the times at which regulars were served.
fn recovery(
    way: Way,
    offered: f64,
    served: &[Duration],
    storm_time: Duration,
    patience: Duration,
) -> Recovery {
    let rate = |from: Duration, to: Duration| {
        let inside = served.iter().filter(|at| (from..to).contains(*at)).count();
        inside as f64 / (to - from).as_secs_f64()
    };
    let ends = CALM + storm_time;
    let before = rate(WINDOW, CALM);
    let is_carried = before >= CARRIED * offered;
    let windows = std::iter::successors(Some(ends), |from| Some(*from + STEP));
    let mut windows = windows.take_while(|from| *from + WINDOW <= ends + patience);
    let back = windows.find(|from| is_carried && rate(*from, *from + WINDOW) >= BACK * before);
    Recovery {
        way,
        offered_per_second: offered,
        before_per_second: before,
        storm_per_second: rate(CALM, ends),
        back_after_ms: back.and_then(|from| u64::try_from((from - ends).as_millis()).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_is_back_when_a_whole_second_is_as_before() {
        let seconds = |from_ms: u64, to_ms: u64| {
            (from_ms..to_ms).step_by(10).map(Duration::from_millis).collect::<Vec<_>>()
        };
        let (storm, patience) = (Duration::from_secs(2), Duration::from_secs(4));
        let served = [seconds(0, 3_000), seconds(6_500, 9_000)].concat();
        let found = recovery(Way::Direct, 100.0, &served, storm, patience);
        assert_eq!((found.before_per_second, found.storm_per_second), (100.0, 0.0));
        assert_eq!(found.back_after_ms, Some(1_400));
        let never = recovery(Way::Direct, 100.0, &seconds(0, 3_000), storm, patience);
        assert_eq!(never.back_after_ms, None);
        let down_before = recovery(Way::Direct, 300.0, &served, storm, patience);
        assert_eq!(down_before.back_after_ms, None);
    }
}
