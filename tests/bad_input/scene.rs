//! A guard in front of trouble, and a client beside it that must not notice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::*;
use tokio::task::{JoinHandle, JoinSet};

/// `login_timeout` of the listener.
pub(crate) const LOGIN_TIMEOUT: Duration = Duration::from_secs(2);
/// How much later than that a client may be closed, on a machine that is busy building.
pub(crate) const GRACE: Duration = Duration::from_secs(3);
/// `upstream.max_packet`.
pub(crate) const MAX_PACKET: usize = 1024 * 1024;
/// What the guard's memory may have grown by, in KiB, once everybody is gone.
const GROWTH_KIB: u64 = 48 * 1024;
/// Connections at once in the full flood.
const FLOOD: usize = 5000;
/// Descriptors that are not for the flood.
const RESERVED: usize = 1000;

/// A guard, and a client beside all trouble that asks and is answered all the time.
pub(crate) struct Scene {
    server: Server,
    pub(crate) guard: Guard,
    bystander: JoinHandle<Duration>,
    stop: Arc<AtomicBool>,
    memory: u64,
}

impl Scene {
    pub(crate) async fn set(engine: Engine, listener: impl Fn(&Server) -> String) -> Self {
        let server = Server::start(engine).await.unwrap();
        let setup = Setup {
            listener: format!("login_timeout = \"2s\"\n{}", listener(&server)),
            upstream: "max_packet = \"1MiB\"".into(),
            ..Setup::default()
        };
        let guard = Guard::start(&server, &setup).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let client = Caller::login(engine, guard.addr(), &OTHER).await.unwrap();
        let bystander = tokio::spawn(stand_by(client, Arc::clone(&stop)));
        let memory = memory_kib(guard.id());
        Self { server, guard, bystander, stop, memory }
    }

    pub(crate) async fn plain(engine: Engine) -> Self {
        Self::set(engine, |_| String::new()).await
    }

    /// With a certificate, for those who want TLS.
    pub(crate) async fn with_tls(engine: Engine) -> Self {
        Self::set(engine, |server| {
            let (certificate, key) = server.identity();
            format!("tls = \"offered\"\ncertificate = {certificate:?}\nkey = {key:?}")
        })
        .await
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.guard.addr()
    }

    /// Everybody is gone but the bystander, who was served all the time.
    pub(crate) async fn ends_well(self) {
        let Self { server, guard, bystander, stop, memory } = self;
        let quiet = Duration::from_secs(10);
        eventually("all but the bystander are gone", quiet, async || {
            let logging_in = guard.metric("guard_client_connections", &["logging_in"]).await;
            let is_quiet = status(&guard, "/clients/connected").await == 1
                && logging_in.unwrap() == 0.0
                && status(&guard, "/queued").await == 0;
            is_quiet.then_some(())
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        let longest = bystander.await.unwrap();
        eprintln!("the bystander never waited longer than {longest:?}");
        assert!(longest < Duration::from_secs(3), "the bystander waited {longest:?}");
        assert_eq!(guard.metric("guard_panics_total", &[]).await.unwrap(), 0.0);
        assert!(!guard.log().contains("panicked"), "{}", guard.log());
        let now = memory_kib(guard.id());
        assert!(now <= memory + GROWTH_KIB, "{memory} KiB became {now} KiB");
        let mut client = Caller::login(server.engine(), guard.addr(), &APP).await.unwrap();
        assert_eq!(client.done("SELECT 1").await.as_deref(), Some("1"));
        drop(client);
        eventually("no transaction is left behind", quiet, async || {
            let app = open_on(&server, &APP).await;
            (app.transactions == 0 && app.connections <= 8).then_some(())
        })
        .await;
    }
}

/// Asks until it is told to stop; returns the longest it waited for an answer.
async fn stand_by(mut client: Caller, stop: Arc<AtomicBool>) -> Duration {
    let mut longest = Duration::ZERO;
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let began = Instant::now();
        let answer = client.done(&format!("SELECT {number}")).await;
        assert_eq!(answer, Some(number.to_string()));
        longest = longest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    longest
}

/// Waits until at most `count` clients are under way, each of which must end well.
pub(crate) async fn down_to(clients: &mut JoinSet<()>, count: usize) {
    while clients.len() > count {
        clients.join_next().await.unwrap().unwrap();
    }
}

/// How many connections this process may have for the flood.
pub(crate) fn flood() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("the system tells its limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    FLOOD.min(soft.unwrap_or(1024_usize).saturating_sub(RESERVED))
}
