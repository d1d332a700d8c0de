//! `tidegate drill zombie`: what a time limit does to a pile-up, behind PgBouncer and behind the guard.
//!
//! A session beside the pool keeps one row locked. Some clients want to update it, each again and
//! again, and whatever stands between them and the database ends an update after a second. PgBouncer
//! does so by closing both sockets. PostgreSQL does not notice: the backend stays in the lock queue,
//! a new one joins it for the client's next attempt, and once the row is free all of them update it
//! although their clients were told that they had failed. The guard cancels, and lends no connection
//! before the database has confirmed the end.
//!
//! Each attempt has a number of its own, which a trigger writes down as it is applied; so what
//! clients were told can be held against what is. The same can be seen behind savepoints, and with clients
//! that hang up instead of waiting for the limit: [`Habit`].

mod habit;
mod show;
mod storm;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

pub use self::habit::Habit;
use self::show::Seen;
pub use self::show::Show;
use self::storm::{Storm, connect};
use crate::error::Error;
use crate::guard::{self, Guard};
use crate::load::whole_ms;
use crate::pgbouncer::{self, PgBouncer};
use crate::server::Server;
use crate::server::account::{APP, ROOT};
use crate::server::engine::Engine;

/// The scene: how many, how long.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// Which PostgreSQL.
    pub engine: Engine,
    /// Clients that come again and again.
    pub clients: usize,
    /// What each of them does.
    pub habit: Habit,
    /// Connections to the database that each of the two poolers may open.
    pub pool: u32,
    /// After how long an update is ended; whole seconds, as PgBouncer has it.
    pub limit: Duration,
    /// How long the row stays locked.
    pub hold: Duration,
}

impl Default for Scene {
    /// A quarter of a minute for each pooler.
    fn default() -> Self {
        Self {
            engine: Engine::Postgres,
            clients: 32,
            habit: Habit::Single,
            pool: 8,
            limit: Duration::from_secs(1),
            hold: Duration::from_secs(10),
        }
    }
}

impl Scene {
    /// With the row locked for less long, and so a shorter queue.
    #[must_use]
    pub fn quick() -> Self {
        Self { hold: Duration::from_secs(4), ..Self::default() }
    }
}

/// What stands between the clients and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// PgBouncer with `query_timeout`.
    PgBouncer,
    /// The guard with `statement_time`.
    Guard,
}

/// What came of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What stood in between.
    pub way: Way,
    /// Most backends seen in the queue for the lock.
    pub lock_queue_max: u32,
    /// Backends in that queue, each second.
    pub lock_queue: Vec<u64>,
    /// Most backends seen of the clients' account.
    pub backends_max: u32,
    /// Updates whose clients were told that they had failed, or had hung up well before the row was free.
    pub failures_told: usize,
    /// Those of them that are in the database nevertheless.
    pub failed_applied: usize,
    /// How long after the row was free the first client was told of a success, in milliseconds; none
    /// when nobody was.
    pub back_after_ms: Option<u64>,
}

/// Both runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// How many connections each might open.
    pub pool: u32,
    /// What clients did.
    #[serde(default)]
    pub habit: Habit,
    /// Behind PgBouncer.
    pub pgbouncer: Outcome,
    /// Behind the guard.
    pub guard: Outcome,
}

impl Report {
    /// Whether the guard kept what it promises: never more waiters than connections, and nothing
    /// applied that was told as failed or given up.
    #[must_use]
    pub fn guard_keeps_its_word(&self) -> bool {
        self.guard.lock_queue_max <= self.pool && self.guard.failed_applied == 0
    }
}

/// How often the server is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long before the row was free a client must have hung up for its update to count as given up: by then
/// it may not be running any more.
const NOTICED: Duration = Duration::from_secs(1);
/// How long the clients go on once the row is free.
const AFTER: Duration = Duration::from_secs(2);
/// How long the server may take to be done with what is left, which may be many zombies.
const SETTLE: Duration = Duration::from_secs(60);

