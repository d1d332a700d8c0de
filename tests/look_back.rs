//! Questions about the statement before: answered with more busy clients than connections, and
//! nobody is kept out for a question that may never come.

use harness::*;

/// Few enough that clients have to share them.
const CONNECTIONS: u32 = 2;
const CLIENTS: u32 = 8;
/// What each client does so often.
const ROUNDS: u32 = 100;

async fn scene(upstream: &str, sections: &str) -> (Server, Guard) {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let setup = Setup {
        connections: CONNECTIONS,
        upstream: upstream.into(),
        sections: sections.into(),
        ..Setup::default()
    };
    let guard = Guard::start(&server, &setup).await.unwrap();
    let mut client = login(&guard).await;
    done(&mut client, "CREATE TABLE note (id INT PRIMARY KEY, n INT)").await;
    for id in 0..CLIENTS {
        done(&mut client, &format!("INSERT INTO note VALUES ({id}, 0)")).await;
    }
    (server, guard)
}

async fn login(guard: &Guard) -> Client {
    Client::login(guard.addr(), &APP).await.unwrap()
}

/// Runs a statement of an account that asks, and leaves its client silent.
async fn silent(guard: &Guard, id: u32) -> Client {
    let mut client = login(guard).await;
    done(&mut client, &format!("UPDATE note SET n = n + 1 WHERE id <= {id}")).await;
    client
}

async fn row_count(client: &mut Client) -> Option<String> {
    done(client, "SELECT ROW_COUNT()").await.value()
}

async fn held(guard: &Guard) -> u64 {
    let classes = guard.json("/api/v1/classes").await.unwrap();
    classes[0]["pinned"].as_u64().unwrap_or_else(|| panic!("no count in {classes}"))
}

#[tokio::test]
async fn more_busy_clients_than_connections_all_get_their_answers() {
    for linger in ["linger = \"0s\"", "linger = \"1s\""] {
        let (_server, guard) = scene(linger, "").await;
        assert!(
            row_count(&mut login(&guard).await).await.is_some(),
            "the account is one that asks"
        );
        let mut tasks = tokio::task::JoinSet::new();
        for id in 0..CLIENTS {
            let mut client = login(&guard).await;
            tasks.spawn(async move {
                for round in 0..ROUNDS {
                    let change = format!("UPDATE note SET n = n + 1 WHERE id <= {id}");
                    // What is asked after now and then only is no reason to keep others out either.
                    done(&mut client, &change).await;
                    if round % 2 == 0 {
                        assert_eq!(row_count(&mut client).await, Some((id + 1).to_string()));
                    }
                }
            });
        }
        while let Some(result) = tasks.join_next().await {
            result.unwrap();
        }
        assert_eq!(guard.metric("guard_sheds_total", &[]).await.unwrap(), 0.0, "{linger}");
    }
}

#[tokio::test]
async fn nobody_waits_long_for_a_question_that_does_not_come() {
    for queue in ["", "queue_length = 0\n", "queue_time = \"1ms\"\n"] {
        let (_server, guard) = scene("", &format!("[class.default]\n{queue}")).await;
        assert!(
            row_count(&mut login(&guard).await).await.is_some(),
            "the account is one that asks"
        );
        let (mut first, mut second) = (silent(&guard, 0).await, silent(&guard, 1).await);
        // A third client is served, and with it goes the connection that was held first.
        let mut third = login(&guard).await;
        done(&mut third, "SELECT 3").await;
        let asked = second.query("SELECT ROW_COUNT()").await.unwrap();
        if asked.failure().is_none() {
            assert_eq!(asked.value().as_deref(), Some("2"), "never another's answer");
        }
        let too_late = first.query("SELECT ROW_COUNT()").await.unwrap();
        match too_late.failure() {
            Some(failure) => assert_eq!(failure.code, 1105, "{failure}"),
            None => assert_eq!(too_late.value().as_deref(), Some("1"), "never another's answer"),
        }
        // Whoever was told so goes on.
        done(&mut first, "UPDATE note SET n = 7").await;
        assert_eq!(row_count(&mut first).await.as_deref(), Some("8"));
        assert_eq!(guard.metric("guard_sheds_total", &[]).await.unwrap(), 0.0, "{queue}");
    }
}

