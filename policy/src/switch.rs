//! Switches: traffic turned off or down in the heat of an incident.
//!
//! A switch names what it turns down, how much of it is kept, for how long, why and by whom. The
//! caller throws the dice, so the same statement with the same dice is decided the same way.

use std::time::{Duration, Instant};

use crate::class::{ClassId, Mode, Policy};
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

    /// Refuses the statement if a switch turns it off, and tells how seriously: [`Mode::Enforce`], or
    /// [`Mode::Observe`] for what would have been refused. `dice` is uniform in 0..1.
    #[must_use]
    pub fn check(
        &self,
        now: Instant,
        policy: &Policy,
        facts: &Facts<'_>,
        class: ClassId,
        dice: f64,
    ) -> Option<(Mode, Refusal)> {
        let mode = policy.mode_of(class);
        if mode == Mode::Off {
            return None;
        }
        let class = &policy.class(class).name;
        let switch = self
            .list(now)
            .find(|switch| dice >= switch.keep_ratio && switch.target.matches(facts, class))?;
        Some((mode, switch.refusal(now, class, dice)))
    }

    /// The switch that forbids an application to write, told by its name alone: it is a class, a user, or the
    /// value of a tag `application` that is turned off or down. `dice` is uniform in 0..1.
    pub fn forbids(&self, now: Instant, application: &str, dice: f64) -> Option<&Switch> {
        self.list(now).find(|switch| {
            let names = match &switch.target {
                Target::Class(name) => name == application,
                Target::User(user) => user.matches(application.as_bytes()),
                Target::Tag(key, value) => {
                    key == "application" && value.matches(application.as_bytes())
                }
                Target::Table(_) | Target::Digest(_) | Target::Kind(_) => false,
            };
            names && dice >= switch.keep_ratio
        })
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
            held: Duration::ZERO,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Dialect, Scratch, Statements};

    const SQL: &[u8] = b"/*job='mail'*/ DELETE FROM orders WHERE id = 1";

    #[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
    fn start() -> Instant {
        Instant::now()
    }

    fn switch(target: Target) -> Switch {
        Switch {
            target,
            keep_ratio: 0.0,
            until: None,
            reason: "incident 7".to_owned(),
            author: "ann".to_owned(),
        }
    }

    /// What the switches say to one statement of user "app" and class "default".
    fn check(switches: &Switches, now: Instant, dice: f64) -> Option<Refusal> {
        check_in(Mode::Enforce, switches, now, dice).map(|(_, refusal)| refusal)
    }

    fn check_in(
        mode: Mode,
        switches: &Switches,
        now: Instant,
        dice: f64,
    ) -> Option<(Mode, Refusal)> {
        let mut scratch = Scratch::default();
        let shape = Statements::new(1).judge(SQL, Dialect::default(), &mut scratch);
        let facts = Facts {
            shape: &shape,
            sql: SQL,
            scratch: &scratch,
            attributes: &[],
            user: "app",
            database: "shop",
            client: [127, 0, 0, 1].into(),
        };
        let policy = Policy { mode, ..Policy::default() };
        switches.check(now, &policy, &facts, ClassId::DEFAULT, dice)
    }

    #[test]
    fn a_switch_turns_off_what_it_targets() {
        let now = start();
        for (target, expect) in [
            (Target::Class("default".to_owned()), true),
            (Target::Class("batch".to_owned()), false),
            (Target::Tag("job".to_owned(), Pattern::new("m*")), true),
            (Target::Tag("job".to_owned(), Pattern::new("x")), false),
            (Target::User(Pattern::new("app")), true),
            (Target::Table(Pattern::new("shop.orders")), true),
            (Target::Table(Pattern::new("items")), false),
            (Target::Digest(Digest(1)), false),
            (Target::Kind(Kind::Delete), true),
            (Target::Kind(Kind::Update), false),
        ] {
            let mut switches = Switches::default();
            switches.set(now, switch(target.clone())).unwrap();
            assert_eq!(check(&switches, now, 0.5).is_some(), expect, "{target}");
            assert!(switches.clear(&target).is_some());
            assert_eq!(check(&switches, now, 0.5), None);
        }
    }

    #[test]
    fn invariant_11_a_switch_refuses_only_where_limits_are_enforced() {
        let now = start();
        let mut switches = Switches::default();
        switches.set(now, switch(Target::User(Pattern::new("app")))).unwrap();
        assert_eq!(check_in(Mode::Off, &switches, now, 0.5), None);
        for mode in [Mode::Observe, Mode::Enforce] {
            let told = check_in(mode, &switches, now, 0.5).map(|(mode, _)| mode);
            assert_eq!(told, Some(mode), "what would be refused is told as such");
        }
    }

    #[test]
    fn a_switch_keeps_its_share() {
        let mut switches = Switches::default();
        let half = Switch { keep_ratio: 0.5, ..switch(Target::Kind(Kind::Delete)) };
        switches.set(start(), half).unwrap();
        let refused =
            (0..100).filter(|n| check(&switches, start(), f64::from(*n) / 100.0).is_some());
        assert_eq!(refused.count(), 50);
        let all = Switch { keep_ratio: 1.0, ..switch(Target::Kind(Kind::Delete)) };
        switches.set(start(), all).unwrap();
        assert_eq!(check(&switches, start(), 0.999), None);
    }

    #[test]
    fn a_switch_ends_by_itself() {
        let now = start();
        let mut switches = Switches::default();
        let until = now + Duration::from_millis(300);
        let brief = Switch { until: Some(until), ..switch(Target::Kind(Kind::Delete)) };
        switches.set(now, brief).unwrap();
        let refusal = check(&switches, now, 0.9).unwrap();
        assert_eq!(refusal.retry_after, Duration::from_millis(300));
        assert_eq!(refusal.note.as_deref(), Some("incident 7 by ann"));
        assert_eq!(switches.list(until).count(), 0);
        assert_eq!(check(&switches, until, 0.9), None);
    }

    #[test]
    fn the_number_of_switches_is_bounded() {
        let now = start();
        let mut switches = Switches::default();
        let digest = |n| Target::Digest(Digest(n));
        for n in 0..SWITCHES_MAX as u64 {
            let until = Some(now + Duration::from_secs(n + 1));
            switches.set(now, Switch { until, ..switch(digest(n)) }).unwrap();
        }
        assert_eq!(switches.set(now, switch(digest(999))), Err(TooManySwitches));
        // One that is there already is replaced, and an expired one gives its place away.
        assert_eq!(switches.set(now, switch(digest(5))), Ok(()));
        let later = now + Duration::from_secs(1);
        assert_eq!(switches.set(later, switch(digest(999))), Ok(()));
    }

    #[test]
    fn an_application_is_forbidden_to_write_by_its_class_its_user_or_its_tag() {
        let now = start();
        let targets = [
            Target::Class("gh-ost".into()),
            Target::User(Pattern::new("gh-*")),
            Target::Tag("application".into(), Pattern::new("gh-ost")),
        ];
        for target in targets {
            let mut switches = Switches::default();
            switches.set(now, Switch { keep_ratio: 0.5, ..switch(target) }).unwrap();
            assert!(switches.forbids(now, "gh-ost", 0.7).is_some());
            assert!(switches.forbids(now, "gh-ost", 0.3).is_none(), "half of them may");
            assert!(switches.forbids(now, "archive", 0.7).is_none());
        }
        let mut switches = Switches::default();
        switches.set(now, switch(Target::Kind(Kind::Delete))).unwrap();
        assert!(switches.forbids(now, "gh-ost", 0.7).is_none());
    }
}
