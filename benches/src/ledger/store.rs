//! A private database that writes durably, and what it has spent.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use drill::home::Scratch;
use drill::server::account::{APP, ROOT};
use drill::server::engine::Engine;
use drill::server::{Server, Settings};
use serde::Serialize;

use super::plain::Plain;
use crate::process::{cpu_of, cpu_of_family};

/// Durable, with room for a round between two checkpoints, and noting how long statements take.
const POSTGRES: [&str; 5] = [
    "--fsync=on",
    "--synchronous_commit=on",
    "--full_page_writes=on",
    "--max_wal_size=4GB",
    "--shared_preload_libraries=pg_stat_statements",
];
const MARIADB: [&str; 4] = [
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-doublewrite=1",
    "--innodb-log-file-size=1G",
    "--performance-schema=ON",
];
const MYSQL: [&str; 3] = [
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-doublewrite=ON",
    "--innodb-redo-log-capacity=1G",
];

/// A running server, or a folder for a file.
pub(crate) enum Store {
    Server { server: Box<Server>, url: String },
    File { _folder: Scratch, url: String },
}

/// What was spent up to a moment.
pub(super) struct Spent {
    at: Instant,
    client: Duration,
    server: Duration,
    written: u64,
}

/// What a step has taken.
#[derive(Serialize)]
pub(super) struct Step {
    pub(super) seconds: f64,
    /// CPU of this process, and of the server.
    pub(super) client_seconds: f64,
    pub(super) server_seconds: f64,
    /// Of WAL or redo; of SQLite, all that was written.
    pub(super) bytes: u64,
    pub(super) longest: Option<Longest>,
}

/// The statement that took longest by the server's own clock.
#[derive(Serialize)]
pub(super) struct Longest {
    ms: f64,
    statement: String,
}

