//! Never another's rows: each answer carries its question, whatever goes wrong around it. Limits,
//! cancels, clients that leave in the middle of a result, pipelines, killed server threads, and a
//! server that restarts half-way.
//!
//! `TG_SECONDS=600` is the full size; `TG_SEED` plays another order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::*;
use mysql_async::prelude::Queryable;
use tokio::task::JoinSet;
use wire::mysql::command::Command;

/// `upstream.connections`: fewer than clients, so that connections change hands all the time.
const POOL: u32 = 6;
/// Clients that ask at once.
const CLIENTS: u64 = 24;
/// What the guard's memory may have grown by, in KiB, once all clients are gone: allocators keep
/// some of what was in use at once.
const GROWTH_KIB: u64 = 16 * 1024;
/// Nobody waits longer than this for an answer; the longest limit on the way is the guard's own for
/// opening a connection.
const ANSWER: Duration = Duration::from_secs(12);
/// A result of 20 MB.
const LONG_RESULT: &[u8] = b"\x03WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n \
                             WHERE i < 1000) SELECT i, REPEAT('x', 20000) FROM n";
/// Every so often a server thread is killed.
const KILL_EVERY: Duration = Duration::from_millis(150);

/// What all clients share.
#[derive(Debug)]
struct Shared {
    addr: SocketAddr,
    stop: AtomicBool,
    nonce: AtomicU64,
    answers: AtomicU64,
    errors: AtomicU64,
    reconnects: AtomicU64,
}

/// The conversation broke off; the client comes back with a new connection.
#[derive(Debug)]
enum Broken {
    Closed,
    Late,
}

impl From<ClientError> for Broken {
    fn from(error: ClientError) -> Self {
        assert!(!matches!(error, ClientError::Malformed(_)), "out of step: {error}");
        if matches!(error, ClientError::Late(_)) { Self::Late } else { Self::Closed }
    }
}

impl Shared {
    fn nonce(&self) -> u64 {
        // In steps of two: one more than a nonce is not another's.
        self.nonce.fetch_add(2, Ordering::Relaxed)
    }

