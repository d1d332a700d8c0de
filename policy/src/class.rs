//! Classes: what statements share a limit, and which limits there are.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::admission::About;
use crate::ddl;
use crate::deadline;
use crate::hot;
use crate::limit;
use crate::melt;
use crate::retry::{self, Asker};
use crate::rule::{Facts, RuleSet};
use crate::tenant;

/// Index of a class in [`Policy::classes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ClassId(pub u16);

impl ClassId {
    /// The class of every statement that no rule matches.
    pub const DEFAULT: Self = Self(0);
}

/// Index of a database with limits of its own in [`Policy::databases`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatabaseId(pub u16);

/// How far a feature may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Mode {
    /// Nothing is decided; only what is in flight is counted.
    Off,
    /// Everything is admitted; what would have happened is counted.
    Observe,
    /// Limits hold.
    #[default]
    Enforce,
}

/// At most so many transactions a second, after an initial burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Transactions a second in the long run.
    pub per_second: NonZeroU32,
    /// Transactions that may start at once after a quiet period.
    pub burst: NonZeroU32,
}

/// The limits of one class, of one database, or of everything together. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Transactions admitted and not finished.
    pub in_flight: Option<u32>,
    /// Upstream connections in use, those of pinned sessions included.
    pub connections: Option<u32>,
    /// Transactions a second. A transaction above it is refused, it does not wait.
    pub rate: Option<Rate>,
    /// Tickets that may wait. In a class, 0 means that its transactions never wait; in a database
    /// or overall, that they do not wait for these limits.
    pub queue_length: u32,
    /// Longest wait of a ticket; 0 means the same as a queue length of 0.
    pub queue_time: Duration,
    /// Of a class, under the limit that finds its place by itself: the wait that its queue is kept to
    /// once it stands, as long as a few are at hand.
    pub queue_target: Duration,
    /// Of a class: the time in which a client that says nothing else needs its answer, waiting
    /// included. What cannot be done in it is refused and not begun.
    pub deadline: Option<Duration>,
    /// Of a class: the percentage of what may run at once, whatever sets that, that it may take. Where
    /// nothing sets that, it is not kept.
    pub cap: Option<u8>,
}

/// How long a transaction and its parts may take. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeLimits {
    /// One statement, from the moment it is sent upstream to the end of its reply.
    pub statement: Option<Duration>,
    /// One transaction, from its first statement to the end of COMMIT or ROLLBACK.
    pub transaction: Option<Duration>,
    /// Silence of the client inside a transaction.
    pub idle_in_transaction: Option<Duration>,
    /// Waiting for one row lock, kept by the server (`innodb_lock_wait_timeout`).
    pub lock_wait: Option<Duration>,
}

/// Where reads run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ReadsFrom {
    /// On the primary.
    #[default]
    Primary,
    /// On replicas, where that is safe.
    Replicas,
}

/// What shares one set of limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Name in configuration, metrics and refusals.
    pub name: String,
    /// How far its limits may go; never further than [`Policy::mode`].
    pub mode: Mode,
    /// Limits on how many.
    pub limits: Limits,
    /// Its share of the room that it and others wait for, against theirs, in work.
    pub share: NonZeroU32,
    /// Whether it is refused first, when the database is in trouble.
    pub sheddable: bool,
    /// Where its reads run.
    pub reads: ReadsFrom,
    /// Limits on how long.
    pub times: TimeLimits,
}

impl Class {
    /// The share of a class that asks for no other: there is room for smaller ones.
    pub const SHARE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

    /// What it weighs against a class that asks for no share: 1 with the same.
    #[must_use]
    pub fn weight(&self) -> f64 {
        f64::from(self.share.get()) / f64::from(Self::SHARE.get())
    }

    /// The class called "default", without limits.
    #[must_use]
    pub fn unlimited() -> Self {
        Self {
            name: "default".to_owned(),
            mode: Mode::Enforce,
            limits: Limits::default(),
            share: Self::SHARE,
            sheddable: false,
            reads: ReadsFrom::Primary,
            times: TimeLimits::default(),
        }
    }
}

