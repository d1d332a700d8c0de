//! A primary, its standbys and a guard, and clients that tell who has answered them.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use bytes::BytesMut;
use harness::*;
use wire::postgres::frontend::{put_bind, put_query};
use wire::postgres::list::Format;

/// How soon what was ordered must be so, on a machine that is busy building.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Tells which server answers: all have the same rows, and each its own port.
pub(crate) const WHO: &str = "SELECT current_setting('port') FROM place";

/// What all scenes are configured with.
const READS: &str = "[class.default]\nreads = \"replica\"\nqueue_time = \"30s\"\n";
pub(crate) const AT_ONCE: &str = "[routing]\nslow_start = \"0s\"\nmax_lag = \"60s\"\n";

/// Standbys wait with the log for those who read what it changes.
pub(crate) const PATIENT: &str = "--max_standby_streaming_delay=-1";

pub(crate) struct Scene {
    pub(crate) servers: Replicated,
    pub(crate) guard: Guard,
}

impl Scene {
    /// All of them, and the standbys are read from.
    pub(crate) async fn fit(engine: Engine, standbys: u32, routing: &str) -> Self {
        Self::with(engine, standbys, &[PATIENT], routing).await
    }

    /// As [`Self::fit`], of standbys with these arguments.
    pub(crate) async fn with(
        engine: Engine,
        standbys: u32,
        arguments: &[&str],
        routing: &str,
    ) -> Self {
        let servers = Replicated::streaming(engine, standbys, arguments).await.unwrap();
        let mut app = PgClient::login(servers.primary.addr(), &APP).await.unwrap();
        for sql in [
            "CREATE TABLE place (a int)",
            "INSERT INTO place VALUES (1)",
            "CREATE TABLE note (id int PRIMARY KEY, n int)",
            "CREATE TABLE gate (a int)",
            "CREATE SEQUENCE numbers",
        ] {
            pg_done(&mut app, sql).await;
        }
        let guard = start(&servers, routing).await;
        let scene = Self { servers, guard };
        scene.are_fit().await;
        for standby in &scene.servers.replicas {
            eventually("the tables are there", SOON, async || {
                let mut app = PgClient::login(standby.addr(), &APP).await.ok()?;
                app.query("TABLE numbers").await.ok()?.failure.is_none().then_some(())
            })
            .await;
        }
        scene
    }

    /// A new guard before the same servers.
    pub(crate) async fn guard_anew(&mut self, routing: &str) {
        self.guard = start(&self.servers, routing).await;
        self.are_fit().await;
    }

    /// The same, which reaches the first standby through a proxy.
    pub(crate) async fn guard_by_proxy(&mut self, routing: &str) -> FaultProxy {
        let standby = self.servers.replicas[0].addr();
        let proxy = FaultProxy::before(standby).await.unwrap();
        let sections = format!("{}{READS}{routing}", self.servers.sections());
        let sections = sections.replace(&standby.to_string(), &proxy.addr().to_string());
        self.guard = Guard::start(&self.servers.primary, &Setup::with(sections)).await.unwrap();
        self.are_fit().await;
        proxy
    }

    async fn are_fit(&self) {
        for number in 0..self.servers.replicas.len() {
            self.becomes(number, "fit").await;
        }
    }

    pub(crate) async fn client(&self) -> Asker {
        Asker(PgClient::login(self.guard.addr(), &APP).await.unwrap())
    }

    /// A client of a server itself.
    pub(crate) async fn at(&self, server: &Server) -> PgClient {
        PgClient::login(server.addr(), &ROOT).await.unwrap()
    }

    /// What a server answers to [`WHO`].
    pub(crate) fn primary(&self) -> String {
        self.servers.primary.addr().port().to_string()
    }

    pub(crate) fn standby(&self, number: usize) -> String {
        self.servers.replicas[number].addr().port().to_string()
    }

    /// The state of a standby, from 0, as `tidegate status` has it.
    pub(crate) async fn becomes(&self, number: usize, state: &str) {
        eventually(&format!("standby {number} is {state}"), SOON, async || {
            let status = self.guard.json("/api/v1/status").await.unwrap();
            (status["replicas"][number]["state"] == state).then_some(())
        })
        .await;
    }

    pub(crate) async fn routed(&self, outcome: &str) -> f64 {
        let label = format!("outcome=\"{outcome}\"");
        self.guard.metric("guard_routed_reads_total", &[&label]).await.unwrap()
    }

    /// Keeps a standby from replaying what comes from here on, without being paused, until what is returned is
    /// dropped.
    pub(crate) async fn hold_back(&self, number: usize) -> PgClient {
        let mut reader = self.at(&self.servers.replicas[number]).await;
        pg_done(&mut reader, "BEGIN").await;
        pg_done(&mut reader, "TABLE gate").await;
        // Its lock is part of the log, and waits for the reader's.
        pg_done(&mut self.at(&self.servers.primary).await, "TRUNCATE gate").await;
        reader
    }

    /// Waits until a server runs a statement with this in its text.
    pub(crate) async fn is_run_by(&self, server: &Server, text: &str) {
        let mut root = self.at(server).await;
        let running = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE state='active' AND pid<>pg_backend_pid() \
             AND query LIKE '%{text}%'"
        );
        eventually("it runs", SOON, async || {
            (pg_done(&mut root, &running).await.value() == Some("1")).then_some(())
        })
        .await;
    }
}

async fn start(servers: &Replicated, routing: &str) -> Guard {
    let sections = format!("{}{READS}{routing}", servers.sections());
    Guard::start(&servers.primary, &Setup::with(sections)).await.unwrap()
}

/// A client of the guard.
pub(crate) struct Asker(PgClient);

impl Asker {
    /// Which server answers it.
    pub(crate) async fn who(&mut self) -> String {
        self.value(WHO).await
    }

    /// The first value of an answer.
    pub(crate) async fn value(&mut self, sql: &str) -> String {
        let reply = pg_done(&mut self.0, sql).await;
        reply.value().unwrap_or_else(|| panic!("{sql}: {reply:?}")).to_owned()
    }

    /// Waits until a standby has what it wrote.
    pub(crate) async fn settled(&mut self, scene: &Scene) {
        let primary = scene.primary();
        eventually("a standby has it", SOON, async || (self.who().await != primary).then_some(()))
            .await;
    }

    /// Asks, and does not wait for the answer.
    pub(crate) async fn say(&mut self, sql: &str) {
        self.put(|out| put_query(out, sql.as_bytes())).await;
    }

    pub(crate) async fn put(&mut self, put: impl FnOnce(&mut BytesMut)) {
        self.0.send(put).await.unwrap();
    }

    pub(crate) async fn replied(&mut self) -> PgReply {
        self.0.reply().await.unwrap()
    }
}

impl Deref for Asker {
    type Target = PgClient;

    fn deref(&self) -> &PgClient {
        &self.0
    }
}

impl DerefMut for Asker {
    fn deref_mut(&mut self) -> &mut PgClient {
        &mut self.0
    }
}

/// Appends a Bind of a statement without parameters.
pub(crate) fn put_bound(out: &mut BytesMut, statement: &[u8]) {
    put_bind(out, b"", statement, &[], Format::Text);
}
