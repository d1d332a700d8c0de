//! Through the guard, a client sees what it would see on PostgreSQL: the same messages, byte for
//! byte. Sessions, scripted and generated, are played on one server directly and on its twin
//! through a guard, whose few connections change hands between transactions all the time.
//!
//! `TG_SESSIONS` says how many sessions are generated (thousands, for a night), `TG_SEED` from which
//! seed on, `TG_SHOWN` how many differences are shown; a report names the seed that plays its session
//! again, often enough that it gets every connection.

#[path = "same_bytes_postgres/cases.rs"]
mod cases;
#[path = "same_bytes_postgres/client.rs"]
mod client;
#[path = "same_bytes_postgres/compare.rs"]
mod compare;
#[path = "same_bytes_postgres/generate.rs"]
mod generate;
#[path = "same_bytes/lanes.rs"]
mod lanes;
#[path = "same_bytes_postgres/play.rs"]
mod play;
#[path = "same_bytes_postgres/script.rs"]
mod script;
#[path = "same_bytes_postgres/world.rs"]
mod world;

use harness::Engine;

use self::generate::generate;
use self::world::{Session, World};

/// Generated sessions, unless told otherwise.
const SESSIONS: u64 = 240;

/// Connections change hands between any two transactions.
const AT_ONCE: &str = "linger = \"0s\"";

#[tokio::test]
async fn scripted_sessions_see_the_same_bytes() {
    compare(Engine::Postgres, AT_ONCE, cases::all()).await;
}

#[tokio::test]
async fn generated_sessions_see_the_same_bytes() {
    compare(Engine::Postgres, AT_ONCE, lanes::seeded(SESSIONS, generate)).await;
}

#[tokio::test]
async fn sessions_whose_connections_linger_see_the_same_bytes() {
    let sessions = [cases::all(), lanes::seeded(SESSIONS / 4, generate)].concat();
    compare(Engine::Postgres, "linger = \"20ms\"", sessions).await;
}

/// Each statement but one has to go from a connection before another is prepared there.
#[tokio::test]
async fn sessions_whose_statements_are_evicted_see_the_same_bytes() {
    let sessions = [cases::all(), lanes::seeded(SESSIONS / 4, generate)].concat();
    let upstream = format!("{AT_ONCE}\nstatements_per_connection = 1");
    compare(Engine::Postgres, &upstream, sessions).await;
}

/// The extended matrix.
async fn other_postgres(engine: Engine, generated: u64) {
    if engine.available() {
        let sessions = [cases::all(), lanes::seeded(generated, generate)].concat();
        compare(engine, AT_ONCE, sessions).await;
    }
}

#[tokio::test]
async fn sessions_on_postgres_14_see_the_same_bytes() {
    other_postgres(Engine::Postgres14, SESSIONS / 4).await;
}

#[tokio::test]
async fn sessions_on_postgres_16_see_the_same_bytes() {
    other_postgres(Engine::Postgres16, SESSIONS / 4).await;
}

#[tokio::test]
async fn sessions_on_postgres_17_see_the_same_bytes() {
    other_postgres(Engine::Postgres17, SESSIONS / 4).await;
}

#[tokio::test]
async fn sessions_on_postgres_18_see_the_same_bytes() {
    other_postgres(Engine::Postgres18, SESSIONS).await;
}

/// Plays all sessions, several at a time, and fails with what differed.
async fn compare(engine: Engine, upstream: &str, sessions: Vec<Session>) {
    let world = World::start(engine, upstream).await.expect("two servers and a guard");
    lanes::compare_all(&world, &sessions).await;
}
