//! What holds after any sequence of arrivals, ends, departures, time and reloads.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// One thing that happens; the numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Arrive { class: u16, database: Option<u16>, needs_connection: bool, may_hold_locks: bool },
    Finish(usize),
    PinAndFinish(usize),
    Unpin(usize),
    Abandon(usize),
    Pass(u64),
    Reconfigure(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0..4_u16, prop::option::of(0..3_u16), prop::bool::weighted(0.8), prop::bool::weighted(0.1))
            .prop_map(|(class, database, needs_connection, may_hold_locks)| Step::Arrive {
                class, database, needs_connection, may_hold_locks
            }),
        6 => any::<usize>().prop_map(Step::Finish),
        1 => any::<usize>().prop_map(Step::PinAndFinish),
        1 => any::<usize>().prop_map(Step::Unpin),
        2 => any::<usize>().prop_map(Step::Abandon),
        2 => (0..80_u64).prop_map(Step::Pass),
        1 => any::<usize>().prop_map(Step::Reconfigure),
    ];
    prop::collection::vec(step, 1..150)
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let number = || prop::option::of(0..4_u32);
    (number(), number(), 0..4_u32, 0..100_u64).prop_map(
        |(in_flight, connections, queue_length, queue_ms)| Limits {
            in_flight,
            connections,
            rate: None,
            queue_length,
            queue_time: ms(queue_ms),
            ..Limits::default()
        },
    )
}

fn any_mode() -> impl Strategy<Value = Mode> {
    prop_oneof![4 => Just(Mode::Enforce), 1 => Just(Mode::Observe), 1 => Just(Mode::Off)]
}

/// "default" and some other classes and databases, in any order.
fn any_policy() -> impl Strategy<Value = Policy> {
    let names = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let len = names.len();
        prop::sample::subsequence(names, 0..=len).prop_shuffle()
    };
    let classes = (names(&["a", "b", "c"]), prop::collection::vec((any_mode(), any_limits()), 4));
    let databases = (names(&["x", "y"]), prop::collection::vec(any_limits(), 2));
    (any_mode(), any_limits(), classes, databases).prop_map(
        |(mode, overall, classes, databases)| {
            let names = std::iter::once("default".to_owned()).chain(classes.0);
            let classes = names.zip(classes.1).map(|(name, (mode, limits))| Class {
                name,
                mode,
                limits,
                ..Class::unlimited()
            });
            Policy {
                mode,
                classes: classes.collect(),
                databases: databases.0.into_iter().zip(databases.1).collect(),
                overall,
                ..Policy::default()
            }
        },
    )
}

/// Whose limits something counts against, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Class(String),
    Database(String),
    Overall,
}

#[derive(Debug, Clone)]
struct Claim {
    scopes: Vec<Scope>,
    needs_connection: bool,
    deadline: Instant,
}

/// What must be true, kept independently of the code under test.
struct Model {
    admission: Admission,
    policy: Policy,
    now: Instant,
    running: Vec<(Claim, Admitted, bool)>,
    pinned: Vec<(Claim, Pinned)>,
    waiting: BTreeMap<Ticket, Claim>,
    arrived: usize,
    ended: usize,
}

impl Model {
    fn new(policy: Policy) -> Self {
        let now = start();
        Self {
            admission: Admission::new(now, Arc::new(policy.clone())),
            policy,
            now,
            running: Vec::new(),
            pinned: Vec::new(),
            waiting: BTreeMap::new(),
            arrived: 0,
            ended: 0,
        }
    }

    /// The mode and the limits of a scope.
    fn limits(&self, scope: &Scope) -> (Mode, Limits) {
        match scope {
            Scope::Class(name) => {
                let id = self.policy.class_named(name).unwrap_or(ClassId::DEFAULT);
                (self.policy.mode_of(id), self.policy.class(id).limits)
            }
            Scope::Database(name) => {
                let found = self.policy.databases.iter().find(|(known, _)| known == name);
                (self.policy.mode, found.map_or(Limits::default(), |(_, limits)| *limits))
            }
            Scope::Overall => (self.policy.mode, self.policy.overall),
        }
    }

    /// The limits of a scope when they are enforced.
    fn enforced(&self, scope: &Scope) -> Option<Limits> {
        let (mode, limits) = self.limits(scope);
        (mode == Mode::Enforce).then_some(limits)
    }

    fn queued(&self, scope: &Scope) -> usize {
        self.waiting.values().filter(|claim| claim.scopes.contains(scope)).count()
    }