    /// Judges an answer: it is the question's, or an error.
    fn judge(&self, reply: &Reply, expected: &str) {
        if reply.failure().is_some() {
            self.errors.fetch_add(1, Ordering::Relaxed);
            return;
        }
        assert_eq!(reply.value().as_deref(), Some(expected), "another's answer");
        self.answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// One client, which does one thing after another until the soak is over.
struct Asker {
    shared: Arc<Shared>,
    dice: fastrand::Rng,
}

impl Asker {
    async fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let Ok(mut client) = Client::login(self.shared.addr, &APP).await else {
                // The server restarts; the guard lets nobody in whose schema it cannot check.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            while !self.shared.stop.load(Ordering::Relaxed) {
                if self.turn(&mut client).await.is_err() {
                    break;
                }
            }
            self.shared.reconnects.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn turn(&mut self, client: &mut Client) -> Result<(), Broken> {
        client.set_patience(ANSWER);
        let what = self.dice.u32(..100);
        let turn = match what {
            0..30 => self.ask(client).await,
            30..45 => self.pipeline(client).await,
            45..55 => self.prepare(client).await,
            55..70 => self.transact(client).await,
            70..78 => self.remember(client).await,
            78..84 => self.run_too_long(client).await,
            84..90 => self.kill_itself(client).await,
            90..95 => self.leave_in_a_result(client).await,
            _ => self.leave_in_a_statement(client).await,
        };
        assert!(!matches!(turn, Err(Broken::Late)), "turn {what}: no answer within {ANSWER:?}");
        turn
    }

    async fn ask(&self, client: &mut Client) -> Result<(), Broken> {
        let nonce = self.shared.nonce();
        let reply = client.query(format!("SELECT {nonce}")).await?;
        self.shared.judge(&reply, &nonce.to_string());
        Ok(())
    }

    async fn pipeline(&mut self, client: &mut Client) -> Result<(), Broken> {
        let nonces: Vec<u64> = (0..self.dice.u32(2..8)).map(|_| self.shared.nonce()).collect();
        for nonce in &nonces {
            let payload = format!("\x03SELECT {nonce} FROM DUAL");
            client.send_packet(0, payload.as_bytes()).await?;
        }
        for nonce in nonces {
            let reply = client.reply(Command::Query).await?;
            self.shared.judge(&reply, &nonce.to_string());
        }
        Ok(())
    }

    /// The same text prepared by all, each executing with a parameter of its own.
    async fn prepare(&self, client: &mut Client) -> Result<(), Broken> {
        let prepared = client.command(b"\x16SELECT CONCAT('is ', ?)").await?;
        let Some(head) = prepared.prepared() else { return Ok(()) };
        for _ in 0..3 {
            let nonce = self.shared.nonce().to_string();
            let mut execute = vec![0x17];
            execute.extend(head.statement.to_le_bytes());
            // No cursor, one execution, no NULL, types follow: a string.
            execute.extend([0, 1, 0, 0, 0, 0, 1, 0xFD, 0]);
            execute.push(nonce.len() as u8);
            execute.extend(nonce.as_bytes());
            let reply = client.command(&execute).await?;
            let expected = format!("is {nonce}");
            let found = reply.packets().any(|packet| packet.payload.ends_with(expected.as_bytes()));
            assert!(found || reply.failure().is_some(), "another's answer to {nonce}: {reply:?}");
        }
        client.send_packet(0, &[&[0x19], &head.statement.to_le_bytes()[..]].concat()).await?;
        Ok(())
    }

    /// What a transaction wrote, it reads; and once it is told to be rolled back it is gone.
    async fn transact(&mut self, client: &mut Client) -> Result<(), Broken> {
        let nonce = self.shared.nonce();
        client.query("BEGIN").await?;
        let insert = format!("INSERT INTO ledger VALUES ({nonce})");
        let is_written = client.query(insert).await?.failure().is_none();
        let select = format!("SELECT nonce FROM ledger WHERE nonce = {nonce}");
        if is_written {
            self.shared.judge(&client.query(&select).await?, &nonce.to_string());
        }
        let end = if self.dice.bool() { "COMMIT" } else { "ROLLBACK" };
        let ended = client.query(end).await?;
        if ended.failure().is_some() {
            client.query("ROLLBACK").await?;
            return Ok(());
        }
        let reply = client.query(&select).await?;
        match (end, reply.failure()) {
            (_, Some(_)) => {}
            ("COMMIT", None) if is_written => self.shared.judge(&reply, &nonce.to_string()),
            _ => assert_eq!(reply.value(), None, "{nonce} was rolled back"),
        }
        Ok(())
    }

    /// State of the session: a variable, the schema, the last id.
    async fn remember(&self, client: &mut Client) -> Result<(), Broken> {
        let nonce = self.shared.nonce();
        if client.query(format!("SET @mine = {nonce}")).await?.failure().is_none() {
            self.shared.judge(&client.query("SELECT @mine").await?, &nonce.to_string());
        }
        let insert = format!("INSERT INTO numbered (nonce) VALUES ({nonce})");
        if let Some(ok) = client.query(insert).await?.success() {
            let id = ok.last_insert_id;
            self.shared.judge(&client.query("SELECT LAST_INSERT_ID()").await?, &id.to_string());
        }
        client.command(&[0x1F]).await?;
        Ok(())
    }

    /// A statement past its limit; what is asked next has its own answer.
    async fn run_too_long(&mut self, client: &mut Client) -> Result<(), Broken> {
        let nonce = self.shared.nonce();
        // Around the limit, so that the kill comes before, at and after the end.
        let sleep = f64::from(self.dice.u32(150..250)) / 1000.0;
        let reply = client.query(format!("SELECT {nonce} + SLEEP({sleep}) /*job='slow'*/")).await?;
        self.judge_sleep(&reply, nonce);
        self.ask(client).await
    }

    /// A second session kills the statement of the first, early or late.
    async fn kill_itself(&mut self, client: &mut Client) -> Result<(), Broken> {
        let mut other = Client::login(self.shared.addr, &APP).await?;
        let nonce = self.shared.nonce();
        let payload = format!("\x03SELECT {nonce} + SLEEP(0.0{})", self.dice.u32(0..5));
        client.send_packet(0, payload.as_bytes()).await?;
        other.query(format!("KILL QUERY {}", client.connection_id())).await?;
        let reply = client.reply(Command::Query).await?;
        self.judge_sleep(&reply, nonce);
        self.ask(client).await
    }

    /// Judges a question that slept: MariaDB's SLEEP may end early, with 1 and without an error, when
    /// it is killed.
    fn judge_sleep(&self, reply: &Reply, nonce: u64) {
        let is_short = reply.value() == Some(format!("{}", nonce + 1));
        if !is_short {
            self.shared.judge(reply, &format!("{nonce}"));
        }
    }

    async fn leave_in_a_result(&mut self, client: &mut Client) -> Result<(), Broken> {
        client.send_packet(0, LONG_RESULT).await?;
        for piece in 0..self.dice.u32(0..5) {
            if piece == 0 {
                client.read_some(16 * 1024).await?;
                // Behind an error, which is short, nothing follows.
                client.set_patience(Duration::from_millis(250));
            } else if client.read_some(16 * 1024).await.is_err() {
                break;
            }
        }
        Err(Broken::Closed)
    }

    async fn leave_in_a_statement(&mut self, client: &mut Client) -> Result<(), Broken> {
        let nonce = self.shared.nonce();
        if self.dice.bool() {
            client.query("BEGIN").await?;
            client.query(format!("INSERT INTO ledger VALUES ({nonce})")).await?;
        }
        client.set_patience(Duration::from_millis(self.dice.u64(0..30)));
        let _left = client.query("SELECT SLEEP(10)").await;
        Err(Broken::Closed)
    }
}

/// Kills a random thread of the pool, or only its statement, as long as it is awaited.
async fn kill_threads(server: &Server, until: Deadline) {
    let Ok(mut root) = server.root().await else { return };
    while !until.is_over() {
        tokio::time::sleep(KILL_EVERY).await;
        let sql = "SELECT id FROM information_schema.PROCESSLIST WHERE user = 'app' \
                   ORDER BY RAND() LIMIT 1";
        let victim: Option<u64> = root.query_first(sql).await.expect("root may look");
        let what = if fastrand::bool() { "QUERY" } else { "CONNECTION" };
        if let Some(id) = victim {
            // It may have ended by itself.
            let _gone = root.query_drop(format!("KILL {what} {id}")).await;
        }
    }
}

/// The server never has more of the pool's transactions than the guard has permits out: those it
/// had before, and those it gave meanwhile.
async fn check_permits(guard: &Guard, probe: &mut Probe) {
    let usage = async || {
        let classes = guard.json("/api/v1/classes").await.expect("the guard tells its classes");
        let sum = |field: &str| -> u64 {
            classes.as_array().into_iter().flatten().filter_map(|class| class[field].as_u64()).sum()
        };
        (sum("in_flight"), sum("admitted"))
    };
    let (in_flight, before) = usage().await;
    let open = open(probe, &APP).await;
    let (_, after) = usage().await;
    let permits = in_flight + (after - before);
    assert!(u64::from(open.transactions) <= permits, "{open:?}, and {permits} permits");
    assert!(open.transactions <= POOL, "{open:?}, and the pool has {POOL} connections");
}

async fn soak(server: &Server, guard: &Guard, duration: Duration) {
    let until = Deadline::after(duration);
    let probing = async {
        let mut probe = server.probe().await.expect("root may look");
        while !until.is_over() {
            check_permits(guard, &mut probe).await;
        }
    };
    tokio::join!(kill_threads(server, until), probing);
}

async fn is_quiet(guard: &Guard) -> bool {
    let status = guard.json("/api/v1/status").await.expect("the guard tells its status");
    let number = |pointer| status.pointer(pointer).and_then(serde_json::Value::as_u64);
    number("/in_flight") == Some(0)
        && number("/queued") == Some(0)
        && number("/clients/connected") == Some(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_never_anothers() {
    let mut server = Server::start(Engine::MariaDb).await.unwrap();
    let mut root = server.root().await.unwrap();
    root.query_drop("CREATE TABLE app.ledger (nonce BIGINT PRIMARY KEY)").await.unwrap();
    let numbered = "CREATE TABLE app.numbered (id INT AUTO_INCREMENT PRIMARY KEY, nonce BIGINT)";
    root.query_drop(numbered).await.unwrap();
    drop(root);
    let setup = Setup {
        connections: POOL,
        upstream: "linger = \"2ms\"\nhandshakes_per_second = 200".into(),
        ..Setup::with(
            "[class.default]\nstatement_time = \"2s\"\n[class.slow]\nstatement_time = \"200ms\"\n\
             [[rule]]\nname = \"slow\"\nclass = \"slow\"\ntag = { job = \"slow\" }",
        )
    };
    let guard = Guard::start(&server, &setup).await.unwrap();
    let shared = Arc::new(Shared {
        addr: guard.addr(),
        stop: AtomicBool::new(false),
        nonce: AtomicU64::new(1_000_000),
        answers: AtomicU64::new(0),
        errors: AtomicU64::new(0),
        reconnects: AtomicU64::new(0),
    });
    let seed: u64 = std::env::var("TG_SEED").map_or(1, |seed| seed.parse().unwrap());
    eprintln!("TG_SEED={seed}");
    let mut askers = JoinSet::new();
    for number in 0..CLIENTS {
        let dice = fastrand::Rng::with_seed(seed.wrapping_mul(1000) + number);
        askers.spawn(Asker { shared: Arc::clone(&shared), dice }.run());
    }
    let duration = seconds(15);
    soak(&server, &guard, duration / 3).await;
    let memory = memory_kib(guard.id());
    server.restart().await.unwrap();
    let restarted = Instant::now();
    let answered = shared.answers.load(Ordering::Relaxed);
    eventually("service is back after the restart", Duration::from_secs(20), async || {
        (shared.answers.load(Ordering::Relaxed) > answered + 100).then_some(())
    })
    .await;
    eprintln!("service was back {:?} after the restart", restarted.elapsed());
    soak(&server, &guard, duration * 2 / 3).await;
    shared.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = askers.join_next().await {
        ended.unwrap();
    }
    eprintln!("{shared:?}");
    assert!(shared.answers.load(Ordering::Relaxed) > 1000);
    ends_as_it_began(&server, &guard, memory).await;
}

/// Connections, permits and memory are back.
async fn ends_as_it_began(server: &Server, guard: &Guard, memory: u64) {
    eventually("nothing is under way", Duration::from_secs(10), async || {
        is_quiet(guard).await.then_some(())
    })
    .await;
    let mut probe = server.probe().await.unwrap();
    let open = open(&mut probe, &APP).await;
    assert_eq!(open.transactions, 0);
    assert!(open.connections <= POOL, "{open:?}");
    let now = memory_kib(guard.id());
    assert!(now <= memory + GROWTH_KIB, "{memory} KiB became {now} KiB");
    assert_eq!(guard.metric("guard_panics_total", &[]).await.unwrap(), 0.0);
    let mut clients = Vec::new();
    for _ in 0..2 * POOL {
        clients.push(Client::login(guard.addr(), &APP).await.unwrap());
    }
    for round in 0..20 {
        for client in &mut clients {
            let answer = done(client, &format!("SELECT {round}")).await.value();
            assert_eq!(answer, Some(round.to_string()));
        }
    }
}
