//! What clients do: ask, wait as long as they like, and ask again.

use std::time::Duration;

use policy::admission::{About, Arrival, Verdict};
use policy::class::ClassId;
use policy::refusal::Refusal;
use policy::sql::Digest;
use policy::tenant::Tenant;

use super::{Asker, Drive, Due, Request, Stage};
use crate::clock::{Nanos, nanos, seconds};

impl Drive<'_> {
    pub(super) fn plan_arrival(&mut self, now: Nanos) {
        let rate = self.scenario.load.rate(seconds(now));
        if rate > 0.0 {
            let after = self.dice.exponential(1.0 / rate);
            self.agenda.put(now + nanos(after), Due::Arrive(self.load_step));
        }
    }

    pub(super) fn new_request(&mut self, now: Nanos) {
        let template = self.planner.template(&mut self.dice, seconds(now));
        let tenants = self.scenario.mix[template].tenants;
        let tenant = if tenants > 1 && self.dice.unit() < 0.5 {
            1 + self.dice.below(u64::from(tenants) - 1) as u32
        } else {
            0
        };
        self.report.count(now, template).wanted += 1;
        self.wanted += 1;
        let (number, state) = (self.wanted, Stage::Away);
        let request = Request { number, template, tenant, attempt: 0, turn: 0, asked: now, state };
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
    pub(super) fn ask(&mut self, now: Nanos, index: usize) {
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

    pub(super) fn plan_timeout(&mut self, now: Nanos, index: usize, turn: u64) {
        let timeout = nanos(self.scenario.clients.timeout_ms / 1000.0);
        self.agenda.put(now + timeout, Due::TimedOut(index, turn));
    }

    pub(super) fn arrival(&self, index: usize) -> Arrival {
        let request = &self.requests[index];
        let deadline = self.scenario.clients.deadline_ms;
        Arrival {
            class: ClassId(self.classes[request.template]),
            database: None,
            needs_connection: true,
            may_hold_locks: false,
            about: About {
                reads_only: self.scenario.mix[request.template].writes == 0,
                digest: self.digest(request.template),
                waited: Duration::ZERO,
                deadline: (deadline > 0.0).then(|| Duration::from_secs_f64(deadline / 1000.0)),
                tenant: match self.scenario.mix[request.template].tenants {
                    0 | 1 => Tenant::NONE,
                    _ => Tenant::named(&request.tenant.to_le_bytes()),
                },
                asker: policy::retry::Asker { application: 1, request: request.number },
            },
        }
    }

    /// What kind of statement it begins with.
    fn digest(&self, template: usize) -> Digest {
        let mix = &self.scenario.mix;
        let first = mix.iter().position(|of| of.name == mix[template].name);
        Digest(first.unwrap_or(template) as u64)
    }

    /// The client has waited long enough.
    pub(super) fn timed_out(&mut self, now: Nanos, index: usize) {
        match std::mem::replace(&mut self.requests[index].state, Stage::Away) {
            Stage::Away => {}
            Stage::Queued(ticket) => {
                self.by_ticket.remove(&ticket);
                self.waited(now, index);
                let template = self.requests[index].template;
                self.report.count(now, template).hung_up += 1;
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

    pub(super) fn refused(&mut self, now: Nanos, index: usize, refusal: Option<&Refusal>) {
        self.requests[index].state = Stage::Away;
        self.retry(now, index, refusal);
    }

    pub(super) fn retry(&mut self, now: Nanos, index: usize, refusal: Option<&Refusal>) {
        let clients = &self.scenario.clients;
        let request = &mut self.requests[index];
        request.turn += 1;
        if request.attempt > clients.retries {
            return self.over(now, index, clients.backoff_ms / 1000.0);
        }
        let longest = clients.backoff_ms / 1000.0 * 2.0_f64.powi(request.attempt as i32 - 1);
        let own = longest * self.dice.unit();
        let hint = refusal.filter(|_| clients.heed_hints);
        let held = refusal.map_or(0.0, |refusal| refusal.held.as_secs_f64());
        let after = held + hint.map_or(own, |refusal| refusal.retry_after.as_secs_f64());
        let turn = request.turn;
        self.agenda.put(now + nanos(after), Due::Retry(index, turn));
    }

    /// Nothing more comes of a request. Its client, if it always wants something, goes on to the
    /// next after so many seconds on average.
    pub(super) fn over(&mut self, now: Nanos, index: usize, rest: f64) {
        self.free.push(index);
        if self.scenario.load.clients > 0 {
            let rest = if rest > 0.0 { self.dice.exponential(rest) } else { 0.0 };
            self.agenda.put(now + nanos(rest), Due::Next);
        }
    }

    /// Its time in the line has ended.
    pub(super) fn waited(&mut self, now: Nanos, index: usize) {
        let request = &self.requests[index];
        let (template, waited) = (request.template, (now - request.asked) / 1_000_000);
        let counts = self.report.count(now, template);
        counts.wait_ms_max = counts.wait_ms_max.max(waited as u32);
    }
}
