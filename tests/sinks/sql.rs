//! SQL on real databases: what is put with its progress happens once, whatever happens.

use std::collections::HashSet;

use bytes::Bytes;
use harness::{Engine, ROOT, Server};
use scheduler::sink::sql::{Connection, Dialect, PutError, Statement, progress, put};
use scheduler::sink::{Chunk, Fate, Item, Reason, Slice};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, MySqlConnection, PgConnection};

use crate::{chunk, done, items};

/// A connection that a test may ask for more than a sink does.
pub(crate) trait Client: Connection + Sized {
    async fn login(server: &Server) -> Self;
    /// Runs statements without parameters.
    async fn do_all(&mut self, sql: &str);
    /// The rows of a query whose columns are all text.
    async fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>>;
    /// What is said in a transaction that is then not committed, but whose connection breaks off.
    async fn break_off(self);
}

macro_rules! client {
    ($connection:ty, $login:expr) => {
        impl Client for $connection {
            async fn login(server: &Server) -> Self {
                let login: fn(&Server) -> _ = $login;
                Self::connect_with(&login(server)).await.unwrap()
            }

            async fn do_all(&mut self, sql: &str) {
                let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
                sqlx::Executor::execute(&mut *self, sql).await.unwrap();
            }

            async fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
                use sqlx::Row as _;
                let sql = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()));
                let rows = sql.fetch_all(&mut *self).await.unwrap();
                let row = |row: &_| -> Vec<Option<String>> {
                    let row: &<<Self as sqlx::Connection>::Database as sqlx::Database>::Row = row;
                    (0..row.len()).map(|column| row.try_get_unchecked(column).unwrap()).collect()
                };
                rows.iter().map(row).collect()
            }

            async fn break_off(self) {
                // Without a word: the server finds the end of the stream.
                drop(self);
            }
        }
    };
}

client!(PgConnection, |server| {
    let options = PgConnectOptions::new_without_pgpass();
    let options = options.host("127.0.0.1").port(server.addr().port()).database("app");
    options.username(ROOT.name).password(ROOT.password)
});
client!(MySqlConnection, |server| {
    let options = MySqlConnectOptions::new().host("127.0.0.1").port(server.addr().port());
    options.database("app").username(ROOT.name).password(ROOT.password)
});

/// What a test asks of any database.
macro_rules! on_each {
    ($($name:ident = $scene:ident;)*) => { $(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn on_postgres() {
                $scene::<PgConnection>(Engine::Postgres).await;
            }

            #[tokio::test]
            async fn on_postgres_18() {
                $scene::<PgConnection>(Engine::Postgres18).await;
            }

            #[tokio::test]
            async fn on_mariadb() {
                $scene::<MySqlConnection>(Engine::MariaDb).await;
            }

            #[tokio::test]
            async fn on_mysql() {
                $scene::<MySqlConnection>(Engine::MySql).await;
            }
        }
    )* };
}

on_each! {
    what_is_put_with_its_progress_happens_once = crashes;
    what_a_database_refuses_is_found_and_the_rest_is_put = refusals;
    a_zombie_is_rolled_back = zombies;
    any_statement_is_run_for_each_item = for_each;
}

const TABLE: &str = "CREATE TABLE reminder (id varchar(36) PRIMARY KEY, recipient bigint NOT NULL, \
                     body varchar(40), batch varchar(40), CHECK (recipient <> 13))";

fn insert(dialect: Dialect) -> Statement {
    let recipient = match dialect {
        Dialect::Postgres => "item.recipient::bigint",
        Dialect::MySql => "item.recipient",
    };
    // The table's own key would find a double: it fails the transaction, and the test.
    let sql = format!(
        "INSERT INTO reminder (id, recipient, body, batch) \
         SELECT item.id, {recipient}, item.body, item.batch FROM {{items}}"
    );
    Statement::parse(dialect, &sql).unwrap()
}

async fn scene<C: Client>(engine: Engine) -> Option<(Server, C)> {
    if !engine.available() {
        return None;
    }
    let server = Server::start(engine).await.unwrap();
    let mut client = C::login(&server).await;
    client.do_all(TABLE).await;
    client.do_all(progress::create(C::DIALECT)).await;
    client.do_all(progress::create(C::DIALECT)).await;
    Some((server, client))
}

/// Holders that break off at any point, each followed by another that goes on where the database
/// says.
async fn crashes<C: Client>(engine: Engine) {
    let Some((server, mut judge)) = scene::<C>(engine).await else { return };
    let seed = std::env::var("TG_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("TG_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let statement = insert(C::DIALECT);
    let all = items(1_000, |n| format!("body ü {n}"));
    let (mut fence, mut holders) = (0, 0);
    let left = |done: &HashSet<u32>| -> Vec<Item> {
        all.iter().filter(|item| !done.contains(&item.position)).cloned().collect()
    };
    'chunk: loop {
        fence += 1;
        holders += 1;
        let chunk = Chunk { first: 5_000, ..chunk("reminders@13:00", fence) };
        let mut client = C::login(&server).await;
        let mut done: HashSet<u32> =
            progress::open(&mut client, chunk).await.unwrap().into_iter().collect();
        loop {
            let left = left(&done);
            if left.is_empty() {
                break 'chunk;
            }
            let slice = &left[..left.len().min(dice.usize(1..80))];
            client.do_all("BEGIN").await;
            let fates = put(&mut client, &statement, Slice { chunk, items: slice }).await.unwrap();
            assert_eq!(
                crate::done(&fates),
                slice.len() - usize::from(slice.iter().any(|i| i.position == 13))
            );
            done.extend(slice.iter().map(|item| item.position));
            if dice.u8(..) < 20 {
                client.break_off().await;
                continue 'chunk;
            }
            progress::record(&mut client, chunk, done.iter().copied()).await.unwrap();
            if dice.u8(..) < 20 {
                client.break_off().await;
                continue 'chunk;
            }
            client.do_all("COMMIT").await;
            if dice.u8(..) < 20 {
                client.break_off().await;
                continue 'chunk;
            }
        }
    }
    let rows = judge.rows("SELECT id, body FROM reminder").await;
    // Number 13 is refused by the table.
    let expected: HashSet<_> = all
        .iter()
        .filter(|item| item.position != 13)
        .map(|item| {
            let id = Chunk { first: 5_000, ..chunk("reminders@13:00", 1) }.id(item.position);
            vec![Some(id.to_string()), Some(format!("body ü {}", item.position))]
        })
        .collect();
    assert_eq!(rows.len(), 999, "{engine}, {holders} holders");
    assert_eq!(rows.into_iter().collect::<HashSet<_>>(), expected);
    eprintln!("{engine}: {holders} holders");
}

