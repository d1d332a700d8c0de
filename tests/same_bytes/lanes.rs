//! Sessions side by side: several lanes take them from one list and play each both ways.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;

/// Sessions that run at the same time, twice as many as the guard has connections.
const AT_ONCE: usize = 6;
/// Of how many sessions one may be declined an answer.
const DECLINED_SHARE: usize = 20;
/// Differences that a report shows.
const SHOWN_MAX: u64 = 6;
/// How often a session is played that is the only one.
const REPLAYS: usize = 60;

/// How a session through the guard compares with the same one on the database.
#[derive(Debug)]
pub(crate) enum Finding {
    Same,
    /// The same up to what the guard declined to answer, because the connection that could was
    /// another's meanwhile; or up to a fault of the server's own. An error has said so, and no answer
    /// is wrong.
    Declined,
    /// The first difference, with what led to it.
    Differs(String),
}

/// What playing a session both ways gave.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Replies that were compared.
    pub(crate) exchanges: usize,
    pub(crate) finding: Finding,
}

/// Both ways to a database.
pub(crate) trait Stage {
    /// One client's session. As text, it says how to play it again.
    type Session: Clone + fmt::Display;

    /// Makes the schema of a lane anew on both ways.
    async fn prepare(&self, schema: &str);

    /// Plays a session in a lane's schema both ways, at the same time, and compares.
    async fn play(&self, session: &Self::Session, schema: &str) -> Verdict;

    /// What the guard had to say.
    fn log(&self) -> String;
}

/// The sessions of `TG_SESSIONS` seeds, `default` of them unless told otherwise, from `TG_SEED` on.
pub(crate) fn seeded<S: Clone>(default: u64, generate: impl Fn(u64) -> S) -> Vec<S> {
    let (first, count) = (number("TG_SEED", 1), number("TG_SESSIONS", default));
    println!("{count} sessions are generated from TG_SEED={first}");
    if count == 1 {
        return vec![generate(first); REPLAYS];
    }
    (first..first + count).map(generate).collect()
}

/// A number that may be told from outside.
fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

/// Plays all sessions, several at a time, and fails with what differed.
pub(crate) async fn compare_all<W: Stage>(stage: &W, sessions: &[W::Session]) {
    let next = AtomicUsize::new(0);
    let lanes = (0..AT_ONCE).map(|lane| play_lane(lane, stage, sessions, &next));
    let mut found = Found::default();
    for lane in join_all(lanes).await {
        found.add(lane);
    }
    let (total, Found { exchanges, declined, differences }) = (sessions.len(), found);
    println!(
        "{total} sessions, {exchanges} replies compared, {declined} declined an answer, {} differ",
        differences.len()
    );
    assert!(declined <= 1 + total / DECLINED_SHARE, "{declined} of {total} declined an answer");
    if !differences.is_empty() {
        let shown = usize::try_from(number("TG_SHOWN", SHOWN_MAX)).expect("few");
        let shown = differences.iter().take(shown).map(String::as_str).collect::<String>();
        panic!("{} of {total} sessions differ:\n{shown}\n{}", differences.len(), stage.log());
    }
}

/// Plays one session after the other in schemas of the lane's own, until none is left.
async fn play_lane<W: Stage>(
    lane: usize,
    stage: &W,
    sessions: &[W::Session],
    next: &AtomicUsize,
) -> Found {
    let schema = format!("app_{lane}");
    let mut found = Found::default();
    while let Some(session) = sessions.get(next.fetch_add(1, Ordering::Relaxed)) {
        stage.prepare(&schema).await;
        let verdict = stage.play(session, &schema).await;
        found.exchanges += verdict.exchanges;
        match verdict.finding {
            Finding::Same => {}
            Finding::Declined => found.declined += 1,
            Finding::Differs(text) => found.differences.push(format!("{session}:\n{text}")),
        }
    }
    found
}

/// What comparing sessions has found.
#[derive(Debug, Default)]
struct Found {
    /// Replies that were compared.
    exchanges: usize,
    /// Sessions that were declined an answer.
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
