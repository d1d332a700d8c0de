//! Standbys that are in trouble, and reads that are.

use std::time::Duration;

use harness::*;

use crate::scene::{AT_ONCE, PATIENT, SOON, Scene, WHO};

pub(crate) async fn one_whose_replay_is_paused_leaves_and_returns(engine: Engine) {
    let scene = Scene::fit(engine, 1, AT_ONCE).await;
    let mut client = scene.client().await;
    assert_eq!(client.who().await, scene.standby(0));
    let mut root = scene.at(&scene.servers.replicas[0]).await;
    pg_done(&mut root, "SELECT pg_wal_replay_pause()").await;
    scene.becomes(0, "stopped").await;
    assert_eq!(client.who().await, scene.primary());
    pg_done(&mut root, "SELECT pg_wal_replay_resume()").await;
    scene.becomes(0, "fit").await;
    assert_eq!(client.who().await, scene.standby(0));
}

pub(crate) async fn one_that_is_frozen_fails_no_read_and_returns(engine: Engine) {
    let scene = Scene::fit(engine, 2, AT_ONCE).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(scene.client().await);
    }
    let (frozen, sibling) = (scene.standby(0), scene.standby(1));
    let primary = scene.primary();
    let mut seen = [false; 2];
    eventually("both answer", SOON, async || {
        for client in &mut clients {
            let who = client.who().await;
            seen = [seen[0] || who == frozen, seen[1] || who == sibling];
        }
        (seen == [true; 2]).then_some(())
    })
    .await;
    scene.servers.replicas[0].freeze().unwrap();
    // Some of these go to the one that is frozen: it is silent before anybody knows.
    for client in &mut clients {
        client.say(WHO).await;
    }
    for client in &mut clients {
        let reply = client.replied().await;
        let who = reply.value().unwrap_or_else(|| panic!("{reply:?}"));
        // On a machine that is busy building, the sibling may be silent for a moment, too.
        assert!([&*sibling, &*primary].contains(&who), "{who}");
    }
    scene.becomes(0, "silent").await;
    for client in &mut clients {
        assert_ne!(client.who().await, frozen);
    }
    // Writes never cared.
    pg_done(&mut clients[0], "INSERT INTO note VALUES (1, 1)").await;
    scene.servers.replicas[0].thaw().unwrap();
    scene.becomes(0, "fit").await;
    eventually("it answers again", SOON, async || (clients[1].who().await == frozen).then_some(()))
        .await;
}

pub(crate) async fn one_that_answers_slowly_leaves_and_returns(engine: Engine) {
    let mut scene = Scene::fit(engine, 2, AT_ONCE).await;
    let proxy = scene.guard_by_proxy(AT_ONCE).await;
    let (slow, mut client) = (scene.standby(0), scene.client().await);
    // Late, and yet well below what counts as silence.
    proxy.delay(Duration::from_millis(300));
    eventually("it is told as slow", SOON, async || {
        client.who().await;
        let status = scene.guard.json("/api/v1/status").await.unwrap();
        (status["replicas"][0]["state"] == "slow").then_some(())
    })
    .await;
    eventually("reads go elsewhere", SOON, async || {
        let mut told = Vec::new();
        for _ in 0..20 {
            told.push(client.who().await);
        }
        (!told.contains(&slow)).then_some(())
    })
    .await;
    proxy.delay(Duration::ZERO);
    eventually("it answers again", SOON, async || (client.who().await == slow).then_some(())).await;
}

pub(crate) async fn one_that_is_killed_in_the_middle_of_a_read_fails_none(engine: Engine) {
    let mut scene = Scene::fit(engine, 1, AT_ONCE).await;
    let mut simple = scene.client().await;
    let mut series = scene.client().await;
    let waits = "SELECT current_setting('port'), pg_sleep(2) FROM place";
    simple.say(waits).await;
    scene.is_run_by(&scene.servers.replicas[0], "pg_sleep(2)").await;
    series
        .put(|out| {
            put_series(out, "SELECT current_setting('port'), pg_sleep($1) FROM place", &["3"])
        })
        .await;
    scene.is_run_by(&scene.servers.replicas[0], "pg_sleep($1)").await;
    scene.servers.replicas[0].crash();
    for client in [&mut simple, &mut series] {
        assert_eq!(client.replied().await.value(), Some(&*scene.primary()));
    }
    assert_eq!(scene.routed("failed_over").await, 2.0);
    scene.becomes(0, "silent").await;
    assert_eq!(simple.who().await, scene.primary());
    scene.servers.replicas[0].restart().await.unwrap();
    scene.becomes(0, "fit").await;
    assert_eq!(simple.who().await, scene.standby(0));
}

pub(crate) async fn one_that_is_promoted_is_none(engine: Engine) {
    let scene = Scene::fit(engine, 1, AT_ONCE).await;
    let mut client = scene.client().await;
    assert_eq!(client.who().await, scene.standby(0));
    let mut root = scene.at(&scene.servers.replicas[0]).await;
    root.set_patience(4 * SOON);
    assert_eq!(pg_done(&mut root, "SELECT pg_promote()").await.value(), Some("t"));
    scene.becomes(0, "stopped").await;
    pg_done(&mut root, "INSERT INTO note VALUES (7, 7)").await;
    assert_eq!(client.who().await, scene.primary());
    assert_eq!(client.value("SELECT count(*) FROM note").await, "0");
}

