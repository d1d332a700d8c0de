//! Through the guard, a client sees what it would see on the database: the same packets, byte for
//! byte. Sessions, scripted and generated, are played on one server directly and on its twin
//! through a guard, whose few connections change hands between transactions all the time.
//!
//! `TG_SESSIONS` says how many sessions are generated (thousands, for a night), `TG_SEED` from which
//! seed on, `TG_SHOWN` how many differences are shown; a report names the seed that plays its session
//! again, often enough that it gets every connection.

#[path = "same_bytes/cases.rs"]
mod cases;
#[path = "same_bytes/compare.rs"]
mod compare;
#[path = "same_bytes/generate.rs"]
mod generate;
#[path = "same_bytes/lanes.rs"]
mod lanes;
#[path = "same_bytes/play.rs"]
mod play;
#[path = "same_bytes/script.rs"]
mod script;
#[path = "same_bytes/world.rs"]
mod world;

use harness::Engine;

use self::generate::generate;
use self::world::{Session, World};

/// Generated sessions, unless told otherwise.
const SESSIONS: u64 = 240;

#[tokio::test]
async fn scripted_sessions_see_the_same_bytes() {
    compare(Engine::MariaDb, "0s", cases::all(Engine::MariaDb)).await;
}

#[tokio::test]
async fn generated_sessions_see_the_same_bytes() {
    compare(Engine::MariaDb, "0s", generated(Engine::MariaDb, SESSIONS)).await;
}

#[tokio::test]
async fn sessions_whose_connections_linger_see_the_same_bytes() {
    let sessions = [cases::all(Engine::MariaDb), generated(Engine::MariaDb, SESSIONS / 4)].concat();
    compare(Engine::MariaDb, "20ms", sessions).await;
}

#[tokio::test]
async fn sessions_on_mysql_see_the_same_bytes() {
    if Engine::MySql.available() {
        let sessions = [cases::all(Engine::MySql), generated(Engine::MySql, SESSIONS)].concat();
        compare(Engine::MySql, "0s", sessions).await;
    }
}

#[tokio::test]
async fn sessions_on_mariadb_10_5_see_the_same_bytes() {
    other_mariadb(Engine::MariaDb105).await;
}

#[tokio::test]
async fn sessions_on_mariadb_11_8_see_the_same_bytes() {
    other_mariadb(Engine::MariaDb118).await;
}

/// The extended matrix.
async fn other_mariadb(engine: Engine) {
    if engine.available() {
        let sessions = [cases::all(engine), generated(engine, SESSIONS / 4)].concat();
        compare(engine, "0s", sessions).await;
    }
}

fn generated(engine: Engine, default: u64) -> Vec<Session> {
    lanes::seeded(default, |seed| generate(engine, seed))
}

/// Plays all sessions, several at a time, and fails with what differed.
async fn compare(engine: Engine, linger: &str, sessions: Vec<Session>) {
    let world = World::start(engine, linger).await.expect("two servers and a guard");
    for session in cases::first_questions() {
        world.play_both(&session, "app").await.expect("an account may ask");
    }
    lanes::compare_all(&world, &sessions).await;
}
