//! One run: clients, the guard and the database, until time is over.

mod clients;
mod faults;
mod melter;
mod plan;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use policy::admission::{Admission, Admitted, Event, Outcome, Ticket};
use policy::locks::Locks;

use self::melter::Melter;
use self::plan::Planner;
use crate::clock::{Agenda, Dice, Nanos, Origin, nanos, seconds};
use crate::database::{Database, End, Thread};
use crate::report::Report;
use crate::scenario::{Access, Scenario};

/// Runs a scenario.
#[must_use]
pub fn run(scenario: &Scenario) -> Report {
    let mut drive = Drive::new(scenario);
    drive.run();
    drive.report
}

/// A transaction that a client wants.
#[derive(Debug)]
struct Request {
    /// Tells it from all others.
    number: u64,
    template: usize,
    tenant: u32,
    attempt: u32,
    /// Counts up with every attempt and at the end, so that what was planned before can be told.
    turn: u64,
    asked: Nanos,
    state: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Between attempts, or over.
    Away,
    Queued(Ticket),
    Running(Thread),
}

/// What runs in a thread of the database.
#[derive(Debug, Default)]
struct Running {
    /// `None` when the client has gone.
    request: Option<usize>,
    template: Option<usize>,
    admitted: Option<Admitted>,
    since: Nanos,
}

#[derive(Debug, Clone, Copy)]
enum Due {
    Arrive(u64),
    Step,
    TimedOut(usize, u64),
    Retry(usize, u64),
    /// One of those clients that always want something wants the next.
    Next,
    Look,
    StatementTime(Thread, u64),
    Fault(usize, bool),
}

struct Drive<'a> {
    scenario: &'a Scenario,
    classes: Vec<u16>,
    origin: Origin,
    dice: Dice,
    planner: Planner<'a>,
    agenda: Agenda<Due>,
    database: Database,
    admission: Option<Admission>,
    requests: Vec<Request>,
    /// How many requests there have been.
    wanted: u64,
    free: Vec<usize>,
    running: Vec<Running>,
    by_ticket: std::collections::HashMap<Ticket, Asker>,
    load_step: u64,
    stalled_until: Nanos,
    melter: Option<Melter>,
    /// Rolled back by it, and not gone.
    killed: std::collections::HashSet<Thread>,
    report: Report,
}

/// Who asked for a permit: a client, or a fault.
#[derive(Debug, Clone, Copy)]
enum Asker {
    Client(usize),
    Holder(usize),
}

