//! `currval()` and `lastval()` are known to the connection that drew: no client ever sees what
//! another has drawn there.
//!
//! The first question of an account is a case of its own: only from then on connections forget what
//! was drawn when they change hands.

use harness::*;

/// A guard with one connection, which other clients have drawn from a sequence on.
async fn scene() -> (Server, Guard) {
    let server = Server::start(Engine::Postgres).await.unwrap();
    let setup = Setup { connections: 1, ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
    pg_done(&mut client, "CREATE SEQUENCE s").await;
    pg_done(&mut client, "CREATE TABLE note (id serial PRIMARY KEY, text text)").await;
    pg_done(&mut client, "CREATE TABLE plain (id int)").await;
    (server, guard)
}

/// Another client draws on the only connection.
async fn another_draws(guard: &Guard) {
    let mut other = PgClient::login(guard.addr(), &APP).await.unwrap();
    pg_done(&mut other, "SELECT nextval('s')").await;
}

/// The first question ever, in whichever place of a transaction.
#[tokio::test]
async fn the_first_who_asks_is_not_told_what_another_has_drawn() {
    let plain = "INSERT INTO plain VALUES (1)";
    for before in [&[][..], &["BEGIN"], &["SELECT 1"], &["BEGIN", "SELECT 1"], &["BEGIN", plain]] {
        let (_server, guard) = scene().await;
        another_draws(&guard).await;
        let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
        for sql in before {
            pg_done(&mut client, sql).await;
        }
        let refused = pg_refused(&mut client, "SELECT lastval()").await;
        assert_eq!(refused.code, "55000", "behind {before:?}");
        pg_done(&mut client, "ROLLBACK").await;
        pg_done(&mut client, "SELECT nextval('s')").await;
        assert_eq!(pg_done(&mut client, "SELECT lastval()").await.value(), Some("2"));
    }
}

/// In whichever place of a transaction or a pipeline it is asked.
#[tokio::test]
async fn nobody_is_told_what_another_has_drawn() {
    let (_server, guard) = scene().await;
    let client = async || {
        another_draws(&guard).await;
        PgClient::login(guard.addr(), &APP).await.unwrap()
    };
    pg_refused(&mut client().await, "SELECT lastval()").await;
    for ask in ["SELECT lastval()", "SELECT currval('s')"] {
        for before in ["SELECT 1", "SET LOCAL work_mem = '3MB'", "INSERT INTO plain VALUES (1)"] {
            let mut client = client().await;
            pg_done(&mut client, "BEGIN").await;
            pg_done(&mut client, before).await;
            assert_eq!(pg_refused(&mut client, ask).await.code, "55000", "{ask} behind {before}");
        }
        for several in [ask.to_owned(), format!("SELECT 1; {ask}")] {
            let refused = pg_refused(&mut client().await, &several).await;
            assert_eq!(refused.code, "55000", "{several}");
        }
        let mut client = client().await;
        let sent = client.send(|out| {
            put_unsynced(out, "SELECT 1", &[]);
            put_series(out, ask, &[]);
        });
        sent.await.unwrap();
        let refused = client.reply().await.unwrap().failure.unwrap();
        assert_eq!(refused.code, "55000", "{ask} in a series");
    }
}

/// Wherever a transaction draws, it can ask.
#[tokio::test]
async fn what_a_transaction_has_drawn_it_is_told() {
    let (_server, guard) = scene().await;
    for number in 1..=3 {
        let number = number.to_string();
        another_draws(&guard).await;
        let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
        pg_done(&mut client, "BEGIN").await;
        pg_done(&mut client, "INSERT INTO note (text) VALUES ('a')").await;
        assert_eq!(pg_done(&mut client, "SELECT lastval()").await.value(), Some(&*number));
        let ask = "SELECT currval('note_id_seq')";
        assert_eq!(pg_done(&mut client, ask).await.value(), Some(&*number));
        pg_done(&mut client, "COMMIT").await;
    }
    another_draws(&guard).await;
    let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
    let both = "INSERT INTO note (text) VALUES ('a'); SELECT lastval()";
    assert_eq!(pg_done(&mut client, both).await.value(), Some("4"));
    let sent = client.send(|out| {
        put_unsynced(out, "INSERT INTO note (text) VALUES ('a')", &[]);
        put_series(out, "SELECT lastval()", &[]);
    });
    sent.await.unwrap();
    assert_eq!(client.reply().await.unwrap().value(), Some("5"));
}

/// The first question ever, further on in a series.
#[tokio::test]
async fn the_first_question_in_a_series_is_not_told_what_another_has_drawn() {
    for before in ["SELECT 1", "INSERT INTO plain VALUES (1)"] {
        let (_server, guard) = scene().await;
        another_draws(&guard).await;
        let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
        let sent = client.send(|out| {
            put_unsynced(out, before, &[]);
            put_series(out, "SELECT lastval()", &[]);
        });
        sent.await.unwrap();
        let refused = client.reply().await.unwrap().failure.unwrap();
        assert_eq!(refused.code, "55000", "behind {before}");
        // The block that saw to it left nothing behind.
        pg_done(&mut client, "SELECT 1").await;
        let reply = client.execute("SELECT nextval('s')", &[]).await.unwrap();
        assert_eq!(reply.value(), Some("2"));
    }
}

/// A transaction that begins before anybody has asked, and has drawn from another sequence than it asks
/// about.
#[tokio::test]
async fn what_cannot_be_told_from_others_draws_is_refused_once() {
    let questions = ["currval('s')", "currval(pg_get_serial_sequence('keyed', 'id'))"];
    for question in questions.map(|ask| format!("SELECT {ask}")) {
        for is_extended in [false, true] {
            let (_server, guard) = scene().await;
            let mut other = PgClient::login(guard.addr(), &APP).await.unwrap();
            pg_done(&mut other, "CREATE TABLE keyed (id serial)").await;
            pg_done(&mut other, "INSERT INTO keyed DEFAULT VALUES").await;
            another_draws(&guard).await;
            let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
            pg_done(&mut client, "BEGIN").await;
            pg_done(&mut client, "INSERT INTO note (text) VALUES ('a')").await;
            let reply = match is_extended {
                false => client.query(&question).await.unwrap(),
                true => client.execute(&question, &[]).await.unwrap(),
            };
            assert_eq!(reply.failure.unwrap().code, "40001", "{question}");
            pg_done(&mut client, "ROLLBACK").await;
            // Its next attempt is told the truth.
            pg_done(&mut client, "BEGIN").await;
            let value =
                pg_done(&mut client, "INSERT INTO note (text) VALUES ('a') RETURNING id").await;
            let ask = "SELECT currval('note_id_seq')";
            assert_eq!(pg_done(&mut client, ask).await.value(), value.value());
            assert_eq!(pg_refused(&mut client, &question).await.code, "55000", "{question}");
        }
    }
}

/// The ways in which clients ask for what they have just drawn, each as the first question ever.
#[tokio::test]
async fn the_first_who_asks_for_its_own_is_told() {
    for question in [
        "SELECT lastval()",
        "SELECT currval('note_id_seq')",
        "SELECT currval('public.note_id_seq'::regclass)",
        "SELECT currval(pg_get_serial_sequence('note', 'id'))",
    ] {
        for is_extended in [false, true] {
            let insert = "INSERT INTO note (text) VALUES ('a')";
            for before in [&["BEGIN", insert][..], &[insert], &[insert, "SELECT 1", "BEGIN"]] {
                let (_server, guard) = scene().await;
                another_draws(&guard).await;
                let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
                for sql in before {
                    pg_done(&mut client, sql).await;
                }
                let reply = match is_extended {
                    false => client.query(question).await.unwrap(),
                    true => client.execute(question, &[]).await.unwrap(),
                };
                assert_eq!(reply.failure, None, "{question} behind {before:?}");
                assert_eq!(reply.value(), Some("1"), "{question} behind {before:?}");
            }
        }
    }
}

/// No text of a client's shows that a function asks. This one knows its session by what it has drawn.
#[tokio::test]
async fn a_function_that_asks_is_not_told_what_another_has_drawn() {
    let server = Server::start(Engine::Postgres).await.unwrap();
    let mut direct = PgClient::login(server.addr(), &ROOT).await.unwrap();
    pg_done(&mut direct, "CREATE SEQUENCE s; GRANT ALL ON SEQUENCE s TO PUBLIC").await;
    let body = "BEGIN RETURN currval('s'); \
                EXCEPTION WHEN object_not_in_prerequisite_state THEN RETURN nextval('s'); END";
    let function = format!("CREATE FUNCTION mine() RETURNS bigint LANGUAGE plpgsql AS $${body}$$");
    pg_done(&mut direct, &function).await;
    let setup = Setup { connections: 1, ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    let mut clients = Vec::new();
    for number in 1..=3 {
        let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
        let mine = pg_done(&mut client, "SELECT mine()").await;
        assert_eq!(mine.value(), Some(&*number.to_string()));
        clients.push(client);
    }
}
