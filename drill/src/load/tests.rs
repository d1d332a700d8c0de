use super::hot_row::{HotRow, hold};
use super::*;
use crate::server::Server;
use crate::server::account::APP;
use crate::server::engine::Engine;
use crate::watch::Watch;

async fn loaded() -> Server {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let mut conn = server.connect(&APP).await.unwrap();
    HotRow::load(&mut conn).await.unwrap();
    conn.disconnect().await.unwrap();
    server
}

fn crowd(server: &Server, deadline: Duration) -> Crowd {
    let duration = Duration::from_millis(2_500);
    Crowd { target: server.addr(), account: APP, clients: 4, deadline, retries: 3, duration }
}

const TRANSACTION: HotRow = HotRow { think: Duration::from_millis(1) };

#[tokio::test]
async fn a_calm_crowd_commits_in_time() {
    let server = loaded().await;
    let timeline = Arc::new(Timeline::new());
    crowd(&server, Duration::from_secs(10)).run(Arc::new(TRANSACTION), timeline.clone()).await;
    let counts = timeline.sum(0..10);
    assert!(counts.good > 0);
    assert_eq!((counts.timed_out, counts.refused, counts.lost), (0, 0, 0));
    assert_eq!((counts.connects, counts.given_up), (4, 0));
}

#[tokio::test]
async fn clients_of_a_held_row_hang_up_and_leave_waiters_behind() {
    let server = loaded().await;
    let timeline = Arc::new(Timeline::new());
    let watch = Watch::start(server.probe().await.unwrap(), Duration::from_millis(100));
    let held = async { hold(server.addr(), &APP, Duration::from_secs(5)).await.unwrap() };
    let crowd = crowd(&server, Duration::from_millis(300));
    tokio::select! {
        () = crowd.run(Arc::new(TRANSACTION), timeline.clone()) => {}
        () = held => panic!("the holder was gone before the crowd"),
    }
    let samples = watch.finish().await.unwrap();
    let waiters = samples.iter().map(|sample| sample.gauges.lock_waiters).max().unwrap();
    let counts = timeline.sum(0..10);
    assert!(counts.timed_out > 4, "{counts:?}");
    assert!(counts.connects > 4, "{counts:?}");
    // Four clients, and more waiters than that: the server waits for those that are gone.
    assert!(waiters > 4, "{waiters}");
}
