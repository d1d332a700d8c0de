//! The second act of the demo, in small: reminders that go through the scheduler and the guard are each sent once,
//! and what they read comes from the replica. How fast it is, is not asked here.

use std::time::Duration;

use drill::Screen;
use drill::demo::hour::{self, Report, Scene};
use harness::*;

async fn played(engine: Engine) -> Report {
    let scene = Scene {
        reminders: 2_000,
        workers: 20,
        clients: 4,
        pages_per_second: 20.0,
        calm: Duration::from_secs(1),
        window: Duration::from_secs(4),
        tail: Duration::from_secs(1),
        ..Scene::of(engine)
    };
    hour::run(engine, &scene, &Screen::quiet()).await.unwrap()
}

fn each_once(report: &Report, reads_min: u64) {
    assert!(report.is_each_sent_once(), "{report:?}");
    assert_eq!((report.direct.sent, report.direct.doubled), (2_000, 0));
    assert_eq!((report.audit.sent, report.audit.open), (2_000, 0));
    let spread = |report: &Report| report.tidegate.curve.iter().any(|second| second.good > 0);
    assert!(spread(report), "users were served meanwhile: {report:?}");
    let reads = report.tidegate.replica_reads.unwrap();
    assert!(reads >= reads_min, "what reminders read comes from the replica: {reads}");
    assert!(hour::table(report).contains("they close"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hour_is_played_on_a_primary_with_a_replica() {
    each_once(&played(Engine::MariaDb).await, 1_900);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hour_is_played_on_a_postgresql_with_a_standby() {
    // It tells what it has done up to a second late, so the last second may be missing.
    each_once(&played(Engine::Postgres).await, 1_000);
}