/// Runs the scene behind both, telling `show` as it goes.
///
/// # Errors
/// When PostgreSQL or PgBouncer is not installed, or one of them or the guard does not start or is
/// lost.
pub async fn run(scene: &Scene, show: &mut Show) -> Result<Report, Error> {
    let pgbouncer = behind(Way::PgBouncer, scene, show).await?;
    let guard = behind(Way::Guard, scene, show).await?;
    Ok(Report { pool: scene.pool, habit: scene.habit, pgbouncer, guard })
}

/// Runs the scene behind one of them, before a server of its own.
///
/// # Errors
/// As [`run`].
pub async fn behind(way: Way, scene: &Scene, show: &mut Show) -> Result<Outcome, Error> {
    show.begin(way, scene);
    let server = Server::start(scene.engine).await?;
    connect(&server.postgres_config(&APP)).await?.batch_execute(TABLES).await?;
    let pooler = Pooler::start(way, &server, scene).await?;
    play(way, scene, &server, pooler.addr(), show).await
}

const TABLES: &str = "
    CREATE TABLE hot (id int PRIMARY KEY, attempt bigint NOT NULL);
    CREATE TABLE applied (attempt bigint PRIMARY KEY);
    INSERT INTO hot VALUES (1, 0);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO applied VALUES (NEW.attempt); RETURN NEW; END';
    CREATE TRIGGER note AFTER UPDATE ON hot FOR EACH ROW EXECUTE FUNCTION note();";

/// One of the two, running.
enum Pooler {
    PgBouncer(PgBouncer),
    Guard(Guard),
}

impl Pooler {
    async fn start(way: Way, server: &Server, scene: &Scene) -> Result<Self, Error> {
        match way {
            Way::PgBouncer => {
                let (pool_size, query_timeout) = (scene.pool, scene.limit);
                let setup =
                    pgbouncer::Setup { pool_size, query_timeout, ..pgbouncer::Setup::default() };
                Ok(Self::PgBouncer(PgBouncer::start(server, &setup).await?))
            }
            Way::Guard => {
                let ms = scene.limit.as_millis();
                let sections = format!(
                    "[log]\nlevel = \"error\"\n\n[class.default]\nstatement_time = \"{ms}ms\"\n"
                );
                let setup =
                    guard::Setup { connections: scene.pool, ..guard::Setup::with(sections) };
                Ok(Self::Guard(Guard::start(server, &setup).await?))
            }
        }
    }

    fn addr(&self) -> SocketAddr {
        match self {
            Self::PgBouncer(bouncer) => bouncer.addr(),
            Self::Guard(guard) => guard.addr(),
        }
    }
}

/// Lets the clients storm, frees the row after a while, and holds what was told against what is.
async fn play(
    way: Way,
    scene: &Scene,
    server: &Server,
    target: SocketAddr,
    show: &mut Show,
) -> Result<Outcome, Error> {
    let probe = connect(&server.postgres_config(&ROOT)).await?;
    let holder = connect(&server.postgres_config(&ROOT)).await?;
    holder.batch_execute("BEGIN; SELECT FROM hot WHERE id = 1 FOR UPDATE").await?;
    let storm = Storm::start(target, scene.clients, scene.habit);
    let mut most = Most::default();
    watch(scene.hold, &probe, &storm, &mut most, show).await?;
    holder.batch_execute("ROLLBACK").await?;
    let freed = Instant::now();
    watch(AFTER, &probe, &storm, &mut most, show).await?;
    let back_after = storm.first_success().map(|at| at.saturating_duration_since(freed));
    let lost = storm.end(freed - NOTICED).await;
    settle(&probe).await?;
    // What came before a savepoint has its attempt's number below zero.
    let rows = probe.query("SELECT DISTINCT abs(attempt) FROM applied", &[]).await?;
    let failed_applied = rows.iter().filter(|row| lost.contains(&row.get::<_, i64>(0))).count();
    Ok(Outcome {
        way,
        lock_queue_max: most.seen.lock_queue,
        lock_queue: most.lock_queue,
        backends_max: most.seen.backends,
        failures_told: lost.len(),
        failed_applied,
        back_after_ms: back_after.map(whole_ms),
    })
}

