//! What is told at a glance, and how it is kept up to date.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use policy::class::Mode;
use tokio::time::MissedTickBehavior;

use super::Operator;
use crate::{
    control::{
        ClassNow, Operations as _, Pins, Rates, SNAPSHOT_VERSION, Sample, Snapshot, whole_ms,
    },
    engine::Engine,
    glance,
    live::{EVERY, meter::Meter},
};

/// What was seen of the locks counts for so long.
const SEEN_KEEPS: Duration = Duration::from_secs(5);

impl<E: Engine> Operator<E> {
    /// Takes a sample a second and tells who follows, for ever. Dropping the future ends it; what was kept stays.
    pub async fn keep_live(self: Arc<Self>) {
        let mut meter = Meter::default();
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            every.tick().await;
            let (all, classes) = meter.read(Instant::now(), self.shared.metrics.totals());
            self.live.note(self.sample(all), classes);
            if self.live.is_followed() {
                self.live.tell(self.glance());
            }
        }
    }

    fn sample(&self, rates: Rates) -> Sample {
        let now = Instant::now();
        let snapshot = self.shared.gate.snapshot(now);
        let adaptive = self.shared.gate.limit();
        let enforced = adaptive.as_ref().filter(|report| report.mode == Mode::Enforce);
        let limits = [
            enforced.map(|report| report.limit),
            snapshot.overall.limits.in_flight,
            Some(self.shared.upstream.connections),
        ];
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seen = self.shared.sight.seen();
        let is_fresh = |at: &Instant| now.saturating_duration_since(*at) < SEEN_KEEPS;
        let locks = seen.locks.as_ref().filter(|(at, _)| is_fresh(at));
        let oldest = snapshot.classes.iter().map(|class| class.oldest_wait).max();
        Sample {
            unix_ms: whole_ms(since_1970),
            rates,
            in_flight: snapshot.overall.in_flight,
            limit: limits.into_iter().flatten().min(),
            knee: adaptive.and_then(|report| report.knee),
            queued: snapshot.overall.queued,
            oldest_wait_ms: whole_ms(oldest.unwrap_or_default()),
            blocked: locks.map_or(0, |(_, locks)| locks.contention().blocked),
            pressure: self.board.newest().pressure,
        }
    }

    pub(super) fn glance(&self) -> Snapshot {
        let (now, rates) = self.live.newest();
        let rates_of = |name: &str| {
            let found = rates.iter().find(|(known, _)| known == name);
            found.map(|(_, rates)| *rates).unwrap_or_default()
        };
        let classes = self.classes().into_iter();
        let mut pins = self.pins();
        let count = pins.len();
        pins.truncate(Pins::SHOWN_MAX);
        let mut incidents = self.incidents();
        incidents.truncate(Snapshot::INCIDENTS_MAX);
        let mut snapshot = Snapshot {
            version: SNAPSHOT_VERSION,
            told: glance::Told::default(),
            now,
            status: self.status(),
            pressure: self.pressure(),
            classes: classes
                .map(|status| ClassNow { rates: rates_of(&status.name), status })
                .collect(),
            locks: self.locks(),
            hot: self.hot(),
            switches: self.switches(),
            pause: self.pause_status(),
            pins: Pins { count, longest: pins },
            incidents,
        };
        snapshot.told = glance::tell(&snapshot);
        snapshot
    }
}