    /// Whether no queue the claim stands in is longer than it may be.
    fn within_queues(&self, claim: &Claim) -> bool {
        claim.scopes.iter().all(|scope| {
            let length = self.limits(scope).1.queue_length as usize;
            length == 0 || self.queued(scope) <= length
        })
    }

    fn in_flight(&self, scope: &Scope) -> usize {
        self.running.iter().filter(|(claim, _, _)| claim.scopes.contains(scope)).count()
    }

    fn connections(&self, scope: &Scope) -> usize {
        let running = self.running.iter().filter(|(_, _, connection)| *connection);
        let claims = running.map(|(claim, _, _)| claim).chain(self.pinned.iter().map(|(c, _)| c));
        claims.filter(|claim| claim.scopes.contains(scope)).count()
    }

    /// Whether every enforced limit admits one more of this claim.
    fn has_room(&self, claim: &Claim) -> bool {
        claim.scopes.iter().all(|scope| {
            self.enforced(scope).is_none_or(|limits| {
                limits.in_flight.is_none_or(|limit| self.in_flight(scope) < limit as usize)
                    && (!claim.needs_connection
                        || limits
                            .connections
                            .is_none_or(|limit| self.connections(scope) < limit as usize))
            })
        })
    }

    fn within_limits(&self, claim: &Claim) -> bool {
        claim.scopes.iter().all(|scope| {
            self.enforced(scope).is_none_or(|limits| {
                limits.in_flight.is_none_or(|limit| self.in_flight(scope) <= limit as usize)
                    && (!claim.needs_connection
                        || limits
                            .connections
                            .is_none_or(|limit| self.connections(scope) <= limit as usize))
            })
        })
    }

    /// The queue times that are set for a claim bound its wait.
    fn claim(&self, class: u16, database: Option<u16>, needs_connection: bool) -> (Claim, Arrival) {
        let class = class % u16::try_from(self.policy.classes.len()).unwrap();
        let named = &self.policy.classes[usize::from(class)];
        let database = database.filter(|id| usize::from(*id) < self.policy.databases.len());
        let mut scopes = vec![Scope::Class(named.name.clone()), Scope::Overall];
        let mut times = vec![named.limits.queue_time, self.policy.overall.queue_time];
        if let Some(id) = database {
            let (name, limits) = &self.policy.databases[usize::from(id)];
            scopes.push(Scope::Database(name.clone()));
            times.push(limits.queue_time);
        }
        let shortest = times.into_iter().filter(|time| *time > Duration::ZERO).min();
        let deadline = self.now + shortest.unwrap_or_default();
        let arrival = Arrival {
            class: ClassId(class),
            database: database.map(DatabaseId),
            needs_connection,
            may_hold_locks: false,
            about: About::default(),
        };
        (Claim { scopes, needs_connection, deadline }, arrival)
    }

    fn step(&mut self, step: Step, policies: &[Policy]) -> Result<(), TestCaseError> {
        match step {
            Step::Arrive { class, database, needs_connection, may_hold_locks } => {
                let (claim, arrival) = self.claim(class, database, needs_connection);
                self.arrive(claim, Arrival { may_hold_locks, ..arrival })?;
            }
            Step::Finish(which) if !self.running.is_empty() => {
                let (_, admitted, _) = self.running.swap_remove(which % self.running.len());
                self.finish(admitted);
            }
            Step::PinAndFinish(which) if !self.running.is_empty() => {
                let which = which % self.running.len();
                let (claim, mut admitted, connection) = self.running.swap_remove(which);
                let pinned = self.admission.pin(&mut admitted);
                prop_assert_eq!(pinned.is_some(), connection);
                self.pinned.extend(pinned.map(|pinned| (claim, pinned)));
                self.finish(admitted);
            }
            Step::Unpin(which) if !self.pinned.is_empty() => {
                let (_, pinned) = self.pinned.swap_remove(which % self.pinned.len());
                self.admission.unpin(self.now, pinned);
            }
            Step::Abandon(which) if !self.waiting.is_empty() => {
                let ticket = *self.waiting.keys().nth(which % self.waiting.len()).unwrap();
                self.waiting.remove(&ticket);
                self.admission.abandon(self.now, ticket);
                self.ended += 1;
            }
            Step::Pass(millis) => {
                self.now += ms(millis);
                self.admission.handle_timeout(self.now);
            }
            Step::Reconfigure(which) => {
                self.policy = policies[which % policies.len()].clone();
                self.admission.reconfigure(self.now, Arc::new(self.policy.clone()));
            }
            _ => {}
        }
        self.drain()?;
        self.check()
    }

