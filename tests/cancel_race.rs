//! Cancels that race with completion hit no other statement: neither the KILL QUERY of a client nor
//! the guard's own, pipelined or not.
//!
//! Many clients share few connections, so that a kill that comes late would find somebody else.
//! Each statement runs for about as long as it takes until it is killed, and each answer carries its
//! question. `TG_CANCELS=10000` is the full size; `TG_SEED` plays another order.
//!
//! They reckon, and do not sleep: where several sessions of MariaDB 10.11 sleep and are killed at once,
//! a `KILL QUERY` keeps all of them waiting for 2 s, also without a guard, and some such kills behind each
//! other take longer than a cancel may (`THD::awake_no_mutex` tries for so long to lock the one mutex that
//! all of `SLEEP()` have).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use harness::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wire::mysql::command::Command;

/// `upstream.connections`: fewer than clients.
const POOL: u32 = 4;
const CLIENTS: u64 = 12;
/// The statements of a client that are on their way at once, at most.
const PIPELINE: u64 = 5;
/// The guard's own limit for statements with the tag.
const LIMIT_MS: u64 = 5;
/// A kill by the client waits at most this long; its statement reckons about twice as long at most.
const RACE: Duration = Duration::from_millis(4);
/// What a statement ends with that was stopped: `ER_QUERY_INTERRUPTED`, and the guard's own where its
/// limit was the cause.
const STOPPED: [u16; 3] = [1317, 1969, 3024];

/// What all clients share.
#[derive(Debug)]
struct Shared {
    addr: SocketAddr,
    nonce: AtomicU64,
    /// Turns of [`reckon`] that the server does in a second.
    turns: f64,
    /// Kills that are still to be sent, or to be provoked.
    left: AtomicU64,
    stopped: AtomicU64,
    outran: AtomicU64,
}

/// Who stops a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Client,
    Guard,
}

struct Racer {
    shared: Arc<Shared>,
    dice: fastrand::Rng,
    client: Client,
    killer: Client,
}

impl Racer {
    async fn new(shared: Arc<Shared>, seed: u64) -> Self {
        let client = Client::login(shared.addr, &APP).await.unwrap();
        let killer = Client::login(shared.addr, &APP).await.unwrap();
        Self { shared, dice: fastrand::Rng::with_seed(seed), client, killer }
    }

    async fn run(mut self) {
        let take = |left: u64| left.checked_sub(1);
        let left = Arc::clone(&self.shared);
        while left.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            let by = if self.dice.bool() { By::Client } else { By::Guard };
            let count = if self.dice.bool() { 1 } else { self.dice.u64(2..=PIPELINE) };
            self.race(by, count).await;
            // Nobody asked for this one to be killed.
            self.ask(&format!("the statement behind one stopped by the {by:?}")).await;
        }
    }

    /// Sends `count` statements at once, one of which is killed at about its end.
    async fn race(&mut self, by: By, count: u64) {
        let long = self.dice.u64(..count);
        let nonces: Vec<u64> = (0..count).map(|_| self.nonce()).collect();
        for (number, nonce) in nonces.iter().enumerate() {
            let sql = match (number as u64 == long, by) {
                (false, _) => format!("SELECT {nonce}"),
                (true, By::Client) => {
                    let turns = 2.0 * self.dice.f64() * RACE.as_secs_f64() * self.shared.turns;
                    format!("SELECT {nonce} + {}", reckon(turns))
                }
                (true, By::Guard) => {
                    let seconds = 3.0 * self.dice.f64() * LIMIT_MS as f64 / 1000.0;
                    format!(
                        "SELECT {nonce} + {} /*job='short'*/",
                        reckon(seconds * self.shared.turns)
                    )
                }
            };
            self.client.send_packet(0, &query(&sql)).await.unwrap();
        }
        let wait = RACE.mul_f64(self.dice.f64());
        let (client, killer) = (&mut self.client, &mut self.killer);
        let kill = format!("KILL QUERY {}", client.connection_id());
        let kill = async {
            if by == By::Client {
                tokio::time::sleep(wait).await;
                return Some(killer.query(kill).await.unwrap());
            }
            None
        };
        let replies = async {
            let mut replies = Vec::new();
            for _ in 0..count {
                replies.push(client.reply(Command::Query).await.unwrap());
            }
            replies
        };
        let (killed, replies) = tokio::join!(kill, replies);
        self.judge(by, long, &nonces, &replies);
        assert_eq!(killed.and_then(|reply| reply.failure()), None, "the kill was refused");
    }

    fn judge(&self, by: By, long: u64, nonces: &[u64], replies: &[Reply]) {
        let mut stopped = 0;
        for (number, (nonce, reply)) in nonces.iter().zip(replies).enumerate() {
            let is_long = number as u64 == long;
            match reply.failure() {
                None => assert_eq!(reply.value(), Some(nonce.to_string()), "another's answer"),
                Some(failure) => {
                    assert!(STOPPED.contains(&failure.code), "{failure}");
                    let is_meant = by == By::Client || is_long;
                    assert!(is_meant, "the limit of {long} hit {number}: {failure}");
                    let is_guards = failure.message.contains("statement_time");
                    assert_eq!(is_guards, by == By::Guard, "{failure}");
                    stopped += 1;
                }
            }
        }
        assert!(stopped <= 1, "one kill hit {stopped} statements: {replies:?}");
        let count = if stopped == 1 { &self.shared.stopped } else { &self.shared.outran };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks what nothing may stop.
    async fn ask(&mut self, what: &str) {
        let nonce = self.nonce();
        let reply = self.client.query(format!("SELECT {nonce}")).await.unwrap();
        assert_eq!(reply.failure(), None, "a late kill hit {what}");
        assert_eq!(reply.value(), Some(nonce.to_string()), "another's answer");
    }

    fn nonce(&self) -> u64 {
        self.shared.nonce.fetch_add(1, Ordering::Relaxed)
    }
}

