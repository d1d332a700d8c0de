//! The policy under which the guard runs.

use std::time::Duration;

use policy::class::{Class, Limits, Mode, Policy};
use policy::limit;
use policy::retry;

use crate::scenario::{Access, Scenario};

/// The policy under which the guard runs.
pub(super) fn policy(scenario: &Scenario, names: &[String]) -> Policy {
    let guard = &scenario.guard;
    let ms = |millis: f64| Duration::from_secs_f64(millis / 1000.0);
    let waiting = Limits {
        queue_length: guard.queue_length,
        queue_time: ms(guard.queue_ms),
        queue_target: ms(guard.target_ms),
        ..Limits::default()
    };
    let class = |name: &String| {
        let share = guard.shares.get(name).copied().unwrap_or(Class::SHARE);
        let limits = Limits { cap: guard.caps.get(name).copied(), ..waiting };
        let sheddable = matches!(name.as_str(), "sheddable" | "batch");
        Class { name: name.clone(), limits, share, sheddable, ..Class::unlimited() }
    };
    let (fixed, mode) = match guard.access {
        Access::Direct => (None, Mode::Off),
        Access::Fixed(limit) => (Some(limit), Mode::Off),
        Access::Adaptive => (None, Mode::Enforce),
    };
    Policy {
        classes: names.iter().map(class).collect(),
        overall: Limits { in_flight: fixed, queue_length: 1000, ..waiting },
        limit: limit::Config {
            mode,
            start: guard.start,
            max: scenario.database.connections / 2,
            ..limit::Config::default()
        },
        retries: retry::Config {
            mode: if guard.retries { Mode::Enforce } else { Mode::Off },
            ..retry::Config::default()
        },
        ..Policy::default()
    }
}
