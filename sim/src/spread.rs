//! A batch beside an application, on a primary that tips over: what spreading does to its load.
//!
//! Load is a fluid here, but for the items of a plan, which have the moments that `policy` gives
//! them. The database serves what is in flight by the universal scalability law, with constants
//! that are chosen, not measured; beyond its best point more in flight is less served, and nothing
//! holds up who arrives: a wall stays where it is. The steering is `policy::spread`'s, as the
//! scheduler is to run it: asked every 100 ms with a signal that is 100 ms old, and each second
//! what remains is planned anew.

use std::time::Duration;

use policy::spread::forecast::Forecast;
use policy::spread::pacer::Pacer;
use policy::spread::plan::{Batch, Plan, Window};
use policy::spread::shape::peak_to_mean;

use crate::clock::{Dice, Origin, nanos};

/// The scalability law's constants, and the time of an item alone.
const CONTENTION: f64 = 0.02;
const COHERENCE: f64 = 0.0005;
const SERVICE_SECONDS: f64 = 0.005;
/// In flight where most is served: the square root of `(1 - contention) / coherence`.
pub const TIP: f64 = 44.27;
/// A primary with so many times its best in flight has tipped over.
const TIPPED: f64 = 4.0;
/// One step of the fluid.
const STEP_SECONDS: f64 = 0.001;
/// Steps from one look at the pressure to the next.
const LOOK_STEPS: usize = 100;
/// What remains is planned anew after so many looks.
const REPLAN_LOOKS: usize = 10;
/// Nothing runs longer than this many windows.
const LENGTH_WINDOWS: usize = 2;

/// How items get their moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// All at their time.
    Wall,
    /// By dice, evenly over the window.
    Uniform,
    /// By rank, evenly over the window.
    Flat,
    /// By rank, over the forecast.
    Planned,
    /// That, slowed by the pacer and planned anew.
    Steered,
    /// The same by the law that was proposed first: see `proposed`.
    Proposed,
}

/// What the application does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tide {
    /// Load a second at most times.
    pub base: f64,
    /// By how much it surges.
    pub surge: f64,
    /// When the surge is highest, in seconds from the batch's time.
    pub at: f64,
    /// How many seconds it takes to rise, and to fall.
    pub breadth: f64,
}

impl Tide {
    /// The load at a moment.
    #[must_use]
    pub fn at(&self, seconds: f64) -> f64 {
        let away = ((seconds - self.at) / self.breadth).abs().min(1.0);
        self.base + self.surge * (1.0 - away)
    }

    /// A forecast of it, by seconds.
    ///
    /// # Panics
    /// When a load is negative.
    #[must_use]
    pub fn forecast(&self, seconds: u32) -> Forecast {
        let loads = (0..seconds).map(|second| self.at(f64::from(second) + 0.5)).collect();
        Forecast::new(Duration::from_secs(1), loads).expect("a tide is a load")
    }
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// Items due at second 0.
    pub items: u64,
    /// Their window, in seconds.
    pub window: u32,
    /// What the application does.
    pub tide: Tide,
    /// What was expected of it.
    pub expected: Tide,
    /// How items get their moments.
    pub method: Method,
}

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Of the items alone, by seconds of the window; those after it count as the mean's.
    pub dispatch: f64,
    /// Of items and application together, by seconds of the window.
    pub total: f64,
    /// The most in flight over the best.
    pub in_flight: f64,
    /// It was still tipped over at the end.
    pub is_lost: bool,
    /// When the last item went, in seconds.
    pub finish: f64,
    /// Items that went after the window.
    pub late: u64,
}

