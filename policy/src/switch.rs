//! Switches: traffic turned off or down in the heat of an incident.
//!
//! A switch names what it turns down, how much of it is kept, for how long, why and by whom. The
//! caller throws the dice, so the same statement with the same dice is decided the same way.

use std::time::{Duration, Instant};

use crate::class::{ClassId, Policy};
use crate::refusal::{Reason, Refusal, Scope, retry_after};
use crate::rule::{Facts, Pattern};
use crate::sql::{Digest, Kind};

/// Most switches that can be set at a time; more are refused, because each is tried in turn.
pub const SWITCHES_MAX: usize = 64;

/// What a switch turns down.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// Statements of the class of this name.
    Class(String),
    /// Statements with a tag or query attribute of this name whose value fits.
    Tag(String, Pattern),
    /// Statements of users that fit.
    User(Pattern),
    /// Statements that use a table that fits.
    Table(Pattern),
    /// Statements with this digest.
    Digest(Digest),
    /// Statements of this kind.
    Kind(Kind),
}

/// Traffic turned off or down.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    /// Which traffic.
    pub target: Target,
    /// The share that may still pass, 0 (nothing) to 1 (everything).
    pub keep_ratio: f64,
    /// When it ends by itself; `None` stays until cleared.
    pub until: Option<Instant>,
    /// Why, in the words of who set it.
    pub reason: String,
    /// Who set it.
    pub author: String,
}

/// More than [`SWITCHES_MAX`] switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{SWITCHES_MAX} switches are set already; clear one first")]
pub struct TooManySwitches;

/// The switches that are set.
#[derive(Debug, Clone, Default)]
pub struct Switches {
    set: Vec<Switch>,
}

impl Switches {
    /// Sets a switch, in place of an earlier one with the same target.
    ///
    /// # Errors
    /// When [`SWITCHES_MAX`] others are set and unexpired.
    pub fn set(&mut self, now: Instant, switch: Switch) -> Result<(), TooManySwitches> {
        self.set.retain(|old| old.is_set(now) && old.target != switch.target);
        if self.set.len() >= SWITCHES_MAX {
            return Err(TooManySwitches);
        }
        self.set.push(switch);
        Ok(())
    }

    /// Clears the switch with this target; `None` when there was none.
    pub fn clear(&mut self, target: &Target) -> Option<Switch> {
        let index = self.set.iter().position(|switch| switch.target == *target)?;
        Some(self.set.remove(index))
    }

    /// The switches that are set and have not expired, oldest first.
    pub fn list(&self, now: Instant) -> impl Iterator<Item = &Switch> {
        self.set.iter().filter(move |switch| switch.is_set(now))
    }

    /// Refuses the statement if a switch turns it off. `dice` is uniform in 0..1.
    #[must_use]
    pub fn check(
        &self,
        now: Instant,
        policy: &Policy,
        facts: &Facts<'_>,
        class: ClassId,
        dice: f64,
    ) -> Option<Refusal> {
        let class = &policy.class(class).name;
        let switch = self
            .list(now)
            .find(|switch| dice >= switch.keep_ratio && switch.target.matches(facts, class))?;
        Some(switch.refusal(now, class, dice))
    }
}

impl Switch {
    fn is_set(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Clients come back when the switch ends, or as for a rejection of everything it drops.
    fn refusal(&self, now: Instant, class: &str, dice: f64) -> Refusal {
        let hint = retry_after(1.0 - self.keep_ratio, dice);
        let left = self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(now));
        Refusal {
            reason: Reason::Switch,
            class: class.into(),
            scope: Scope::Switch(self.target.to_string().into()),
            limit_name: "keep_ratio",
            limit: self.keep_ratio,
            measured: dice,
            retry_after: hint.min(left.max(crate::refusal::RETRY_AFTER_MIN)),
            note: Some(format!("{} by {}", self.reason, self.author).into()),
        }
    }
}

// === impl Target ===

impl Target {
    fn matches(&self, facts: &Facts<'_>, class: &str) -> bool {
        match self {
            Self::Class(name) => name == class,
            Self::Tag(key, value) => facts.has_tag(key.as_bytes(), value),
            Self::User(user) => user.matches(facts.user.as_bytes()),
            Self::Table(table) => facts.has_table(table),
            Self::Digest(digest) => facts.shape.digest == *digest,
            Self::Kind(kind) => facts.shape.kind == *kind,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Class(name) => write!(f, "class {name}"),
            Self::Tag(key, value) => write!(f, "tag {key}={}", value.as_str()),
            Self::User(user) => write!(f, "user {}", user.as_str()),
            Self::Table(table) => write!(f, "table {}", table.as_str()),
            Self::Digest(digest) => write!(f, "digest {digest}"),
            Self::Kind(kind) => write!(f, "kind {kind}"),
        }
    }
}
