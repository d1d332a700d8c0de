//! The model of a lock-based primary.
//!
//! ```text
//!  begin ─► statement: row lock? ──held by another──► waits ─┐ (deadlock, lock wait limit, cancel
//!    ▲          │                                            │  ► rollback)
//!    │          ▼ ◄───────────────────────────── granted ────┘
//!    │      processor ─► disk ─► reply ─► client thinks ─► next statement
//!    │                             └─ last one ─► commit ─► locks released
//! ```

mod cpu;
mod rows;

use std::collections::VecDeque;
use std::time::Duration;

use policy::locks::{Activity, Locks, Object, Transaction, Wait};

use self::cpu::Cpu;
use self::rows::{Claim, Rows};
use crate::clock::{Agenda, Nanos, nanos, seconds};
use crate::scenario;

/// A transaction in the database.
pub type Thread = usize;

/// One statement of a transaction.
#[derive(Debug, Clone, Copy)]
pub struct Statement {
    /// Processor time, in seconds.
    pub cpu: f64,
    /// Time on disk, in seconds.
    pub disk: f64,
    /// The row it writes.
    pub row: Option<u32>,
}

/// What a transaction will do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its statements, at least one.
    pub statements: Vec<Statement>,
    /// The application's time between statements, in seconds.
    pub think: f64,
    /// After the last statement the client keeps the transaction open so long, in seconds.
    pub hold: f64,
    /// Whether it is silent meanwhile; else a statement runs.
    pub is_idle_holder: bool,
    /// Processor time of a new connection that it needs first, in seconds.
    pub connect: f64,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Committed.
    Committed,
    /// Rolled back: it was the victim of a deadlock, or waited too long for a lock.
    Failed,
    /// Rolled back: it was cancelled, or its client had gone.
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Connecting,
    OnCpu,
    OnDisk,
    Waiting { row: u32, since: Nanos },
    Thinking { since: Nanos },
    Holding { since: Nanos },
    Committing,
    RollingBack(End),
}

#[derive(Debug)]
struct Open {
    state: State,
    /// Counts up with every change of state, so that what was planned before can be told.
    turn: u64,
    plan: Plan,
    step: usize,
    began: Nanos,
    /// Processor time of statements that wrote: what a rollback has to undo.
    written: f64,
    held: Vec<u32>,
    is_orphan: bool,
}

#[derive(Debug, Clone, Copy)]
enum Due {
    Disk,
    Think,
    Held,
    Committed,
    LockWait,
    Deadlock,
}

/// The database.
#[derive(Debug)]
pub struct Database {
    numbers: scenario::Database,
    cpu: Cpu,
    rows: Rows,
    open: Vec<Open>,
    free: Vec<Thread>,
    /// Threads that are neither free nor silent.
    busy: u32,
    disks_busy: u32,
    disk_queue: VecDeque<(Thread, u64)>,
    agenda: Agenda<(Thread, u64, Due)>,
    ended: Vec<(Thread, End)>,
    /// Rows that are expected to be hot, as keys.
    hot_below: u32,
}

impl Database {
    /// A database in which nothing happens.
    #[must_use]
    pub fn new(numbers: &scenario::Database, hot_below: u32) -> Self {
        Self {
            cpu: Cpu::new(numbers.cores, numbers.crowd, numbers.friction),
            numbers: numbers.clone(),
            rows: Rows::default(),
            open: Vec::new(),
            free: Vec::new(),
            busy: 0,
            disks_busy: 0,
            disk_queue: VecDeque::new(),
            agenda: Agenda::new(),
            ended: Vec::new(),
            hot_below,
        }
    }

    /// Transactions that are open.
    #[must_use]
    pub fn count(&self) -> u32 {
        (self.open.len() - self.free.len()) as u32
    }

    /// When something happens next.
    #[must_use]
    pub fn due(&mut self) -> Nanos {
        self.agenda.due().min(self.cpu.next())
    }

    /// A transaction begins.
    pub fn begin(&mut self, now: Nanos, plan: Plan) -> Thread {
        let open = Open {
            state: State::Free,
            turn: 0,
            plan,
            step: 0,
            began: now,
            written: 0.0,
            held: Vec::new(),
            is_orphan: false,
        };
        let thread = match self.free.pop() {
            Some(thread) => {
                let turn = self.open[thread].turn + 1;
                self.open[thread] = Open { turn, ..open };
                thread
            }
            None => {
                self.open.push(open);
                self.open.len() - 1
            }
        };
        let connect = self.open[thread].plan.connect;
        if connect > 0.0 {
            self.set(now, thread, State::Connecting);
            self.cpu.add(now, (thread, self.open[thread].turn), connect);
        } else {
            self.start_statement(now, thread);
        }
        thread
    }

    /// Its client has gone and nobody cancels: it ends when its statement has.
    pub fn orphan(&mut self, now: Nanos, thread: Thread) {
        self.open[thread].is_orphan = true;
        if let State::Thinking { .. } | State::Holding { .. } = self.open[thread].state {
            self.roll_back(now, thread, End::Cancelled);
        }
    }

