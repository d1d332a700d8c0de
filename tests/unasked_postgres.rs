//! What a server says unasked, and how its connections end: whoever does not need the connection
//! notices nothing, whoever does is told, and no answer is another's.

use std::time::Duration;

use harness::*;

/// How soon what was ordered must be so, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(10);

struct Scene {
    server: Server,
    guard: Guard,
    middleman: Middleman,
}

impl Scene {
    /// A guard whose few connections go through a middleman that does `act`.
    async fn set(act: Act, linger: &str) -> Self {
        let server = Server::start(Engine::Postgres).await.unwrap();
        let mut app = PgClient::login(server.addr(), &APP).await.unwrap();
        pg_done(&mut app, "CREATE TABLE note (id int PRIMARY KEY)").await;
        pg_done(
            &mut app,
            "CREATE FUNCTION chooses() RETURNS void LANGUAGE plpgsql AS \
             'BEGIN PERFORM set_config(''work_mem'', ''7MB'', false); END'",
        )
        .await;
        let middleman = Middleman::before(server.addr(), act).await;
        let setup = Setup {
            connections: 2,
            upstream: format!("tls = \"off\"\nlinger = \"{linger}\""),
            ..Setup::default()
        };
        let text = |doors| {
            let upstream = format!("address = \"{}\"", server.addr());
            let by_middleman = format!("address = \"{}\"", middleman.addr());
            setup.text(&server, doors).replace(&upstream, &by_middleman)
        };
        let guard = Guard::start_with(text).await.unwrap();
        Self { server, guard, middleman }
    }

    async fn client(&self) -> PgClient {
        PgClient::login(self.guard.addr(), &APP).await.unwrap()
    }

    /// Waits until the guard has heard what the middleman has done by now: it hears of its sockets in turn. Whoever
    /// asks in the moment of an end is told that its statement was lost, for nobody knows how far it came.
    async fn hears(&self) {
        assert_eq!(self.guard.get("/live").await.unwrap().status, 200);
    }

    /// Nothing is open, nobody has panicked, and others are served.
    async fn ends_well(self, acts: u32) {
        assert_eq!(self.middleman.acts(), acts, "the middleman has not done its part");
        eventually("nothing is open", SOON, async || {
            let is_quiet = status(&self.guard, "/in_flight").await == 0
                && open_on(&self.server, &APP).await.transactions == 0;
            is_quiet.then_some(())
        })
        .await;
        let mut other = self.client().await;
        for number in 0..8 {
            let answer = pg_done(&mut other, &format!("SELECT {number}")).await;
            assert_eq!(answer.value(), Some(&*number.to_string()));
        }
        assert_eq!(self.guard.metric("guard_panics_total", &[]).await.unwrap(), 0.0);
    }
}

/// A statement whose answer is followed by an act.
fn marked(sql: &str) -> String {
    format!("{sql} {MARK}")
}

/// The next answer is right, or the session ends; `None` then.
async fn next(client: &mut PgClient, sql: &str) -> Option<PgReply> {
    match client.query(sql).await {
        Ok(reply) => Some(reply),
        Err(PgError::Closed(words)) => {
            let words = words.unwrap_or_else(|| panic!("{sql}: hung up on without a word"));
            assert!(words.is_fatal, "{words}");
            assert!(matches!(&*words.code, "08006" | "57P01"), "{words}");
            None
        }
        Err(error) => panic!("{sql}: {error}"),
    }
}

#[tokio::test]
async fn between_transactions_nobody_notices() {
    for linger in ["0s", "50ms"] {
        for act in [Act::Farewell, Act::Silence, Act::Notice, Act::Stray, Act::Garbage] {
            let scene = Scene::set(act, linger).await;
            let mut client = scene.client().await;
            for number in 0..6 {
                let sql = marked(&format!("SELECT {number}"));
                let answer = pg_done(&mut client, &sql).await;
                assert_eq!(answer.value(), Some(&*number.to_string()), "{act:?}, {linger}");
                scene.hears().await;
                let answer = pg_done(&mut client, "SELECT 'next'").await;
                assert_eq!(answer.value(), Some("next"), "{act:?}, {linger}");
                let answer = client.execute("SELECT $1::text", &["third"]).await.unwrap();
                assert_eq!(answer.value(), Some("third"), "{act:?}, {linger}: {answer:?}");
            }
            drop(client);
            scene.ends_well(6).await;
        }
    }
}

