//! Limits: sums against caps, and the order of timeouts.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::value::show_duration;
use super::super::{Class, Config, DEFAULT_CLASS, Limits, Mode};
use super::{Findings, Key};

/// Classes are metric labels, so there are few.
const CLASSES_MAX: usize = 32;
const DATABASES_MAX: usize = 256;
/// With a smaller share than a thousandth, what waits would rather be refused.
const SHARE_MAX: u32 = 1000;
const PERCENT: RangeInclusive<u32> = 1..=100;
const NAME_MAX: usize = 32;
/// Each ticket holds a client's statement in memory.
const QUEUE_LENGTH_MAX: u32 = 100_000;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let cap = config.upstream.connections;
    numbers(&Key::of("overall"), &config.overall, cap, findings);
    for (name, limits) in &config.databases {
        numbers(&Key::of("database").field(name), limits, cap, findings);
    }
    for (name, class) in &config.classes {
        let key = Key::of("class").field(name);
        class_name(&key, name, findings);
        numbers(&key, &counts(class), cap, findings);
        findings.within(&key.field("share"), class.share.get(), 1..=SHARE_MAX);
        if let Some(cap) = class.cap {
            findings.within(&key.field("cap"), cap.get(), PERCENT);
        }
        times(&key, class, findings);
    }
    findings.within(&Key::of("tenants").field("cap"), config.tenants.cap.get(), PERCENT);
    findings.within(&Key::of("retries").field("budget"), config.retries.budget, 0..=100);
    findings.within(&Key::of("pressure").field("threshold"), config.pressure.threshold, PERCENT);
    if config.pressure.store.is_empty() || config.pressure.store.contains('/') {
        let why = "it is a part of a path; expected a name without /";
        findings.error(&Key::of("pressure").field("store"), why);
    }
    if config.classes.len() > CLASSES_MAX {
        findings.error(&Key::of("class"), format!("too many; expected at most {CLASSES_MAX}"));
    }
    if config.databases.len() > DATABASES_MAX {
        findings.error(&Key::of("database"), format!("too many; expected at most {DATABASES_MAX}"));
    }
    sums(config, cap, findings);
    if config.melt.mode != Mode::Off && !config.observe.enabled {
        let why = "nothing is melted: observe.enabled = false, so nobody is seen to wait";
        findings.warn(&Key::of("melt").field("mode"), why);
    }
    if config.hot.mode != Mode::Off && !config.observe.enabled {
        let why = "no row is found: observe.enabled = false, so nobody is seen to wait";
        findings.warn(&Key::of("hot").field("mode"), why);
    }
    if config.ddl.mode != Mode::Off && !config.observe.enabled {
        let why = "no table is found: observe.enabled = false, so nobody is seen to wait";
        findings.warn(&Key::of("ddl").field("mode"), why);
    }
}

fn class_name(key: &Key, name: &str, findings: &mut Findings<'_>) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(fits) {
        findings.error(
            key,
            format!("not a class name; expected up to {NAME_MAX} of a-z, 0-9, \"_\" and \"-\""),
        );
    }
}

fn numbers(key: &Key, limits: &Limits, cap: u32, findings: &mut Findings<'_>) {
    for (name, number) in [("in_flight", limits.in_flight), ("connections", limits.connections)] {
        if number.is_some_and(|number| number.get() > cap) {
            findings.warn(
                &key.field(name),
                format!("never reached: upstream.connections allows only {cap}"),
            );
        }
    }
    if limits.burst.is_some() && limits.rate.is_none() {
        findings.error(&key.field("burst"), "given without rate; expected both, or neither");
    }
    findings.within(&key.field("queue_length"), limits.queue_length, 0..=QUEUE_LENGTH_MAX);
}

fn times(key: &Key, class: &Class, findings: &mut Findings<'_>) {
    let statement = ("statement_time", class.statement_time);
    let transaction = ("transaction_time", class.transaction_time);
    let ordered = [
        (("queue_time", Some(class.queue_time)), statement),
        (("lock_wait_time", class.lock_wait_time), statement),
        (statement, transaction),
        (("idle_in_transaction_time", class.idle_in_transaction_time), transaction),
    ];
    for ((short, shorter), (long, longer)) in ordered {
        if let (Some(shorter), Some(longer)) = (shorter, longer)
            && shorter > longer
        {
            findings.warn(&key.field(short), out_of_order(short, shorter, long, longer));
        }
    }
}

fn out_of_order(short: &str, shorter: Duration, long: &str, longer: Duration) -> String {
    let (shorter, longer) = (show_duration(shorter), show_duration(longer));
    match short {
        "queue_time" => format!("{shorter} in line is longer than {long}, which is {longer}"),
        _ => format!("{shorter} is never reached: {long} is {longer} and ends it first"),
    }
}

/// The classes with a name of their own may not be able to take everything.
fn sums(config: &Config, cap: u32, findings: &mut Findings<'_>) {
    let cap = config.overall.in_flight.map_or(cap, |own| own.get().min(cap));
    let named = config.classes.iter().filter(|(name, _)| *name != DEFAULT_CLASS);
    let numbers: Option<Vec<u32>> = named
        .map(|(_, class)| class.in_flight.or(class.connections).map(NonZeroU32::get))
        .collect();
    let sum = numbers.unwrap_or_default().into_iter().fold(0, u32::saturating_add);
    if sum >= cap {
        findings.warn(
            &Key::of("class"),
            format!(
                "the named classes together may run {sum}, and there is room for {cap}: they can keep \
                 class default waiting"
            ),
        );
    }
}

fn counts(class: &Class) -> Limits {
    Limits {
        in_flight: class.in_flight,
        connections: class.connections,
        rate: class.rate,
        burst: class.burst,
        queue_length: class.queue_length,
        queue_time: class.queue_time,
    }
}
