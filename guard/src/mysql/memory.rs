//! What a pool of MySQL remembers of its sessions.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::AtomicBool},
};

use parking_lot::Mutex;
use wire::mysql::command::{self, Command};

use super::{LeaseError, Pool};
use crate::{
    engine::OpenError,
    mysql::{connect::ConnectError, connection::Answer, session::settings::Settings},
};

/// What the sessions of one account have been seen to ask for later; see `session::look_back`.
#[derive(Debug, Default)]
pub struct Habits {
    /// They use `LAST_INSERT_ID()`.
    pub last_insert: AtomicBool,
    /// They use `ROW_COUNT()`.
    pub row_count: AtomicBool,
    /// They use `FOUND_ROWS()`.
    pub found_rows: AtomicBool,
    /// They ask for warnings.
    pub warnings: AtomicBool,
}

/// What a pool remembers.
#[derive(Debug)]
pub struct Memory {
    /// What its sessions ask for.
    pub habits: Arc<Habits>,
    /// Schemas that the account was seen to reach, so that a login need not ask again.
    schemas: Mutex<HashSet<Box<[u8]>>>,
}

impl Memory {
    /// Nothing yet, but for the habits of the account.
    pub fn new(habits: Arc<Habits>) -> Self {
        Self { habits, schemas: Mutex::default() }
    }
}

/// Schemas remembered for an account. At the bound they are forgotten, and asked for again.
const SCHEMAS_MAX: usize = 1024;

impl Pool {
    /// Whether the account may use `schema`, as a login has to tell. Asks the database once, where a
    /// connection can be had without waiting for another session; otherwise the first statement
    /// tells.
    ///
    /// # Errors
    /// What the database said: that there is no such schema, or no access.
    pub async fn check_schema(&self, schema: &[u8]) -> Result<(), LeaseError> {
        if self.memory.schemas.lock().contains(schema) {
            return Ok(());
        }
        let Some(upstream) = self.upstream() else { return Ok(()) };
        let _one_at_a_time = upstream.past_the_gate.acquire().await;
        // A herd of logins asks for the same one.
        if self.memory.schemas.lock().contains(schema) {
            return Ok(());
        }
        let patience = upstream.target.connect_timeout * 2;
        tokio::time::timeout(patience, self.ask_for_schema(schema))
            .await
            .unwrap_or_else(|_| Err(OpenError::Setup("the database does not answer".into()).into()))
    }

    async fn ask_for_schema(&self, schema: &[u8]) -> Result<(), LeaseError> {
        let mut lease = match self.try_lease().await {
            Ok(lease) => lease,
            Err(LeaseError::NoRoom(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        command::put_init_db(&mut lease.outbuf, schema);
        match lease.command(Command::InitDb).await {
            Ok(Answer::Ok(_)) => {
                let mut settings = Settings::clone(&lease.settings);
                settings.schema = Some(schema.into());
                lease.settings = Arc::new(settings);
                lease.give_back();
            }
            Ok(Answer::Err(error)) => {
                lease.give_back();
                return Err(OpenError::Connect(ConnectError::Refused(error)).into());
            }
            Err(lost) => return Err(OpenError::Setup(lost.to_string()).into()),
        }
        let mut schemas = self.memory.schemas.lock();
        if schemas.len() >= SCHEMAS_MAX {
            schemas.clear();
        }
        schemas.insert(schema.into());
        Ok(())
    }
}