impl Store {
    /// Starts a server, or makes a folder for SQLite where there is no engine.
    pub(crate) async fn start(engine: Option<Engine>) -> Result<Self> {
        let Some(engine) = engine else {
            let folder = Scratch::new()?;
            let url = format!("sqlite:{}", folder.path().join("ledger.db").display());
            return Ok(Self::File { _folder: folder, url });
        };
        let durable: &[&str] = match engine {
            Engine::MariaDb => &MARIADB,
            Engine::MySql => &MYSQL,
            _ => &POSTGRES,
        };
        let arguments = durable.iter().map(|&argument| argument.into()).collect();
        let settings = Settings { arguments, ..Settings::usual(engine) };
        let server = Box::new(Server::start(settings).await?);
        let scheme = if engine.is_postgres() { "postgres" } else { "mysql" };
        let url = format!("{scheme}://{}:{}@{}/app", APP.name, APP.password, server.addr());
        let store = Self::Server { server, url };
        if engine.is_postgres() {
            store.root().await?.say("CREATE EXTENSION pg_stat_statements").await?;
        }
        Ok(store)
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Server { url, .. } | Self::File { url, .. } => url,
        }
    }

    pub(crate) fn name(&self) -> String {
        self.server().map_or("SQLite".into(), |server| server.engine().to_string())
    }

    pub(crate) fn server(&self) -> Option<&Server> {
        match self {
            Self::Server { server, .. } => Some(server),
            Self::File { .. } => None,
        }
    }

    /// What was spent so far. The server's connections must still be open for their CPU to count.
    pub(super) async fn spent(&self) -> Result<Spent> {
        let server =
            self.server().map_or(Ok(Duration::ZERO), |server| cpu_of_family(server.id()))?;
        let (at, client) = (Instant::now(), cpu_of(std::process::id())?);
        Ok(Spent { at, client, server, written: self.written().await? })
    }

    /// What was spent since, and the longest statement since [`Store::forget`].
    pub(super) async fn since(&self, before: Spent) -> Result<Step> {
        let after = self.spent().await?;
        Ok(Step {
            seconds: (after.at - before.at).as_secs_f64(),
            client_seconds: after.client.saturating_sub(before.client).as_secs_f64(),
            server_seconds: after.server.saturating_sub(before.server).as_secs_f64(),
            bytes: after.written - before.written,
            longest: self.longest().await?,
        })
    }

    /// Forgets how long statements have taken.
    pub(super) async fn forget(&self) -> Result<()> {
        let sql = match self.server().map(Server::engine) {
            None => return Ok(()),
            Some(engine) if engine.is_postgres() => "SELECT pg_stat_statements_reset()",
            Some(Engine::MariaDb) => {
                "TRUNCATE performance_schema.events_statements_summary_global_by_event_name"
            }
            Some(_) => "TRUNCATE performance_schema.events_statements_summary_by_digest",
        };
        self.root().await?.say(sql).await?;
        Ok(())
    }

    /// Bytes of WAL or redo so far; of SQLite, all that this process has written.
    async fn written(&self) -> Result<u64> {
        let sql = match self.server().map(Server::engine) {
            None => {
                let io = std::fs::read_to_string("/proc/self/io").context("no /proc/self/io")?;
                let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
                return Ok(line.context("no wchar in /proc/self/io")?.parse()?);
            }
            Some(engine) if engine.is_postgres() => {
                "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8, ''"
            }
            Some(Engine::MariaDb) => {
                "SELECT CAST(variable_value AS DOUBLE), '' FROM information_schema.global_status \
                 WHERE variable_name = 'Innodb_os_log_written'"
            }
            Some(_) => {
                "SELECT CAST(variable_value AS DOUBLE), '' FROM performance_schema.global_status \
                 WHERE variable_name = 'Innodb_os_log_written'"
            }
        };
        let (bytes, _) =
            self.root().await?.first(sql).await?.context("the server does not tell")?;
        Ok(bytes as u64)
    }

    /// On PostgreSQL without the commit of a statement that is a transaction by itself, elsewhere with it.
    async fn longest(&self) -> Result<Option<Longest>> {
        let sql = match self.server().map(Server::engine) {
            None => return Ok(None),
            Some(engine) if engine.is_postgres() => {
                "SELECT max_exec_time, query FROM pg_stat_statements JOIN pg_roles r ON r.oid = userid \
                 WHERE rolname = 'app' AND query NOT LIKE 'CREATE %' ORDER BY 1 DESC LIMIT 1"
            }
            // It knows no texts of prepared statements, only that they were executed.
            Some(Engine::MariaDb) => {
                "SELECT CAST(max_timer_wait / 1e9 AS DOUBLE), event_name \
                 FROM performance_schema.events_statements_summary_global_by_event_name \
                 WHERE event_name IN ('statement/com/Execute', 'statement/sql/delete', \
                 'statement/sql/insert', 'statement/sql/select', 'statement/sql/update') \
                 ORDER BY 1 DESC LIMIT 1"
            }
            Some(_) => {
                "SELECT CAST(max_timer_wait / 1e9 AS DOUBLE), CAST(digest_text AS CHAR) \
                 FROM performance_schema.events_statements_summary_by_digest WHERE schema_name = 'app' \
                 AND digest_text NOT LIKE 'CREATE %' AND digest_text NOT LIKE 'COMMIT%' \
                 ORDER BY 1 DESC LIMIT 1"
            }
        };
        let found = self.root().await?.first(sql).await?;
        Ok(found
            .map(|(ms, statement)| Longest { ms, statement: statement.chars().take(60).collect() }))
    }

    async fn root(&self) -> Result<Plain> {
        let server = self.server().context("a file has no root")?;
        let scheme = if server.engine().is_postgres() { "postgres" } else { "mysql" };
        let url = format!("{scheme}://{}:{}@{}/app", ROOT.name, ROOT.password, server.addr());
        Plain::open(&url).await
    }
}

impl Step {
    pub(super) fn longest_ms(&self) -> f64 {
        self.longest.as_ref().map_or(f64::NAN, |longest| longest.ms)
    }
}
