//! What a client is told when its statement may not run.
//!
//! A refusal names the limit, its value, what was measured and what changes it, and it carries a
//! retry hint. Which error code goes with it is the protocol's business, not decided here.

use std::fmt;
use std::time::Duration;

use crate::deadline;

/// Why a statement was refused or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No room, and waiting is not configured (`queue_length` or `queue_time` is 0).
    InFlight,
    /// No upstream connection within the limit, and waiting is not configured.
    Connections,
    /// The queue is as long as it may be.
    QueueFull,
    /// The ticket waited as long as it may.
    QueueTime,
    /// The queue stands, and the ticket would wait, or has waited, longer than it is to.
    QueueTarget,
    /// It could not be done in the time in which its client needs it.
    Deadline,
    /// It comes again after it was refused, beyond the budget for that, and there is no room.
    Retries,
    /// More transactions a second than allowed.
    Rate,
    /// A switch turns this traffic off or down.
    Switch,
    /// No connection to the database can be had.
    Upstream,
    /// The guard is paused, and holds as many as it may.
    Paused,
    /// Too many wait for the same row, or this one has waited for it as long as it may.
    HotKey,
    /// Somebody wants a table for himself, and too many wait for that to be over, or this one has waited
    /// for it as long as it may.
    Ddl,
    /// Much of what is open waits for locks; nothing new may be added to it.
    Melt,
    /// No replica is fit for this read.
    Replica,
}

impl Reason {
    /// Every reason, for metrics that make one handle each.
    pub const ALL: [Self; 15] = [
        Self::InFlight,
        Self::Connections,
        Self::QueueFull,
        Self::QueueTime,
        Self::QueueTarget,
        Self::Deadline,
        Self::Retries,
        Self::Rate,
        Self::Switch,
        Self::Upstream,
        Self::Paused,
        Self::HotKey,
        Self::Ddl,
        Self::Melt,
        Self::Replica,
    ];

    /// The name in refusals, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Connections => "connections",
            Self::QueueFull => "queue_full",
            Self::QueueTime => "queue_time",
            Self::QueueTarget => "queue_target",
            Self::Deadline => "deadline",
            Self::Retries => "retries",
            Self::Rate => "rate",
            Self::Switch => "switch",
            Self::Upstream => "upstream",
            Self::Paused => "paused",
            Self::HotKey => "hot_key",
            Self::Ddl => "ddl",
            Self::Melt => "melt",
            Self::Replica => "replica",
        }
    }
}

/// Whose limit it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The limit of the class of this name.
    Class(Box<str>),
    /// The limit of the database of this name.
    Database(Box<str>),
    /// The limit of everything together.
    Overall,
    /// The limit that finds its place by itself.
    Limit,
    /// What there is of the database.
    Upstream,
    /// The gate of a row that everybody wants.
    Hot,
    /// What keeps others from a table that somebody wants for himself.
    Ddl,
    /// The pause that there is.
    Pause,
    /// The client's own, in a tag.
    Tag,
    /// That of retries.
    Retries,
    /// That of each tenant.
    Tenants,
    /// The pile-up that is being undone.
    Melt,
    /// What makes a replica good enough.
    Routing,
    /// The switch described like this, e.g. `tag job=reminders`.
    Switch(Box<str>),
}

