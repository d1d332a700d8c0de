//! Sinks before real receivers: webhooks checked by the reference library, one receiver for every
//! way to fail, job tables on real databases, Redis with a real Sidekiq, and commands.

#[path = "sinks/command.rs"]
mod command;
#[path = "sinks/faults.rs"]
mod faults;
#[path = "sinks/http.rs"]
mod http;
#[path = "sinks/job_tables.rs"]
mod job_tables;
#[path = "sinks/sidekiq.rs"]
mod sidekiq;
#[path = "sinks/sql.rs"]
mod sql;

use std::path::PathBuf;

use bytes::Bytes;
use scheduler::sink::{Chunk, Fate, Item};

/// A file beside the tests.
fn beside(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sinks").join(name)
}

/// A program that was installed for these tests. Says loudly when it was not.
fn installed(program: PathBuf) -> Option<PathBuf> {
    let is_there = program.is_file();
    if !is_there {
        eprintln!("*** SKIPPED: no {}: run scripts/install-sinks.sh ***", program.display());
    }
    is_there.then_some(program)
}

fn chunk(batch: &str, fence: u64) -> Chunk<'_> {
    Chunk { batch, number: 0, first: 0, fence }
}

/// So many items; the recipient is the position, the body what `body` makes of it.
fn items(count: u32, body: impl Fn(u32) -> String) -> Vec<Item> {
    let item = |position: u32| Item {
        position,
        recipient: position.to_string().into(),
        body: Bytes::from(body(position)),
        attempt: 1,
        tenant: 0,
        deadline: None,
    };
    (0..count).map(item).collect()
}

fn done(fates: &[Fate]) -> usize {
    fates.iter().filter(|fate| **fate == Fate::Done).count()
}
