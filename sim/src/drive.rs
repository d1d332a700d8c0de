//! One run: clients, the guard and the database, until time is over.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use policy::admission::{About, Admission, Admitted, Arrival, Event, Outcome, Ticket, Verdict};
use policy::class::{Class, ClassId, Limits, Mode, Policy};
use policy::limit;
use policy::refusal::Refusal;
use policy::sql::Digest;

use self::plan::Planner;
use crate::clock::{Agenda, Dice, Nanos, Origin, nanos, seconds};
use crate::database::{Database, End, Thread};
use crate::report::Report;
use crate::scenario::{Access, Fault, Scenario};

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
    free: Vec<usize>,
    running: Vec<Running>,
    by_ticket: std::collections::HashMap<Ticket, Asker>,
    load_step: u64,
    stalled_until: Nanos,
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
            .then(|| Admission::new(origin.at(0), Arc::new(policy(scenario, &names))));
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
            free: Vec::new(),
            running: Vec::new(),
            by_ticket: std::collections::HashMap::new(),
            load_step: 0,
            stalled_until: 0,
            report: Report::new(scenario),
            scenario,
        };
        drive.plan_faults();
        drive
    }

    fn plan_faults(&mut self) {
        for [from, _] in &self.scenario.load.steps {
            self.agenda.put(nanos(*from), Due::Step);
        }
        for template in &self.scenario.mix {
            for at in template.during.into_iter().flatten() {
                self.agenda.put(nanos(at), Due::Step);
            }
        }
        for (index, fault) in self.scenario.fault.iter().enumerate() {
            let (from, to) = match fault {
                Fault::Holder { at, .. } => (*at, None),
                Fault::Slow { from, to, .. } => (*from, Some(*to)),
                Fault::Stall { at, .. } => (*at, None),
            };
            self.agenda.put(nanos(from), Due::Fault(index, true));
            if let Some(to) = to {
                self.agenda.put(nanos(to), Due::Fault(index, false));
            }
        }
        if self.admission.is_some() {
            self.agenda.put(nanos(self.scenario.guard.look_ms / 1000.0), Due::Look);
        }
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

    fn plan_arrival(&mut self, now: Nanos) {
        let rate = self.scenario.load.rate(seconds(now));
        if rate > 0.0 {
            let after = self.dice.exponential(1.0 / rate);
            self.agenda.put(now + nanos(after), Due::Arrive(self.load_step));
        }
    }

    fn new_request(&mut self, now: Nanos) {
        let template = self.planner.template(&mut self.dice, seconds(now));
        let tenants = self.scenario.mix[template].tenants;
        let tenant = if tenants > 1 && self.dice.unit() < 0.5 {
            1 + self.dice.below(u64::from(tenants) - 1) as u32
        } else {
            0
        };
        self.report.count(now, template).wanted += 1;
        let state = Stage::Away;
        let request = Request { template, tenant, attempt: 0, turn: 0, asked: now, state };
        let request = match self.free.pop() {
            Some(place) => {
                let turn = self.requests[place].turn;
                self.requests[place] = Request { turn, ..request };
                place
            }
            None => {
                self.requests.push(request);
                self.requests.len() - 1
            }
        };
        self.ask(now, request);
    }

    /// One attempt.
    fn ask(&mut self, now: Nanos, index: usize) {
        let request = &mut self.requests[index];
        request.turn += 1;
        request.attempt += 1;
        request.asked = now;
        let (turn, template) = (request.turn, request.template);
        self.report.count(now, template).asked += 1;
        let arrival = self.arrival(index);
        let Some(admission) = &mut self.admission else {
            if self.database.count() >= self.scenario.database.connections {
                self.report.count(now, template).refused += 1;
                return self.refused(now, index, None);
            }
            self.begin(now, index, None);
            return self.plan_timeout(now, index, turn);
        };
        match admission.arrive(self.origin.at(now), arrival) {
            Verdict::Admit(admitted) => self.begin(now, index, Some(admitted)),
            Verdict::Wait(ticket) => {
                self.by_ticket.insert(ticket, Asker::Client(index));
                self.requests[index].state = Stage::Queued(ticket);
            }
            Verdict::Shed(refusal) => {
                self.report.count(now, template).refused += 1;
                return self.refused(now, index, Some(&refusal));
            }
        }
        self.plan_timeout(now, index, turn);
    }

    fn plan_timeout(&mut self, now: Nanos, index: usize, turn: u64) {
        let timeout = nanos(self.scenario.clients.timeout_ms / 1000.0);
        self.agenda.put(now + timeout, Due::TimedOut(index, turn));
    }

    fn arrival(&self, index: usize) -> Arrival {
        let request = &self.requests[index];
        Arrival {
            class: ClassId(self.classes[request.template]),
            database: None,
            needs_connection: true,
            may_hold_locks: false,
            about: About { digest: Digest(request.template as u64) },
        }
    }

    fn begin(&mut self, now: Nanos, index: usize, admitted: Option<Admitted>) {
        let request = &self.requests[index];
        // Through the guard connections are kept; without it, who retries connects anew.
        let connects = admitted.is_none() && request.attempt > 1;
        let template = request.template;
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

    /// The client has waited long enough.
    fn timed_out(&mut self, now: Nanos, index: usize) {
        match std::mem::replace(&mut self.requests[index].state, Stage::Away) {
            Stage::Away => {}
            Stage::Queued(ticket) => {
                self.by_ticket.remove(&ticket);
                if let Some(admission) = &mut self.admission {
                    admission.abandon(self.origin.at(now), ticket);
                }
            }
            Stage::Running(thread) => {
                self.running[thread].request = None;
                if self.admission.is_some() {
                    self.database.cancel(now, thread);
                } else {
                    self.database.orphan(now, thread);
                }
            }
        }
        self.retry(now, index, None);
    }

    fn refused(&mut self, now: Nanos, index: usize, refusal: Option<&Refusal>) {
        self.requests[index].state = Stage::Away;
        self.retry(now, index, refusal);
    }

    fn retry(&mut self, now: Nanos, index: usize, refusal: Option<&Refusal>) {
        let clients = &self.scenario.clients;
        let request = &mut self.requests[index];
        request.turn += 1;
        if request.attempt > clients.retries {
            return self.free.push(index);
        }
        let longest = clients.backoff_ms / 1000.0 * 2.0_f64.powi(request.attempt as i32 - 1);
        let own = longest * self.dice.unit();
        let hint = refusal.filter(|_| clients.heed_hints);
        let after = hint.map_or(own, |refusal| refusal.retry_after.as_secs_f64());
        let turn = request.turn;
        self.agenda.put(now + nanos(after), Due::Retry(index, turn));
    }

    /// The database has let go.
    fn ended(&mut self, now: Nanos, thread: Thread, how: End) {
        let running = std::mem::take(&mut self.running[thread]);
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
                self.free.push(index);
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
                    Some(Asker::Client(index)) => self.begin(now, index, Some(admitted)),
                    Some(Asker::Holder(fault)) => self.begin_holder(now, fault, Some(admitted)),
                    None => {}
                },
                Event::Shed(ticket, refusal) => match self.by_ticket.remove(&ticket) {
                    Some(Asker::Client(index)) => {
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
        }
        let often = if self.database.waiters() > 0 { 1.0 } else { 5.0 };
        self.agenda.put(now + nanos(guard.look_ms / 1000.0 * often), Due::Look);
    }

    fn fault(&mut self, now: Nanos, index: usize, begins: bool) {
        match &self.scenario.fault[index] {
            Fault::Holder { .. } => {
                let arrival = Arrival {
                    class: ClassId(0),
                    database: None,
                    needs_connection: true,
                    may_hold_locks: false,
                    about: About { digest: Digest(u64::MAX - index as u64) },
                };
                let verdict =
                    self.admission.as_mut().map(|it| it.arrive(self.origin.at(now), arrival));
                match verdict {
                    None => self.begin_holder(now, index, None),
                    Some(Verdict::Admit(admitted)) => {
                        self.begin_holder(now, index, Some(admitted));
                    }
                    Some(Verdict::Wait(ticket)) => {
                        self.by_ticket.insert(ticket, Asker::Holder(index));
                    }
                    // It insists.
                    Some(Verdict::Shed(_)) => {
                        self.agenda.put(now + nanos(0.001), Due::Fault(index, true));
                    }
                }
            }
            Fault::Slow { speed, .. } => {
                self.database.set_speed(now, if begins { *speed } else { 1.0 });
            }
            Fault::Stall { length, .. } => self.stalled_until = now + nanos(*length),
        }
    }

    fn begin_holder(&mut self, now: Nanos, fault: usize, admitted: Option<Admitted>) {
        if let Fault::Holder { hold, first_row, rows, is_idle, .. } = self.scenario.fault[fault] {
            let plan = plan::holder(hold, first_row, rows, is_idle);
            let thread = self.database.begin(now, plan);
            let running = Running { request: None, template: None, admitted, since: now };
            self.occupy(now, thread, running);
        }
    }
}

/// The policy under which the guard runs.
fn policy(scenario: &Scenario, names: &[String]) -> Policy {
    let guard = &scenario.guard;
    let waiting =
        Limits { queue_length: 200, queue_time: Duration::from_millis(500), ..Limits::default() };
    let class = |name: &String| {
        let share = guard.shares.get(name).copied().unwrap_or(Class::SHARE);
        Class { name: name.clone(), limits: waiting, share, ..Class::unlimited() }
    };
    let (fixed, mode) = match guard.access {
        Access::Direct => (None, Mode::Off),
        Access::Fixed(limit) => (Some(limit), Mode::Off),
        Access::Adaptive => (None, Mode::Enforce),
    };
    Policy {
        classes: names.iter().map(class).collect(),
        overall: Limits { in_flight: fixed, queue_length: 1000, ..waiting },
        limit: limit::Config {
            mode,
            start: guard.start,
            max: scenario.database.connections / 2,
            ..limit::Config::default()
        },
        ..Policy::default()
    }
}
