//! Cancels that race with completion hit no other statement: neither those that a client asks for with
//! a CancelRequest nor the guard's own, pipelined or not.
//!
//! Many clients share few connections, so that a cancel that comes late would find somebody else.
//! Each statement runs for about as long as it takes until it is cancelled, and each answer carries
//! its question. `TG_CANCELS=10000` is the full size; `TG_SEED` plays another order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use harness::*;
use tokio::task::JoinSet;
use wire::postgres::frontend::put_query;

/// `upstream.connections`: fewer than clients.
const POOL: u32 = 4;
const CLIENTS: u64 = 12;
/// The statements of a client that are on their way at once, at most.
const PIPELINE: u64 = 5;
/// The guard's own limit for statements with the tag.
const LIMIT_MS: u64 = 5;
/// A statement sleeps, and a cancel waits, at most this long.
const RACE: Duration = Duration::from_millis(4);

/// What all clients share.
#[derive(Debug)]
struct Shared {
    addr: SocketAddr,
    nonce: AtomicU64,
    /// Cancels that are still to be sent, or to be provoked.
    left: AtomicU64,
    cancelled: AtomicU64,
    outran: AtomicU64,
}

/// How a statement is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Client,
    Guard,
}

struct Racer {
    shared: Arc<Shared>,
    dice: fastrand::Rng,
    client: PgClient,
}

impl Racer {
    async fn new(shared: Arc<Shared>, seed: u64) -> Self {
        let client = PgClient::login(shared.addr, &APP).await.unwrap();
        Self { shared, dice: fastrand::Rng::with_seed(seed), client }
    }

    async fn run(mut self) {
        let take = |left: u64| left.checked_sub(1);
        let left = Arc::clone(&self.shared);
        while left.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            let by = if self.dice.bool() { By::Client } else { By::Guard };
            let count = if self.dice.bool() { 1 } else { self.dice.u64(2..=PIPELINE) };
            self.race(by, count).await;
            // Nobody asked for this one to be cancelled.
            self.ask(by).await;
        }
    }

    /// Sends `count` statements at once, one of which is cancelled at about its end.
    async fn race(&mut self, by: By, count: u64) {
        let long = self.dice.u64(..count);
        let nonces: Vec<u64> = (0..count).map(|_| self.nonce()).collect();
        let mut out = BytesMut::new();
        for (number, nonce) in nonces.iter().enumerate() {
            let sql = match (number as u64 == long, by) {
                (false, _) => format!("SELECT {nonce}"),
                (true, By::Client) => {
                    let ms = self.dice.f64() * RACE.as_secs_f64() * 1000.0;
                    format!("SELECT {nonce} FROM pg_sleep({ms} / 1000.0)")
                }
                (true, By::Guard) => {
                    let ms = LIMIT_MS as f64 + (self.dice.f64() - 0.5) * 4.0;
                    format!("SELECT {nonce} FROM pg_sleep({ms} / 1000.0) /*job='short'*/")
                }
            };
            match self.dice.bool() {
                true => put_query(&mut out, sql.as_bytes()),
                false => put_series(&mut out, &sql, &[]),
            }
        }
        let canceller = self.client.canceller();
        let wait = RACE.mul_f64(self.dice.f64());
        let cancel = async {
            if by == By::Client {
                tokio::time::sleep(wait).await;
                canceller.cancel().await.unwrap();
            }
        };
        let client = &mut self.client;
        let replies = async {
            client.send(|all| all.extend_from_slice(&out)).await.unwrap();
            let mut replies = Vec::new();
            for _ in 0..count {
                replies.push(client.reply().await.unwrap());
            }
            replies
        };
        let ((), replies) = tokio::join!(cancel, replies);
        self.judge(by, long, &nonces, &replies);
    }

    fn judge(&self, by: By, long: u64, nonces: &[u64], replies: &[PgReply]) {
        let mut cancelled = 0;
        for (number, (nonce, reply)) in nonces.iter().zip(replies).enumerate() {
            match &reply.failure {
                None => assert_eq!(reply.value(), Some(&*nonce.to_string()), "another's answer"),
                Some(failure) => {
                    assert_eq!(failure.code, "57014", "{failure}");
                    let is_meant = by == By::Client || number as u64 == long;
                    assert!(is_meant, "the limit of {long} hit {number}: {failure}");
                    let is_guards = failure.message.contains("statement_time");
                    assert_eq!(is_guards, by == By::Guard, "{failure}");
                    cancelled += 1;
                }
            }
        }
        assert!(cancelled <= 1, "one cancel hit {cancelled} statements: {replies:?}");
        let count = if cancelled == 1 { &self.shared.cancelled } else { &self.shared.outran };
        count.fetch_add(1, Ordering::Relaxed);
    }

    async fn ask(&mut self, before: By) {
        let nonce = self.nonce();
        let reply = self.client.query(&format!("SELECT {nonce}")).await.unwrap();
        assert_eq!(reply.failure, None, "a cancel by the {before:?} hit the statement behind it");
        assert_eq!(reply.value(), Some(&*nonce.to_string()), "another's answer");
    }

    fn nonce(&self) -> u64 {
        self.shared.nonce.fetch_add(1, Ordering::Relaxed)
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_hits_the_statement_it_was_meant_for_or_none() {
    let server = Server::start(Engine::Postgres).await.unwrap();
    let setup = Setup {
        connections: POOL,
        upstream: "linger = \"1ms\"".into(),
        ..Setup::with(format!(
            "[class.short]\nstatement_time = \"{LIMIT_MS}ms\"\n\
             [[rule]]\nname = \"short\"\nclass = \"short\"\ntag = {{ job = \"short\" }}"
        ))
    };
    let guard = Guard::start(&server, &setup).await.unwrap();
    let cancels = variable("TG_CANCELS", 2_000);
    let seed = variable("TG_SEED", 1);
    eprintln!("TG_CANCELS={cancels} TG_SEED={seed}");
    let shared = Arc::new(Shared {
        addr: guard.addr(),
        nonce: AtomicU64::new(1_000),
        left: AtomicU64::new(cancels),
        cancelled: AtomicU64::new(0),
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
    let (cancelled, outran) = (&shared.cancelled, &shared.outran);
    let (cancelled, outran) = (cancelled.load(Ordering::Relaxed), outran.load(Ordering::Relaxed));
    eprintln!("{cancelled} statements were cancelled, {outran} were over before");
    assert_eq!(cancelled + outran, cancels);
    // It was a race.
    assert!(cancelled > cancels / 20 && outran > cancels / 20);
    assert_eq!(guard.metric("guard_panics_total", &[]).await.unwrap(), 0.0);
}