/// Why a statement may not run, in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The class of the statement.
    pub class: Box<str>,
    /// Whose limit it was; not always the class's.
    pub scope: Scope,
    /// The setting that was reached, e.g. `queue_length`; part of the key that changes it.
    pub limit_name: &'static str,
    /// Its value, in the unit of the setting; durations in seconds.
    pub limit: f64,
    /// What was measured, in the same unit.
    pub measured: f64,
    /// When to try again.
    pub retry_after: Duration,
    /// How long the refusal is to be held back, from a client that comes again at once.
    pub held: Duration,
    /// Who set the switch and why, for [`Reason::Switch`]; who wants which table, for [`Reason::Ddl`].
    pub note: Option<Box<str>>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tidegate: shed class={} reason={} limit={} measured={} retry_after_ms={} \
             changed_by=",
            self.class,
            self.reason.as_str(),
            self.limit,
            self.measured,
            self.retry_after.as_millis(),
        )?;
        match &self.scope {
            Scope::Class(name) => write!(f, "class.{name}.{}", self.limit_name)?,
            Scope::Database(name) => write!(f, "database.{name}.{}", self.limit_name)?,
            Scope::Overall => write!(f, "overall.{}", self.limit_name)?,
            Scope::Limit => write!(f, "limit.{}", self.limit_name)?,
            Scope::Hot => write!(f, "hot.{}", self.limit_name)?,
            Scope::Ddl => write!(f, "ddl.{}", self.limit_name)?,
            Scope::Upstream => write!(f, "upstream.{}", self.limit_name)?,
            Scope::Pause => f.write_str("resume")?,
            Scope::Retries => write!(f, "retries.{}", self.limit_name)?,
            Scope::Tenants => write!(f, "tenants.{}", self.limit_name)?,
            Scope::Tag => write!(f, "tag {}", deadline::TAG)?,
            Scope::Melt => write!(f, "melt.{}", self.limit_name)?,
            Scope::Routing => write!(f, "routing.{}", self.limit_name)?,
            Scope::Switch(target) => write!(f, "switch {target}")?,
        }
        match &self.note {
            Some(note) => write!(f, " ({note})"),
            None => Ok(()),
        }
    }
}

/// Lower bound of [`retry_after`].
pub const RETRY_AFTER_MIN: Duration = Duration::from_millis(50);
/// Upper bound of [`retry_after`].
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// When a refused client should come back, so that retried load is about the capacity.
///
/// `rejection_ratio` is refused over offered during the last second, `dice` is uniform in 0..1 and
/// keeps clients that were refused together from coming back together. Both are clamped.
#[must_use]
pub fn retry_after(rejection_ratio: f64, dice: f64) -> Duration {
    let admitted = (1.0 - rejection_ratio.clamp(0.0, 1.0)).max(f64::EPSILON);
    let middle =
        (0.2 / admitted).clamp(RETRY_AFTER_MIN.as_secs_f64(), RETRY_AFTER_MAX.as_secs_f64());
    Duration::from_secs_f64(middle * (0.5 + dice.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_grows_with_what_is_refused_and_is_spread() {
        for (ratio, dice, expect_ms) in [
            (0.0, 0.5, 200),
            (0.5, 0.5, 400),
            (0.99, 0.5, 20_000),
            (1.0, 0.5, 30_000),
            (0.0, 0.0, 100),
            (0.0, 1.0, 300),
            (f64::INFINITY, -1.0, 15_000),
            (-5.0, 9.0, 300),
        ] {
            let hint = retry_after(ratio, dice).as_secs_f64() * 1000.0;
            assert!((hint - f64::from(expect_ms)).abs() < 1.0, "{ratio} {dice}: {hint}");
        }
    }

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }

    #[test]
    fn a_refusal_names_what_changes_it() {
        let refusal = Refusal {
            reason: Reason::Switch,
            class: "batch".into(),
            scope: Scope::Switch("tag job=mail*".into()),
            limit_name: "keep_ratio",
            limit: 0.25,
            measured: 0.5,
            retry_after: Duration::from_millis(1840),
            held: Duration::ZERO,
            note: Some("incident 7 by ann".into()),
        };
        assert_eq!(
            refusal.to_string(),
            "tidegate: shed class=batch reason=switch limit=0.25 measured=0.5 \
             retry_after_ms=1840 changed_by=switch tag job=mail* (incident 7 by ann)"
        );
        let overall = Refusal {
            reason: Reason::QueueTime,
            scope: Scope::Overall,
            limit_name: "queue_time",
            note: None,
            ..refusal
        };
        assert!(overall.to_string().ends_with("changed_by=overall.queue_time"));
    }
}
