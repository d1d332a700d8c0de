//! Rules and switches: names that must exist, rules that can never match.

use policy::switch::{SWITCHES_MAX, Target};

use super::super::source::guess;
use super::super::{Config, DEFAULT_CLASS, Rule};
use super::{Findings, Key};

/// Each rule is tried in turn.
const RULES_MAX: usize = 1024;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    if config.rules.len() > RULES_MAX {
        findings.error(&Key::of("rule"), format!("too many; expected at most {RULES_MAX}"));
    }
    for (index, rule) in config.rules.iter().enumerate() {
        let key = Key::of("rule").item(index);
        known_class(&key.field("class"), &rule.class, config, findings);
        let earlier = &config.rules[..index];
        if earlier.iter().any(|other| other.name == rule.name) {
            findings.error(&key.field("name"), "given twice; expected one rule per name");
        }
        if let Some(other) = earlier.iter().find(|other| covers(other, rule)) {
            findings.warn(
                &key.field("name"),
                format!("never matches: rule \"{}\" above takes all that it would", other.name),
            );
        }
    }
    let named = |name: &str| config.rules.iter().any(|rule| rule.class == name);
    for name in config.classes.keys().filter(|name| *name != DEFAULT_CLASS && !named(name)) {
        findings.warn(&Key::of("class").field(name), "no rule leads here");
    }
    switches(config, findings);
}

fn switches(config: &Config, findings: &mut Findings<'_>) {
    if config.switches.len() > SWITCHES_MAX {
        findings.error(&Key::of("switch"), format!("too many; expected at most {SWITCHES_MAX}"));
    }
    for (index, switch) in config.switches.iter().enumerate() {
        let key = Key::of("switch").item(index);
        if !(0.0..=1.0).contains(&switch.keep_ratio) {
            findings.error(&key.field("keep_ratio"), "out of range; expected 0 to 1");
        }
        if let Target::Class(name) = &switch.target.0 {
            known_class(&key.field("target"), name, config, findings);
        }
        if config.switches[..index].iter().any(|other| other.target == switch.target) {
            findings.error(&key.field("target"), "given twice; expected one switch per target");
        }
    }
}

fn known_class(key: &Key, name: &str, config: &Config, findings: &mut Findings<'_>) {
    if !config.classes.contains_key(name) {
        let known = config.class_names();
        findings.error(
            key,
            format!("no such class{}; expected one of {}", guess(name, &known), known.join(", ")),
        );
    }
}

/// Whether all that fits `late` fits `early` as well, as far as can be told without guessing.
fn covers(early: &Rule, late: &Rule) -> bool {
    one_of(&early.kind, &late.kind)
        && (early.digest.is_none() || early.digest == late.digest)
        && one_of(&early.table, &late.table)
        && early.tag.iter().all(|(key, value)| late.tag.get(key).is_some_and(|own| own == value))
        && pattern_covers(early.user.as_deref(), late.user.as_deref())
        && pattern_covers(early.database.as_deref(), late.database.as_deref())
        && (early.network.is_empty()
            || !late.network.is_empty()
                && late
                    .network
                    .iter()
                    .all(|own| early.network.iter().any(|wide| wide.0.contains(&own.0))))
}

/// An empty list fits all; else each of `late` must be in `early`.
fn one_of<T: PartialEq>(early: &[T], late: &[T]) -> bool {
    early.is_empty() || !late.is_empty() && late.iter().all(|item| early.contains(item))
}

fn pattern_covers(early: Option<&str>, late: Option<&str>) -> bool {
    matches!(early, None | Some("*")) || early == late
}