    /// Ends what it does and rolls it back, unless it commits or is rolled back already.
    pub fn cancel(&mut self, now: Nanos, thread: Thread) {
        match self.open[thread].state {
            State::Free | State::Committing | State::RollingBack(_) => {}
            State::Connecting
            | State::OnCpu
            | State::OnDisk
            | State::Waiting { .. }
            | State::Thinking { .. }
            | State::Holding { .. } => self.roll_back(now, thread, End::Cancelled),
        }
    }

    /// The processors run at so many times their speed from now on.
    pub fn set_speed(&mut self, now: Nanos, speed: f64) {
        self.cpu.set_speed(now, speed);
    }

    /// Lets happen what is due at `now`, and says who has ended.
    pub fn advance(&mut self, now: Nanos) -> &mut Vec<(Thread, End)> {
        while let Some((thread, turn)) = self.cpu.pop(now) {
            if self.open[thread].turn == turn {
                self.off_cpu(now, thread);
            }
        }
        while self.agenda.due() <= now {
            let Some((_, (thread, turn, due))) = self.agenda.pop() else { break };
            if let Due::Disk = due {
                self.disk_done(now);
            }
            if self.open[thread].turn == turn {
                self.happen(now, thread, due);
            }
        }
        &mut self.ended
    }

    /// What the database tells of its transactions and locks.
    #[must_use]
    pub fn locks(&self, now: Nanos) -> Locks {
        let time = |since| Duration::from_nanos(now.saturating_sub(since));
        // 0 is nobody's.
        let backend = |thread: Thread| u32::try_from(thread + 1).unwrap_or(0);
        let mut locks = Locks { has_waits: true, ..Locks::default() };
        for (thread, open) in self.open.iter().enumerate() {
            let (activity, since) = match open.state {
                State::Free => continue,
                State::Waiting { since, .. } => (Activity::Waits, since),
                State::Thinking { since } => (Activity::Idle, since),
                State::Holding { since } if open.plan.is_idle_holder => (Activity::Idle, since),
                State::Committing => (Activity::Commits, open.began),
                State::RollingBack(_) => (Activity::RollsBack, open.began),
                State::Connecting | State::OnCpu | State::OnDisk | State::Holding { .. } => {
                    (Activity::Runs, open.began)
                }
            };
            let held = open.held.len() as u64;
            locks.transactions.push(Transaction {
                backend: backend(thread),
                since: 0,
                id: open.began,
                activity,
                age: time(open.began),
                for_time: time(since),
                rows_locked: held,
                rows_modified: held,
                user: String::new(),
                database: String::new(),
                statement: String::new(),
            });
            if let State::Waiting { row, .. } = open.state
                && let Some(holder) = self.rows.holder(row)
            {
                let object = Object { key: row.to_string(), ..Object::default() };
                let (waiter, blocker) = (backend(thread), backend(holder));
                locks.waits.push(Wait { waiter, blocker, object });
            }
        }
        locks
    }

    /// How many wait for locks, and how long the longest has.
    #[must_use]
    pub fn waiters(&self) -> u32 {
        self.rows.waiters()
    }

    fn start_statement(&mut self, now: Nanos, thread: Thread) {
        let open = &self.open[thread];
        let statement = open.plan.statements[open.step];
        let Some(row) = statement.row else { return self.run(now, thread, 0.0) };
        match self.rows.claim(row, thread) {
            Claim::Held => self.run(now, thread, 0.0),
            Claim::Granted => {
                self.open[thread].held.push(row);
                self.run(now, thread, 0.0);
            }
            Claim::Waits => self.wait(now, thread, row),
        }
    }

    fn wait(&mut self, now: Nanos, thread: Thread, row: u32) {
        self.set(now, thread, State::Waiting { row, since: now });
        let after = self.numbers.deadlock_after_ms / 1000.0;
        if after > 0.0 {
            self.put(now, thread, after, Due::Deadlock);
        } else if self.is_deadlock(thread) {
            return self.roll_back(now, thread, End::Failed);
        }
        self.put(now, thread, self.numbers.lock_wait_ms / 1000.0, Due::LockWait);
    }

    /// Whether the chain of those it waits for leads back to it.
    fn is_deadlock(&self, thread: Thread) -> bool {
        let mut at = thread;
        for _ in 0..self.open.len() {
            let State::Waiting { row, .. } = self.open[at].state else { return false };
            match self.rows.holder(row) {
                Some(holder) if holder == thread => return true,
                Some(holder) => at = holder,
                None => return false,
            }
        }
        false
    }

    /// Runs the statement; `more` is processor time for something besides.
    fn run(&mut self, now: Nanos, thread: Thread, more: f64) {
        let open = &self.open[thread];
        let statement = open.plan.statements[open.step];
        let work = statement.cpu + more;
        self.set(now, thread, State::OnCpu);
        if statement.row.is_some() {
            self.open[thread].written += work;
        }
        self.cpu.add(now, (thread, self.open[thread].turn), work);
    }

