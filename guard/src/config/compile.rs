//! From what the operator wrote to what the policy decides with.

use std::num::NonZeroU32;

use policy::class::{self, ClassId, Policy, Rate, TimeLimits};
use policy::ddl;
use policy::hot;
use policy::limit;
use policy::melt;
use policy::rule::{Match, Pattern, RuleSet};
use policy::switch;

use super::queue::percent;
use super::{Class, Config, DEFAULT_CLASS, Limits, Mode, Rule, Switch};

impl Config {
    /// The policy of this configuration. Class `default` comes first, the others by name.
    pub fn policy(&self) -> Policy {
        let names = self.class_names();
        let class_id = |name: &str| {
            let index = names.iter().position(|known| *known == name);
            index.and_then(|index| u16::try_from(index).ok()).map_or(ClassId::DEFAULT, ClassId)
        };
        Policy {
            mode: self.guard.mode.into(),
            classes: names.iter().map(|name| class(name, &self.classes[*name])).collect(),
            databases: self
                .databases
                .iter()
                .map(|(name, own)| (name.clone(), own.into()))
                .collect(),
            overall: (&self.overall).into(),
            connections: Some(self.upstream.connections),
            limit: self.adaptive(),
            melt: self.melting(),
            hot: self.hot_rows(),
            ddl: self.wanted_tables(),
            tenants: self.tenants.to_policy(),
            retries: self.retries.to_policy(),
            rules: RuleSet::new(
                self.rules
                    .iter()
                    .map(|rule| policy::rule::Rule {
                        name: rule.name.clone(),
                        matcher: matcher(rule),
                        class: class_id(&rule.class),
                    })
                    .collect(),
            ),
        }
    }

    /// What is decided about replicas.
    pub fn replica_policy(&self) -> policy::replica::Config {
        self.routing.to_policy()
    }

    fn adaptive(&self) -> limit::Config {
        let max = self.limit.max.map_or(self.upstream.connections, NonZeroU32::get);
        let start = self.limit.start.get();
        limit::Config { mode: self.limit.mode.into(), start, max, ..limit::Config::default() }
    }

    fn melting(&self) -> melt::Config {
        let own = &self.melt;
        melt::Config {
            mode: own.mode.into(),
            others: own.others,
            behind_min: usize::try_from(own.waiters_min.get()).unwrap_or(usize::MAX),
            age_min: own.age_min,
            ..melt::Config::default()
        }
    }

    fn hot_rows(&self) -> hot::Config {
        let own = &self.hot;
        hot::Config {
            mode: own.mode.into(),
            width: own.width.get(),
            parked_max: own.parked,
            parked_all_max: own.parked_all,
        }
    }

    fn wanted_tables(&self) -> ddl::Config {
        let own = &self.ddl;
        ddl::Config { mode: own.mode.into(), time: own.time, parked_max: own.parked }
    }

    /// The names of the classes in the order of their [`ClassId`]s.
    pub fn class_names(&self) -> Vec<&str> {
        let others = self.classes.keys().map(String::as_str).filter(|name| *name != DEFAULT_CLASS);
        [DEFAULT_CLASS].into_iter().chain(others).collect()
    }

    /// The switches that are on from the start.
    pub fn initial_switches(&self) -> impl Iterator<Item = switch::Switch> {
        self.switches.iter().map(Switch::to_policy)
    }
}

impl Switch {
    fn to_policy(&self) -> switch::Switch {
        switch::Switch {
            target: self.target.0.clone(),
            keep_ratio: self.keep_ratio,
            until: None,
            reason: self.reason.clone(),
            author: "configuration".into(),
        }
    }
}

impl From<Mode> for class::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Off => Self::Off,
            Mode::Observe => Self::Observe,
            Mode::Enforce => Self::Enforce,
        }
    }
}

impl From<&Limits> for class::Limits {
    fn from(limits: &Limits) -> Self {
        Self {
            in_flight: limits.in_flight.map(NonZeroU32::get),
            connections: limits.connections.map(NonZeroU32::get),
            rate: rate(limits.rate, limits.burst),
            queue_length: limits.queue_length,
            queue_time: limits.queue_time,
            ..Self::default()
        }
    }
}

fn class(name: &str, own: &Class) -> class::Class {
    class::Class {
        name: name.into(),
        mode: own.mode.into(),
        limits: class::Limits {
            in_flight: own.in_flight.map(NonZeroU32::get),
            connections: own.connections.map(NonZeroU32::get),
            rate: rate(own.rate, own.burst),
            queue_length: own.queue_length,
            queue_time: own.queue_time,
            queue_target: own.queue_target,
            deadline: own.deadline,
            cap: own.cap.map(percent),
        },
        share: own.share,
        sheddable: own.sheddable,
        reads: own.reads.into(),
        times: TimeLimits {
            statement: own.statement_time,
            transaction: own.transaction_time,
            idle_in_transaction: own.idle_in_transaction_time,
            lock_wait: own.lock_wait_time,
        },
    }
}

fn rate(per_second: Option<NonZeroU32>, burst: Option<NonZeroU32>) -> Option<Rate> {
    per_second.map(|per_second| Rate { per_second, burst: burst.unwrap_or(per_second) })
}

fn matcher(rule: &Rule) -> Match {
    Match {
        digest: rule.digest.map(|digest| digest.0),
        kind: rule.kind.iter().map(|kind| kind.0).collect(),
        table: rule.table.iter().map(|table| Pattern::new(table)).collect(),
        tag: rule.tag.iter().map(|(key, value)| (key.clone(), Pattern::new(value))).collect(),
        user: rule.user.as_deref().map(Pattern::new),
        database: rule.database.as_deref().map(Pattern::new),
        network: rule.network.iter().map(|network| network.0).collect(),
    }
}
