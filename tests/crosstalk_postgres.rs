//! Never another's rows, on PostgreSQL: each answer carries its question, whatever goes wrong around it.
//! Limits, cancels, clients that leave in the middle of a result, pipelines, prepared statements,
//! killed backends, and a server that restarts half-way.
//!
//! `TG_SECONDS=600` is the full size; `TG_SEED` plays another order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use harness::*;
use tokio::task::JoinSet;
use wire::postgres::backend::{Kind, TransactionStatus};
use wire::postgres::frontend::{
    Target, put_bind, put_close, put_copy_data, put_copy_done, put_describe, put_execute,
    put_flush, put_parse, put_query, put_sync,
};
use wire::postgres::list::Format;

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
const LONG_RESULT: &str = "SELECT i, repeat('x', 20000) FROM generate_series(1, 1000) i";
/// Every so often a backend is killed.
const KILL_EVERY: Duration = Duration::from_millis(150);

/// What all clients share.
#[derive(Debug)]
struct Shared {
    addr: SocketAddr,
    stop: AtomicBool,
    nonce: AtomicU64,
    answers: AtomicU64,
    errors: AtomicU64,
    cancels: AtomicU64,
    reconnects: AtomicU64,
}

/// The conversation broke off; the client comes back with a new connection.
#[derive(Debug)]
enum Broken {
    Closed,
    Late,
}

impl From<PgError> for Broken {
    fn from(error: PgError) -> Self {
        assert!(!matches!(error, PgError::Malformed(_)), "out of step: {error}");
        if matches!(error, PgError::Late(_)) { Self::Late } else { Self::Closed }
    }
}

impl Shared {
    fn nonce(&self) -> u64 {
        self.nonce.fetch_add(1, Ordering::Relaxed)
    }

