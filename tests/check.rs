//! `tidegate check --connect`: whether a guard would work with the servers that a configuration names, said
//! before it runs.

use std::process::Command;

use harness::*;
use mysql_async::prelude::Queryable as _;

/// What the command says of a configuration with this control account and these sections, and its exit code.
fn check(
    server: &Server,
    control: (&str, &str),
    sections: &str,
    strict: bool,
) -> (Option<i32>, String) {
    let folder = Scratch::new().unwrap();
    let engine = if server.engine().is_postgres() { "engine = \"postgres\"\n" } else { "" };
    let text = format!(
        "[upstream]\n{engine}address = \"{}\"\n\n[control]\nuser = \"{}\"\npassword = \"{}\"\n\n{sections}\n",
        server.addr(),
        control.0,
        control.1,
    );
    std::fs::write(folder.path().join("tidegate.toml"), text).unwrap();
    let mut command = Command::new(program().unwrap());
    command.current_dir(folder.path()).args(["check", "--connect"]);
    if strict {
        command.arg("--strict");
    }
    let output = command.output().unwrap();
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "it leaves nothing behind: {left:?}");
    (output.status.code(), told)
}

#[tokio::test]
async fn a_configuration_that_works_is_told_so() {
    for engine in [Engine::MariaDb, Engine::MySql, Engine::Postgres] {
        if !engine.available() {
            continue;
        }
        let server = Server::start(engine).await.unwrap();
        let (code, told) = check(&server, (CONTROL.name, CONTROL.password), "", true);
        assert_eq!(code, Some(0), "{engine}: {told}");
        assert!(told.contains("lets the control account in, over "), "{engine}: {told}");
    }
}

#[tokio::test]
async fn a_wrong_password_and_a_server_that_is_not_there_are_told() {
    for engine in [Engine::MariaDb, Engine::Postgres] {
        let mut server = Server::start(engine).await.unwrap();
        let (code, told) = check(&server, (CONTROL.name, "certainly wrong"), "", false);
        assert_eq!(code, Some(1), "{engine}: {told}");
        assert!(told.contains("a guard would not start") && !told.contains("certainly"), "{told}");
        server.stop();
        let (code, told) = check(&server, (CONTROL.name, CONTROL.password), "", false);
        assert_eq!(code, Some(1), "{engine}: {told}");
        assert!(told.contains(&server.addr().to_string()), "{engine}: {told}");
    }
}

#[tokio::test]
async fn an_account_that_sees_no_locks_is_a_warning() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let mut root = server.root().await.unwrap();
    root.query_drop("CREATE USER poor@'%' IDENTIFIED BY 'poor, and known'").await.unwrap();
    let poor = ("poor", "poor, and known");
    let (code, told) = check(&server, poor, "", false);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("warning: who waits for whom in the database is not seen"), "{told}");
    assert_eq!(check(&server, poor, "", true).0, Some(1));
}

#[tokio::test]
async fn a_replica_that_is_not_there_is_a_warning() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let sections = "[replica.gone]\naddress = \"127.0.0.1:1\"\n";
    let (code, told) = check(&server, (CONTROL.name, CONTROL.password), sections, false);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("warning: replica gone at 127.0.0.1:1 is not read from"), "{told}");
}