/// Plays a scene.
#[must_use]
pub fn play(scene: &Scene) -> Outcome {
    let steps_a_second = (1.0 / STEP_SECONDS) as usize;
    let window = scene.window as usize;
    let mut sender = Sender::new(scene);
    let (mut in_flight, mut worst) = (1.0_f64, 0.0_f64);
    let mut sent = vec![0.0; window * LENGTH_WINDOWS];
    let mut loads = vec![0.0; window * LENGTH_WINDOWS];
    for step in 0..window * LENGTH_WINDOWS * steps_a_second {
        let (second, now) = (step / steps_a_second, step as f64 * STEP_SECONDS);
        if step.is_multiple_of(LOOK_STEPS) {
            sender.look(step / LOOK_STEPS, in_flight / TIP);
        }
        let items = sender.send(now);
        let arrived = items + scene.tide.at(now) * STEP_SECONDS;
        in_flight = (in_flight + arrived - served(in_flight) * STEP_SECONDS).max(0.0);
        worst = worst.max(in_flight / TIP);
        sent[second] += items;
        loads[second] += arrived;
    }
    let all = scene.items as f64;
    let in_time: f64 = sent[..window].iter().sum();
    let finish = sent.iter().rposition(|items| *items > 1e-6).map_or(0, |second| second + 1);
    Outcome {
        dispatch: sent.iter().copied().fold(0.0, f64::max) * window as f64 / all,
        total: peak_to_mean(&loads[..window]).unwrap_or(0.0),
        in_flight: worst,
        is_lost: in_flight > TIP * TIPPED,
        finish: finish as f64,
        late: (all - in_time).round() as u64,
    }
}

/// What is served a second with so many in flight.
fn served(in_flight: f64) -> f64 {
    let others = (in_flight - 1.0).max(0.0);
    let slower = 1.0 + CONTENTION * others + COHERENCE * in_flight * others;
    in_flight / (SERVICE_SECONDS * slower)
}

/// Sends a batch.
struct Sender {
    scene: Scene,
    forecast: Forecast,
    /// When each item goes, where that is settled beforehand; the last first.
    slots: Vec<Duration>,
    /// Where it is not: what is left, by the newest plan.
    steered: Option<Steered>,
}

struct Steered {
    plan: Plan,
    /// Items sent.
    sent: f64,
    pacer: Pacer,
    multiplier: f64,
    /// The pressure of the look before.
    heard: f64,
    origin: Origin,
}

impl Sender {
    fn new(scene: &Scene) -> Self {
        let forecast = scene.expected.forecast(scene.window * LENGTH_WINDOWS as u32);
        let mut slots = match scene.method {
            Method::Wall => vec![Duration::ZERO; scene.items as usize],
            Method::Uniform => {
                let mut dice = Dice::new(1);
                let window = Duration::from_secs(u64::from(scene.window));
                (0..scene.items).map(|_| window.mul_f64(dice.unit())).collect()
            }
            Method::Flat => pour(scene, &Forecast::flat(0.0)).curves()[0].slots().collect(),
            Method::Planned => pour(scene, &forecast).curves()[0].slots().collect(),
            Method::Steered | Method::Proposed => Vec::new(),
        };
        slots.sort_unstable_by(|slot, other| other.cmp(slot));
        let is_steered = matches!(scene.method, Method::Steered | Method::Proposed);
        let steered = is_steered.then(|| {
            let origin = Origin::new();
            Steered {
                plan: pour(scene, &forecast),
                sent: 0.0,
                pacer: Pacer::new(origin.at(0)),
                multiplier: 1.0,
                heard: 0.0,
                origin,
            }
        });
        Self { scene: *scene, forecast, slots, steered }
    }

    /// Looks at the pressure, and each second plans anew.
    fn look(&mut self, look: usize, pressure: f64) {
        let Some(steered) = &mut self.steered else { return };
        let now = look as f64 * LOOK_STEPS as f64 * STEP_SECONDS;
        let told = steered.origin.at(nanos(now));
        let pressure_then = std::mem::replace(&mut steered.heard, pressure);
        steered.pacer.observe(told, pressure_then);
        let remaining = self.scene.items as f64 - steered.sent;
        let curve = &steered.plan.curves()[0];
        let moment = Duration::from_secs_f64(now);
        let ahead = curve.batch().items as f64 - curve.due(moment);
        steered.multiplier = match self.scene.method {
            Method::Proposed => proposed(steered.multiplier, pressure_then),
            _ => steered.pacer.advance(told, remaining / ahead.max(1.0)),
        };
        if look.is_multiple_of(REPLAN_LOOKS) {
            let batch = batch(&self.scene);
            if let Some(rest) = batch.rest(steered.sent as u64, moment) {
                steered.plan = Plan::pour(&self.forecast, &[rest]).expect("it has a window");
            }
        }
    }

