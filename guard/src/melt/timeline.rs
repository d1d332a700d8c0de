//! What was seen of pile-ups and done about them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use policy::{admission::Restrained, contention::Contention, melt::Phase};

use crate::control::{Act, Incident, Sighting, Step, whole_ms};

/// Incidents that are remembered: the last so many. At about 1 KiB for each that is listed in one,
/// no more than 3 MiB.
const INCIDENTS_MAX: usize = 32;
/// Roots that are listed of one incident; of those beyond, only how many there were.
const ROOTS_MAX: usize = 16;
/// See [`ROOTS_MAX`].
const STEPS_MAX: usize = 32;
/// See [`ROOTS_MAX`].
const ACTS_MAX: usize = 64;

/// The last incidents, for whoever wants to see them.
#[derive(Debug, Default)]
pub struct Timeline(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The newest last.
    incidents: VecDeque<Incident>,
    /// Of the newest, while it goes on or after it.
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    began: Instant,
    /// When was last looked, and how many waited then.
    looked: (Instant, u32),
    /// The transactions of the listed roots: backend, and when it began.
    roots: Vec<(u32, Instant)>,
    /// What was being done at the last step, listed or left out.
    phase: &'static str,
    /// What restraints had done before.
    before: Option<Restrained>,
}

impl Timeline {
    /// All that are remembered, the newest first.
    pub fn list(&self) -> Vec<Incident> {
        self.0.lock().incidents.iter().rev().cloned().collect()
    }

    /// Whether one goes on.
    pub fn is_open(&self) -> bool {
        self.0.lock().incidents.back().is_some_and(|last| last.lasted_ms.is_none())
    }

    /// One begins.
    pub(super) fn begin(&self, now: Instant, mode: &str) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let kept = &mut *self.0.lock();
        let id = kept.incidents.back().map_or(1, |last| last.id + 1);
        if kept.incidents.len() == INCIDENTS_MAX {
            kept.incidents.pop_front();
        }
        kept.incidents.push_back(Incident {
            id,
            began_unix_ms: whole_ms(unix),
            mode: mode.into(),
            ..Incident::default()
        });
        kept.current = Some(Current {
            began: now,
            looked: (now, 0),
            roots: Vec::new(),
            phase: "",
            before: None,
        });
    }

    /// The locks were looked at: so many transactions are open.
    pub(super) fn look(&self, now: Instant, open: usize, seen: &Contention) {
        self.change(true, |current, incident| {
            let (before, waited) = current.looked;
            current.looked = (now, seen.blocked);
            incident.waited_ms += u64::from(waited) * ms_between(before, now);
            if seen.blocked >= incident.blocked {
                incident.blocked = seen.blocked;
                incident.open = u32::try_from(open).unwrap_or(u32::MAX);
            }
            incident.oldest_wait_ms = incident.oldest_wait_ms.max(whole_ms(seen.longest_wait));
        });
    }

    /// What is being done about it, where that is new; so many of so many waited for a lock.
    pub(super) fn step(&self, now: Instant, phase: Phase, blocked: u32, open: usize) {
        let phase = name(phase);
        self.change(true, |current, incident| {
            if std::mem::replace(&mut current.phase, phase) == phase {
                return;
            }
            if incident.steps.len() == STEPS_MAX {
                incident.left_out += 1;
                return;
            }
            incident.steps.push(Step {
                at_ms: ms_between(current.began, now),
                phase: phase.into(),
                blocked,
                open: u32::try_from(open).unwrap_or(u32::MAX),
            });
        });
    }

    /// What restraints have done since the start of the guard.
    pub(super) fn restrained(&self, done: Restrained) {
        self.change(true, |current, incident| {
            let before = *current.before.get_or_insert(done);
            incident.held = done.held - before.held;
            incident.shed = done.shed - before.shed;
        });
    }

    /// A root was seen, by its backend and age; `describe` tells what it is, if it is new.
    pub(super) fn sight(
        &self,
        now: Instant,
        (backend, age): (u32, Duration),
        describe: impl FnOnce(u64) -> Sighting,
    ) {
        /// By so much InnoDB's ages are rounded, and then some.
        const ROUNDED: Duration = Duration::from_millis(1500);
        self.change(true, |current, incident| {
            let began = now.checked_sub(age).unwrap_or(current.began);
            let is_same = |known: &(u32, Instant)| {
                known.0 == backend && began.saturating_duration_since(known.1) < ROUNDED
            };
            if current.roots.iter().any(is_same) {
                return;
            }
            if current.roots.len() == ROOTS_MAX {
                incident.left_out += 1;
                return;
            }
            current.roots.push((backend, began));
            incident.roots.push(describe(ms_between(current.began, now)));
        });
    }

    /// Something was done, or would have been.
    pub(super) fn act(&self, now: Instant, describe: impl FnOnce(u64) -> Act) {
        self.change(true, |current, incident| {
            if incident.acts.len() == ACTS_MAX {
                incident.left_out += 1;
            } else {
                incident.acts.push(describe(ms_between(current.began, now)));
            }
        });
    }

    /// What came of the last order about this backend.
    pub(super) fn answer(&self, backend: u32, answer: String) {
        self.change(false, |_, incident| {
            if let Some(act) = last_about(incident, backend) {
                act.answer = Some(answer);
            }
        });
    }

    /// A look found what was ordered gone, or after two seconds still there.
    pub(super) fn verified(&self, now: Instant, backend: u32, is_gone: bool) {
        self.change(false, |current, incident| {
            let at_ms = ms_between(current.began, now);
            if let Some(act) = last_about(incident, backend) {
                act.has_stayed = !is_gone;
                act.gone_after_ms = is_gone.then(|| at_ms.saturating_sub(act.at_ms));
            }
        });
    }

    /// It is over.
    pub(super) fn end(&self, now: Instant) {
        self.change(true, |current, incident| {
            incident.lasted_ms = Some(ms_between(current.began, now));
        });
    }

    /// Changes the last incident; only while it `goes_on`, if that is asked for.
    fn change(&self, goes_on: bool, change: impl FnOnce(&mut Current, &mut Incident)) {
        let kept = &mut *self.0.lock();
        let last = kept.incidents.back_mut();
        if let (Some(current), Some(last)) = (&mut kept.current, last)
            && (!goes_on || last.lasted_ms.is_none())
        {
            change(current, last);
        }
    }
}