impl<'a> Drive<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let origin = Origin::new();
        let (names, classes) = scenario.classes();
        let admission = (scenario.guard.access != Access::Direct)
            .then(|| Admission::new(origin.at(0), Arc::new(rules::policy(scenario, &names))));
        let hot_below = scenario.mix.iter().map(|of| of.first_row + of.hot_rows).max();
        let mut drive = Self {
            classes,
            origin,
            dice: Dice::new(scenario.seed),
            planner: Planner::new(scenario),
            agenda: Agenda::new(),
            database: Database::new(&scenario.database, hot_below.unwrap_or(0)),
            admission,
            requests: Vec::new(),
            wanted: 0,
            free: Vec::new(),
            running: Vec::new(),
            by_ticket: std::collections::HashMap::new(),
            load_step: 0,
            stalled_until: 0,
            melter: scenario.guard.melts.then(Melter::new),
            killed: std::collections::HashSet::new(),
            report: Report::new(scenario),
            scenario,
        };
        drive.plan_faults();
        for _ in 0..scenario.load.clients {
            drive.agenda.put(0, Due::Next);
        }
        drive
    }

    fn run(&mut self) {
        let end = nanos(self.scenario.length);
        loop {
            let guard = self.admission.as_ref().and_then(Admission::poll_timeout);
            let guard = guard.map_or(Nanos::MAX, |at| self.origin.since(at));
            let guard = guard.max(self.stalled_until);
            let now = self.agenda.due().min(self.database.due()).min(guard);
            if now >= end {
                break;
            }
            self.report.events += 1;
            if guard <= now {
                self.tick(now);
            }
            if self.agenda.due() <= now
                && let Some((_, due)) = self.agenda.pop()
            {
                self.happen(now, due);
            }
            let ended = std::mem::take(self.database.advance(now));
            for (thread, how) in ended {
                self.ended(now, thread, how);
            }
            self.deliver(now);
        }
        self.sample_limit(end);
        let limit = self.admission.as_ref().and_then(|admission| admission.limit());
        self.report.cuts = limit.map_or(0, |limit| limit.report().cuts);
    }

    fn tick(&mut self, now: Nanos) {
        self.sample_limit(now);
        let at = self.origin.at(now);
        if let Some(admission) = &mut self.admission {
            admission.handle_timeout(at);
        }
    }

    /// Notes the limit for every cell up to now.
    fn sample_limit(&mut self, now: Nanos) {
        let limit = self.admission.as_ref().and_then(|admission| admission.limit());
        let value = limit.map_or(0.0, |limit| limit.report().base);
        let cell = (seconds(now) / 0.1) as usize;
        while self.report.limits.len() < cell {
            self.report.limits.push(value);
        }
    }

    fn happen(&mut self, now: Nanos, due: Due) {
        match due {
            Due::Arrive(step) if step == self.load_step => {
                self.new_request(now);
                self.plan_arrival(now);
            }
            Due::Step => {
                self.load_step += 1;
                self.plan_arrival(now);
            }
            Due::TimedOut(request, turn) if self.requests[request].turn == turn => {
                self.timed_out(now, request);
            }
            Due::Retry(request, turn) if self.requests[request].turn == turn => {
                self.ask(now, request);
            }
            Due::Next => self.new_request(now),
            Due::Look => self.look(now),
            Due::StatementTime(thread, since) if self.running[thread].since == since => {
                if self.running[thread].admitted.is_some() {
                    self.database.cancel(now, thread);
                }
            }
            Due::Fault(index, begins) => self.fault(now, index, begins),
            Due::Arrive(_) | Due::TimedOut(..) | Due::Retry(..) | Due::StatementTime(..) => {}
        }
    }

    fn begin(&mut self, now: Nanos, index: usize, admitted: Option<Admitted>) {
        let request = &self.requests[index];
        // Through the guard connections are kept; without it, who retries connects anew.
        let connects = admitted.is_none() && request.attempt > 1;
        let (template, attempt) = (request.template, request.attempt);
        let counts = self.report.count(now, template);
        counts.admitted += 1;
        counts.again += u32::from(attempt > 1);
        let plan = self.planner.plan(&mut self.dice, template, connects);
        let thread = self.database.begin(now, plan);
        self.requests[index].state = Stage::Running(thread);
        let running =
            Running { request: Some(index), template: Some(template), admitted, since: now };
        self.occupy(now, thread, running);
    }

    fn occupy(&mut self, now: Nanos, thread: Thread, running: Running) {
        while self.running.len() <= thread {
            self.running.push(Running::default());
        }
        self.running[thread] = running;
        let limit = self.scenario.guard.statement_ms;
        if limit > 0.0 {
            self.agenda.put(now + nanos(limit / 1000.0), Due::StatementTime(thread, now));
        }
    }

    /// The database has let go.
    fn ended(&mut self, now: Nanos, thread: Thread, how: End) {
        let running = std::mem::take(&mut self.running[thread]);
        self.killed.remove(&thread);
        if let (Some(admission), Some(admitted)) = (&mut self.admission, running.admitted) {
            let outcome = match how {
                End::Committed => Outcome::Success,
                End::Failed | End::Cancelled => Outcome::Overload,
            };
            let service = Duration::from_nanos(now - running.since);
            admission.finish(self.origin.at(now), admitted, outcome, service);
        }
        let Some(template) = running.template else { return };
        match (running.request, how) {
            (Some(index), End::Committed) => {
                let took = now - self.requests[index].asked;
                let tenant = self.requests[index].tenant as usize;
                self.report.count(now, template).good += 1;
                self.report.took(now, template, took);
                self.report.tenants[template][tenant] += 1;
                self.requests[index].state = Stage::Away;
                self.requests[index].turn += 1;
                self.over(now, index, 0.0);
            }
            (None, End::Committed) => self.report.count(now, template).late += 1,
            (request, End::Failed | End::Cancelled) => {
                self.report.count(now, template).failed += 1;
                if let Some(index) = request {
                    self.refused(now, index, None);
                }
            }
        }
    }

    /// What became of those that waited.
    fn deliver(&mut self, now: Nanos) {
        while let Some(event) = self.admission.as_mut().and_then(Admission::poll) {
            match event {
                Event::Admitted(ticket, admitted) => match self.by_ticket.remove(&ticket) {
                    Some(Asker::Client(index)) => {
                        self.waited(now, index);
                        self.begin(now, index, Some(admitted));
                    }
                    Some(Asker::Holder(fault)) => self.begin_holder(now, fault, Some(admitted)),
                    None => {}
                },
                Event::Shed(ticket, refusal) => match self.by_ticket.remove(&ticket) {
                    Some(Asker::Client(index)) => {
                        self.waited(now, index);
                        let template = self.requests[index].template;
                        self.report.count(now, template).refused += 1;
                        self.refused(now, index, Some(&refusal));
                    }
                    Some(Asker::Holder(fault)) => self.fault(now, fault, true),
                    None => {}
                },
            }
        }
    }

    fn look(&mut self, now: Nanos) {
        let guard = &self.scenario.guard;
        let at = seconds(now);
        let is_blind = guard.blind.is_some_and(|[from, to]| at >= from && at < to);
        if !is_blind && now >= self.stalled_until {
            let locks = self.database.locks(now);
            if let Some(admission) = &mut self.admission {
                admission.observe(self.origin.at(now), locks.contention());
            }
            self.melt(now, &locks);
        }
        let often = if self.database.waiters() > 0 { 1.0 } else { 5.0 };
        self.agenda.put(now + nanos(guard.look_ms / 1000.0 * often), Due::Look);
    }

    fn melt(&mut self, now: Nanos, locks: &Locks) {
        let (Some(melter), Some(admission)) = (&mut self.melter, &mut self.admission) else {
            return;
        };
        let at = self.origin.at(now);
        let (restraint, victims) = melter.see(at, locks);
        admission.restrain(at, restraint);
        for thread in victims {
            self.database.cancel(now, thread);
            self.killed.insert(thread);
            self.report.killed(now, self.killed.len());
        }
    }
}
