//! The console: the database `tidegate` of the guard, by psql and by a driver.

use std::fs;
use std::process::{Command, Output};

use drill::server::postgres::connect;
use harness::*;
use tokio_postgres::SimpleQueryMessage::{CommandComplete, Row};
use tokio_postgres::{Client as Driver, Config};

/// `app` may do everything, `other` may look.
const SECTIONS: &str = "users = [\"app\"]\nstats_users = [\"other\"]\n\n\
                        [class.default]\nin_flight = 1\nqueue_time = \"60s\"\n";

const TOPICS: [&str; 17] = [
    "POOLS",
    "CLIENTS",
    "SERVERS",
    "USERS",
    "STATS",
    "STATS_TOTALS",
    "STATS_AVERAGES",
    "CLASSES",
    "PINS",
    "LIMITS",
    "SWITCHES",
    "DATABASES",
    "LISTENERS",
    "LISTS",
    "CONFIG",
    "STATE",
    "VERSION",
];

/// A server and a guard with a console; none where PostgreSQL is not installed.
async fn world() -> Option<(Server, Guard)> {
    if !Engine::Postgres.available() {
        return None;
    }
    let server = Server::start(Engine::Postgres).await.unwrap();
    let guard = Guard::start(&server, &Setup::with(SECTIONS)).await.unwrap();
    Some((server, guard))
}

fn to_console(guard: &Guard, account: Account) -> Config {
    let mut config = account.config(guard.addr());
    config.dbname("tidegate");
    config
}

async fn console(guard: &Guard, account: Account) -> Driver {
    connect(&to_console(guard, account)).await.unwrap()
}