/// As it is told.
fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Freezing => "freezing",
        Phase::Melting => "melting",
        Phase::Waiting => "waiting",
        Phase::LettingIn(_) => "letting_in",
        Phase::Rising(_) => "over",
    }
}

fn last_about(incident: &mut Incident, backend: u32) -> Option<&mut Act> {
    incident.acts.iter_mut().rev().find(|act| act.backend == backend)
}

fn ms_between(since: Instant, now: Instant) -> u64 {
    whole_ms(now.saturating_duration_since(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(blocked: u32) -> Contention {
        Contention { blocked, ..Contention::default() }
    }

    #[test]
    fn an_incident_tells_what_was_seen_done_and_lost() {
        let (timeline, start) = (Timeline::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        timeline.look(at(0), 9, &seen(9));
        assert_eq!(timeline.list(), [], "without one, nothing is kept");
        timeline.begin(at(0), "enforce");
        timeline.look(at(0), 11, &seen(10));
        timeline.restrained(Restrained { held: 5, shed: 2 });
        for (ms, phase) in [(0, Phase::Freezing), (100, Phase::Freezing), (300, Phase::Melting)] {
            timeline.step(at(ms), phase, 10, 11);
        }
        timeline.restrained(Restrained { held: 12, shed: 3 });
        for ms in [100, 1100] {
            let age = Duration::from_millis(5000 + ms);
            timeline.sight(at(ms), (7, age), |at_ms| Sighting { at_ms, ..Sighting::default() });
        }
        timeline.act(at(200), |at_ms| Act { at_ms, backend: 7, ..Act::default() });
        timeline.answer(7, "rolled back".into());
        timeline.look(at(500), 5, &seen(4));
        timeline.verified(at(500), 7, true);
        timeline.look(at(1000), 1, &seen(0));
        assert!(timeline.is_open());
        timeline.end(at(1500));
        timeline.end(at(2500));
        let incidents = timeline.list();
        let incident = &incidents[0];
        assert_eq!((incident.lasted_ms, incident.open, incident.blocked), (Some(1500), 11, 10));
        assert_eq!(incident.waited_ms, 10 * 500 + 4 * 500);
        assert_eq!(incident.roots.len(), 1, "one transaction, seen twice");
        let steps = incident.steps.iter().map(|step| (step.at_ms, &*step.phase));
        assert_eq!(steps.collect::<Vec<_>>(), [(0, "freezing"), (300, "melting")]);
        assert_eq!((incident.held, incident.shed), (7, 1));
        let act = &incident.acts[0];
        assert_eq!((act.gone_after_ms, act.answer.as_deref()), (Some(300), Some("rolled back")));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (timeline, now) = (Timeline::default(), Instant::now());
        for _ in 0..INCIDENTS_MAX + 5 {
            timeline.begin(now, "observe");
        }
        for backend in 0..100 {
            let age = Duration::from_secs(9);
            timeline.sight(now, (backend, age), |_| Sighting::default());
            timeline.act(now, |_| Act::default());
            let phase = if backend % 2 == 0 { Phase::Freezing } else { Phase::Rising(now) };
            timeline.step(now, phase, 1, 1);
        }
        let incidents = timeline.list();
        assert_eq!(incidents.len(), INCIDENTS_MAX);
        let newest = &incidents[0];
        let listed = [newest.roots.len(), newest.acts.len(), newest.steps.len()];
        assert_eq!(listed, [ROOTS_MAX, ACTS_MAX, STEPS_MAX]);
        assert_eq!(newest.left_out as usize, 300 - ROOTS_MAX - ACTS_MAX - STEPS_MAX);
        assert_eq!(newest.id as usize, INCIDENTS_MAX + 5);
    }
}
