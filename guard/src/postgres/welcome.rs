//! What a fresh session is like.
//!
//! A client is told at login which settings its session has, and a database refuses a login that
//! asks for settings that there are not. So the database is asked, once for each account, database
//! and set of start-up parameters; what it says is remembered, until it tells a fresh connection
//! something else: then it was restarted, promoted, or configured anew.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    Lease, LeaseError, Pool,
    connect::{ConnectError, Parameter, ServerError},
    handover::{HandoverError, Incoming, hand_over},
    holdings::{self, Suspicion},
    sequences,
    settings::{self, Settings},
};
use crate::engine::OpenError;

/// What clients are told of a session, and what it is set to.
#[derive(Debug)]
pub struct Welcome {
    /// The settings that the server reports, in its order.
    pub parameters: Vec<Parameter>,
    /// What differs from a session without start-up parameters.
    pub settings: Arc<Settings>,
}

/// What a pool remembers.
#[derive(Debug, Default)]
pub struct Memory {
    /// By the settings that were asked for.
    welcomes: Mutex<HashMap<Vec<Parameter>, Kept>>,
    /// What the server reports to fresh connections.
    pub reports: Arc<Reports>,
    /// Whether a session was seen to ask what was drawn from sequences, or code of the database's does.
    pub asks_draws: AtomicBool,
}

/// What was found out once.
#[derive(Debug)]
struct Kept {
    welcome: Arc<Welcome>,
    /// How often reports had changed before.
    changes: u64,
}

/// The setting that says whether the server is a standby, which changes as it is promoted.
pub const ROLE: &[u8] = b"in_hot_standby";

/// What a server reports to fresh connections of a pool.
#[derive(Debug, Default)]
pub struct Reports {
    last: Mutex<Vec<Parameter>>,
    changes: AtomicU64,
}

impl Reports {
    /// Notes what a fresh connection was told.
    pub fn note(&self, parameters: &[Parameter]) {
        let mut last = self.last.lock();
        if *last != parameters {
            *last = parameters.to_vec();
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that a connection was told of another role of its server: it was promoted. Fresh ones would
    /// say the same.
    pub fn note_role(&self, value: &[u8]) {
        let mut last = self.last.lock();
        let known = last.iter_mut().find(|(name, _)| **name == *ROLE);
        if let Some((_, known)) = known.filter(|(_, known)| **known != *value) {
            *known = value.into();
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }
}

impl Memory {
    fn recall(&self, parameters: &[Parameter]) -> Option<Arc<Welcome>> {
        let welcomes = self.welcomes.lock();
        let kept = welcomes.get(parameters)?;
        (kept.changes == self.reports.changes()).then(|| Arc::clone(&kept.welcome))
    }

    fn keep(&self, parameters: &[Parameter], changes: u64, welcome: &Arc<Welcome>) {
        let mut welcomes = self.welcomes.lock();
        if welcomes.len() >= WELCOMES_MAX {
            welcomes.clear();
        }
        let welcome = Arc::clone(welcome);
        welcomes.insert(parameters.to_vec(), Kept { welcome, changes });
    }
}

/// Sets of parameters remembered for a pool. At the bound they are forgotten, and asked for again.
const WELCOMES_MAX: usize = 256;

/// How long a login waits before it looks again for a connection.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

impl Pool {
    /// What a session with these start-up parameters is like. Waits for a connection up to
    /// `patience`, if it has to ask.
    ///
    /// # Errors
    /// What the database said; or that no connection was to be had. Dropping the future closes the
    /// connection it asked on.
    pub async fn welcome(
        &self,
        parameters: &[Parameter],
        patience: Duration,
    ) -> Result<Arc<Welcome>, LeaseError> {
        if let Some(known) = self.memory.recall(parameters) {
            return Ok(known);
        }
        let asked = async {
            let Some(upstream) = self.upstream() else {
                return Err(OpenError::Setup("the guard is shutting down".into()).into());
            };
            let _one_at_a_time = upstream.past_the_gate.acquire().await;
            // A herd of logins asks for the same one.
            if let Some(known) = self.memory.recall(parameters) {
                return Ok(known);
            }
            // What changes while it is asked is found by the next, which asks again.
            let changes = self.memory.reports.changes();
            let welcome = Arc::new(self.ask(parameters).await?);
            self.memory.keep(parameters, changes, &welcome);
            Ok(welcome)
        };
        let late = || OpenError::Setup("the database does not answer".into()).into();
        tokio::time::timeout(patience, asked).await.unwrap_or_else(|_| Err(late()))
    }

    async fn ask(&self, parameters: &[Parameter]) -> Result<Welcome, LeaseError> {
        let wanted = settings::of_startup(parameters).map_err(|option| {
            let text = format!("invalid command-line argument for server process: {option}");
            refused(ServerError::own(*b"42601", &text))
        })?;
        let mut lease = loop {
            match self.try_lease().await {
                Err(LeaseError::NoRoom(_)) => tokio::time::sleep(LOOK_PAUSE).await,
                leased => break leased?,
            }
        };
        // Also to hear what has changed: a connection that was idle is told with its next answer.
        if asked_by_code(&mut lease).await? {
            self.memory.asks_draws.store(true, Ordering::Relaxed);
        }
        let before = lease.reported.clone();
        let settings = &Arc::new(wanted);
        let incoming = Incoming { session: 0, settings, lock_timeout: None, asks_draws: false };
        match hand_over(&mut lease, incoming).await {
            Ok(()) => {}
            Err(HandoverError::Refused(error)) => {
                lease.give_back();
                return Err(refused(error));
            }
            Err(HandoverError::Lost(lost)) => {
                return Err(OpenError::Setup(lost.to_string()).into());
            }
        }
        let mut welcome =
            Welcome { parameters: lease.reported.clone(), settings: Arc::clone(&lease.settings) };
        if !welcome.settings.is_empty() || before != welcome.parameters {
            // By the names and in the words of the server.
            let found = holdings::look(&mut lease, Suspicion::SETTINGS, &[]).await;
            let found = found.map_err(|lost| OpenError::Setup(lost.to_string()))?;
            let Some(settings) = found.and_then(|found| found.settings) else {
                return Err(
                    OpenError::Setup("the database does not tell its settings".into()).into()
                );
            };
            lease.settings = Arc::clone(&settings);
            welcome.settings = settings;
        }
        // Whose it was before, it is no more.
        lease.last_used_by = 0;
        lease.give_back();
        Ok(welcome)
    }
}

/// Whether code in the database asks what was drawn, which no statement shows. A server that does not
/// tell is taken to have none.
async fn asked_by_code(lease: &mut Lease) -> Result<bool, LeaseError> {
    let answer = lease.query(sequences::ASKED_BY_CODE.as_bytes()).await;
    let rows = answer.map_err(|lost| OpenError::Setup(lost.to_string()))?.unwrap_or_default();
    Ok(rows.first().and_then(|row| row.first()?.as_deref()) == Some(b"t"))
}

fn refused(error: ServerError) -> LeaseError {
    OpenError::Connect(ConnectError::Refused(error)).into()
}