async fn refusals<C: Client>(engine: Engine) {
    let Some((_server, mut client)) = scene::<C>(engine).await else { return };
    let mut items = items(200, |n| format!("body {n}"));
    items[7].recipient = Bytes::from_static(b"nobody");
    items[100].body = Bytes::from("x".repeat(41));
    items[150].body = Bytes::from_static(b"\xff\xfe");
    items[199].body = Bytes::from_static(b"nul \0");
    let refused = [7, 13, 100, 150, 199];
    client.do_all("BEGIN").await;
    let slice = Slice { chunk: chunk("b", 1), items: &items };
    let fates = put(&mut client, &insert(C::DIALECT), slice).await.unwrap();
    client.do_all("COMMIT").await;
    for (position, fate) in fates.iter().enumerate() {
        match refused.contains(&position) {
            true => assert!(matches!(fate, Fate::Dead(_)), "{engine} {position}: {fate:?}"),
            false => assert_eq!(*fate, Fate::Done, "{engine} {position}"),
        }
    }
    assert!(matches!(&fates[13], Fate::Dead(Reason::Refused(why)) if !why.is_empty()));
    assert_eq!(client.rows("SELECT id FROM reminder").await.len(), 195);
    // What is wrong with all of them is no item's fault.
    client.do_all("DROP TABLE reminder").await;
    client.do_all("BEGIN").await;
    let error = put(&mut client, &insert(C::DIALECT), slice).await.unwrap_err();
    assert!(matches!(error, PutError::Database(_)), "{error}");
    client.do_all("ROLLBACK").await;
}

async fn zombies<C: Client>(engine: Engine) {
    let Some((server, mut judge)) = scene::<C>(engine).await else { return };
    let items = items(10, |_| String::new());
    let statement = insert(C::DIALECT);
    let (mut old, mut new) = (C::login(&server).await, C::login(&server).await);
    assert_eq!(progress::open(&mut old, chunk("b", 1)).await.unwrap(), [0_u32; 0]);
    old.do_all("BEGIN").await;
    let slice = |fence| Slice { chunk: chunk("b", fence), items: &items };
    put(&mut old, &statement, slice(1)).await.unwrap();
    // It freezes here, and another takes over.
    assert_eq!(progress::open(&mut new, chunk("b", 2)).await.unwrap(), [0_u32; 0]);
    let woken = progress::record(&mut old, chunk("b", 1), 0..10).await;
    assert!(matches!(woken, Err(PutError::Fenced)), "{woken:?}");
    old.do_all("ROLLBACK").await;
    new.do_all("BEGIN").await;
    assert_eq!(done(&put(&mut new, &statement, slice(2)).await.unwrap()), 10);
    progress::record(&mut new, chunk("b", 2), 0..10).await.unwrap();
    new.do_all("COMMIT").await;
    let again = progress::open(&mut old, chunk("b", 1)).await;
    assert!(matches!(again, Err(PutError::Fenced)), "{again:?}");
    assert_eq!(progress::open(&mut new, chunk("b", 3)).await.unwrap(), (0..10).collect::<Vec<_>>());
    // Another chunk, and a batch whose name differs in case, are others.
    assert_eq!(
        progress::open(&mut new, Chunk { number: 1, ..chunk("b", 1) }).await.unwrap(),
        [0_u32; 0]
    );
    assert_eq!(progress::open(&mut new, chunk("B", 1)).await.unwrap(), [0_u32; 0]);
    assert_eq!(judge.rows("SELECT id FROM reminder").await.len(), 10);
}

async fn for_each<C: Client>(engine: Engine) {
    let Some((_server, mut client)) = scene::<C>(engine).await else { return };
    let items = items(50, |n| format!("'{n}"));
    client.do_all("BEGIN").await;
    let slice = Slice { chunk: chunk("b", 1), items: &items };
    put(&mut client, &insert(C::DIALECT), slice).await.unwrap();
    let sql = match C::DIALECT {
        Dialect::Postgres => {
            "UPDATE reminder SET body = :body || ':id' WHERE recipient = :recipient::bigint"
        }
        Dialect::MySql => {
            "UPDATE reminder SET body = concat(:body, ':id') WHERE recipient = :recipient"
        }
    };
    let update = Statement::parse(C::DIALECT, sql).unwrap();
    assert_eq!(done(&put(&mut client, &update, slice).await.unwrap()), 50);
    client.do_all("COMMIT").await;
    let rows = client.rows("SELECT body FROM reminder WHERE recipient = 49").await;
    assert_eq!(rows, [[Some("'49:id".to_owned())]]);
}
