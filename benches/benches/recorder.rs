//! What the flight recorder costs: on the way of a statement, and ten times a second beside it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::{AllocProfiler, Bencher, black_box};
use guard::control::{Doing, LockLook, LockTransaction, Second};
use guard::recorder::reel::Reel;
use guard::recorder::tape::{ClassSample, Sample};
use guard::session::registry::{Entry, Sessions};
use guard::stream::socket::Peer;
use policy::sql::Digest;
use policy::trigger::Signs;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Sessions that are logged in.
fn sessions(count: u32) -> (Arc<Sessions>, Vec<Entry>) {
    let sessions = Arc::<Sessions>::default();
    let peer = Peer::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let enter = |id| sessions.enter(id, "app".into(), None, peer);
    let entries = (0..count).map(enter).collect();
    (sessions, entries)
}

/// All that a statement does for it.
#[divan::bench]
fn a_session_shows_its_statement(bencher: Bencher<'_, '_>) {
    let (_sessions, entries) = sessions(1);
    bencher.bench_local(|| black_box(&entries[0].card).set_statement(black_box(Digest(7))));
}

/// Once a second.
#[divan::bench(args = [100, 10_000])]
fn all_sessions_are_looked_at(bencher: Bencher<'_, '_>, count: u32) {
    let (sessions, _entries) = sessions(count);
    bencher.bench_local(|| {
        let mut sum = 0_u64;
        sessions.each(|card| sum = sum.wrapping_add(card.statement().0 + card.state() as u64));
        sum
    });
}

/// Ten times a second, without what reading the gate takes; a tape of four minutes that is full.
#[divan::bench(args = [1, 32])]
fn a_moment_is_recorded(bencher: Bencher<'_, '_>, classes: usize) {
    let (mut reel, mut now, mut unix_ms) = full(classes);
    bencher.bench_local(|| {
        now += Duration::from_millis(100);
        unix_ms += 100;
        turn(&mut reel, now, unix_ms, classes)
    });
}

/// At the end of a recording: a full tape is cut and written as JSON, by a thread that serves nobody.
#[divan::bench(sample_count = 10)]
fn a_recording_is_cut_and_written(bencher: Bencher<'_, '_>) {
    let (reel, now, _) = full(4);
    let begin = now - Duration::from_secs(240);
    bencher.bench_local(|| serde_json::to_vec(&reel.tape.cut(begin, now, now)));
}

fn full(classes: usize) -> (Reel, Instant, u64) {
    let two_minutes = Duration::from_secs(120);
    let mut reel = Reel::new(two_minutes, two_minutes, 6 << 20);
    let (mut now, mut unix_ms) = (Instant::now(), 1_656_334_830_000);
    for tenth in 0..2500 {
        now += Duration::from_millis(100);
        unix_ms += 100;
        turn(&mut reel, now, unix_ms, classes);
        if tenth % 10 == 0 {
            let one = LockTransaction {
                backend: 88,
                behind: 12,
                age_ms: 4200,
                ..LockTransaction::default()
            };
            let look =
                LockLook { blocked: 12, transactions: [one; 40].into(), ..LockLook::default() };
            reel.tape.look(now, look);
            let second = Second { doing: [Doing::default(); 24].into(), ..Second::default() };
            reel.tape.second(now, second);
        }
    }
    (reel, now, unix_ms)
}

fn turn(reel: &mut Reel, now: Instant, unix_ms: u64, classes: usize) -> bool {
    let class = |number: usize| ClassSample {
        class: reel.tape.text(now, ["default", "api", "batch", "jobs"][number % 4]),
        in_flight: 12,
        ..ClassSample::default()
    };
    let classes: Vec<_> = (0..classes).map(class).collect();
    let sample = Sample { in_flight: 12, classes: classes.into(), ..Sample::default() };
    let signs = Signs { limit: Some(20), pressure: 0.5, ..Signs::default() };
    reel.turn((now, unix_ms), &signs, sample, None).over.is_some()
}