pub(crate) async fn one_that_is_behind_by_bytes_or_time_is_not_read_from(engine: Engine) {
    let bytes = "[routing]\nslow_start = \"0s\"\nmax_lag = \"600s\"\nmax_lag_bytes = \"1MiB\"\n";
    let mut scene = Scene::fit(engine, 1, bytes).await;
    let held = scene.hold_back(0).await;
    let mut writer = scene.client().await;
    pg_done(&mut writer, "INSERT INTO note SELECT n, n FROM generate_series(1, 50000) AS n").await;
    scene.becomes(0, "behind").await;
    assert_eq!(scene.client().await.who().await, scene.primary());
    let status = scene.guard.json("/api/v1/status").await.unwrap();
    assert!(status["replicas"][0]["lag_bytes"].as_u64() > Some(1 << 20), "{status}");
    drop(held);
    scene.becomes(0, "fit").await;

    scene.guard_anew("[routing]\nslow_start = \"0s\"\nmax_lag = \"1s\"\n").await;
    let _held = scene.hold_back(0).await;
    let mut writer = scene.client().await;
    pg_done(&mut writer, "INSERT INTO note VALUES (0, 0)").await;
    scene.becomes(0, "behind").await;
    assert_eq!(scene.client().await.who().await, scene.primary());
    eventually("the lag is pressure", SOON, async || {
        let pressure = scene.guard.json("/api/v1/pressure").await.unwrap();
        pressure["parts"]["lag"].as_f64().filter(|lag| *lag > 1.0)
    })
    .await;
}

pub(crate) async fn what_is_in_the_way_of_replay_is_answered_elsewhere(engine: Engine) {
    // Nobody is waited for.
    let hasty = "--max_standby_streaming_delay=0";
    let scene = Scene::with(engine, 1, &[hasty], AT_ONCE).await;
    let mut alone = scene.client().await;
    let mut within = scene.client().await;
    pg_done(&mut within, "BEGIN READ ONLY").await;
    let idle = "SELECT current_setting('port') FROM place LEFT JOIN gate ON true";
    assert_eq!(within.value(idle).await, scene.standby(0));
    let waits = "SELECT current_setting('port'), pg_sleep(5) FROM place LEFT JOIN gate ON true";
    alone.say(waits).await;
    scene.is_run_by(&scene.servers.replicas[0], "pg_sleep(5)").await;
    pg_done(&mut scene.at(&scene.servers.primary).await, "TRUNCATE gate").await;
    let reply = alone.replied().await;
    assert_eq!((reply.value(), &reply.failure), (Some(&*scene.primary()), &None));
    assert!(scene.routed("failed_over").await >= 1.0);
    // What idled in a transaction was thrown out.
    let next = within.value(WHO).await;
    assert!([scene.primary(), scene.standby(0)].contains(&next), "{next}");
    pg_done(&mut within, "COMMIT").await;
    // That was no fault of its.
    scene.becomes(0, "fit").await;
}

pub(crate) async fn reads_away_are_cancelled_there(engine: Engine) {
    let mut scene = Scene::with(engine, 1, &[PATIENT], AT_ONCE).await;
    let mut client = scene.client().await;
    let waits = "SELECT current_setting('port'), pg_sleep(600) FROM place";
    for is_series in [false, true] {
        if is_series {
            client.put(|out| put_series(out, waits, &[])).await;
        } else {
            client.say(waits).await;
        }
        scene.is_run_by(&scene.servers.replicas[0], "pg_sleep(600)").await;
        client.canceller().cancel().await.unwrap();
        let failure = client.replied().await.failure.unwrap();
        assert_eq!(failure.code, "57014");
        assert_eq!(client.who().await, scene.standby(0), "its connection is well");
    }
    let limit = format!("statement_time = \"2s\"\n{AT_ONCE}");
    scene.guard_anew(&limit).await;
    let mut client = scene.client().await;
    let failure = pg_refused(&mut client, waits).await;
    assert_eq!(failure.code, "57014");
    assert!(failure.message.contains("tidegate: class=default"), "{}", failure.message);
    let mut root = scene.at(&scene.servers.replicas[0]).await;
    let left = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' \
                AND state = 'active' AND pid <> pg_backend_pid()";
    assert_eq!(pg_done(&mut root, left).await.value(), Some("0"));
}

pub(crate) async fn one_of_another_cluster_is_none(engine: Engine) {
    // All private servers are copies of one: a cluster of its own has to be of another version.
    let other = match engine {
        Engine::Postgres => Engine::Postgres18,
        _ => Engine::Postgres,
    };
    if !other.available() {
        return;
    }
    let (server, stranger) =
        (Server::start(engine).await.unwrap(), Server::start(other).await.unwrap());
    let sections = format!(
        "[replica.r1]\naddress = \"{}\"\n[class.default]\nreads = \"replica\"\n{AT_ONCE}",
        stranger.addr()
    );
    let guard = Guard::start(&server, &Setup::with(sections)).await.unwrap();
    eventually("it is told why", SOON, async || {
        let status = guard.json("/api/v1/status").await.unwrap();
        let trouble = status["replicas"][0]["trouble"].as_str()?;
        trouble.contains("follows another primary").then_some(())
    })
    .await;
    let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
    pg_done(&mut client, "CREATE TABLE place (a int)").await;
    assert_eq!(pg_done(&mut client, "SELECT count(*) FROM place").await.value(), Some("0"));
}