/// Everything the operator decided. Built once from the configuration and swapped whole.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Ceiling for the mode of every class, and the mode of the database and overall limits.
    pub mode: Mode,
    /// Classes by [`ClassId`]; the first is "default" and always there.
    pub classes: Vec<Class>,
    /// Databases (schemas) with limits of their own, by [`DatabaseId`].
    pub databases: Vec<(String, Limits)>,
    /// Limits of everything together; its queue length bounds all queues together.
    pub overall: Limits,
    /// How many upstream connections there are. That is no decision of the operator's alone, so it
    /// holds in every mode: who finds none waits as for an overall limit. `None`: no bound.
    pub connections: Option<u32>,
    /// The limit that finds its place by itself, over everything together.
    pub limit: limit::Config,
    /// How pile-ups are undone.
    pub melt: melt::Config,
    /// How rows are dealt with that everybody wants.
    pub hot: hot::Config,
    /// How tables are dealt with that a statement waits to have for itself.
    pub ddl: ddl::Config,
    /// Which statement belongs to which class.
    pub rules: RuleSet,
    /// How tenants are told apart and treated.
    pub tenants: tenant::Config,
    /// What is done about those that come again after they were refused.
    pub retries: retry::Config,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            classes: vec![Class::unlimited()],
            databases: Vec::new(),
            overall: Limits::default(),
            connections: None,
            limit: limit::Config::default(),
            melt: melt::Config::default(),
            hot: hot::Config::default(),
            ddl: ddl::Config::default(),
            rules: RuleSet::default(),
            tenants: tenant::Config::default(),
            retries: retry::Config::default(),
        }
    }
}

impl Policy {
    /// The class of a statement, and the index of the rule that chose it.
    #[must_use]
    pub fn classify(&self, facts: &Facts<'_>) -> (ClassId, Option<usize>) {
        self.rules.classify(facts)
    }

    /// What is known of the work that a statement begins, but for who asks, and whether it is alone.
    #[must_use]
    pub fn about(&self, facts: &Facts<'_>) -> About {
        About {
            digest: facts.shape.digest,
            reads_only: false,
            deadline: deadline::asked(facts),
            waited: Duration::ZERO,
            tenant: self.tenants.tenant(facts),
            asker: Asker::default(),
        }
    }

    /// The class with this id, or the default class when the id is of an older policy.
    ///
    /// # Panics
    /// When there is no class at all, which the configuration cannot express.
    #[must_use]
    pub fn class(&self, id: ClassId) -> &Class {
        self.classes.get(usize::from(id.0)).unwrap_or(&self.classes[0])
    }

    /// The id of the class with this name.
    #[must_use]
    pub fn class_named(&self, name: &str) -> Option<ClassId> {
        let index = self.classes.iter().position(|class| class.name == name)?;
        u16::try_from(index).ok().map(ClassId)
    }

    /// The id of a database that has limits of its own.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<DatabaseId> {
        let index = self.databases.iter().position(|(known, _)| known == name)?;
        u16::try_from(index).ok().map(DatabaseId)
    }

    /// The policy of a replica's own gate: the limits of classes hold there as well, each by itself; those of
    /// everything together are the primary's, but for its queue.
    #[must_use]
    pub fn of_replica(&self, connections: u32) -> Self {
        let Limits { queue_length, queue_time, .. } = self.overall;
        Self {
            databases: Vec::new(),
            overall: Limits { queue_length, queue_time, ..Limits::default() },
            connections: Some(connections),
            limit: limit::Config::default(),
            ..self.clone()
        }
    }

    /// How far the limits of this class go: its own mode, at most the policy's.
    #[must_use]
    pub fn mode_of(&self, id: ClassId) -> Mode {
        self.class(id).mode.min(self.mode)
    }
}