/// What a session holds is lost with its connection: it is told, and ends.
#[tokio::test]
async fn whoever_holds_something_is_told_that_it_is_lost() {
    let ties = [
        "BEGIN; INSERT INTO note VALUES (1)",
        "CREATE TEMP TABLE mine (id int)",
        "SELECT pg_advisory_lock(7)",
        "PREPARE p AS SELECT 1",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    ];
    for act in [Act::Farewell, Act::Silence, Act::Garbage] {
        let scene = Scene::set(act, "0s").await;
        for tie in ties {
            let mut client = scene.client().await;
            pg_done(&mut client, tie).await;
            let sql = marked("SELECT 'whole'");
            assert_eq!(pg_done(&mut client, &sql).await.value(), Some("whole"), "{act:?}, {tie}");
            let answer = next(&mut client, "SELECT 'next'").await;
            assert_eq!(answer, None, "{act:?}, {tie}");
        }
        let mut client = scene.client().await;
        assert_eq!(pg_done(&mut client, "SELECT count(*) FROM note").await.value(), Some("0"));
        drop(client);
        scene.ends_well(ties.len() as u32).await;
    }
}

/// A setting that was lost before anybody could ask for it is never just missing.
#[tokio::test]
async fn what_a_session_has_set_is_kept_or_it_ends() {
    for act in [Act::Farewell, Act::Silence] {
        let scene = Scene::set(act, "0s").await;
        let mut acts = 0;
        for (begin, set, end) in [
            ("", "SET work_mem = '7MB'", ""),
            ("", "SELECT set_config('work_mem', '7MB', false)", ""),
            ("", "SELECT chooses()", ""),
            ("BEGIN", "SET work_mem = '7MB'", "COMMIT"),
            ("BEGIN", "SELECT chooses()", "COMMIT"),
        ] {
            let mut client = scene.client().await;
            let said = match end {
                "" => marked(set),
                end => {
                    pg_done(&mut client, begin).await;
                    pg_done(&mut client, set).await;
                    marked(end)
                }
            };
            pg_done(&mut client, &said).await;
            acts += 1;
            if let Some(answer) = next(&mut client, "SHOW work_mem").await {
                assert_eq!(answer.value(), Some("7MB"), "{act:?}, {said}");
            }
            // One that was set before stays, though the connection does not.
            let mut client = scene.client().await;
            pg_done(&mut client, set).await;
            pg_done(&mut client, &marked("SELECT 1")).await;
            acts += 1;
            scene.hears().await;
            assert_eq!(pg_done(&mut client, "SHOW work_mem").await.value(), Some("7MB"), "{set}");
        }
        scene.ends_well(acts).await;
    }
}

/// Of an answer that breaks off nothing is made up: the client is told, or hung up on.
#[tokio::test]
async fn half_an_answer_is_no_answer() {
    let scene = Scene::set(Act::Cut, "0s").await;
    let asked = [
        "SELECT repeat('x', 100)",
        "SELECT repeat('x', 60000) FROM generate_series(1, 20)",
        "SELECT n FROM generate_series(1, 3000) AS n",
        "COPY (SELECT n FROM generate_series(1, 3000) AS n) TO STDOUT",
    ];
    for begin in ["", "BEGIN"] {
        for sql in asked {
            let mut client = scene.client().await;
            pg_done(&mut client, begin).await;
            match client.query(&marked(sql)).await {
                Err(PgError::Closed(_)) => {}
                Ok(reply) => {
                    let failure = reply.failure.unwrap_or_else(|| panic!("{sql}: as if whole"));
                    assert_eq!(failure.code, "08006", "{sql}: {failure}");
                    assert_eq!(pg_done(&mut client, "SELECT 'next'").await.value(), Some("next"));
                }
                Err(error) => panic!("{sql}: {error}"),
            }
        }
    }
    scene.ends_well(2 * asked.len() as u32).await;
}

/// What clients are told at login is what their sessions have, also when the server has come back with
/// other settings.
#[tokio::test]
async fn a_server_that_comes_back_otherwise_is_told_of_as_it_is() {
    let mut server = Server::start(Engine::Postgres).await.unwrap();
    let guard = Guard::start(&server, &Setup::default()).await.unwrap();
    let client = PgClient::login(guard.addr(), &APP).await.unwrap();
    assert_eq!(client.parameter("DateStyle").as_deref(), Some("ISO, MDY"));
    drop(client);
    let mut root = PgClient::login(server.addr(), &ROOT).await.unwrap();
    pg_done(&mut root, "ALTER DATABASE app SET DateStyle = 'German'").await;
    drop(root);
    server.restart().await.unwrap();
    eventually("a client is told of it", SOON, async || {
        let mut client = PgClient::login(guard.addr(), &APP).await.ok()?;
        let reply = client.query("SHOW DateStyle").await.ok()?;
        let told = client.parameter("DateStyle");
        (reply.value() == Some("German, DMY") && reply.value() == told.as_deref()).then_some(())
    })
    .await;
}