/// What was seen of the server.
#[derive(Debug, Default)]
struct Most {
    /// The most of each.
    seen: Seen,
    /// The queue for the lock, each second.
    lock_queue: Vec<u64>,
}

/// Looks at the server for a while, and tells what it sees every second.
async fn watch(
    duration: Duration,
    probe: &Client,
    storm: &Arc<Storm>,
    most: &mut Most,
    show: &mut Show,
) -> Result<(), Error> {
    let began = Instant::now();
    let mut told = began;
    while began.elapsed() < duration {
        sleep(LOOK).await;
        let seen = look(probe).await?;
        most.seen.lock_queue = most.seen.lock_queue.max(seen.lock_queue);
        most.seen.backends = most.seen.backends.max(seen.backends);
        if told.elapsed() >= Duration::from_secs(1) {
            told += Duration::from_secs(1);
            most.lock_queue.push(seen.lock_queue.into());
            show.second(seen, storm.failures(), storm.successes());
        }
    }
    Ok(())
}

async fn look(probe: &Client) -> Result<Seen, Error> {
    let sql = "SELECT (count(*) FILTER (WHERE wait_event_type = 'Lock'))::int, count(*)::int \
               FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = $1";
    let row = probe.query_one(sql, &[&APP.name]).await?;
    let number = |column| u32::try_from(row.get::<usize, i32>(column)).unwrap_or(0);
    Ok(Seen { lock_queue: number(0), backends: number(1) })
}

/// Waits until nothing of the clients' runs on the server any more.
async fn settle(probe: &Client) -> Result<(), Error> {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND xact_start IS NOT NULL";
    let quiet = async {
        while probe.query_one(sql, &[&APP.name]).await?.get::<_, i64>(0) > 0 {
            sleep(LOOK).await;
        }
        Ok(())
    };
    let late = |_| Error::Late {
        what: "the end of all updates".into(),
        after: SETTLE,
        log: String::new(),
    };
    timeout(SETTLE, quiet).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(way: Way, lock_queue_max: u32, failed_applied: usize) -> Outcome {
        Outcome {
            way,
            lock_queue_max,
            lock_queue: vec![8; 12],
            backends_max: 8,
            failures_told: 100,
            failed_applied,
            back_after_ms: None,
        }
    }

    fn report(lock_queue_max: u32, failed_applied: usize) -> Report {
        let pgbouncer = outcome(Way::PgBouncer, 64, 64);
        let guard = outcome(Way::Guard, lock_queue_max, failed_applied);
        Report { pool: 8, habit: Habit::Single, pgbouncer, guard }
    }

    #[test]
    fn the_guard_keeps_its_word_with_a_queue_within_the_pool_and_no_zombie_only() {
        assert!(report(8, 0).guard_keeps_its_word());
        assert!(!report(9, 0).guard_keeps_its_word());
        assert!(!report(8, 1).guard_keeps_its_word());
    }

    #[test]
    fn a_run_of_before_there_were_habits_is_told_again() {
        let mut json = serde_json::to_value(report(8, 0)).unwrap();
        json.as_object_mut().unwrap().remove("habit");
        let report: Report = serde_json::from_value(json).unwrap();
        assert_eq!(report.habit, Habit::Single);
    }

    #[test]
    fn updates_of_clients_that_vanish_are_given_up_and_not_told() {
        let vanish = Report { habit: Habit::Vanish, ..report(8, 0) };
        let table = crate::record::told_again(vanish);
        assert!(table.contains("updates given up") && !table.contains("told as failed"), "{table}");
    }

    #[test]
    fn a_table_has_a_line_for_each_figure() {
        let table = crate::record::told_again(report(8, 0));
        let line = |name| table.lines().find(|line| line.contains(name)).unwrap();
        assert!(line("of these, committed").ends_with("          64           0"), "{table}");
        assert!(line("first success").ends_with("        none        none"), "{table}");
    }
}
