//! No zombie, on PostgreSQL: a statement whose client was told that it failed is never applied later,
//! and whoever retries never makes the database hold more than the limits allow.
//!
//! One row is locked by a session beside the guard, and 32 clients want it, each again and again.
//! `TG_SECONDS=20` is the full size. The same beside PgBouncer is `tidegate drill zombie --habit …`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drill::zombie::{self, Habit};
use harness::*;
use tokio::task::JoinSet;
use wire::postgres::backend::TransactionStatus;

/// `upstream.connections`.
const POOL: u32 = 8;
/// `[control] connections`, by default, and the one that observes.
const RESERVED_CONNECTIONS: usize = 3;
/// Clients that never give up.
const CLIENTS: u64 = 32;
/// How soon service must be back when the row is free again.
const RECOVERY: Duration = Duration::from_secs(1);

/// What the clients were told of their attempts, each of which has a number of its own.
#[derive(Debug, Default)]
struct Told {
    applied: HashSet<i64>,
    failed: HashSet<i64>,
}

impl Told {
    /// Notes an attempt that failed, which must be for a limit.
    fn note_failure(&mut self, attempt: i64, failure: &PgFailure) {
        assert!(matches!(&*failure.code, "57014" | "53400"), "{failure}");
        self.failed.insert(attempt);
    }
}

/// What all clients of a storm share.
#[derive(Debug, Default)]
struct Shared {
    next: AtomicI64,
    stop: AtomicBool,
    /// Attempts that succeeded.
    served: AtomicU64,
}

impl Shared {
    fn attempt(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn note_success(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }
}

/// The row, the session that holds it, and the guard before both.
struct Scene {
    guard: Guard,
    probe: PostgresProbe,
    holder: PgClient,
    _server: Server,
}

impl Scene {
    /// `in_flight` is the limit of the class; the pool has [`POOL`] connections.
    async fn set(in_flight: u32) -> Self {
        let server = Server::start(Engine::Postgres).await.unwrap();
        let mut holder = PgClient::login(server.addr(), &APP).await.unwrap();
        for sql in [
            "CREATE TABLE hot (id int PRIMARY KEY, attempt bigint NOT NULL)",
            "CREATE TABLE applied (attempt bigint PRIMARY KEY)",
            "INSERT INTO hot VALUES (1, 0)",
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN INSERT INTO applied VALUES (NEW.attempt); RETURN NEW; END'",
            "CREATE TRIGGER note AFTER UPDATE ON hot FOR EACH ROW EXECUTE FUNCTION note()",
        ] {
            pg_done(&mut holder, sql).await;
        }
        // Not of the account that is counted.
        let mut holder = PgClient::login(server.addr(), &ROOT).await.unwrap();
        pg_done(&mut holder, "BEGIN").await;
        pg_done(&mut holder, "SELECT FROM hot WHERE id = 1 FOR UPDATE").await;
        let sections = format!(
            "[class.default]\nin_flight = {in_flight}\nstatement_time = \"1s\"\nqueue_time = \"1s\""
        );
        let setup = Setup { connections: POOL, ..Setup::with(sections) };
        let guard = Guard::start(&server, &setup).await.unwrap();
        let probe = server.postgres_probe().await.unwrap();
        Self { guard, probe, holder, _server: server }
    }