    fn off_cpu(&mut self, now: Nanos, thread: Thread) {
        match self.open[thread].state {
            State::Connecting => self.start_statement(now, thread),
            State::OnCpu => {
                let open = &self.open[thread];
                if open.plan.statements[open.step].disk > 0.0 {
                    self.set(now, thread, State::OnDisk);
                    self.disk_queue.push_back((thread, self.open[thread].turn));
                    self.feed_disks(now);
                } else {
                    self.reply(now, thread);
                }
            }
            State::RollingBack(end) => self.end(now, thread, end),
            state => debug_assert!(false, "on no processor: {state:?}"),
        }
    }

    fn feed_disks(&mut self, now: Nanos) {
        while self.disks_busy < self.numbers.disks {
            let Some((thread, turn)) = self.disk_queue.pop_front() else { return };
            if self.open[thread].turn == turn {
                let open = &self.open[thread];
                let time = open.plan.statements[open.step].disk;
                self.disks_busy += 1;
                self.put(now, thread, time, Due::Disk);
            }
        }
    }

    fn disk_done(&mut self, now: Nanos) {
        self.disks_busy -= 1;
        self.feed_disks(now);
    }

    fn reply(&mut self, now: Nanos, thread: Thread) {
        if self.open[thread].is_orphan {
            // It is off the processor: nothing of it is to be taken off there.
            self.set(now, thread, State::Thinking { since: now });
            return self.roll_back(now, thread, End::Cancelled);
        }
        let open = &mut self.open[thread];
        open.step += 1;
        if open.step < open.plan.statements.len() {
            let think = open.plan.think;
            self.set(now, thread, State::Thinking { since: now });
            self.put(now, thread, think, Due::Think);
        } else if open.plan.hold > 0.0 {
            let hold = open.plan.hold;
            self.set(now, thread, State::Holding { since: now });
            self.put(now, thread, hold, Due::Held);
        } else {
            self.commit(now, thread);
        }
    }

    fn commit(&mut self, now: Nanos, thread: Thread) {
        self.set(now, thread, State::Committing);
        self.put(now, thread, self.numbers.commit_ms / 1000.0, Due::Committed);
    }

    fn happen(&mut self, now: Nanos, thread: Thread, due: Due) {
        match due {
            Due::Disk => self.reply(now, thread),
            Due::Think => self.start_statement(now, thread),
            Due::Held => self.commit(now, thread),
            Due::Committed => self.end(now, thread, End::Committed),
            Due::LockWait => self.roll_back(now, thread, End::Failed),
            Due::Deadlock => {
                if self.is_deadlock(thread) {
                    self.roll_back(now, thread, End::Failed);
                }
            }
        }
    }

    fn roll_back(&mut self, now: Nanos, thread: Thread, end: End) {
        let turn = self.open[thread].turn;
        match self.open[thread].state {
            State::Waiting { row, .. } => self.rows.leave(row, thread),
            State::OnCpu | State::Connecting => self.cpu.remove(now, (thread, turn)),
            _ => {}
        }
        self.set(now, thread, State::RollingBack(end));
        let work = self.open[thread].written * self.numbers.rollback;
        self.cpu.add(now, (thread, self.open[thread].turn), work.max(1e-5));
    }

    fn end(&mut self, now: Nanos, thread: Thread, end: End) {
        self.set(now, thread, State::Free);
        for row in std::mem::take(&mut self.open[thread].held) {
            let Some((next, walked)) = self.rows.release(row) else { continue };
            self.open[next].held.push(row);
            let detect = f64::from(walked) * self.numbers.detect_us / 1e6;
            if self.open[next].is_orphan {
                self.roll_back(now, next, End::Cancelled);
            } else {
                self.run(now, next, detect);
            }
        }
        self.free.push(thread);
        self.ended.push((thread, end));
    }

    fn put(&mut self, now: Nanos, thread: Thread, after: f64, due: Due) {
        self.agenda.put(now + nanos(after), (thread, self.open[thread].turn, due));
    }

    fn set(&mut self, now: Nanos, thread: Thread, state: State) {
        let is_busy =
            |state| !matches!(state, State::Free | State::Thinking { .. } | State::Holding { .. });
        let open = &mut self.open[thread];
        let before = is_busy(open.state);
        open.state = state;
        open.turn += 1;
        match (before, is_busy(state)) {
            (false, true) => self.busy += 1,
            (true, false) => self.busy -= 1,
            _ => return,
        }
        self.cpu.set_threads(now, self.busy);
    }

    /// Rows below this are keys that people fight for: what an application would know.
    #[must_use]
    pub fn is_hot(&self, row: u32) -> bool {
        row < self.hot_below
    }

    /// For how long a transaction has been open, in seconds.
    #[must_use]
    pub fn age(&self, now: Nanos, thread: Thread) -> f64 {
        seconds(now.saturating_sub(self.open[thread].began))
    }
}
