//! Invariants 4 and 5 over random traces of sessions: transactions that begin, go on, commit, are
//! rolled back, cancelled or left by their clients, and locks of sessions beyond them.
//!
//! Sessions here do as those of the guard do, and the database is a list of what is open in it: what is
//! to end is open until the database says so, whatever became of the client meanwhile.

use proptest::prelude::*;

use super::*;

/// What one session does, or what the database does for it.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A statement; with `true` by itself, else in a transaction, which it begins if none is open.
    Statement(bool),
    /// The database has carried out the statement.
    Reply,
    /// COMMIT or ROLLBACK is sent, the guard cancels, or the client goes away: it is to end.
    End,
    /// The client goes away, wherever it is.
    Leave,
    /// GET_LOCK or RELEASE_LOCK, of a session that nothing is open of.
    Lock,
    /// So many milliseconds pass.
    Pass(u64),
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        8 => any::<bool>().prop_map(Step::Statement),
        6 => Just(Step::Reply),
        4 => Just(Step::End),
        1 => Just(Step::Leave),
        1 => Just(Step::Lock),
        3 => (0..60_u64).prop_map(Step::Pass),
    ];
    (0..SESSIONS, step)
}

const SESSIONS: usize = 8;

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Waiting(Ticket, bool),
    /// A statement runs; with `true` the transaction ends with it.
    Running(Admitted, bool),
    /// A transaction is open, and nothing runs.
    Open(Admitted),
    /// It is to end.
    Ending(Admitted),
}

#[derive(Debug, Default)]
struct Session {
    state: State,
    /// It holds a lock beyond its transactions.
    has_lock: bool,
}

struct Trace {
    scene: Scene,
    sessions: Vec<Session>,
    /// What clients have left behind, open until the database has undone it.
    left: Vec<Admitted>,
}

impl Trace {
    /// Transactions that are open in the database.
    fn open(&self) -> usize {
        let is_open = |session: &&Session| {
            matches!(session.state, State::Running(..) | State::Open(_) | State::Ending(_))
        };
        self.sessions.iter().filter(is_open).count() + self.left.len()
    }

    fn limit(&self) -> usize {
        self.scene.admission.limit().map_or(3, |limit| limit.value().min(3)) as usize
    }

    fn step(&mut self, (index, step): (usize, Step)) -> Result<(), TestCaseError> {
        let (open, limit) = (self.open(), self.limit());
        let session = &mut self.sessions[index];
        session.state = match (std::mem::take(&mut session.state), step) {
            (State::Idle, Step::Statement(alone)) => {
                let arrival = Arrival { may_hold_locks: session.has_lock, ..DEFAULT };
                match self.scene.admission.arrive(self.scene.now, arrival) {
                    Verdict::Admit(admitted) => {
                        prop_assert!(open < limit || session.has_lock, "{} of {}", open, limit);
                        State::Running(admitted, alone)
                    }
                    Verdict::Wait(ticket) => {
                        prop_assert!(!session.has_lock, "who holds a lock waits");
                        State::Waiting(ticket, alone)
                    }
                    Verdict::Shed(_) => {
                        prop_assert!(!session.has_lock, "who holds a lock is refused");
                        State::Idle
                    }
                }
            }
            // What goes on in a transaction asks nobody.
            (State::Open(admitted), Step::Statement(_)) => State::Running(admitted, false),
            (State::Running(admitted, true) | State::Ending(admitted), Step::Reply) => {
                self.scene.finish(admitted);
                State::Idle
            }
            (State::Running(admitted, false), Step::Reply) => State::Open(admitted),
            (State::Running(admitted, _) | State::Open(admitted), Step::End) => {
                State::Ending(admitted)
            }
            (State::Idle, Step::Lock) => {
                session.has_lock = !session.has_lock;
                State::Idle
            }
            (State::Waiting(ticket, _), Step::End | Step::Leave) => {
                self.scene.admission.abandon(self.scene.now, ticket);
                State::Idle
            }
            (
                State::Running(admitted, _) | State::Open(admitted) | State::Ending(admitted),
                Step::Leave,
            ) => {
                self.left.push(admitted);
                session.has_lock = false;
                State::Idle
            }
            (state, Step::Pass(time)) => {
                session.state = state;
                self.scene.pass(ms(time));
                // The database undoes what was left, one at a time.
                if let Some(undone) = self.left.pop() {
                    self.scene.finish(undone);
                }
                return self.deliver();
            }
            (state, _) => state,
        };
        self.deliver()
    }

    fn deliver(&mut self) -> Result<(), TestCaseError> {
        while let Some(event) = self.scene.admission.poll() {
            let (ticket, admitted) = match event {
                Event::Admitted(ticket, admitted) => (ticket, Some(admitted)),
                Event::Shed(ticket, _) => (ticket, None),
            };
            let has_it = |session: &&mut Session| matches!(session.state, State::Waiting(of, _) if of == ticket);
            let session = self.sessions.iter_mut().find(has_it);
            prop_assert!(session.is_some(), "{:?} is nobody's", ticket);
            let session = session.unwrap();
            prop_assert!(!session.has_lock, "who holds a lock has waited");
            let is_admitted = admitted.is_some();
            session.state = match (std::mem::take(&mut session.state), admitted) {
                (State::Waiting(_, alone), Some(admitted)) => State::Running(admitted, alone),
                _ => State::Idle,
            };
            let (open, limit) = (self.open(), self.limit());
            // What is open may be more where the limit has gone down; then nobody is let in.
            prop_assert!(!is_admitted || open <= limit, "{} of {}", open, limit);
        }
        // A permit is out for each that is open in the database, no more and no fewer.
        let usage = self.scene.admission.snapshot(self.scene.now).overall;
        prop_assert_eq!(usage.in_flight as usize, self.open());
        let waits = |session: &&Session| matches!(session.state, State::Waiting(..));
        prop_assert_eq!(usage.queued as usize, self.sessions.iter().filter(waits).count());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn invariants_4_and_5_hold_for_any_trace_of_sessions(
        is_adaptive in any::<bool>(),
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let waits = Limits { queue_length: 5, queue_time: ms(100), ..Limits::default() };
        let mut policy = Policy::clone(&policy(waits, waits, limits(3, 5)));
        policy.limit.start = 2;
        policy.limit.mode = if is_adaptive { Mode::Enforce } else { Mode::Off };
        let mut trace = Trace {
            scene: Scene::new(Arc::new(policy)),
            sessions: (0..SESSIONS).map(|_| Session::default()).collect(),
            left: Vec::new(),
        };
        for step in steps {
            trace.step(step)?;
        }
    }
}