/// An expression that is 0 and takes so many turns, between any two of which it can be killed.
fn reckon(turns: f64) -> String {
    format!("BENCHMARK({turns:.0}, SHA2('tide', 256))")
}

/// How many turns of [`reckon`] the server does in a second.
async fn turns_per_second(server: &Server) -> f64 {
    const TURNS: f64 = 100_000.0;
    let mut direct = Client::login(server.addr(), &APP).await.unwrap();
    let began = Instant::now();
    done(&mut direct, &format!("SELECT {}", reckon(TURNS))).await;
    TURNS / began.elapsed().as_secs_f64()
}

fn query(sql: &str) -> Vec<u8> {
    [&[Command::Query as u8], sql.as_bytes()].concat()
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

async fn scene(engine: Engine) -> (Server, Guard) {
    let server = Server::start(engine).await.unwrap();
    let setup = Setup {
        connections: POOL,
        upstream: "linger = \"1ms\"".into(),
        ..Setup::with(format!(
            "[overall]\nqueue_time = \"1m\"\n[class.default]\nqueue_time = \"1m\"\n\
             [class.short]\nqueue_time = \"1m\"\nstatement_time = \"{LIMIT_MS}ms\"\n\
             [[rule]]\nname = \"short\"\nclass = \"short\"\ntag = {{ job = \"short\" }}"
        ))
    };
    let guard = Guard::start(&server, &setup).await.unwrap();
    (server, guard)
}

async fn race(engine: Engine) {
    let (server, guard) = scene(engine).await;
    let cancels = variable("TG_CANCELS", 1_000);
    let seed = variable("TG_SEED", 1);
    eprintln!("TG_CANCELS={cancels} TG_SEED={seed}");
    let shared = Arc::new(Shared {
        addr: guard.addr(),
        nonce: AtomicU64::new(1_000_000),
        turns: turns_per_second(&server).await,
        left: AtomicU64::new(cancels),
        stopped: AtomicU64::new(0),
        outran: AtomicU64::new(0),
    });
    let mut racers = JoinSet::new();
    for number in 0..CLIENTS {
        let racer = Racer::new(Arc::clone(&shared), seed.wrapping_mul(1000) + number).await;
        racers.spawn(racer.run());
    }
    while let Some(ended) = racers.join_next().await {
        ended.unwrap();
    }
    let (stopped, outran) = (&shared.stopped, &shared.outran);
    let (stopped, outran) = (stopped.load(Ordering::Relaxed), outran.load(Ordering::Relaxed));
    eprintln!("{engine}: {stopped} statements were stopped, {outran} were over before");
    assert_eq!(stopped + outran, cancels);
    // It was a race.
    assert!(stopped > cancels / 20 && outran > cancels / 20);
    assert_eq!(guard.metric("guard_panics_total", &[]).await.unwrap(), 0.0);
}

/// Connections to a server that keep an answer back until they are told otherwise.
struct Between {
    port: u16,
    /// How many answers may still pass.
    passing: Arc<Semaphore>,
}

/// The guard's own question behind a statement with this word is kept waiting.
const ASKED_BEHIND: &[u8] = b"COLLATE";
/// Bytes that are read at once, more than any reply of this test has.
const ROOM: usize = 16 * 1024;

impl Between {
    async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let passing = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&passing);
        tokio::spawn(async move {
            while let Ok((guard, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.expect("the server runs");
                tokio::spawn(Self::carry(guard, server, Arc::clone(&held)));
            }
        });
        Self { port, passing }
    }

    /// Carries bytes both ways until either side hangs up. Behind the reply to a statement with the
    /// word, nothing comes from the server until it may pass.
    async fn carry(mut guard: TcpStream, mut server: TcpStream, passing: Arc<Semaphore>) {
        // Room for a whole reply of those that count here.
        let (mut asked, mut said) = (BytesMut::with_capacity(ROOM), BytesMut::with_capacity(ROOM));
        // Replies that pass before one is kept.
        let mut before = None;
        loop {
            tokio::select! {
                count = guard.read_buf(&mut asked) => {
                    if !matches!(count, Ok(1..)) || server.write_all(&asked).await.is_err() {
                        return;
                    }
                    if asked.windows(ASKED_BEHIND.len()).any(|word| word == ASKED_BEHIND) {
                        before = Some(1);
                    }
                    asked.clear();
                }
                count = server.read_buf(&mut said) => {
                    if before == Some(0) {
                        passing.acquire().await.expect("it is never closed").forget();
                        before = None;
                    }
                    before = before.map(|count: u32| count - 1);
                    if !matches!(count, Ok(1..)) || guard.write_all(&said).await.is_err() {
                        return;
                    }
                    said.clear();
                }
            }
        }
    }
}

