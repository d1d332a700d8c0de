//! A command: items become lines of JSON on its standard input, and it answers each with a line.
//!
//! ```text
//!  we write   {"id":"…","recipient":"7","body":"…","attempt":1,"batch":"…"}
//!  it answers {"id":"…","ok":true}
//!             {"id":"…","ok":false,"error":"why"}                       it is tried again
//!             {"id":"…","ok":false,"retry_after":60,"error":"why"}      not before so many seconds
//!             {"id":"…","ok":false,"dead":true,"error":"why"}           never again
//! ```
//!
//! Answers may come in any order. The process is started with the first offer and kept for the next
//! ones. Whatever goes wrong with it (it ends, is silent for too long, or says what is no answer) ends
//! it: what it was told and has not answered is ambiguous, what it was not told is not sent. The next offer
//! starts another one, not sooner than a pause that doubles. What it writes to its standard error
//! goes to ours.

mod line;
mod process;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use self::process::Process;
use super::{Fate, Item, Reason, Sink, Slice, wall_clock};

/// A command, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The program, by its path or its name.
    pub program: OsString,
    /// Its arguments. No shell is asked.
    pub arguments: Vec<OsString>,
    /// It must answer something within this, as long as an answer is due. Default 30 s.
    pub patience: Duration,
    /// Lines that it has been told and has not answered, at most. Default 100.
    pub in_flight_max: usize,
    /// The first pause before it is started again. It doubles with each end in a row, up to half a minute.
    /// Default 100 ms.
    pub pause: Duration,
}

impl Config {
    /// The defaults, for this program.
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            patience: Duration::from_secs(30),
            in_flight_max: 100,
            pause: Duration::from_millis(100),
        }
    }
}

/// The longest pause before a process is started again.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A process that takes items. Offers go one after the other.
#[derive(Debug)]
pub struct Command {
    config: Config,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    process: Option<Process>,
    /// Ends in a row, without an answer in between.
    failures: u32,
    not_before: Option<Instant>,
}

impl Command {
    /// A command that does not run yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, state: Mutex::default() }
    }
}

impl Sink for Command {
    /// Dropping it ends the process: what it was told would be answered to nobody.
    async fn offer(&self, slice: Slice<'_>) -> Vec<Fate> {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if let Some(wait) = state.not_before.and_then(|moment| moment.checked_duration_since(now)) {
            let why =
                Reason::Unreachable(format!("the command has ended; it is started in {wait:?}"));
            return slice.all(&Fate::Unsent(why));
        }
        // Taken out, so that a process of whose answers nobody knows is not there for the next one.
        let kept = state.process.take().and_then(Process::still_runs);
        let mut process = match kept.map_or_else(|| Process::start(&self.config), Ok) {
            Ok(process) => process,
            Err(error) => {
                state.rest(now, self.config.pause);
                return slice.all(&Fate::Unsent(Reason::Unreachable(error.to_string())));
            }
        };
        let moment = wall_clock();
        let is_expired = |item: &Item| item.is_expired(moment);
        let told = process.tell(&self.config, slice, is_expired).await;
        match told.is_well {
            true => *state = State { process: Some(process), ..State::default() },
            false => {
                process.end().await;
                if told.answers > 0 {
                    state.failures = 0;
                }
                state.rest(Instant::now(), self.config.pause);
            }
        }
        told.fates
    }
}

impl State {
    /// After one more end: a pause that doubles.
    fn rest(&mut self, now: Instant, first: Duration) {
        let pause = first.saturating_mul(2_u32.saturating_pow(self.failures)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + pause);
    }
}