    /// Watches for `duration` that no limit is passed; returns the most backends seen waiting.
    async fn watch(&mut self, duration: Duration, in_flight: u32) -> u32 {
        let deadline = Deadline::after(duration);
        let mut most = 0;
        while !deadline.is_over() {
            let open = pg_open(&self.probe, &APP).await;
            assert!(open.transactions <= in_flight, "{open:?}, and the limit is {in_flight}");
            assert!(open.connections <= POOL, "{open:?}, and the pool has {POOL} connections");
            let threads = self.probe.threads().await.unwrap();
            let control = threads.iter().filter(|thread| thread.user == CONTROL.name).count();
            assert!(control <= RESERVED_CONNECTIONS, "{control} control connections");
            most = most.max(open.waiting);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        most
    }

    async fn applied(&self) -> HashSet<i64> {
        let rows = self.probe.client().query("SELECT attempt FROM applied", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until the guard and the server agree that nothing is under way.
    async fn settles(&self) {
        eventually("nothing is under way", Duration::from_secs(5), async || {
            let is_quiet = status(&self.guard, "/in_flight").await == 0
                && status(&self.guard, "/queued").await == 0
                && pg_open(&self.probe, &APP).await.transactions == 0;
            is_quiet.then_some(())
        })
        .await;
        assert_eq!(self.guard.metric("guard_panics_total", &[]).await.unwrap(), 0.0);
    }
}

/// Lets `client` storm, frees the row after a while, and judges what was told against what is.
async fn storm<F>(scene: &mut Scene, in_flight: u32, client: fn(Arc<Shared>, SocketAddr) -> F)
where
    F: Future<Output = Told> + Send + 'static,
{
    let shared = Arc::new(Shared::default());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client(Arc::clone(&shared), scene.guard.addr()));
    }
    let most = scene.watch(seconds(6), in_flight).await;
    assert_eq!(most, in_flight, "the storm never filled the limit");
    assert_eq!(shared.served.load(Ordering::Relaxed), 0, "the row was locked");
    pg_done(&mut scene.holder, "ROLLBACK").await;
    let freed = Instant::now();
    eventually("service is back", RECOVERY, async || {
        (shared.served.load(Ordering::Relaxed) >= CLIENTS).then_some(())
    })
    .await;
    eprintln!("{CLIENTS} served {:?} after the row was free", freed.elapsed());
    shared.stop.store(true, Ordering::Relaxed);
    let mut told = Told::default();
    while let Some(one) = clients.join_next().await {
        let one = one.unwrap();
        told.applied.extend(one.applied);
        told.failed.extend(one.failed);
    }
    scene.settles().await;
    let applied = scene.applied().await;
    // What came before a savepoint is noted with the number below zero.
    let zombies: Vec<_> = applied.iter().filter(|it| told.failed.contains(&it.abs())).collect();
    assert!(
        zombies.is_empty(),
        "applied although their clients were told that they failed: {zombies:?}"
    );
    let lost: Vec<_> = told.applied.difference(&applied).collect();
    assert!(lost.is_empty(), "told to be applied, and are not: {lost:?}");
    assert!(told.failed.len() >= in_flight as usize, "{} failed", told.failed.len());
    eprintln!("{} failed, {} applied, no zombie", told.failed.len(), applied.len());
}

fn update(attempt: i64) -> String {
    format!("UPDATE hot SET attempt = {attempt} WHERE id = 1")
}

/// One statement that is a transaction of its own, for ever: by turns simple, and extended.
async fn retry_single(shared: Arc<Shared>, addr: SocketAddr) -> Told {
    let mut told = Told::default();
    let mut client = PgClient::login(addr, &APP).await.expect("the guard lets clients in");
    while !shared.is_over() {
        let attempt = shared.attempt();
        let reply = match attempt % 2 {
            0 => client.query(&update(attempt)).await,
            _ => {
                let sql = "UPDATE hot SET attempt = $1::bigint WHERE id = 1";
                client.execute(sql, &[&attempt.to_string()]).await
            }
        };
        let reply = reply.expect("a limit does not cost the connection");
        assert_eq!(reply.status, TransactionStatus::Idle);
        match &reply.failure {
            None => {
                told.applied.insert(attempt);
                shared.note_success();
            }
            Some(failure) => told.note_failure(attempt, failure),
        }
    }
    told
}

/// The same inside a transaction, which the client ends as it was told to.
async fn retry_transaction(shared: Arc<Shared>, addr: SocketAddr) -> Told {
    retry_behind(shared, addr, &[]).await
}

/// The same behind a savepoint: on the server an error there ends neither the transaction nor what
/// it holds.
async fn retry_savepoint(shared: Arc<Shared>, addr: SocketAddr) -> Told {
    let steps = &["INSERT INTO applied VALUES (-$)", "SAVEPOINT one"];
    retry_behind(shared, addr, steps).await
}

/// A transaction whose update comes behind `steps`, in which `$` is the attempt's number. One that
/// fails at any step is over.
async fn retry_behind(
    shared: Arc<Shared>,
    addr: SocketAddr,
    steps: &'static [&'static str],
) -> Told {
    let mut told = Told::default();
    let mut client = PgClient::login(addr, &APP).await.expect("the guard lets clients in");
    while !shared.is_over() {
        let attempt = shared.attempt();
        pg_done(&mut client, "BEGIN").await;
        let steps = steps.iter().map(|step| step.replace('$', &attempt.to_string()));
        let mut failure = None;
        for sql in steps.chain([update(attempt)]) {
            let reply = client.query(&sql).await.expect("a limit does not cost the connection");
            failure = reply.failure;
            if failure.is_some() {
                assert_eq!(reply.status, TransactionStatus::Failed);
                break;
            }
        }
        let Some(failure) = failure else {
            pg_done(&mut client, "COMMIT").await;
            told.applied.insert(attempt);
            shared.note_success();
            continue;
        };
        told.note_failure(attempt, &failure);
        let failure = pg_refused(&mut client, "SELECT 1").await;
        assert_eq!(failure.code, "25P02", "{failure}");
        let end = if attempt % 2 == 0 { "ROLLBACK" } else { "COMMIT" };
        assert_eq!(pg_done(&mut client, end).await.tags, ["ROLLBACK"]);
    }
    told
}

/// Asks and hangs up, for ever; the last of its attempts, when the row may be free already, are not
/// counted as failed, since nobody was told anything.
async fn vanish(shared: Arc<Shared>, addr: SocketAddr) -> Told {
    let mut told = Told::default();
    let mut recent = Vec::new();
    while !shared.is_over() {
        let mut client = PgClient::login(addr, &APP).await.expect("the guard lets clients in");
        let attempt = shared.attempt();
        client.set_patience(Duration::from_millis(100 + attempt.unsigned_abs() % 200));
        match client.query(&update(attempt)).await {
            Ok(PgReply { failure: None, .. }) => {
                told.applied.insert(attempt);
                shared.note_success();
            }
            Ok(PgReply { failure: Some(failure), .. }) => told.note_failure(attempt, &failure),
            Err(PgError::Late(_)) => {
                drop(client);
                recent.push((Instant::now(), attempt));
            }
            Err(error) => panic!("{error}"),
        }
    }
    let longest = Duration::from_secs(2);
    let old = recent.into_iter().filter(|(gone, _)| gone.elapsed() > RECOVERY + longest);
    told.failed.extend(old.map(|(_, attempt)| attempt));
    told
}

#[tokio::test]
async fn retries_leave_no_zombies() {
    let mut scene = Scene::set(POOL).await;
    storm(&mut scene, POOL, retry_single).await;
}

#[tokio::test]
async fn invariant_5_postgres_never_runs_more_than_the_limit() {
    let limit = 3;
    let mut scene = Scene::set(limit).await;
    storm(&mut scene, limit, retry_single).await;
}

#[tokio::test]
async fn transactions_that_are_retried_leave_no_zombies() {
    let mut scene = Scene::set(POOL).await;
    storm(&mut scene, POOL, retry_transaction).await;
}

#[tokio::test]
async fn savepoints_that_are_retried_leave_no_zombies() {
    let mut scene = Scene::set(POOL).await;
    storm(&mut scene, POOL, retry_savepoint).await;
}

#[tokio::test]
async fn clients_that_vanish_leave_no_zombies() {
    let limit = 4;
    let mut scene = Scene::set(limit).await;
    storm(&mut scene, limit, vanish).await;
}

/// `tidegate drill zombie` in short, if PgBouncer is there: behind the guard no queue outgrows the pool and
/// nothing is committed that was told as failed or given up; behind PgBouncer the queue does.
async fn beside_pgbouncer(habit: Habit) -> Option<zombie::Report> {
    if !PgBouncer::available() {
        return None;
    }
    let scene = zombie::Scene { habit, ..zombie::Scene::quick() };
    let report = zombie::run(&scene, &mut zombie::Show::quiet()).await.unwrap();
    eprintln!("{}", drill::sheet::Report::sheet(&report).text());
    assert!(report.pgbouncer.lock_queue_max > POOL, "{report:?}");
    assert!(report.guard.failures_told > 0, "{report:?}");
    assert!(report.guard_keeps_its_word(), "{report:?}");
    Some(report)
}

/// It commits what it has reported as failed.
#[tokio::test]
async fn pgbouncer_leaves_zombies_where_the_guard_leaves_none() {
    if let Some(report) = beside_pgbouncer(Habit::Single).await {
        assert!(report.pgbouncer.failed_applied > 0, "{report:?}");
    }
}

/// Here a zombie finds the socket closed before its COMMIT, and rolls back; until then it waits with the others.
#[tokio::test]
async fn pgbouncer_lets_the_queue_grow_behind_savepoints() {
    beside_pgbouncer(Habit::Savepoint).await;
}

/// It commits what nobody waits for any more.
#[tokio::test]
async fn pgbouncer_leaves_zombies_of_clients_that_vanish() {
    if let Some(report) = beside_pgbouncer(Habit::Vanish).await {
        assert!(report.pgbouncer.failed_applied > 0, "{report:?}");
    }
}