    fn arrive(&mut self, claim: Claim, arrival: Arrival) -> Result<(), TestCaseError> {
        self.arrived += 1;
        let room = self.has_room(&claim);
        match self.admission.arrive(self.now, arrival) {
            Verdict::Admit(admitted) => {
                prop_assert!(room || arrival.may_hold_locks, "admitted without room");
                self.running.push((claim, admitted, arrival.needs_connection));
            }
            Verdict::Wait(ticket) => {
                prop_assert!(!room && !arrival.may_hold_locks, "waits though there is room");
                prop_assert!(self.policy.mode == Mode::Enforce, "waits in {:?}", self.policy.mode);
                let twice = self.waiting.insert(ticket, claim.clone());
                prop_assert!(twice.is_none(), "a ticket came twice");
                prop_assert!(self.within_queues(&claim), "a queue is too long");
            }
            Verdict::Shed(refusal) => {
                prop_assert!(!room && !arrival.may_hold_locks, "shed though there is room");
                prop_assert!(self.policy.mode == Mode::Enforce, "shed in {:?}", self.policy.mode);
                prop_assert!(refusal.retry_after >= ms(25), "{}", refusal);
                self.ended += 1;
            }
        }
        Ok(())
    }

    fn finish(&mut self, admitted: Admitted) {
        self.admission.finish(self.now, admitted, Outcome::Success, ms(1));
        self.ended += 1;
    }

    fn drain(&mut self) -> Result<(), TestCaseError> {
        let mut admitted_now = Vec::new();
        while let Some(event) = self.admission.poll() {
            match event {
                Event::Admitted(ticket, admitted) => {
                    let claim = self.waiting.remove(&ticket);
                    prop_assert!(claim.is_some(), "{:?} ended twice", ticket);
                    let claim = claim.unwrap();
                    let connection = claim.needs_connection;
                    admitted_now.push(claim.clone());
                    self.running.push((claim, admitted, connection));
                }
                Event::Shed(ticket, refusal) => {
                    let claim = self.waiting.remove(&ticket);
                    prop_assert!(claim.is_some(), "{:?} ended twice", ticket);
                    prop_assert!(claim.unwrap().deadline <= self.now, "shed early: {}", refusal);
                    self.ended += 1;
                }
            }
        }
        for claim in &admitted_now {
            prop_assert!(self.within_limits(claim), "above a limit: {:?}", claim);
        }
        Ok(())
    }

    /// What holds at every moment.
    fn check(&mut self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.arrived, self.ended + self.running.len() + self.waiting.len());
        for (ticket, claim) in &self.waiting {
            prop_assert!(!self.has_room(claim), "{:?} waits though there is room", ticket);
            prop_assert!(
                claim.deadline > self.now
                    || claim.deadline == self.now
                        && self.admission.poll_timeout().is_some_and(|at| at <= self.now)
            );
        }
        let earliest = self.waiting.values().map(|claim| claim.deadline).min();
        prop_assert_eq!(self.admission.poll_timeout(), earliest);
        let snapshot = self.admission.snapshot(self.now);
        let usages = std::iter::once((Scope::Overall, &snapshot.overall))
            .chain(snapshot.classes.iter().map(|u| (Scope::Class(u.name.clone()), u)))
            .chain(snapshot.databases.iter().map(|u| (Scope::Database(u.name.clone()), u)));
        for (scope, usage) in usages {
            // A database that a reload took away and brought back begins anew when it was idle,
            // and counts on when it was not; so do classes.
            prop_assert_eq!(usage.in_flight as usize, self.in_flight(&scope), "{:?}", scope);
            prop_assert_eq!(usage.connections as usize, self.connections(&scope), "{:?}", scope);
        }
        prop_assert_eq!(snapshot.overall.queued as usize, self.waiting.len());
        prop_assert_eq!(snapshot.overall.pinned as usize, self.pinned.len());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn invariants_3_5_and_9_hold_for_any_history(
        policies in prop::collection::vec(any_policy(), 1..4),
        steps in steps(),
    ) {
        let mut model = Model::new(policies[0].clone());
        for step in steps {
            model.step(step, &policies)?;
        }
        // Everything ends: time passes, everyone finishes, nothing is left over.
        for _ in 0..300 {
            let next = Step::Pass(100);
            model.step(next, &policies)?;
            model.step(Step::Finish(0), &policies)?;
        }
        prop_assert!(model.waiting.is_empty());
        prop_assert_eq!(model.arrived, model.ended + model.running.len());
    }
}
