//! What goes wrong.

use policy::admission::{About, Admitted, Arrival, Verdict};
use policy::class::ClassId;
use policy::sql::Digest;

use super::{Asker, Drive, Due, Running, plan};
use crate::clock::{Nanos, nanos};
use crate::scenario::Fault;

impl Drive<'_> {
    pub(super) fn plan_faults(&mut self) {
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

    pub(super) fn fault(&mut self, now: Nanos, index: usize, begins: bool) {
        match &self.scenario.fault[index] {
            Fault::Holder { .. } => {
                let arrival = Arrival {
                    class: ClassId(0),
                    database: None,
                    needs_connection: true,
                    may_hold_locks: false,
                    about: About { digest: Digest(u64::MAX - index as u64), ..About::default() },
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

    pub(super) fn begin_holder(&mut self, now: Nanos, fault: usize, admitted: Option<Admitted>) {
        if let Fault::Holder { hold, first_row, rows, is_idle, .. } = self.scenario.fault[fault] {
            let plan = plan::holder(hold, first_row, rows, is_idle);
            let thread = self.database.begin(now, plan);
            let running = Running { request: None, template: None, admitted, since: now };
            self.occupy(now, thread, running);
        }
    }
}
