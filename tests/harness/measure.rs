//! What a test measures from outside: the server's own count of transactions, a process's memory.

use std::time::Duration;

use drill::client::{Client, Failure, Reply};
use drill::guard::Guard;
use drill::server::account::Account;
use drill::server::mysql::probe::Probe;
use drill::server::postgres::probe::Probe as PostgresProbe;
use mysql_async::prelude::Queryable;

/// How long a soak runs: `TG_SECONDS`, else `default`.
///
/// # Panics
/// When `TG_SECONDS` is no number.
#[must_use]
pub fn seconds(default: u64) -> Duration {
    let number = match std::env::var("TG_SECONDS") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("TG_SECONDS={text} is no number")),
        Err(_) => default,
    };
    Duration::from_secs(number)
}

/// Runs a statement that must succeed.
///
/// # Panics
/// When it does not.
pub async fn done(client: &mut Client, sql: &str) -> Reply {
    let reply = client.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(reply.failure(), None, "{sql}");
    reply
}

/// Runs a statement that must fail, and returns the error.
///
/// # Panics
/// When it succeeds, or the connection fails.
pub async fn refused(client: &mut Client, sql: &str) -> Failure {
    let reply = client.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    reply.failure().unwrap_or_else(|| panic!("{sql} succeeded"))
}

/// What a server has open for one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Open {
    /// Transactions.
    pub transactions: u32,
    /// Those of them that wait for a lock.
    pub waiting: u32,
    /// Connections.
    pub connections: u32,
}

/// InnoDB makes its list of transactions anew only when nobody has read it for 100 ms; whoever asks
/// more often sees the same list for ever.
const LIST_AGE: Duration = Duration::from_millis(120);

/// Reads what an account has open on the server now. It takes a tenth of a second, since an older
/// list of transactions is of no use; nobody else may read it meanwhile.
///
/// # Panics
/// When the server does not tell.
pub async fn open(probe: &mut Probe, account: &Account) -> Open {
    tokio::time::sleep(LIST_AGE).await;
    let user = account.name;
    let sql = format!(
        "SELECT COUNT(t.trx_id), CAST(COALESCE(SUM(t.trx_state = 'LOCK WAIT'), 0) AS UNSIGNED), \
         COUNT(DISTINCT p.id) FROM information_schema.PROCESSLIST p \
         LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.id \
         WHERE p.user = '{user}'"
    );
    let row: Option<(u32, u32, u32)> =
        probe.conn().query_first(sql).await.expect("root may read the server's lists");
    let (transactions, waiting, connections) = row.unwrap_or_default();
    Open { transactions, waiting, connections }
}

/// As [`open`], of a PostgreSQL. A transaction is one of the server's own: between statements, and
/// outside of BEGIN and COMMIT, there is none.
///
/// # Panics
/// When the server does not tell.
pub async fn pg_open(probe: &PostgresProbe, account: &Account) -> Open {
    let sql = "SELECT (count(*) FILTER (WHERE xact_start IS NOT NULL))::int, \
               (count(*) FILTER (WHERE wait_event_type = 'Lock'))::int, count(*)::int \
               FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = $1";
    let row = probe.client().query_one(sql, &[&account.name]).await.expect("root may look");
    let number = |column| u32::try_from(row.get::<usize, i32>(column)).unwrap_or(0);
    Open { transactions: number(0), waiting: number(1), connections: number(2) }
}

/// A number of the guard's status, such as `/in_flight` or `/clients/connected`.
///
/// # Panics
/// When the guard does not tell it.
pub async fn status(guard: &Guard, pointer: &str) -> u64 {
    let status = guard.json("/api/v1/status").await.expect("the guard tells its status");
    let value = status.pointer(pointer).and_then(serde_json::Value::as_u64);
    value.unwrap_or_else(|| panic!("no {pointer} in {status}"))
}

/// The memory a process has in use, in KiB.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn memory_kib(process: u32) -> u64 {
    of_status(process, "VmRSS:")
}

/// The most memory that a process has had in use since it started, in KiB.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn memory_peak_kib(process: u32) -> u64 {
    of_status(process, "VmHWM:")
}

fn of_status(process: u32, key: &str) -> u64 {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_else(|_| panic!("no {key} in {path}"))
}

/// The CPU time that a process has used so far, in steps of 10 ms.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn cpu_time(process: u32) -> Duration {
    /// What the kernel counts in here, whatever it counts in itself.
    const TICK: Duration = Duration::from_millis(10);
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // The name may have anything in it, and ends with the last parenthesis.
    let (_, fields) = text.rsplit_once(") ").unwrap_or_else(|| panic!("no name in {path}"));
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u32>());
    TICK * ticks.sum::<Result<u32, _>>().unwrap_or_else(|_| panic!("no times in {path}"))
}