/// A client that has its reply asks for its statement to be killed, and goes on once that was
/// answered. The guard is still busy with the statement then: it asks which collation was chosen.
async fn kill_what_is_over(engine: Engine) {
    let server = Server::start(engine).await.unwrap();
    let between = Between::start(server.addr()).await;
    let real = format!("address = \"{}\"", server.addr());
    let ours = format!("address = \"127.0.0.1:{}\"", between.port);
    // With more, the collation would be set on another connection, too.
    let setup = Setup { connections: 1, ..Setup::default() };
    let guard =
        Guard::start_with(|doors| setup.text(&server, doors).replace(&real, &ours)).await.unwrap();
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    let mut killer = Client::login(guard.addr(), &APP).await.unwrap();
    let kill = format!("KILL QUERY {}", client.connection_id());
    for round in 0..6 {
        let charset = ["latin1", "utf8mb4"][round % 2];
        done(&mut client, &format!("SET NAMES {charset} COLLATE {charset}_bin")).await;
        done(&mut killer, &kill).await;
        // Long enough to be hit.
        let sql = format!("SELECT {} + SLEEP(0.1)", 2 * round);
        client.send_packet(0, &query(&sql)).await.unwrap();
        between.passing.add_permits(1);
        let reply = client.reply(Command::Query).await.unwrap();
        assert_eq!(reply.failure(), None, "{engine}: a kill hit what came after it");
        assert_eq!(reply.value(), Some((2 * round).to_string()), "{engine}: it was cut short");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_hits_the_statement_it_was_meant_for_or_none() {
    race(Engine::MariaDb).await;
    if Engine::MySql.available() {
        race(Engine::MySql).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_of_what_is_over_hits_nothing() {
    kill_what_is_over(Engine::MariaDb).await;
    if Engine::MySql.available() {
        kill_what_is_over(Engine::MySql).await;
    }
}

/// A client that knows its id may have itself killed by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_let_in_can_be_killed_at_once() {
    let (_server, guard) = scene(Engine::MariaDb).await;
    let mut killer = Client::login(guard.addr(), &APP).await.unwrap();
    for _ in 0..200 {
        let client = Client::login(guard.addr(), &APP).await.unwrap();
        done(&mut killer, &format!("KILL QUERY {}", client.connection_id())).await;
    }
}
