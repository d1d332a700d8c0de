//! A standby that is promoted: clients are told of it, and so is who comes then.

use std::fs;
use std::time::Duration;

use harness::*;
use wire::postgres::backend::{Kind, ParameterStatus};
use wire::postgres::frontend::put_query;

/// How soon what was ordered must be so, on a machine that is busy building.
const SOON: Duration = Duration::from_secs(20);

/// Runs SQL, and returns what the client is told of `in_hot_standby` on the way.
async fn told_of_role(client: &mut PgClient, sql: &str) -> Option<String> {
    client.send(|out| put_query(out, sql.as_bytes())).await.unwrap();
    let mut told = None;
    loop {
        let (kind, body) = client.message().await.unwrap();
        match kind {
            Kind::ParameterStatus => {
                let status = ParameterStatus::parse(&body).unwrap();
                if status.name == b"in_hot_standby" {
                    told = Some(String::from_utf8_lossy(status.value).into_owned());
                }
            }
            Kind::ErrorResponse => panic!("{sql}: {}", String::from_utf8_lossy(&body)),
            Kind::ReadyForQuery => return told,
            _ => {}
        }
    }
}

/// Drivers choose a server by it (`target_session_attrs`).
#[tokio::test]
async fn clients_are_told_when_a_standby_is_promoted() {
    for engine in [Engine::Postgres, Engine::Postgres18] {
        if !engine.available() {
            continue;
        }
        let mut server = Server::start(engine).await.unwrap();
        server.stop();
        // It waits for a log that nobody sends.
        let data = server.socket().parent().unwrap().to_owned();
        fs::write(data.join("standby.signal"), "").unwrap();
        server.restart().await.unwrap();

        let setup = Setup { connections: 2, ..Setup::default() };
        let guard = Guard::start(&server, &setup).await.unwrap();
        let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
        assert_eq!(client.parameter("in_hot_standby").as_deref(), Some("on"));
        assert_eq!(told_of_role(&mut client, "SELECT 1").await, None);

        let mut root = PgClient::login(server.addr(), &ROOT).await.unwrap();
        root.set_patience(4 * SOON);
        assert_eq!(pg_done(&mut root, "SELECT pg_promote()").await.value(), Some("t"));
        assert_eq!(told_of_role(&mut client, "SELECT 1").await.as_deref(), Some("off"));
        let next = PgClient::login(guard.addr(), &APP).await.unwrap();
        assert_eq!(next.parameter("in_hot_standby").as_deref(), Some("off"), "{engine}");
    }
}
