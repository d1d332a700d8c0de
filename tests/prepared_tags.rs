//! The tags of a prepared statement are those of its own text, whatever the session has run since.

use harness::*;
use wire::mysql::capability::Capabilities;
use wire::mysql::command::Command;
use wire::postgres::frontend::{Target, put_bind, put_describe, put_execute, put_parse, put_sync};
use wire::postgres::list::Format;

/// What has the tag is of a class that is switched off.
const CLASSES: &str =
    "[class.batch]\n[[rule]]\nname = \"jobs\"\nclass = \"batch\"\ntag = { job = \"mail*\" }";
const SWITCH: &str = "{\"target\": \"class batch\", \"reason\": \"too much\", \"author\": \"ann\"}";

const TAGGED: &str = "SELECT 1 /*job='mail'*/";
/// Its tag is further back than other texts are long.
const OTHER: &str = "SELECT 'a text whose tags are elsewhere' /*place='elsewhere'*/";

async fn scene(engine: Engine) -> (Server, Guard) {
    let server = Server::start(engine).await.unwrap();
    let guard = Guard::start(&server, &Setup::with(CLASSES)).await.unwrap();
    (server, guard)
}

async fn switch_off(guard: &Guard) {
    let answer = guard.http("POST", "/api/v1/switches", SWITCH).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Prepares a statement of MySQL; returns its id.
async fn prepare(client: &mut Client, sql: &str) -> u32 {
    let reply = client.command(&[&[Command::StmtPrepare as u8], sql.as_bytes()].concat()).await;
    reply.unwrap().prepared().unwrap().statement
}

/// COM_STMT_EXECUTE with what follows its head; returns what a refusal says.
async fn execute(client: &mut Client, id: u32, flags: u8, rest: &[u8]) -> Option<String> {
    let head = [&[Command::StmtExecute as u8][..], &id.to_le_bytes(), &[flags], &[1, 0, 0, 0]];
    let payload = [&head.concat()[..], rest].concat();
    client.command(&payload).await.unwrap().failure().map(|failure| failure.message)
}

#[tokio::test]
async fn executions_have_the_tags_of_their_text_on_mariadb() {
    let (_server, guard) = scene(Engine::MariaDb).await;
    let mut client = Client::login(guard.addr(), &APP).await.unwrap();
    let tagged = prepare(&mut client, TAGGED).await;
    let plain = prepare(&mut client, "SELECT 1").await;
    switch_off(&guard).await;
    for before in [OTHER, "SELECT 2"] {
        client.query(before).await.unwrap();
        let refused = execute(&mut client, tagged, 0, b"").await.unwrap();
        assert!(refused.contains("class=batch"), "{refused}");
    }
    client.query(TAGGED).await.unwrap().failure().unwrap();
    assert_eq!(execute(&mut client, plain, 0, b"").await, None);
}

/// MySQL alone has attributes.
#[tokio::test]
async fn executions_have_attributes_on_mysql() {
    if !Engine::MySql.available() {
        return;
    }
    let (_server, guard) = scene(Engine::MySql).await;
    let mut login = Login::new(&APP);
    login.capabilities = login.capabilities | Capabilities::QUERY_ATTRIBUTES;
    let mut client = Client::login_with(guard.addr(), &login).await.unwrap();
    let id = prepare(&mut client, "SELECT ?").await;
    let with = |name: &[u8], value: &[u8]| {
        let len = |text: &[u8]| [u8::try_from(text.len()).unwrap()];
        // Two values, none of them NULL, with types and names.
        let types = [&b"\x02\0\x01\xfd\0\0\xfd\0"[..], &len(name), name];
        let values = [&b"\x01a"[..], &len(value), value];
        [types.concat(), values.concat()].concat()
    };
    switch_off(&guard).await;
    for (name, value) in [(&b"job"[..], &b"report"[..]), (b"place", b"mail")] {
        assert_eq!(execute(&mut client, id, 8, &with(name, value)).await, None);
    }
    let refused = execute(&mut client, id, 8, &with(b"job", b"mail")).await.unwrap();
    assert!(refused.contains("class=batch"), "{refused}");
    assert_eq!(execute(&mut client, id, 8, &with(b"job", b"report")).await, None);
}

#[tokio::test]
async fn executions_have_the_tags_of_their_text_on_postgres() {
    let (_server, guard) = scene(Engine::Postgres).await;
    for name in [&b""[..], b"named"] {
        let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
        let prepared = client.send(|out| {
            put_parse(out, b"plain", b"SELECT 1", &[]);
            put_parse(out, name, TAGGED.as_bytes(), &[]);
            put_describe(out, Target::Statement(name));
            put_sync(out);
        });
        prepared.await.unwrap();
        assert_eq!(client.reply().await.unwrap().failure, None);
        switch_off(&guard).await;
        let mut run = async |name: &[u8]| {
            let sent = client.send(|out| {
                put_bind(out, b"", name, &[], Format::Text);
                put_execute(out, b"", 0);
                put_sync(out);
            });
            sent.await.unwrap();
            client.reply().await.unwrap().failure
        };
        let refused = run(name).await.unwrap();
        assert!(refused.message.contains("class=batch"), "{refused:?}");
        assert_eq!(run(b"plain").await, None);
        let answer =
            guard.http("DELETE", "/api/v1/switches", "{\"target\": \"class batch\"}").await;
        assert_eq!(answer.unwrap().status, 200);
        assert_eq!(run(name).await, None);
    }
}
