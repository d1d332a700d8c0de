//! What cannot be moved to another connection pins the session: counted, shown, and over when its
//! cause is.

use std::time::Duration;

use harness::*;
use wire::mysql::Capabilities;

const SOON: Duration = Duration::from_secs(5);

async fn scene() -> (Server, Guard) {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let setup = Setup { connections: 3, upstream: "linger = \"0s\"".into(), ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    (server, guard)
}

/// The reasons of the only pinned session; none when there is no such session.
async fn reasons(guard: &Guard) -> Vec<String> {
    let pins = guard.json("/api/v1/pins").await.unwrap();
    let pins = pins.as_array().unwrap();
    assert!(pins.len() <= 1, "{pins:?}");
    let Some(pin) = pins.first() else { return Vec::new() };
    assert_eq!(pin["user"], "app");
    let reasons = pin["reasons"].as_array().unwrap().iter();
    reasons.map(|reason| reason.as_str().unwrap().to_owned()).collect()
}

/// Others use the pool's connections, so that what is not kept would be lost.
async fn others_pass(guard: &Guard) {
    for _ in 0..4 {
        let mut other = Client::login(guard.addr(), &APP).await.unwrap();
        done(&mut other, "SET @x = 'another'").await;
        done(&mut other, "SELECT 1").await;
    }
    eventually("the others are gone", SOON, async || {
        (status(guard, "/clients/connected").await == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_cause_pins_and_its_end_unpins() {
    let (_server, guard) = scene().await;
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    done(&mut client, "CREATE TABLE note (id INT PRIMARY KEY)").await;
    for (reason, begin, works, end) in [
        (
            "temporary_table",
            "CREATE TEMPORARY TABLE mine (id INT)",
            "SELECT * FROM mine",
            "DROP TEMPORARY TABLE mine",
        ),
        (
            "named_lock",
            "SELECT GET_LOCK('l', 1)",
            "SELECT IS_USED_LOCK('l') + 0",
            "SELECT RELEASE_LOCK('l')",
        ),
        ("table_lock", "LOCK TABLES note WRITE", "INSERT INTO note VALUES (1)", "UNLOCK TABLES"),
        ("sql_prepared", "PREPARE p FROM 'SELECT 1'", "EXECUTE p", "DEALLOCATE PREPARE p"),
        ("handler", "HANDLER note OPEN", "HANDLER note READ FIRST", "HANDLER note CLOSE"),
    ] {
        assert_eq!(reasons(&guard).await, [""; 0], "before {begin}");
        done(&mut client, begin).await;
        assert_eq!(reasons(&guard).await, [reason], "after {begin}");
        if reason != "table_lock" {
            others_pass(&guard).await;
        }
        done(&mut client, works).await;
        assert_eq!(reasons(&guard).await, [reason], "after {works}");
        done(&mut client, end).await;
        assert_eq!(reasons(&guard).await, [""; 0], "after {end}");
        let label = format!("reason=\"{reason}\"");
        let counted = guard.metric("guard_pins_total", &[&label]).await.unwrap();
        assert!(counted >= 1.0, "{reason}: {counted}");
    }
}

/// SQL in a value may do anything: LOCK TABLES can be executed at once, and no tracker tells of it.
#[tokio::test]
async fn sql_in_a_value_pins_unless_it_only_reads_and_writes() {
    let (_server, guard) = scene().await;
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    done(&mut client, "CREATE TABLE note (id INT PRIMARY KEY)").await;
    done(&mut client, "EXECUTE IMMEDIATE 'INSERT INTO note VALUES (1)'").await;
    assert_eq!(reasons(&guard).await, [""; 0]);
    for sql in
        ["EXECUTE IMMEDIATE 'LOCK TABLES note WRITE'", "EXECUTE IMMEDIATE CONCAT('DO ', '1')"]
    {
        let mut client = Client::login(guard.addr(), &APP).await.unwrap();
        done(&mut client, sql).await;
        assert_eq!(reasons(&guard).await, ["unknown_state"], "{sql}");
        drop(client);
        // What it held ends with it: the next takes the lock at once.
        eventually("the pin is gone", SOON, async || {
            reasons(&guard).await.is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_user_variable_is_kept_until_the_connection_is_reset() {
    let (_server, guard) = scene().await;
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    done(&mut client, "SET @x = 'mine'").await;
    assert_eq!(reasons(&guard).await, ["user_variable"]);
    others_pass(&guard).await;
    assert_eq!(done(&mut client, "SELECT @x").await.value().as_deref(), Some("mine"));
    assert!(client.command(&[0x1F]).await.unwrap().failure().is_none());
    assert_eq!(reasons(&guard).await, [""; 0]);
    assert_eq!(done(&mut client, "SELECT @x").await.value(), None);
}

#[tokio::test]
async fn a_pinned_client_that_leaves_gives_its_connection_back_clean() {
    let (server, guard) = scene().await;
    for round in 0..6 {
        let mut client = Client::login(guard.addr(), &APP).await.unwrap();
        assert_eq!(done(&mut client, "SELECT @x").await.value(), None, "round {round}");
        done(&mut client, &format!("SET @x = {round}")).await;
        let lock = done(&mut client, "SELECT GET_LOCK('one', 0)").await.value();
        assert_eq!(lock.as_deref(), Some("1"), "round {round}: the lock was left behind");
        drop(client);
        eventually("it is gone", SOON, async || {
            (status(&guard, "/clients/connected").await == 0).then_some(())
        })
        .await;
        assert_eq!(reasons(&guard).await, [""; 0]);
    }
    let mut probe = server.probe().await.unwrap();
    assert!(open(&mut probe, &APP).await.connections <= 3);
}

/// To a client without `DEPRECATE_EOF`, MySQL tells of a change in no result and in no error: what a
/// function or a trigger has set must not be found by the next one on that connection.
#[tokio::test]
async fn what_mysql_does_not_tell_pins_as_well() {
    if !Engine::MySql.available() {
        return;
    }
    let server = Server::start(Engine::MySql).await.unwrap();
    let mut root = Client::login(server.addr(), &ROOT).await.unwrap();
    for sql in [
        "CREATE FUNCTION notes(x INT) RETURNS INT NO SQL BEGIN SET @noted = x; RETURN x; END",
        "CREATE TABLE child (id INT PRIMARY KEY, parent INT REFERENCES child (id))",
        "CREATE TRIGGER notes BEFORE INSERT ON child FOR EACH ROW SET @noted = NEW.id",
        "INSERT INTO child VALUES (1, NULL)",
        "CREATE VIEW noting AS SELECT notes(6) AS n",
        "CREATE FUNCTION to_char(x INT) RETURNS INT NO SQL BEGIN SET @noted = x; RETURN x; END",
    ] {
        done(&mut root, sql).await;
    }
    let setup = Setup { connections: 1, upstream: "linger = \"0s\"".into(), ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    let mut login = Login::new(&APP);
    login.capabilities = login.capabilities.without(Capabilities::DEPRECATE_EOF);
    for (steps, noted) in [
        (&["SELECT notes(4)"][..], "4"),
        (&["PREPARE p FROM 'SELECT notes(5)'", "EXECUTE p", "DEALLOCATE PREPARE p"], "5"),
        (&["BEGIN", "INSERT INTO child VALUES (1, NULL)", "USE app", "COMMIT"], "1"),
        // Nothing in the text says that a function is called.
        (&["SELECT n FROM noting"], "6"),
        (&["BEGIN", "SELECT n FROM noting", "COMMIT"], "6"),
        (&["SELECT to_char(7)"], "7"),
    ] {
        let mut client = Client::login_with(guard.addr(), &login).await.unwrap();
        assert_eq!(done(&mut client, "SELECT @noted").await.value(), None, "before {steps:?}");
        for sql in steps {
            client.query(sql).await.unwrap();
        }
        eventually("the session is pinned", SOON, async || {
            reasons(&guard).await.contains(&"unknown_state".to_owned()).then_some(())
        })
        .await;
        assert_eq!(done(&mut client, "SELECT @noted").await.value().as_deref(), Some(noted));
        drop(client);
        eventually("the session is over", SOON, async || {
            (status(&guard, "/clients/connected").await == 0).then_some(())
        })
        .await;
    }
}
