use super::*;
use crate::server::Server;
use crate::server::account::{APP, ED25519, OPEN};
use crate::server::engine::Engine;
use crate::server::probe::Look;

async fn one(client: &mut Client, sql: &str) -> String {
    client.query(sql).await.unwrap().value().unwrap()
}

#[tokio::test]
async fn it_logs_in_with_every_plugin() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    for account in [APP, OPEN, ED25519] {
        let mut client = Client::login(server.addr(), &account).await.unwrap();
        assert_eq!(one(&mut client, "SELECT USER()").await.split('@').next(), Some(account.name));
    }
    let wrong = Account { password: "wrong", ..APP };
    let error = Client::login(server.addr(), &wrong).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused(failure) if failure.code == 1045), "{error}");
}

#[tokio::test]
async fn it_logs_in_to_mysql_by_the_full_and_the_fast_path() {
    if !Engine::MySql.available() {
        return;
    }
    let server = Server::start(Engine::MySql).await.unwrap();
    for _full_then_fast in 0..2 {
        let mut client = Client::login(server.addr(), &APP).await.unwrap();
        assert_eq!(one(&mut client, "SELECT 7").await, "7");
    }
}

#[tokio::test]
async fn it_reads_rows_errors_and_prepared_statements() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let mut login = Login::new(&APP);
    for capabilities in
        [login.capabilities, login.capabilities.without(Capabilities::DEPRECATE_EOF)]
    {
        login.capabilities = capabilities;
        let mut client = Client::login_with(server.addr(), &login).await.unwrap();
        let reply = client.query("SELECT 1, NULL, 'a' UNION SELECT 2, 'b', ''").await.unwrap();
        let text = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
        assert_eq!(reply.rows()[0], [text(b"1"), None, text(b"a")]);
        assert_eq!(reply.rows()[1], [text(b"2"), text(b"b"), text(b"")]);
        assert!(reply.success().is_some());
        let reply = client.query("SELECT FROM").await.unwrap();
        assert_eq!(reply.failure().unwrap().code, 1064);
        let reply = client.command(b"\x16SELECT ? + 1").await.unwrap();
        assert_eq!(reply.prepared().unwrap().params, 1);
        assert_eq!(one(&mut client, "SELECT 'still in step'").await, "still in step");
    }
}

#[tokio::test]
async fn it_pipelines_and_feeds_a_local_file() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let mut client = Client::login(server.addr(), &APP).await.unwrap();
    let mut two = BytesMut::new();
    put_packet(&mut two, 0, b"\x03SELECT 1");
    put_packet(&mut two, 0, b"\x03SELECT 2");
    client.send(&two).await.unwrap();
    assert_eq!(client.reply(Command::Query).await.unwrap().value().unwrap(), "1");
    assert_eq!(client.reply(Command::Query).await.unwrap().value().unwrap(), "2");
    client.query("CREATE TABLE t (id INT)").await.unwrap();
    client.send_packet(0, b"\x03LOAD DATA LOCAL INFILE 'x' INTO TABLE t").await.unwrap();
    let reply = client.reply_with(Command::Query, b"1\n2\n3\n").await.unwrap();
    assert_eq!(reply.success().unwrap().affected_rows, 3);
}

#[tokio::test]
async fn a_dropped_client_leaves_its_statement_running() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let mut client = Client::login(server.addr(), &APP).await.unwrap();
    let sleep = client.query("SELECT SLEEP(3)");
    assert!(timeout(Duration::from_millis(300), sleep).await.is_err());
    drop(client);
    let threads = server.probe().await.unwrap().threads().await.unwrap();
    assert_eq!(threads.len(), 1, "the server did not go on as servers do: {threads:?}");
}
