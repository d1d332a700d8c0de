//! Reads how pressed the database is, ten times a second, and tells whoever wants to know.
//!
//! What it is made of and how is `policy::pressure`'s to say. Here it is read from the gate and the
//! observer, shown as metrics, and put where all who follow find the newest: nothing is queued for
//! them, so one that does not read costs nothing and holds nobody up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::class::Mode;
use policy::pressure::{Gauge, Reading};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::config::{self, Config};
use crate::control::{Check, Declined, PressureParts, PressureStatus, rounded, whole_ms};
use crate::engine::Engine;
use crate::observer::Seen;
use crate::shared::Shared;

/// How often it is read.
pub const EVERY: Duration = Duration::from_millis(100);
/// Who may follow at a time; half of the connections that the HTTP side serves.
const FOLLOWERS_MAX: usize = 32;
/// What was seen of the locks counts for so long.
const SEEN_KEEPS: Duration = Duration::from_secs(3);
/// A reading that is older than this tells nothing any more: nobody reads.
const STALE: Duration = Duration::from_secs(3);

/// The newest reading, and who follows.
#[derive(Debug)]
pub struct Board {
    newest: watch::Sender<PressureStatus>,
    store: String,
    store_types: &'static [&'static str],
    threshold: f64,
    started: Instant,
}

impl Board {
    /// A board on which nothing is written.
    pub fn new(config: &Config, started: Instant) -> Self {
        let threshold = f64::from(config.pressure.threshold) / 100.0;
        Self {
            newest: watch::Sender::new(PressureStatus { threshold, ..PressureStatus::default() }),
            store: config.pressure.store.clone(),
            store_types: match config.upstream.engine {
                config::Engine::Mysql => &["mysql"],
                config::Engine::Postgres => &["postgresql", "postgres"],
            },
            threshold,
            started,
        }
    }

    /// The newest reading.
    pub fn newest(&self) -> PressureStatus {
        *self.newest.borrow()
    }

    /// The newest reading, and all that come.
    ///
    /// # Errors
    /// When `FOLLOWERS_MAX` follow already.
    pub fn follow(&self) -> Result<watch::Receiver<PressureStatus>, Declined> {
        if self.newest.receiver_count() >= FOLLOWERS_MAX {
            return Err(Declined(format!("{FOLLOWERS_MAX} follow the pressure already")));
        }
        let mut receiver = self.newest.subscribe();
        receiver.mark_changed();
        Ok(receiver)
    }

    /// Whether a tool may write, unless a switch forbids it for the reason given.
    pub fn check(&self, store: (&str, &str), forbidden: Option<String>) -> Check {
        let PressureStatus { number, uptime_ms, pressure, threshold, parts } = self.newest();
        let age = whole_ms(self.started.elapsed()).saturating_sub(uptime_ms);
        let is_known = store.1 == self.store && self.store_types.contains(&store.0);
        let (status_code, message) = if !is_known {
            (
                Check::UNKNOWN,
                format!("no such store; this is {}/{}", self.store_types[0], self.store),
            )
        } else if let Some(why) = forbidden {
            (Check::FORBIDDEN, why)
        } else if number == 0 || age > whole_ms(STALE) {
            (Check::FAILED, "the pressure is not known".to_owned())
        } else if parts.lost > 0.0 {
            (Check::FAILED, "the database cannot be reached".to_owned())
        } else if pressure >= threshold {
            (Check::PRESSED, "the database is pressed".to_owned())
        } else {
            (Check::OK, String::new())
        };
        Check { status_code, message, value: pressure, threshold }
    }

    /// Reads and writes for ever. Dropping the future ends it; what was written last stays.
    pub async fn keep<E: Engine>(self: Arc<Self>, shared: Arc<Shared<E>>) {
        let mut gauge = Gauge::new();
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for number in 1.. {
            every.tick().await;
            let now = Instant::now();
            let pressure = gauge.read(now, &reading(&shared, now));
            shared.metrics.pressure.show(&pressure);
            self.newest.send_replace(PressureStatus {
                number,
                uptime_ms: whole_ms(now.duration_since(self.started)),
                pressure: rounded(pressure.value()),
                threshold: self.threshold,
                parts: PressureParts::from(&pressure),
            });
        }
    }
}

/// What the gate and the observer tell now.
fn reading<E: Engine>(shared: &Shared<E>, now: Instant) -> Reading {
    let adaptive = shared.gate.limit().filter(|report| report.mode == Mode::Enforce);
    let limits =
        adaptive.map(|report| report.limit).into_iter().chain([shared.upstream.connections]);
    let seen: Arc<Seen> = shared.sight.seen();
    let fresh = seen.contention.filter(|(at, _)| now.saturating_duration_since(*at) < SEEN_KEEPS);
    Reading {
        contention: fresh.map(|(_, contention)| contention),
        lag: shared.replicas.as_ref().and_then(|replicas| replicas.lag(now)),
        is_lost: shared.upstream.control().working() == 0,
        ..Reading::of(&shared.gate.snapshot(now), limits)
    }
}