    /// Judges an answer: it is the question's, or an error that somebody has provoked.
    fn judge(&self, reply: &PgReply, expected: &str) {
        if let Some(failure) = &reply.failure {
            return self.note_error(failure);
        }
        assert_eq!(reply.value(), Some(expected), "another's answer: {reply:?}");
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    fn note_error(&self, failure: &PgFailure) {
        let is_known = matches!(
            &*failure.code,
            // A limit or a cancel; shed; lost; rolled back before; the server goes or comes.
            "57014" | "53400" | "08006" | "25P02" | "57P01" | "57P02" | "57P03"
        );
        assert!(is_known, "an error that nobody has provoked: {failure}");
        self.errors.fetch_add(1, Ordering::Relaxed);
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
            let Ok(mut client) = PgClient::login(self.shared.addr, &APP).await else {
                // The server restarts; the guard cannot tell what a session there is like.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            while !self.shared.stop.load(Ordering::Relaxed) {
                client.set_patience(ANSWER);
                if self.turn(&mut client).await.is_err() {
                    break;
                }
            }
            self.shared.reconnects.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn turn(&mut self, client: &mut PgClient) -> Result<(), Broken> {
        let what = self.dice.u32(..100);
        let turn = match what {
            0..25 => self.ask(client).await,
            25..40 => self.pipeline(client).await,
            40..52 => self.prepare(client).await,
            52..64 => self.transact(client).await,
            64..72 => self.remember(client).await,
            72..78 => self.run_too_long(client).await,
            78..86 => self.cancel_itself(client).await,
            86..90 => self.copy(client).await,
            90..95 => self.leave_in_a_result(client).await,
            _ => self.leave_in_a_statement(client).await,
        };
        assert!(!matches!(turn, Err(Broken::Late)), "turn {what}: no answer within {ANSWER:?}");
        turn
    }

    /// One question, by either protocol.
    async fn ask(&mut self, client: &mut PgClient) -> Result<(), Broken> {
        let nonce = self.shared.nonce().to_string();
        let reply = match self.dice.bool() {
            true => client.query(&format!("SELECT {nonce}")).await?,
            false => client.execute("SELECT $1::text", &[&nonce]).await?,
        };
        self.shared.judge(&reply, &nonce);
        Ok(())
    }

    async fn pipeline(&mut self, client: &mut PgClient) -> Result<(), Broken> {
        let nonces: Vec<_> = (0..self.dice.u32(2..8)).map(|_| self.shared.nonce()).collect();
        let mut out = BytesMut::new();
        for nonce in &nonces {
            match self.dice.u32(..3) {
                0 => put_query(&mut out, format!("SELECT {nonce}").as_bytes()),
                1 => put_series(&mut out, "SELECT $1::text", &[&nonce.to_string()]),
                _ => {
                    // Half of it sent out before the rest.
                    put_unsynced(&mut out, "SELECT $1::text", &[&nonce.to_string()]);
                    put_flush(&mut out);
                    put_sync(&mut out);
                }
            }
        }
        client.send(|all| all.extend_from_slice(&out)).await?;
        for nonce in nonces {
            let reply = client.reply().await?;
            self.shared.judge(&reply, &nonce.to_string());
        }
        Ok(())
    }

    /// The same names for different texts, and the same texts by different names, executed with
    /// parameters of one's own.
    async fn prepare(&mut self, client: &mut PgClient) -> Result<(), Broken> {
        let kind = self.dice.u32(..5);
        let (name, mark) = (b"mine", format!("of kind {kind}: "));
        let sql = format!("SELECT '{mark}' || $1::text");
        let target = Target::Statement(name);
        let prepared = client.send(|out| {
            put_parse(out, name, sql.as_bytes(), &[]);
            put_describe(out, target);
            put_sync(out);
        });
        prepared.await?;
        let mut is_there = self.passed(&client.reply().await?);
        for _ in 0..self.dice.u32(1..4) {
            let nonce = self.shared.nonce().to_string();
            let executed = client.send(|out| {
                put_bind(out, b"", name, &[Some(nonce.as_bytes())], Format::Text);
                put_execute(out, b"", 0);
                put_sync(out);
            });
            executed.await?;
            let reply = client.reply().await?;
            match &reply.failure {
                // What was not prepared is not there.
                Some(failure) if failure.code == "26000" && !is_there => {}
                _ => self.shared.judge(&reply, &format!("{mark}{nonce}")),
            }
        }
        // Until it is closed; a close that did not get through is sent again.
        loop {
            client
                .send(|out| {
                    put_close(out, target);
                    put_sync(out);
                })
                .await?;
            is_there = !self.passed(&client.reply().await?);
            if !is_there {
                return Ok(());
            }
        }
    }

    /// Whether it succeeded.
    fn passed(&self, reply: &PgReply) -> bool {
        if let Some(failure) = &reply.failure {
            self.shared.note_error(failure);
        }
        reply.failure.is_none()
    }

    /// What a transaction wrote, it reads; and once it is told to be rolled back it is gone.
    async fn transact(&mut self, client: &mut PgClient) -> Result<(), Broken> {
        let nonce = self.shared.nonce();
        let begun = client.query("BEGIN").await?;
        assert_eq!(begun.status, TransactionStatus::Open, "{begun:?}");
        if self.dice.bool() {
            self.passed(&client.query("SAVEPOINT one").await?);
        }
        let insert = format!("INSERT INTO ledger VALUES ({nonce})");
        let is_written = self.passed(&client.query(&insert).await?);
        let select = format!("SELECT nonce FROM ledger WHERE nonce = {nonce}");
        if is_written {
            self.shared.judge(&client.query(&select).await?, &nonce.to_string());
        }
        let end = if self.dice.bool() { "COMMIT" } else { "ROLLBACK" };
        let ended = client.query(end).await?;
        let is_committed = ended.tags == ["COMMIT"];
        if !self.passed(&ended) {
            // Only a cancel from elsewhere keeps an end from passing.
            while !self.passed(&client.query("ROLLBACK").await?) {}
            return Ok(());
        }
        assert_eq!(ended.status, TransactionStatus::Idle, "{ended:?}");
        let reply = client.query(&select).await?;
        match &reply.failure {
            Some(failure) => self.shared.note_error(failure),
            None if is_committed => self.shared.judge(&reply, &nonce.to_string()),
            None => assert_eq!(reply.value(), None, "{nonce} was rolled back"),
        }
        Ok(())
    }

    /// State of the session, which moves from connection to connection.
    async fn remember(&mut self, client: &mut PgClient) -> Result<(), Broken> {
        let nonce = self.shared.nonce();
        let (set, show) = match self.dice.u32(..3) {
            0 => (format!("SET application_name = '{nonce}'"), "SHOW application_name"),
            1 => (
                format!("SET search_path = s{nonce}"),
                "SELECT substr(current_setting('search_path'), 2)",
            ),
            _ => (
                format!("SELECT set_config('mine.nonce', '{nonce}', false)"),
                "SELECT current_setting('mine.nonce')",
            ),
        };
        if self.passed(&client.query(&set).await?) {
            for _ in 0..2 {
                self.shared.judge(&client.query(show).await?, &nonce.to_string());
            }
        }
        while !self.passed(&client.query("RESET ALL").await?) {}
        let table = "CREATE TEMP TABLE mine AS SELECT $ AS nonce".replace('$', &nonce.to_string());
        if self.dice.u32(..4) == 0 && self.passed(&client.query(&table).await?) {
            self.shared.judge(&client.query("SELECT nonce FROM mine").await?, &nonce.to_string());
            while !self.passed(&client.query("DROP TABLE mine").await?) {}
        }
        Ok(())
    }

    /// A statement past its limit; what is asked next has its own answer.
    async fn run_too_long(&mut self, client: &mut PgClient) -> Result<(), Broken> {
        let nonce = self.shared.nonce();
        // Around the limit, so that the cancel comes before, at and after the end.
        let sleep = f64::from(self.dice.u32(150..250)) / 1000.0;
        let sql = format!("SELECT {nonce} FROM pg_sleep({sleep}) /*job='slow'*/");
        self.shared.judge(&client.query(&sql).await?, &nonce.to_string());
        self.ask(client).await
    }

    /// A cancel from another connection, early or late.
    async fn cancel_itself(&mut self, client: &mut PgClient) -> Result<(), Broken> {
        let nonce = self.shared.nonce();
        let sql = format!("SELECT {nonce} FROM pg_sleep(0.0{})", self.dice.u32(..5));
        match self.dice.bool() {
            true => client.send(|out| put_query(out, sql.as_bytes())).await?,
            false => client.send(|out| put_series(out, &sql, &[])).await?,
        }
        client.canceller().cancel().await.expect("the guard takes cancels");
        self.shared.cancels.fetch_add(1, Ordering::Relaxed);
        let reply = client.reply().await?;
        self.shared.judge(&reply, &nonce.to_string());
        self.ask(client).await
    }

    /// Rows in, and their number back.
    async fn copy(&mut self, client: &mut PgClient) -> Result<(), Broken> {
        let count = self.dice.usize(1..200);
        client.send(|out| put_query(out, b"COPY ledger FROM STDIN")).await?;
        loop {
            match client.message().await? {
                (Kind::CopyInResponse, _) => break,
                (Kind::ErrorResponse, _) => {
                    return client.reply().await.map(drop).map_err(Into::into);
                }
                _ => {}
            }
        }
        let lines: String = (0..count).map(|_| format!("{}\n", self.shared.nonce())).collect();
        client
            .send(|out| {
                lines.as_bytes().chunks(500).for_each(|piece| put_copy_data(out, piece));
                put_copy_done(out);
            })
            .await?;
        let reply = client.reply().await?;
        if self.passed(&reply) {
            assert_eq!(reply.tags, [format!("COPY {count}")], "another's answer");
        }
        self.ask(client).await
    }

    async fn leave_in_a_result(&mut self, client: &mut PgClient) -> Result<(), Broken> {
        client.send(|out| put_query(out, LONG_RESULT.as_bytes())).await?;
        for _ in 0..self.dice.u32(..50) {
            if client.message().await?.0 == Kind::ReadyForQuery {
                break;
            }
        }
        Err(Broken::Closed)
    }

    async fn leave_in_a_statement(&mut self, client: &mut PgClient) -> Result<(), Broken> {
        let nonce = self.shared.nonce();
        if self.dice.bool() {
            client.query("BEGIN").await?;
            self.passed(&client.query(&format!("INSERT INTO ledger VALUES ({nonce})")).await?);
        }
        client.set_patience(Duration::from_millis(self.dice.u64(..30)));
        let _left = client.query("SELECT pg_sleep(10)").await;
        Err(Broken::Closed)
    }
}

/// Kills a random connection of the pool, or only its statement, as long as it is awaited.
async fn kill_backends(server: &Server, until: Deadline) {
    let root = server.postgres_root().await.expect("root may connect");
    while !until.is_over() {
        tokio::time::sleep(KILL_EVERY).await;
        let what = if fastrand::bool() { "cancel" } else { "terminate" };
        let sql = format!(
            "SELECT pg_{what}_backend(pid) FROM pg_stat_activity WHERE usename = 'app' \
             ORDER BY random() LIMIT 1"
        );
        root.simple_query(&sql).await.expect("root may kill");
    }
}

/// The server never has more of the pool's transactions than the guard has permits out: those it
/// had before, and those it gave meanwhile.
async fn check_permits(guard: &Guard, probe: &PostgresProbe) {
    let usage = async || {
        let classes = guard.json("/api/v1/classes").await.expect("the guard tells its classes");
        let sum = |field: &str| -> u64 {
            classes.as_array().into_iter().flatten().filter_map(|class| class[field].as_u64()).sum()
        };
        (sum("in_flight"), sum("admitted"))
    };
    let (in_flight, before) = usage().await;
    let open = pg_open(probe, &APP).await;
    let (_, after) = usage().await;
    let permits = in_flight + (after - before);
    if u64::from(open.transactions) > permits {
        let sql = "SELECT pid, state, query FROM pg_stat_activity WHERE usename = 'app'";
        let shown = probe.client().simple_query(sql).await;
        panic!("{open:?}, and {permits} permits; now {shown:#?}");
    }
    assert!(open.transactions <= POOL, "{open:?}, and the pool has {POOL} connections");
}

async fn soak(server: &Server, guard: &Guard, duration: Duration) {
    let until = Deadline::after(duration);
    let probing = async {
        let probe = server.postgres_probe().await.expect("root may look");
        while !until.is_over() {
            check_permits(guard, &probe).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(kill_backends(server, until), probing);
}

async fn is_quiet(guard: &Guard) -> bool {
    status(guard, "/in_flight").await == 0
        && status(guard, "/queued").await == 0
        && status(guard, "/clients/connected").await == 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_never_anothers() {
    let mut server = Server::start(Engine::Postgres).await.unwrap();
    let mut app = PgClient::login(server.addr(), &APP).await.unwrap();
    pg_done(&mut app, "CREATE TABLE ledger (nonce bigint PRIMARY KEY)").await;
    drop(app);
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
        cancels: AtomicU64::new(0),
        reconnects: AtomicU64::new(0),
    });
    let seed: u64 = std::env::var("TG_SEED").map_or(1, |seed| seed.parse().unwrap());
    eprintln!("TG_SEED={seed}");
    let mut askers = JoinSet::new();
    for number in 0..CLIENTS {
        let dice = fastrand::Rng::with_seed(seed.wrapping_mul(1000) + number);
        askers.spawn(Asker { shared: Arc::clone(&shared), dice }.run());
    }
    let is_served = async || (shared.answers.load(Ordering::Relaxed) > 0).then_some(());
    // What the guard learns with its first connection, to greet clients by, is no transaction of theirs.
    eventually("the first is served", Duration::from_secs(20), is_served).await;
    let duration = seconds(20);
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
    let probe = server.postgres_probe().await.unwrap();
    let open = pg_open(&probe, &APP).await;
    assert_eq!(open.transactions, 0);
    assert!(open.connections <= POOL, "{open:?}");
    let now = memory_kib(guard.id());
    eprintln!("{memory} KiB became {now} KiB");
    assert!(now <= memory + GROWTH_KIB, "{memory} KiB became {now} KiB");
    assert_eq!(guard.metric("guard_panics_total", &[]).await.unwrap(), 0.0);
    let mut clients = Vec::new();
    for _ in 0..2 * POOL {
        clients.push(PgClient::login(guard.addr(), &APP).await.unwrap());
    }
    for round in 0..20 {
        for client in &mut clients {
            let answer = pg_done(client, &format!("SELECT {round}")).await;
            assert_eq!(answer.value(), Some(&*round.to_string()));
        }
    }
}
