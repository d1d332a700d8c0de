//! Replicas: that there are some where reads are to go, and that they can be used.

use std::time::Duration;

use policy::replica::REPLICAS_MAX;

use super::super::replica::Reads;
use super::super::{Config, Engine};
use super::{Findings, Key};

/// The least `max_lag`: a few looks, and what an answer may take.
const LAG_LEAST: Duration = Duration::from_secs(1);

/// The longest name, in bytes: metrics have it as a label.
const NAME_MAX: usize = 32;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let section = Key::of("replica");
    if config.replicas.len() > REPLICAS_MAX {
        findings.error(&section, format!("too many; expected at most {REPLICAS_MAX}"));
    }
    for (name, replica) in &config.replicas {
        let key = section.field(name);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
            let why = format!(
                "not a name; expected 1 to {NAME_MAX} of letters, digits, \"_\", \"-\" and \".\""
            );
            findings.error(&key, why);
        }
        if replica.address == config.upstream.address {
            findings.error(
                &key.field("address"),
                "the same as upstream.address; expected the address of a replica",
            );
        }
    }
    if config.routing.max_lag < LAG_LEAST {
        findings.error(&Key::of("routing").field("max_lag"), "too short; expected at least \"1s\"");
    }
    if config.routing.max_lag_bytes.is_some() && config.upstream.engine != Engine::Postgres {
        findings.error(
            &Key::of("routing").field("max_lag_bytes"),
            "not with engine = \"mysql\", whose positions count no bytes; expected max_lag alone",
        );
    }
    for (name, class) in &config.classes {
        if class.reads == Reads::Replica && config.replicas.is_empty() {
            findings.error(
                &Key::of("class").field(name).field("reads"),
                "there is no replica; expected a [replica.NAME] with its address, or \"primary\"",
            );
        }
    }
}
