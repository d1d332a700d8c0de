//! A storm that passes, and how long service takes to come back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::measure::{Bench, Slice};
use super::{Recovery, Way};
use crate::error::Error;
use crate::load::rows::Rows;
use crate::load::{Target, Timeline, back, rate, whole_ms};

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
/// Time at the begin that is not counted.
const WARM: Duration = Duration::from_secs(1);

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
    let ends = CALM + storm_time;
    let before = rate(served, WARM, CALM);
    let is_carried = before >= CARRIED * offered;
    let back = back(served, ends, ends + patience, BACK * before).filter(|_| is_carried);
    Recovery {
        way,
        offered_per_second: offered,
        before_per_second: before,
        storm_per_second: rate(served, CALM, ends),
        back_after_ms: back.map(whole_ms),
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
