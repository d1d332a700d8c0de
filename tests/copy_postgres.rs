//! A COPY that fails while its client still sends what it has.

use harness::*;
use wire::postgres::backend::Kind;
use wire::postgres::frontend::{put_copy_data, put_copy_done, put_sync};

/// The server skips up to the Sync behind CopyDone, whether that is there when the COPY fails or
/// comes a message at a time, long after.
#[tokio::test]
async fn what_its_client_sends_behind_the_error_has_one_answer() {
    let server = Server::start(Engine::Postgres).await.unwrap();
    let mut root = PgClient::login(server.addr(), &APP).await.unwrap();
    pg_done(&mut root, "CREATE TABLE note (id int PRIMARY KEY)").await;
    let guard = Guard::start(&server, &Setup::default()).await.unwrap();
    for addr in [server.addr(), guard.addr()] {
        let mut client = PgClient::login(addr, &APP).await.unwrap();
        for begin in ["", "BEGIN"] {
            for sent_before_the_error in 0..=3 {
                if !begin.is_empty() {
                    pg_done(&mut client, begin).await;
                }
                fail_a_copy(&mut client, sent_before_the_error).await;
                if !begin.is_empty() {
                    pg_done(&mut client, "ROLLBACK").await;
                }
                assert_eq!(pg_done(&mut client, "SELECT 7").await.value(), Some("7"));
            }
        }
    }
}

async fn fail_a_copy(client: &mut PgClient, sent_before_the_error: usize) {
    client.send(|out| put_series(out, "COPY note FROM STDIN", &[])).await.unwrap();
    while client.message().await.unwrap().0 != Kind::CopyInResponse {}
    for step in 0..=3 {
        client
            .send(|out| match step {
                0 => put_copy_data(out, b"not a number\n"),
                1 => put_copy_data(out, b"1\n"),
                2 => put_copy_done(out),
                _ => put_sync(out),
            })
            .await
            .unwrap();
        if step == sent_before_the_error {
            assert_eq!(client.message().await.unwrap().0, Kind::ErrorResponse);
        }
    }
    assert_eq!(client.message().await.unwrap().0, Kind::ReadyForQuery);
}