    /// How many items go in the step that begins now.
    fn send(&mut self, now: f64) -> f64 {
        let end = Duration::from_secs_f64(now + STEP_SECONDS);
        let Some(steered) = &mut self.steered else {
            let before = self.slots.len();
            while self.slots.last().is_some_and(|slot| *slot < end) {
                self.slots.pop();
            }
            return (before - self.slots.len()) as f64;
        };
        let curve = &steered.plan.curves()[0];
        let due = curve.due(end) - curve.due(Duration::from_secs_f64(now));
        let items = (due * steered.multiplier).min(self.scene.items as f64 - steered.sent);
        steered.sent += items;
        items
    }
}

/// The law that the pacer was to have, for comparison: up by 0.05 a second below a pressure of 0.5,
/// to 1.6 at most whether or not the batch is late; down to 0.6 in a second above 0.75.
fn proposed(multiplier: f64, pressure: f64) -> f64 {
    let passed = LOOK_STEPS as f64 * STEP_SECONDS;
    match pressure {
        pressure if pressure < 0.5 => (multiplier + 0.05 * passed).min(1.6),
        pressure if pressure > 0.75 => multiplier * 0.6_f64.powf(passed),
        _ => multiplier,
    }
}

fn batch(scene: &Scene) -> Batch {
    let deadline = Duration::from_secs(u64::from(scene.window));
    let window = Window { opens: Duration::ZERO, deadline };
    Batch { items: scene.items, cost: 1.0, window, class: 2, rate_max: None }
}

fn pour(scene: &Scene, forecast: &Forecast) -> Plan {
    Plan::pour(forecast, &[batch(scene)]).expect("a scene has a window")
}

/// The load of the figures: the tides that are, and what was expected of each.
pub const TIDES: [(&str, Tide, Tide); 7] = [
    ("forecast true", SURGE, SURGE),
    ("surge twice, a minute late", LATE, Tide { surge: 550.0, ..SURGE }),
    ("surge half, a minute late", Tide { surge: 550.0, ..LATE }, SURGE),
    ("surge not foreseen", LATE, Tide { surge: 0.0, ..SURGE }),
    ("surge that does not come", Tide { surge: 0.0, ..SURGE }, SURGE),
    ("all twice what was foreseen", SURGE, HALF),
    ("all half of what was foreseen", HALF, SURGE),
];

/// From 1,200 a second to 2,300, four minutes after the full hour.
const SURGE: Tide = Tide { base: 1200.0, surge: 1100.0, at: 240.0, breadth: 150.0 };
const LATE: Tide = Tide { at: 300.0, ..SURGE };
const HALF: Tide = Tide { base: 600.0, surge: 550.0, ..SURGE };

/// A million items in a quarter of an hour beside one of [`TIDES`].
#[must_use]
pub fn scene((_, tide, expected): (&str, Tide, Tide), method: Method) -> Scene {
    Scene { items: 1_000_000, window: 900, tide, expected, method }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_tips_it_over_and_a_plan_does_not() {
        let [truth, ..] = TIDES;
        assert!(play(&scene(truth, Method::Wall)).is_lost);
        let even = play(&scene(truth, Method::Uniform));
        assert!(even.is_lost, "{even:?}");
        let planned = play(&scene(truth, Method::Planned));
        assert!(!planned.is_lost && planned.late == 0, "{planned:?}");
        assert!(planned.total <= 1.05, "{planned:?}");
    }

    #[test]
    fn the_line_stays_a_line_where_the_forecast_is_wrong_by_two_times() {
        for (index, tide) in TIDES.into_iter().enumerate() {
            let steered = play(&scene(tide, Method::Steered));
            println!("{}: {steered:?}", tide.0);
            assert!(!steered.is_lost && steered.late == 0, "{}: {steered:?}", tide.0);
            let most = if index == 0 { 1.05 } else { 1.2 };
            assert!(steered.total <= most, "{}: {steered:?}", tide.0);
        }
    }
}
