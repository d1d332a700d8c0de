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
#[path = "same_bytes/play.rs"]
mod play;
#[path = "same_bytes/script.rs"]
mod script;
#[path = "same_bytes/world.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::Engine;

use self::compare::Finding;
use self::generate::generate;
use self::world::{Session, World};

/// Sessions that run at the same time, twice as many as the guard has connections.
const AT_ONCE: usize = 6;
/// Generated sessions, unless told otherwise.
const SESSIONS: u64 = 240;
/// Of how many sessions one may be declined a question, because the machine is busy.
const DECLINED_SHARE: usize = 20;
/// Differences that a report shows.
const SHOWN_MAX: u64 = 6;

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

/// How often a session is played that is the only one.
const REPLAYS: usize = 60;

fn generated(engine: Engine, default: u64) -> Vec<Session> {
    let (first, count) = (number("TG_SEED", 1), number("TG_SESSIONS", default));
    if count == 1 {
        return vec![generate(engine, first); REPLAYS];
    }
    (first..first + count).map(|seed| generate(engine, seed)).collect()
}

/// A number that may be told from outside.
fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

/// Plays all sessions, several at a time, and fails with what differed.
async fn compare(engine: Engine, linger: &str, sessions: Vec<Session>) {
    let world = Arc::new(World::start(engine, linger).await.expect("two servers and a guard"));
    for session in cases::first_questions() {
        world.play(&session, "app").await.expect("an account may ask");
    }
    let total = sessions.len();
    let (sessions, next) = (Arc::new(sessions), Arc::new(AtomicUsize::new(0)));
    let lanes: Vec<_> = (0..AT_ONCE)
        .map(|lane| {
            let (world, sessions, next) =
                (Arc::clone(&world), Arc::clone(&sessions), Arc::clone(&next));
            tokio::spawn(async move { play_lane(lane, &world, &sessions, &next).await })
        })
        .collect();
    let mut found = Found::default();
    for lane in lanes {
        found.add(lane.await.expect("a lane plays to its end"));
    }
    let Found { exchanges, declined, differences } = found;
    println!(
        "{total} sessions, {exchanges} replies compared, {declined} declined a question, {} differ",
        differences.len()
    );
    assert!(declined <= 1 + total / DECLINED_SHARE, "{declined} of {total} declined a question");
    if !differences.is_empty() {
        let shown = usize::try_from(number("TG_SHOWN", SHOWN_MAX)).expect("few");
        let shown = differences.iter().take(shown).map(String::as_str).collect::<String>();
        panic!("{} of {total} sessions differ:\n{shown}\n{}", differences.len(), world.log());
    }
}

/// Plays one session after the other in schemas of the lane's own, until none is left.
async fn play_lane(lane: usize, world: &World, sessions: &[Session], next: &AtomicUsize) -> Found {
    let schema = format!("app_{lane}");
    let mut found = Found::default();
    while let Some(session) = sessions.get(next.fetch_add(1, Ordering::Relaxed)) {
        world.prepare(&schema).await.expect("a schema of the lane's own");
        let finding = match world.play(session, &schema).await {
            Ok(verdict) => {
                found.exchanges += verdict.exchanges;
                verdict.finding
            }
            Err(error) => Finding::Differs(format!("    {error}\n")),
        };
        match finding {
            Finding::Same => {}
            Finding::Declined => found.declined += 1,
            Finding::Differs(text) => found.differences.push(format!(
                "{} as {} ({:?}):\n{text}",
                session.name, session.account.name, session.capabilities
            )),
        }
    }
    found
}

/// What comparing sessions has found.
#[derive(Debug, Default)]
struct Found {
    /// Replies that were compared.
    exchanges: usize,
    /// Sessions that were declined a question.
    declined: usize,
    differences: Vec<String>,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.exchanges += other.exchanges;
        self.declined += other.declined;
        self.differences.extend(other.differences);
    }
}