#[tokio::test]
async fn what_is_held_is_counted_and_let_go_in_time() {
    let (_server, guard) = scene("", "").await;
    let mut client = login(&guard).await;
    assert!(row_count(&mut client).await.is_some());
    eventually("the hold is over", std::time::Duration::from_secs(10), async || {
        (held(&guard).await == 0).then_some(())
    })
    .await;
    assert_eq!(guard.json("/api/v1/pins").await.unwrap(), serde_json::json!([]));
    drop(silent(&guard, 3).await);
    eventually("nothing is held for who is gone", std::time::Duration::from_secs(10), async || {
        (held(&guard).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_error_can_be_asked_for_on_a_connection_that_lingers() {
    let (_server, guard) = scene("", "").await;
    let mut client = login(&guard).await;
    assert_eq!(refused(&mut client, "SELECT * FROM nowhere").await.code, 1146);
    assert_eq!(done(&mut client, "SHOW ERRORS").await.rows().len(), 1);
}

#[tokio::test]
async fn a_reset_forgets_the_last_insert() {
    let (_server, guard) = scene("linger = \"0s\"", "").await;
    let mut client = login(&guard).await;
    done(&mut client, "CREATE TABLE numbered (id INT AUTO_INCREMENT PRIMARY KEY)").await;
    for expected in ["1", "2"] {
        done(&mut client, "INSERT INTO numbered VALUES ()").await;
        let last =
            async |client: &mut Client| done(client, "SELECT LAST_INSERT_ID()").await.value();
        assert_eq!(last(&mut client).await.as_deref(), Some(expected));
        assert!(client.command(&[0x1F]).await.unwrap().failure().is_none());
        assert_eq!(last(&mut client).await.as_deref(), Some("0"));
    }
}

/// A statement that fails with its second row has drawn an id for the first: of its session, and of no other
/// whose connection it had.
#[tokio::test]
async fn an_insert_that_fails_changes_its_own_sessions_last_insert_only() {
    let engines = [Engine::MariaDb, Engine::MySql];
    for engine in engines.into_iter().filter(|engine| engine.available()) {
        let server = Server::start(engine).await.unwrap();
        let setup =
            Setup { connections: 1, upstream: "linger = \"0s\"".into(), ..Setup::default() };
        let guard = Guard::start(&server, &setup).await.unwrap();
        let mut direct = Client::login(server.addr(), &APP).await.unwrap();
        let table = "CREATE TABLE drawn (id INT AUTO_INCREMENT PRIMARY KEY, n INT UNIQUE)";
        done(&mut direct, table).await;
        let (mut first, mut second) = (login(&guard).await, login(&guard).await);
        let insert = |n: u32| format!("INSERT INTO drawn (n) VALUES ({n}), (1)");
        let last =
            async |client: &mut Client| done(client, "SELECT LAST_INSERT_ID()").await.value();

        done(&mut first, "INSERT INTO drawn (n) VALUES (1)").await;
        assert_eq!(last(&mut first).await.as_deref(), Some("1"), "{engine:?}");
        assert_eq!(refused(&mut second, &insert(2)).await.code, 1062);
        assert_eq!(last(&mut first).await.as_deref(), Some("1"), "{engine:?}: of another's insert");
        let seen = last(&mut second).await;
        assert_eq!(refused(&mut direct, &insert(3)).await.code, 1062);
        let drawn = |seen: Option<String>| seen.is_some_and(|id| id != "0");
        assert_eq!(drawn(seen), drawn(last(&mut direct).await), "{engine:?}: of its own");
    }
}

#[tokio::test]
async fn nobody_is_told_of_the_warnings_of_another() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let setup = Setup { connections: 1, upstream: "linger = \"0s\"".into(), ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    let mut other = login(&guard).await;
    let mut client = login(&guard).await;
    // A transaction keeps the one connection, so that nothing comes between what is left on it, the
    // statement without a table, which leaves it there, and the question.
    for leaves in [
        "SELECT nothing FROM nowhere",
        "SELECT 1/0",
        "SELECT 1/0; DO 0",
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'left behind'",
    ] {
        for asks in ["SHOW WARNINGS", "SHOW COUNT(*) WARNINGS", "SELECT @@warning_count"] {
            other.query(leaves).await.unwrap();
            done(&mut client, "BEGIN").await;
            done(&mut client, "VALUES (1), (2)").await;
            let told = done(&mut client, asks).await;
            assert!(
                matches!(told.value().as_deref(), None | Some("0")),
                "{leaves}; {asks}: {told:?}"
            );
            done(&mut client, "COMMIT").await;
        }
    }
    // Its own are told, also behind a statement without a table.
    done(&mut client, "BEGIN").await;
    done(&mut client, "SELECT 1/0").await;
    done(&mut client, "DO 0").await;
    assert_eq!(done(&mut client, "SELECT @@warning_count").await.value().as_deref(), Some("1"));
}

#[tokio::test]
async fn nobody_is_told_how_many_rows_another_has_found() {
    for engine in [Engine::MariaDb, Engine::MySql] {
        let server = Server::start(engine).await.unwrap();
        let setup =
            Setup { connections: 1, upstream: "linger = \"0s\"".into(), ..Setup::default() };
        let guard = Guard::start(&server, &setup).await.unwrap();
        let mut other = login(&guard).await;
        let mut client = login(&guard).await;
        done(&mut client, "CREATE TABLE seen (n INT PRIMARY KEY)").await;
        for between in ["INSERT INTO seen VALUES (1), (2)", "UPDATE seen SET n = n + 10"] {
            done(&mut client, "SELECT SQL_CALC_FOUND_ROWS 1 UNION SELECT 2 LIMIT 1").await;
            done(&mut other, "SELECT 1 UNION SELECT 2 UNION SELECT 3").await;
            done(&mut client, between).await;
            let asked = client.query("SELECT FOUND_ROWS()").await.unwrap();
            assert_eq!(
                asked.failure().map(|failure| failure.code),
                Some(1105),
                "{between}: {asked:?}"
            );
            // Where nobody comes between, it is told also behind a statement that finds nothing.
            done(&mut client, "BEGIN").await;
            done(&mut client, "SELECT SQL_CALC_FOUND_ROWS 1 UNION SELECT 2 LIMIT 1").await;
            done(&mut client, "DELETE FROM seen WHERE n = 3").await;
            let asked = done(&mut client, "SELECT FOUND_ROWS()").await;
            assert_eq!(asked.value().as_deref(), Some("2"), "{engine:?}, {between}");
            done(&mut client, "ROLLBACK").await;
        }
    }
}
