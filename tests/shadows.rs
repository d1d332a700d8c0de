//! What a session sets stays with it, also where the server tells it under another variable's name, as
//! MariaDB 11.8 does with all that are a bit of one word.

use harness::*;

/// Variables, and what a session sets them to. On MariaDB 11.8 all but the last two are told as
/// `autocommit`.
const SETTINGS: [(&str, &str); 9] = [
    ("foreign_key_checks", "0"),
    ("unique_checks", "0"),
    ("sql_notes", "0"),
    ("sql_warnings", "1"),
    ("sql_safe_updates", "1"),
    ("sql_auto_is_null", "1"),
    ("autocommit", "0"),
    ("collation_connection", "utf8mb4_polish_ci"),
    ("sql_select_limit", "7"),
];

async fn value(client: &mut Client, name: &str) -> String {
    done(client, &format!("SELECT @@{name}")).await.value().expect("it is not NULL")
}

/// A guard with one connection, which all clients share.
async fn scene(engine: Engine) -> (Server, Guard) {
    let server = Server::start(engine).await.unwrap();
    let setup = Setup { connections: 1, upstream: "linger = \"0s\"".into(), ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    (server, guard)
}

async fn a_setting_stays_with_its_session(engine: Engine) {
    let (_server, guard) = scene(engine).await;
    let mut setter = Client::login(guard.addr(), &APP).await.unwrap();
    let mut other = Client::login(guard.addr(), &APP).await.unwrap();
    for (name, set) in SETTINGS {
        let before = value(&mut other, name).await;
        assert_ne!(before, set, "{engine}: {name} would tell nothing");
        done(&mut setter, &format!("SET {name} = {set}")).await;
        if name == "sql_notes" && engine == Engine::MariaDb118 {
            let warnings = done(&mut setter, "SHOW WARNINGS").await;
            assert!(format!("{warnings:?}").contains("sql_notes"), "{warnings:?}");
        }
        // Without autocommit, the connection is its own until then.
        done(&mut setter, "COMMIT").await;
        assert_eq!(value(&mut other, name).await, before, "{engine}: another's {name}");
        assert_eq!(value(&mut setter, name).await, set, "{engine}: {name} is lost");
        done(&mut setter, "COMMIT").await;
    }
    for (name, set) in SETTINGS {
        assert_eq!(value(&mut setter, name).await, set, "{engine}: {name} is lost");
    }
    let pins = guard.json("/api/v1/pins").await.unwrap();
    assert_eq!(pins.as_array().unwrap().len(), 0, "{engine}: a plain SET pins: {pins}");
}

/// What is set is not in the text, and where the server does not tell it either, the session keeps its
/// connection.
async fn a_setting_of_a_procedure_leaves_with_its_session(engine: Engine) {
    let (server, guard) = scene(engine).await;
    let mut root = Client::login(server.addr(), &ROOT).await.unwrap();
    done(&mut root, "CREATE PROCEDURE app.unchecked() SET SESSION foreign_key_checks = 0").await;
    let mut setter = Client::login(guard.addr(), &APP).await.unwrap();
    done(&mut setter, "CALL app.unchecked()").await;
    assert_eq!(value(&mut setter, "foreign_key_checks").await, "0", "{engine}");
    drop(setter);
    let mut other = Client::login(guard.addr(), &APP).await.unwrap();
    assert_eq!(value(&mut other, "foreign_key_checks").await, "1", "{engine}: another's");
}

#[tokio::test]
async fn a_setting_stays_with_its_session_on_each_mariadb() {
    for engine in [Engine::MariaDb, Engine::MariaDb105, Engine::MariaDb118] {
        if engine.available() {
            a_setting_stays_with_its_session(engine).await;
        }
    }
}

#[tokio::test]
async fn a_setting_of_a_procedure_leaves_with_its_session_on_each_mariadb() {
    for engine in [Engine::MariaDb, Engine::MariaDb105, Engine::MariaDb118] {
        if engine.available() {
            a_setting_of_a_procedure_leaves_with_its_session(engine).await;
        }
    }
}

#[tokio::test]
async fn settings_stay_with_their_sessions_on_mysql() {
    if Engine::MySql.available() {
        a_setting_stays_with_its_session(Engine::MySql).await;
        a_setting_of_a_procedure_leaves_with_its_session(Engine::MySql).await;
    }
}
