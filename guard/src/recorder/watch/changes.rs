//! What is not as it was: switches, the configuration, pauses, the limit, replicas, the database.

use std::{collections::BTreeMap, time::Instant};

use observe::counters::{Change, Role};
use policy::{limit::Report, switch::Switch};

use crate::{
    control::{EventKind, ReplicaStatus},
    engine::Engine,
    shared::Shared,
};

/// How it was when it was last looked at; what nobody has looked at is none.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// How often the policy was swapped is not counted, so which one it is: never read through.
    policy: Option<usize>,
    is_held: bool,
    is_draining: bool,
    is_lost: bool,
    /// Where the limit was, and how often it had been cut.
    limit: Option<(u32, u64)>,
    switches: Option<BTreeMap<String, String>>,
    replicas: BTreeMap<String, String>,
    role: Role,
    trouble: Option<String>,
}

type Events = Vec<(EventKind, String)>;

impl Changes {
    /// What may change at any moment.
    pub(super) fn at_once<E: Engine>(
        &mut self,
        shared: &Shared<E>,
        limit: Option<&Report>,
        is_lost: bool,
    ) -> Events {
        let mut events = Events::new();
        let policy = std::sync::Arc::as_ptr(&shared.policy.load()).addr();
        if self.policy.replace(policy).is_some_and(|before| before != policy) {
            events.push((EventKind::Reload, "the configuration was reloaded".into()));
        }
        let is_held = shared.gate.held().is_some();
        if std::mem::replace(&mut self.is_held, is_held) != is_held {
            let what = if is_held { "paused: new transactions are held" } else { "resumed" };
            events.push((EventKind::Pause, what.into()));
        }
        let is_draining = shared.is_draining();
        if std::mem::replace(&mut self.is_draining, is_draining) != is_draining {
            events.push((EventKind::Drain, "the guard shuts down".into()));
        }
        if std::mem::replace(&mut self.is_lost, is_lost) != is_lost {
            let what = if is_lost { "cannot be reached" } else { "can be reached again" };
            events.push((EventKind::Database, format!("the database {what}")));
        }
        let now = limit.map(|limit| (limit.limit, limit.cuts));
        if let (Some((from, cuts)), Some((to, cuts_now))) = (self.limit, now)
            && cuts_now > cuts
        {
            let what =
                format!("the limit was cut from {from} to {to}, because of locks or failures");
            events.push((EventKind::Limit, what));
        }
        self.limit = now;
        events
    }

    /// What is looked at once a second.
    pub(super) fn by_second<E: Engine>(&mut self, now: Instant, shared: &Shared<E>) -> Events {
        let mut events = Events::new();
        let switches = shared.switches.load();
        let switches = switches.list(now).map(|it| (it.target.to_string(), describe(it)));
        self.switches(switches.collect(), &mut events);
        if let Some(replicas) = &shared.replicas {
            for replica in replicas.all() {
                let Some(shown) = replicas.show(now, replica) else { continue };
                let ReplicaStatus { name, state, .. } = ReplicaStatus::of(replica, shown);
                self.replica(name, state, &mut events);
            }
        }
        let seen = shared.sight.seen();
        if let Some((_, counters)) = &seen.counters {
            self.role(counters.role, &mut events);
        }
        let trouble = seen.trouble.as_deref().map(str::to_owned);
        if trouble != self.trouble {
            let what = match &trouble {
                Some(trouble) => format!("the observer sees less: {trouble}"),
                None => "the observer sees all again".into(),
            };
            events.push((EventKind::Observer, what));
            self.trouble = trouble;
        }
        events
    }

    fn switches(&mut self, now: BTreeMap<String, String>, events: &mut Events) {
        // Those that are set from the start are no change.
        let before = self.switches.replace(now.clone()).unwrap_or_else(|| now.clone());
        let is_new = |(target, what): &(&String, &String)| before.get(*target) != Some(what);
        for (target, what) in now.iter().filter(is_new) {
            events.push((EventKind::Switch, format!("switch {target}: {what}")));
        }
        for target in before.keys().filter(|target| !now.contains_key(*target)) {
            events.push((EventKind::Switch, format!("switch {target}: on again")));
        }
    }

    fn replica(&mut self, name: String, state: String, events: &mut Events) {
        let before = self.replicas.insert(name.clone(), state.clone());
        if let Some(before) = before.filter(|before| *before != state) {
            let what = match (before == ReplicaStatus::FIT, state == ReplicaStatus::FIT) {
                (true, _) => format!("replica {name} leaves: {state}"),
                (_, true) => format!("replica {name} is read from again, after {before}"),
                _ => format!("replica {name}: {state}, no more {before}"),
            };
            events.push((EventKind::Replica, what));
        }
    }

    fn role(&mut self, now: Role, events: &mut Events) {
        let what = match now.change_since(std::mem::replace(&mut self.role, now)) {
            None => return,
            Some(Change::Restarted) => "the database was restarted, or is another one",
            Some(Change::TakesWrites) => "the database takes writes now",
            Some(Change::RefusesWrites) => "the database refuses writes now",
        };
        events.push((EventKind::Database, what.into()));
    }
}

/// A switch in words.
fn describe(switch: &Switch) -> String {
    let how = match switch.keep_ratio {
        0.0 => "off".to_owned(),
        ratio => format!("down to {:.0} in 100", ratio * 100.0),
    };
    let by =
        if switch.author.is_empty() { String::new() } else { format!(" by {}", switch.author) };
    let why = if switch.reason.is_empty() { String::new() } else { format!(": {}", switch.reason) };
    format!("{how}{by}{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: Events) -> Vec<String> {
        events.into_iter().map(|(_, what)| what).collect()
    }

    #[test]
    fn a_switch_is_told_when_it_is_set_changed_and_gone() {
        let mut changes = Changes::default();
        let mut tell = |set: &[(&str, &str)]| {
            let mut events = Events::new();
            let set = set.iter().map(|(target, what)| ((*target).into(), (*what).into()));
            changes.switches(set.collect(), &mut events);
            told(events)
        };
        assert_eq!(tell(&[("class a", "off")]), [""; 0], "from the start");
        assert_eq!(
            tell(&[("class a", "off"), ("kind ddl", "off by ann: 7")]),
            ["switch kind ddl: off by ann: 7"]
        );
        assert_eq!(
            tell(&[("kind ddl", "down to 20 in 100")]),
            ["switch kind ddl: down to 20 in 100", "switch class a: on again"]
        );
    }

    #[test]
    fn a_replica_that_leaves_and_returns_is_told() {
        let mut changes = Changes::default();
        let mut events = Events::new();
        for state in ["unknown", "fit", "fit", "slow", "silent", "fit"] {
            changes.replica("east".into(), state.into(), &mut events);
        }
        assert_eq!(
            told(events),
            [
                "replica east is read from again, after unknown",
                "replica east leaves: slow",
                "replica east: silent, no more slow",
                "replica east is read from again, after silent",
            ]
        );
    }

    #[test]
    fn a_database_that_changes_its_role_is_told_once() {
        let mut changes = Changes::default();
        let mut events = Events::new();
        for (uptime, is_read_only) in [(100, true), (101, true), (102, false), (3, false)] {
            let role = Role { uptime: Some(uptime), is_read_only: Some(is_read_only) };
            changes.role(role, &mut events);
        }
        assert_eq!(
            told(events),
            ["the database takes writes now", "the database was restarted, or is another one"]
        );
    }
}
