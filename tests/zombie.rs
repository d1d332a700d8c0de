//! No zombie: a statement whose client was told that it failed is never applied later, and whoever
//! retries never makes the database hold more than the limits allow.
//!
//! One row is locked by a session beside the guard, and 32 clients want it, each again and again.
//! `TG_SECONDS=20` is the full size.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::*;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;

/// `upstream.connections`.
const POOL: u32 = 8;
/// `[control] connections`, by default, and the one that observes.
const RESERVED_CONNECTIONS: u32 = 3;
/// Clients that never give up.
const CLIENTS: u64 = 32;
/// How soon service must be back when the row is free again.
const RECOVERY: Duration = Duration::from_secs(1);

/// What the clients were told of their attempts, each of which has a number of its own.
#[derive(Debug, Default)]
struct Told {
    applied: HashSet<u64>,
    failed: HashSet<u64>,
}

/// What all clients of a storm share.
#[derive(Debug, Default)]
struct Shared {
    next: AtomicU64,
    stop: AtomicBool,
    /// Attempts that succeeded.
    served: AtomicU64,
}

impl Shared {
    fn attempt(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The row, the session that holds it, and the guard before both.
struct Scene {
    guard: Guard,
    probe: Probe,
    holder: Conn,
    server: Server,
}

impl Scene {
    /// `in_flight` is the limit of the class; the pool has [`POOL`] connections.
    async fn set(in_flight: u32) -> Self {
        let server = Server::start(Engine::MariaDb).await.unwrap();
        let mut root = server.root().await.unwrap();
        for sql in [
            "CREATE TABLE app.hot (id INT PRIMARY KEY, attempt BIGINT NOT NULL)",
            "CREATE TABLE app.applied (attempt BIGINT PRIMARY KEY)",
            "INSERT INTO app.hot VALUES (1, 0)",
            "CREATE TRIGGER app.note AFTER UPDATE ON app.hot FOR EACH ROW \
             INSERT INTO app.applied VALUES (NEW.attempt)",
            "BEGIN",
            "SELECT * FROM app.hot WHERE id = 1 FOR UPDATE",
        ] {
            root.query_drop(sql).await.unwrap();
        }
        let sections = format!(
            "[class.default]\nin_flight = {in_flight}\nstatement_time = \"1s\"\nqueue_time = \"1s\""
        );
        let setup = Setup { connections: POOL, ..Setup::with(sections) };
        let guard = Guard::start(&server, &setup).await.unwrap();
        let probe = server.probe().await.unwrap();
        Self { guard, probe, holder: root, server }
    }

    /// Watches for `duration` that no limit is passed; returns the most transactions seen waiting.
    async fn watch(&mut self, duration: Duration, in_flight: u32) -> u32 {
        let deadline = Deadline::after(duration);
        let mut most = 0;
        while !deadline.is_over() {
            let open = open(&mut self.probe, &APP).await;
            assert!(open.transactions <= in_flight, "{open:?}, and the limit is {in_flight}");
            assert!(open.connections <= POOL, "{open:?}, and the pool has {POOL} connections");
            let threads = self.probe.threads().await.unwrap();
            let control = threads.iter().filter(|thread| thread.user == CONTROL.name).count();
            assert!(control <= RESERVED_CONNECTIONS as usize, "{control} control connections");
            most = most.max(open.waiting);
        }
        most
    }

    async fn applied(&mut self) -> HashSet<u64> {
        let attempts: Vec<u64> =
            self.probe.conn().query("SELECT attempt FROM app.applied").await.unwrap();
        attempts.into_iter().collect()
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
    scene.holder.query_drop("ROLLBACK").await.unwrap();
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
    let zombies: Vec<_> = applied.intersection(&told.failed).collect();
    assert!(
        zombies.is_empty(),
        "applied although their clients were told that they failed: {zombies:?}"
    );
    let lost: Vec<_> = told.applied.difference(&applied).collect();
    assert!(lost.is_empty(), "told to be applied, and are not: {lost:?}");
    eprintln!("{} failed, {} applied, no zombie", told.failed.len(), applied.len());
}

impl Scene {
    /// Waits until the guard and the server agree that nothing is under way.
    async fn settles(&mut self) {
        let Self { guard, probe, .. } = self;
        eventually("nothing is under way", Duration::from_secs(5), async || {
            let is_quiet = status(guard, "/in_flight").await == 0
                && status(guard, "/queued").await == 0
                && open(probe, &APP).await.transactions == 0;
            is_quiet.then_some(())
        })
        .await;
        assert_eq!(self.guard.metric("guard_panics_total", &[]).await.unwrap(), 0.0);
    }
}

/// One statement with autocommit, for ever.
async fn retry_single(shared: Arc<Shared>, addr: SocketAddr) -> Told {
    let mut told = Told::default();
    let mut client = Client::login(addr, &APP).await.expect("the guard lets clients in");
    while !shared.is_over() {
        let attempt = shared.attempt();
        let sql = format!("UPDATE hot SET attempt = {attempt} WHERE id = 1");
        let reply = client.query(sql).await.expect("a limit does not cost the connection");
        match reply.failure() {
            None => {
                told.applied.insert(attempt);
                shared.served.fetch_add(1, Ordering::Relaxed);
            }
            Some(failure) => {
                assert!(matches!(failure.code, 1969 | 3168), "{failure}");
                told.failed.insert(attempt);
            }
        }
    }
    told
}

/// The same inside a transaction, which the client ends as it was told to.
async fn retry_transaction(shared: Arc<Shared>, addr: SocketAddr) -> Told {
    let mut told = Told::default();
    let mut client = Client::login(addr, &APP).await.expect("the guard lets clients in");
    while !shared.is_over() {
        let attempt = shared.attempt();
        done(&mut client, "BEGIN").await;
        let sql = format!("UPDATE hot SET attempt = {attempt} WHERE id = 1");
        let reply = client.query(sql).await.expect("a limit does not cost the connection");
        let is_cancelled = match reply.failure() {
            None => {
                done(&mut client, "COMMIT").await;
                told.applied.insert(attempt);
                shared.served.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Some(failure) => {
                assert!(matches!(failure.code, 1969 | 3168), "{failure}");
                failure.code == 1969
            }
        };
        told.failed.insert(attempt);
        if is_cancelled {
            let failure = refused(&mut client, "SELECT 1").await;
            assert!(failure.message.contains("end it with ROLLBACK"), "{failure}");
        }
        if is_cancelled && attempt.is_multiple_of(2) {
            refused(&mut client, "COMMIT").await;
        } else {
            done(&mut client, "ROLLBACK").await;
        }
    }
    told
}

/// Asks and hangs up, for ever; the last of its attempts, when the row may be free already, are not
/// counted as failed, since nobody was told anything.
async fn vanish(shared: Arc<Shared>, addr: SocketAddr) -> Told {
    let mut told = Told::default();
    let mut recent = Vec::new();
    while !shared.is_over() {
        let mut client = Client::login(addr, &APP).await.expect("the guard lets clients in");
        let attempt = shared.attempt();
        client.set_patience(Duration::from_millis(100 + attempt % 200));
        let sql = format!("UPDATE hot SET attempt = {attempt} WHERE id = 1");
        match client.query(sql).await {
            Ok(reply) if reply.failure().is_none() => {
                told.applied.insert(attempt);
                shared.served.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) => _ = told.failed.insert(attempt),
            Err(ClientError::Late(_)) => {
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
async fn invariant_5_the_database_never_runs_more_than_the_limit() {
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
async fn clients_that_vanish_leave_no_zombies() {
    let limit = 4;
    let mut scene = Scene::set(limit).await;
    storm(&mut scene, limit, vanish).await;
}

#[tokio::test]
async fn a_cancelled_transaction_is_rolled_back_and_stays_aborted_until_it_is_ended() {
    let mut scene = Scene::set(POOL).await;
    let mut client = Client::login(scene.guard.addr(), &APP).await.unwrap();
    for end in ["ROLLBACK", "COMMIT"] {
        done(&mut client, "BEGIN").await;
        done(&mut client, "INSERT INTO applied VALUES (7)").await;
        let failure = refused(&mut client, "UPDATE hot SET attempt = 7 WHERE id = 1").await;
        assert_eq!(failure.code, 1969, "{failure}");
        for word in [
            "class=default",
            "reason=statement_time",
            "limit_ms=1000",
            "measured_ms=",
            "retry_after_ms=",
        ] {
            assert!(failure.message.contains(word), "{word} is missing: {failure}");
        }
        scene.settles().await;
        let failure = refused(&mut client, "SELECT 1").await;
        assert_eq!(failure.code, 1969, "{failure}");
        match end {
            "COMMIT" => assert_eq!(refused(&mut client, end).await.code, 1969),
            _ => _ = done(&mut client, end).await,
        }
        let count = done(&mut client, "SELECT COUNT(*) FROM applied").await.value();
        assert_eq!(count.as_deref(), Some("0"), "the work before the cancel is gone too");
    }
    drop(scene.server);
}