/// The rows of a command, by the simple protocol: name and value of each column.
async fn rows(driver: &Driver, sql: &str) -> Vec<Vec<(String, Option<String>)>> {
    let messages = driver.simple_query(sql).await.unwrap();
    let rows = messages.iter().filter_map(|message| match message {
        Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| {
        let cell = |(index, column): (usize, &tokio_postgres::SimpleColumn)| {
            (column.name().to_owned(), row.get(index).map(str::to_owned))
        };
        row.columns().iter().enumerate().map(cell).collect()
    })
    .collect()
}

/// A cell of the first row in which `key` is `value`.
fn cell(
    rows: &[Vec<(String, Option<String>)>],
    (key, value): (&str, &str),
    name: &str,
) -> Option<String> {
    let is =
        |(column, cell): &(String, Option<String>)| column == key && cell.as_deref() == Some(value);
    let row = rows.iter().find(|row| row.iter().any(is));
    let row = row.unwrap_or_else(|| panic!("no row has {key} = {value}: {rows:?}"));
    row.iter().find(|(column, _)| column == name).unwrap().1.clone()
}

fn code(error: &tokio_postgres::Error) -> String {
    error.as_db_error().unwrap_or_else(|| panic!("{error:?}")).code().code().to_owned()
}

fn psql(guard: &Guard, account: Account, sql: &str) -> Output {
    Command::new(Engine::Postgres.client().unwrap())
        .args(["-X", "-A", "-h", "127.0.0.1", "-p", &guard.addr().port().to_string()])
        .args(["-U", account.name, "-d", "tidegate", "-c", sql])
        .env("PGPASSWORD", account.password)
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_looks_and_acts() {
    let Some((_server, guard)) = world().await else { return };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    for topic in TOPICS {
        let output = psql(&guard, APP, &format!("SHOW {topic};"));
        assert!(output.status.success(), "{topic}: {}", text(output.stderr));
        assert!(text(output.stdout).contains("row"), "{topic}");
    }
    let pools = text(psql(&guard, OTHER, "show pools").stdout);
    let names = "database|user|cl_active|cl_waiting|cl_active_cancel_req|cl_waiting_cancel_req|\
                 sv_active|sv_active_cancel|sv_being_canceled|sv_idle|sv_used|sv_tested|sv_login|\
                 maxwait|maxwait_us|pool_mode|load_balance_hosts|";
    assert!(pools.starts_with(names), "{pools}");
    assert!(pools.contains("\ntidegate|other|1|0|"), "{pools}");

    let help = text(psql(&guard, APP, "SHOW HELP").stderr);
    assert!(help.contains("KILL <id of a client>"), "{help}");
    let reload = psql(&guard, APP, "RELOAD");
    assert_eq!(text(reload.stdout), "RELOAD\n");
    for (sql, told) in [
        ("RESUME", "the guard is not paused"),
        ("RESUME app", "the database \"app\" is not paused"),
        ("KILL none", "nobody uses a database \"none\""),
        ("KILL tidegate", "nobody uses a database \"tidegate\""),
        ("SELECT 1", "does not know \"SELECT 1\""),
        ("KILL 1", "no client has the id 1"),
    ] {
        let output = psql(&guard, APP, sql);
        assert!(!output.status.success());
        assert!(text(output.stderr).contains(told), "{sql}");
    }
}

#[tokio::test]
async fn drivers_read_all_by_both_protocols() {
    let Some((_server, guard)) = world().await else { return };
    let session = connect(&OTHER.config(guard.addr())).await.unwrap();
    session.simple_query("SELECT 1").await.unwrap();
    let driver = console(&guard, APP).await;
    for topic in TOPICS {
        let sql = format!("SHOW {topic}");
        let simple = rows(&driver, &sql).await;
        let extended = driver.query(&sql, &[]).await.unwrap();
        assert_eq!(extended.len(), simple.len(), "{topic}");
    }
    // Numbers come in binary.
    let clients = driver.query("SHOW CLIENTS", &[]).await.unwrap();
    let users: Vec<&str> = clients.iter().map(|row| row.get("user")).collect();
    assert_eq!(users, ["other", "app"]);
    let ports: Vec<i64> = clients.iter().map(|row| row.get("port")).collect();
    assert!(ports.iter().all(|port| *port > 0));
    assert_eq!(clients[0].get::<_, Option<&str>>("application_name"), None, "it is not known");
    let pools = driver.query("SHOW POOLS", &[]).await.unwrap();
    let pool = pools.iter().find(|row| row.get::<_, &str>("user") == "other").unwrap();
    assert_eq!((pool.get::<_, i64>("sv_idle"), pool.get::<_, i64>("sv_active")), (1, 0));
    let limits = driver.query("SHOW LIMITS", &[]).await.unwrap();
    let class = limits.iter().find(|row| row.get::<_, &str>("scope") == "class").unwrap();
    assert_eq!(class.get::<_, i64>("in_flight_limit"), 1);

    // A series that fails is over at its Sync; the next is served.
    let error = driver.query("SHOW NOTHING", &[]).await.unwrap_err();
    assert_eq!(code(&error), "42601");
    assert_eq!(driver.execute("RELOAD", &[]).await.unwrap(), 0);
    let several = driver.simple_query("SHOW VERSION; SHOW SWITCHES;").await.unwrap();
    let ends = several.iter().filter(|message| matches!(message, CommandComplete(_))).count();
    assert_eq!(ends, 2);
}

#[tokio::test]
async fn who_waits_is_shown_and_killed() {
    let Some((_server, guard)) = world().await else { return };
    let holder = connect(&APP.config(guard.addr())).await.unwrap();
    holder.batch_execute("BEGIN; SELECT 1").await.unwrap();
    let waiter = connect(&OTHER.config(guard.addr())).await.unwrap();
    let waits = tokio::spawn(async move { waiter.simple_query("SELECT 2").await.map(drop) });
    let driver = console(&guard, APP).await;
    eventually("the other waits", PATIENCE, async || {
        let clients = rows(&driver, "SHOW CLIENTS").await;
        let state = cell(&clients, ("user", "other"), "state");
        (state.as_deref() == Some("waiting")).then_some(())
    })
    .await;
    let pools = rows(&driver, "SHOW POOLS").await;
    let of_other = |name: &str| cell(&pools, ("user", "other"), name).unwrap();
    assert_eq!((of_other("cl_active"), of_other("cl_waiting")), ("0".into(), "1".into()));
    let waited = (of_other("maxwait"), of_other("maxwait_us"));
    assert_ne!(waited, ("0".into(), "0".into()));
    assert!(matches!(&rows(&driver, "SHOW CLASSES").await[0][4], (name, Some(queued))
        if name == "queued" && queued == "1"));

    let clients = rows(&driver, "SHOW CLIENTS").await;
    let id = cell(&clients, ("user", "other"), "id").unwrap();
    driver.simple_query(&format!("KILL {id}")).await.unwrap();
    waits.await.unwrap().unwrap_err();
    eventually("it is gone", PATIENCE, async || {
        let clients = rows(&driver, "SHOW CLIENTS").await;
        (clients.len() == 2).then_some(())
    })
    .await;
    holder.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test]
async fn who_is_killed_in_a_statement_leaves_no_lock_behind() {
    let Some((server, guard)) = world().await else { return };
    let client = connect(&OTHER.config(guard.addr())).await.unwrap();
    let sql = "SELECT pg_advisory_lock(7), pg_sleep(60)";
    let runs = tokio::spawn(async move { client.simple_query(sql).await.map(drop) });
    let probe = server.postgres_probe().await.unwrap();
    let count = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    let are_held = async |held: i64| {
        let row = probe.client().query_one(count, &[]).await.unwrap();
        (row.get::<_, i64>(0) == held).then_some(())
    };
    eventually("the lock is taken", PATIENCE, async || are_held(1).await).await;
    let driver = console(&guard, APP).await;
    let clients = rows(&driver, "SHOW CLIENTS").await;
    let id = cell(&clients, ("user", "other"), "id").unwrap();
    driver.simple_query(&format!("KILL {id}")).await.unwrap();
    runs.await.unwrap().unwrap_err();
    eventually("the lock is free", PATIENCE, async || are_held(0).await).await;
}

#[tokio::test]
async fn only_those_on_the_lists_are_let_in_and_lookers_only_look() {
    let Some((server, guard)) = world().await else { return };
    let looker = console(&guard, OTHER).await;
    assert_eq!(rows(&looker, "SHOW VERSION").await.len(), 1);
    for sql in ["RELOAD", "KILL 1", "PAUSE"] {
        assert_eq!(code(&looker.simple_query(sql).await.unwrap_err()), "42501", "{sql}");
    }
    let stranger = to_console(&guard, MD5).connect(tokio_postgres::NoTls).await;
    assert_eq!(code(&stranger.err().unwrap()), "42501");
    let wrong = Account { password: "wrong", ..APP };
    let wrong = to_console(&guard, wrong).connect(tokio_postgres::NoTls).await;
    assert_eq!(code(&wrong.err().unwrap()), "28P01");

    // Without lists it is a database as any other, which is not there.
    let plain = Guard::start(&server, &Setup::default()).await.unwrap();
    let missing = to_console(&plain, APP).connect(tokio_postgres::NoTls).await;
    assert_eq!(code(&missing.err().unwrap()), "3D000");
}

#[tokio::test]
async fn a_reload_that_fails_says_where_and_a_drain_ends_the_console() {
    let Some((_server, mut guard)) = world().await else { return };
    let driver = console(&guard, APP).await;
    fs::write(guard.config(), "[upstream]\n").unwrap();
    let error = driver.simple_query("RELOAD").await.unwrap_err();
    assert!(error.as_db_error().unwrap().message().contains("tidegate.toml:1"), "{error:?}");
    guard.drain(PATIENCE).unwrap();
    let error = driver.simple_query("SHOW VERSION").await.unwrap_err();
    assert!(error.is_closed() || code(&error) == "57P01", "{error:?}");
}

/// Which process of the server serves which client, from both sides.
#[tokio::test]
async fn servers_and_clients_say_who_serves_whom() {
    let Some((_server, guard)) = world().await else { return };
    let session = connect(&OTHER.config(guard.addr())).await.unwrap();
    session.batch_execute("BEGIN").await.unwrap();
    let asked = session.query_one("SELECT pg_backend_pid()::text", &[]).await.unwrap();
    let process: String = asked.get(0);
    let driver = console(&guard, APP).await;
    let clients = rows(&driver, "SHOW CLIENTS").await;
    let id = cell(&clients, ("remote_pid", &process), "id").unwrap();
    assert_eq!(cell(&clients, ("id", &id), "user").as_deref(), Some("other"));
    let servers = rows(&driver, "SHOW SERVERS").await;
    assert_eq!(cell(&servers, ("remote_pid", &process), "link"), Some(id));
    assert_eq!(cell(&servers, ("remote_pid", &process), "state").as_deref(), Some("active"));
    session.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test]
async fn what_is_in_force_is_shown() {
    let Some((_server, guard)) = world().await else { return };
    let driver = console(&guard, OTHER).await;
    let config = rows(&driver, "SHOW CONFIG").await;
    let of = |key: &str, name: &str| cell(&config, ("key", key), name);
    assert_eq!(of("upstream.connections", "value").as_deref(), Some("8"));
    assert_eq!(of("upstream.connections", "default").as_deref(), Some("32"));
    assert_eq!(of("upstream.connections", "changeable").as_deref(), Some("no"));
    assert_eq!(of("class.default.in_flight", "value").as_deref(), Some("1"));
    assert_eq!(of("class.default.in_flight", "changeable").as_deref(), Some("yes"));
    assert!(!format!("{config:?}").contains(CONTROL.password));

    let text = fs::read_to_string(guard.config()).unwrap();
    let text = text
        .replace("in_flight = 1", "in_flight = 2")
        .replace("connections = 8", "connections = 9");
    fs::write(guard.config(), text).unwrap();
    let boss = console(&guard, APP).await;
    boss.simple_query("RELOAD").await.unwrap();
    let config = rows(&driver, "SHOW CONFIG").await;
    let of = |key: &str| cell(&config, ("key", key), "value");
    assert_eq!(of("class.default.in_flight").as_deref(), Some("2"));
    assert_eq!(of("upstream.connections").as_deref(), Some("8"), "it needs a restart");

    let users = rows(&driver, "SHOW USERS").await;
    let clients = cell(&users, ("name", "other"), "current_client_connections");
    assert_eq!(clients.as_deref(), Some("1"));
    let state = rows(&driver, "SHOW STATE").await;
    assert_eq!(cell(&state, ("key", "paused"), "value").as_deref(), Some("no"));
}

/// What exporters read of databases, in PgBouncer's order.
#[tokio::test(flavor = "multi_thread")]
async fn databases_and_users_have_pgbouncers_columns() {
    let Some((_server, guard)) = world().await else { return };
    for (topic, columns) in [
        (
            "DATABASES",
            "name|host|port|database|force_user|pool_size|min_pool_size|reserve_pool_size|\
             server_lifetime|pool_mode|load_balance_hosts|max_connections|current_connections|\
             max_client_connections|current_client_connections|paused|disabled\n",
        ),
        (
            "USERS",
            "name|pool_size|reserve_pool_size|pool_mode|max_user_connections|current_connections|\
             max_user_client_connections|current_client_connections\n",
        ),
    ] {
        let told = psql(&guard, OTHER, &format!("SHOW {topic}")).stdout;
        let told = String::from_utf8(told).unwrap();
        assert!(told.starts_with(columns), "{told}");
    }
}

/// A client of `other` in a database.
async fn of_database(guard: &Guard, database: &str) -> Driver {
    connect(OTHER.config(guard.addr()).dbname(database)).await.unwrap()
}

async fn paused(driver: &Driver, database: &str) -> String {
    let databases = rows(driver, "SHOW DATABASES").await;
    cell(&databases, ("name", database), "paused").unwrap()
}

#[tokio::test]
async fn one_database_is_paused_while_others_go_on() {
    if !Engine::Postgres.available() {
        return;
    }
    let server = Server::start(Engine::Postgres).await.unwrap();
    let guard = Guard::start(&server, &Setup::with("users = [\"app\"]\n")).await.unwrap();
    let (ours, theirs) = (of_database(&guard, "app").await, of_database(&guard, "postgres").await);
    theirs.simple_query("SELECT 1").await.unwrap();
    ours.batch_execute("BEGIN; SELECT 1").await.unwrap();

    // It is answered when what runs is over.
    let boss = console(&guard, APP).await;
    let pauses = tokio::spawn(async move { boss.simple_query("PAUSE app").await.map(drop) });
    let driver = console(&guard, APP).await;
    eventually("it is paused", PATIENCE, async || {
        (paused(&driver, "app").await == "1").then_some(())
    })
    .await;
    ours.simple_query("SELECT 2").await.unwrap();
    assert!(!pauses.is_finished(), "a transaction runs");
    ours.simple_query("COMMIT").await.unwrap();
    pauses.await.unwrap().unwrap();
    assert_eq!(paused(&driver, "postgres").await, "0");
    let databases = rows(&driver, "SHOW DATABASES").await;
    let connections = cell(&databases, ("name", "app"), "current_connections");
    assert_eq!(connections.as_deref(), Some("0"));

    let waits = tokio::spawn(async move { ours.simple_query("SELECT 3").await.map(|_| ours) });
    eventually("its client waits", PATIENCE, async || {
        let clients = rows(&driver, "SHOW CLIENTS").await;
        let state = cell(&clients, ("database", "app"), "state");
        (state.as_deref() == Some("waiting")).then_some(())
    })
    .await;
    theirs.simple_query("SELECT 4").await.unwrap();
    driver.simple_query("RESUME app").await.unwrap();
    let ours = waits.await.unwrap().unwrap();
    ours.simple_query("SELECT 5").await.unwrap();
}

#[tokio::test]
async fn one_database_is_killed_while_others_go_on() {
    if !Engine::Postgres.available() {
        return;
    }
    let server = Server::start(Engine::Postgres).await.unwrap();
    let guard = Guard::start(&server, &Setup::with("users = [\"app\"]\n")).await.unwrap();
    let (ours, theirs) = (of_database(&guard, "app").await, of_database(&guard, "postgres").await);
    theirs.simple_query("SELECT 1").await.unwrap();
    let runs =
        tokio::spawn(async move { ours.simple_query("SELECT pg_sleep(60)").await.map(drop) });
    let probe = server.postgres_probe().await.unwrap();
    let count =
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ 'sleep\\(60'";
    let running = async |number: i64| {
        let row = probe.client().query_one(count, &[]).await.unwrap();
        (row.get::<_, i64>(0) == number).then_some(())
    };
    eventually("it runs", PATIENCE, async || running(1).await).await;
    let driver = console(&guard, APP).await;
    driver.simple_query("KILL app").await.unwrap();
    runs.await.unwrap().unwrap_err();
    eventually("it runs no more on the database", PATIENCE, async || running(0).await).await;
    theirs.simple_query("SELECT 1").await.unwrap();

    // Who comes again waits.
    let again = of_database(&guard, "app").await;
    let waits = tokio::spawn(async move { again.simple_query("SELECT 3").await.map(drop) });
    eventually("it waits", PATIENCE, async || {
        let clients = rows(&driver, "SHOW CLIENTS").await;
        let state = cell(&clients, ("database", "app"), "state");
        (state.as_deref() == Some("waiting")).then_some(())
    })
    .await;
    driver.simple_query("RESUME app").await.unwrap();
    waits.await.unwrap().unwrap();
}
