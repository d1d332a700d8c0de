use super::hot_row::{HotRow, hold};
use super::*;
use crate::server::Server;
use crate::server::account::APP;
use crate::server::engine::Engine;
use crate::watch::Watch;

/// The engines that are installed, each with a server of its own.
async fn loaded() -> Vec<Server> {
    let mut servers = Vec::new();
    for engine in [Engine::MariaDb, Engine::Postgres] {
        if engine.available() {
            let server = Server::start(engine).await.unwrap();
            HotRow::load(&server).await.unwrap();
            servers.push(server);
        }
    }
    servers
}

fn crowd(server: &Server, deadline: Duration) -> Crowd {
    let crowd = Crowd::impatient(Target::of(server), 4, Duration::from_millis(2_500));
    Crowd { account: APP, deadline, ..crowd }
}

const TRANSACTION: HotRow = HotRow { think: Duration::from_millis(1) };

#[tokio::test]
async fn a_calm_crowd_commits_in_time() {
    for server in loaded().await {
        let timeline = Arc::new(Timeline::new());
        crowd(&server, Duration::from_secs(10)).run(Arc::new(TRANSACTION), timeline.clone()).await;
        let counts = timeline.sum(0..10);
        assert!(counts.good > 0);
        assert_eq!((counts.timed_out, counts.refused, counts.lost), (0, 0, 0));
        assert_eq!((counts.connects, counts.given_up), (4, 0));
    }
}

#[tokio::test]
async fn clients_of_a_held_row_hang_up_and_leave_waiters_behind() {
    for server in loaded().await {
        let timeline = Arc::new(Timeline::new());
        let watch = Watch::of(&server, Duration::from_millis(100)).await.unwrap();
        let held = async { hold(Target::of(&server), &APP, Duration::from_secs(5)).await.unwrap() };
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
        assert!(waiters > 4, "{}: {waiters}", server.engine());
    }
}

#[tokio::test]
async fn a_refusal_says_whether_the_connection_lives() {
    for server in loaded().await {
        let mut peer = Peer::login(Target::of(&server), &APP).await.unwrap();
        let refused = peer.run("SELECT nothing FROM nowhere").await.unwrap_err();
        assert!(matches!(refused, Fault::Refused(_)), "{refused:?}");
        peer.run("SELECT 1").await.unwrap();
        let wrong = Account { password: "wrong", ..APP };
        let away = Peer::login(Target::of(&server), &wrong).await.unwrap_err();
        assert!(matches!(away, Fault::TurnedAway(_)), "{away:?}");
    }
}
