//! What reads PgBouncer reads the guard: the columns that exporters look for at the console, what they
//! tell apart by, and one of the exporters itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;

use drill::server::postgres::connect;
use harness::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_postgres::{Client as Driver, SimpleQueryMessage};

/// `app` works, `other` looks. One transaction at a time, so that one can be made to wait.
const SECTIONS: &str = "stats_users = [\"other\"]\n\n\
                        [class.default]\nin_flight = 1\nqueue_time = \"60s\"\n";

/// Columns of `SHOW CLIENTS` and `SHOW SERVERS`, as PgBouncer 1.26's.
const SOCKETS: &str = "type user database replication state addr port local_addr local_port connect_time \
                       request_time wait wait_us close_needed ptr link remote_pid tls application_name \
                       prepared_statements id";

/// What is counted, as PgBouncer 1.26 has it, in its order; behind `total_` in `SHOW STATS`.
const TOTALS: &str = "server_assignment_count xact_count query_count received sent xact_time query_time \
                      wait_time client_parse_count server_parse_count bind_count client_login_count";

/// The lists of `SHOW LISTS`, as PgBouncer's, and one more.
const LISTS: &str = "databases users peers pools peer_pools free_clients used_clients login_clients \
                     free_servers used_servers login_servers dns_names dns_zones dns_queries dns_pending";

type Row = BTreeMap<String, Option<String>>;

async fn world() -> Option<(Server, Guard)> {
    if !Engine::Postgres.available() {
        return None;
    }
    let server = Server::start(Engine::Postgres).await.unwrap();
    let guard = Guard::start(&server, &Setup::with(SECTIONS)).await.unwrap();
    Some((server, guard))
}

async fn console(guard: &Guard) -> Driver {
    connect(OTHER.config(guard.addr()).dbname("tidegate")).await.unwrap()
}

/// The names of the columns, and the rows.
async fn show(driver: &Driver, topic: &str) -> (Vec<String>, Vec<Row>) {
    let (mut columns, mut rows) = (Vec::new(), Vec::new());
    for message in driver.simple_query(&format!("SHOW {topic};")).await.unwrap() {
        match message {
            SimpleQueryMessage::RowDescription(all) => {
                columns = all.iter().map(|column| column.name().to_owned()).collect();
            }
            SimpleQueryMessage::Row(row) => {
                let cells = columns.iter().enumerate();
                let cell = |(index, name): (usize, &String)| {
                    (name.clone(), row.get(index).map(str::to_owned))
                };
                rows.push(cells.map(cell).collect());
            }
            _ => {}
        }
    }
    (columns, rows)
}

/// Numbers of a database in `SHOW STATS`.
async fn stats(driver: &Driver, database: &str) -> BTreeMap<String, u64> {
    let (_, rows) = show(driver, "STATS").await;
    let is_its = |row: &&Row| row["database"].as_deref() == Some(database);
    let row = rows.iter().find(is_its).unwrap_or_else(|| panic!("no {database} in {rows:?}"));
    let numbers = row.iter().filter(|(name, _)| *name != "database");
    numbers.map(|(name, cell)| (name.clone(), cell.as_ref().unwrap().parse().unwrap())).collect()
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[tokio::test]
async fn columns_are_pgbouncers() {
    let Some((_server, guard)) = world().await else { return };
    let app = connect(&APP.config(guard.addr())).await.unwrap();
    app.simple_query("SELECT 1").await.unwrap();
    let driver = console(&guard).await;
    for topic in ["CLIENTS", "SERVERS"] {
        assert_eq!(show(&driver, topic).await.0, words(SOCKETS), "{topic}");
    }
    let (columns, rows) = show(&driver, "LISTS").await;
    assert_eq!(columns, ["list", "items"]);
    let lists: Vec<&str> = rows.iter().map(|row| row["list"].as_deref().unwrap()).collect();
    assert_eq!(lists, words(LISTS));
    // All of them are read as numbers.
    for row in &rows {
        row["items"].as_ref().unwrap().parse::<u64>().unwrap_or_else(|_| panic!("{row:?}"));
    }

    // The names of averages are shorter in two places.
    let average = |name: &str| format!("avg_{}", if name == "received" { "recv" } else { name });
    let mut stats = vec!["database".to_owned()];
    stats.extend(words(TOTALS).iter().map(|name| format!("total_{name}")));
    stats.extend(words(TOTALS).iter().map(|name| average(name)));
    assert_eq!(show(&driver, "STATS").await.0, stats);
    let bare = |name: &str| match name {
        "received" | "sent" => format!("bytes_{name}"),
        name => name.to_owned(),
    };
    let mut totals = vec!["database".to_owned()];
    totals.extend(words(TOTALS).iter().map(|name| bare(name)));
    assert_eq!(show(&driver, "STATS_TOTALS").await.0, totals);
    let (averages, _) = show(&driver, "STATS_AVERAGES").await;
    assert_eq!(averages[..9], totals[..9]);
    assert_eq!(averages[9..], stats[stats.len() - 4..]);
}

#[tokio::test]
async fn what_is_done_is_counted_for_its_database() {
    let Some((_server, guard)) = world().await else { return };
    let app = connect(&APP.config(guard.addr())).await.unwrap();
    for _ in 0..2 {
        app.simple_query("SELECT 1").await.unwrap();
    }
    app.simple_query("SELECT pg_sleep(0.05)").await.unwrap();
    app.simple_query("BEGIN").await.unwrap();
    app.simple_query("SELECT 2").await.unwrap();
    app.simple_query("COMMIT").await.unwrap();
    let statement = app.prepare("SELECT $1::int4 + 1").await.unwrap();
    for number in [1, 2] {
        let row = app.query_one(&statement, &[&number]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), number + 1);
    }
    // Errors count as well, and what was cancelled.
    app.simple_query("SELECT nothing").await.unwrap_err();
    let driver = console(&guard).await;
    let (of_app, of_console) = eventually("all is handed in", PATIENCE, async || {
        let counted = stats(&driver, "app").await;
        (counted["total_query_count"] >= 9).then_some(())?;
        Some((counted, stats(&driver, "tidegate").await))
    })
    .await;
    // BEGIN is answered by the guard, and goes with the first statement.
    for (name, expected) in [
        ("total_query_count", 9),
        ("total_xact_count", 8),
        ("total_server_assignment_count", 8),
        ("total_client_parse_count", 1),
        ("total_server_parse_count", 1),
        ("total_bind_count", 2),
        ("total_client_login_count", 1),
    ] {
        assert_eq!(of_app[name], expected, "{name}: {of_app:?}");
    }
    for name in ["total_query_time", "total_xact_time"] {
        assert!(of_app[name] >= 50_000, "{name} in microseconds: {of_app:?}");
    }
    assert!(of_app["total_received"] > 0 && of_app["total_sent"] > of_app["total_received"]);
    assert_eq!(of_console["total_query_count"], 0, "the console's own are none of a database");

    // Bytes, and waits.
    app.simple_query(&format!("SELECT length('{}')", "x".repeat(50_000))).await.unwrap();
    app.simple_query("SELECT repeat('x', 90000)").await.unwrap();
    let waiter = connect(&APP.config(guard.addr())).await.unwrap();
    app.simple_query("BEGIN").await.unwrap();
    app.simple_query("SELECT 3").await.unwrap();
    let waits = tokio::spawn(async move { waiter.simple_query("SELECT 4").await.map(drop) });
    eventually("it waits", PATIENCE, async || {
        let (_, pools) = show(&driver, "POOLS").await;
        pools.iter().any(|pool| pool["cl_waiting"].as_deref() == Some("1")).then_some(())
    })
    .await;
    app.simple_query("COMMIT").await.unwrap();
    waits.await.unwrap().unwrap();
    let later = eventually("all is handed in", PATIENCE, async || {
        let counted = stats(&driver, "app").await;
        (counted["total_query_count"] >= 14).then_some(counted)
    })
    .await;
    let since = |name: &str| later[name] - of_app[name];
    assert!((50_000..52_000).contains(&since("total_received")), "{later:?}");
    assert!((90_000..92_000).contains(&since("total_sent")), "{later:?}");
    assert!(since("total_wait_time") > 0, "{later:?}");
    assert_eq!((since("total_query_count"), since("total_xact_count")), (5, 4));
    assert_eq!(later["total_client_login_count"], 2);

    // By class, too.
    let (_, classes) = show(&driver, "CLASSES").await;
    let class = classes.iter().find(|row| row["class"].as_deref() == Some("default")).unwrap();
    assert_eq!(class["statements"].as_deref(), Some("14"));
    assert_eq!(class["transactions"].as_deref(), Some("12"));
}

/// What prometheus-community/pgbouncer_exporter reads (its collector.go), and Datadog's integration: which columns
/// by name, what tells their rows apart, and which of those columns are numbers.
const READ: [(&str, &str, &str); 5] = [
    (
        "DATABASES",
        "name host port database force_user pool_mode",
        "pool_size reserve_pool_size max_connections current_connections paused disabled",
    ),
    (
        "STATS_TOTALS",
        "database",
        "query_count query_time bytes_received bytes_sent wait_time xact_count xact_time client_parse_count \
         server_parse_count bind_count server_assignment_count",
    ),
    (
        "POOLS",
        "database user",
        "cl_active cl_active_cancel_req cl_waiting cl_waiting_cancel_req sv_active sv_active_cancel \
         sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us",
    ),
    (
        "STATS",
        "database",
        "total_xact_count total_query_count total_received total_sent total_query_time total_xact_time \
         total_wait_time avg_xact_count avg_query_count avg_wait_time avg_recv avg_sent avg_xact_time avg_query_time",
    ),
    ("CONFIG", "key", ""),
];

#[tokio::test]
async fn exporters_find_what_they_read_and_no_row_twice() {
    let Some((_server, guard)) = world().await else { return };
    let app = connect(&APP.config(guard.addr())).await.unwrap();
    app.simple_query("SELECT 1").await.unwrap();
    let elsewhere = connect(MD5.config(guard.addr()).dbname("postgres")).await.unwrap();
    elsewhere.simple_query("SELECT 1").await.unwrap();
    let driver = console(&guard).await;
    for (topic, labels, numbers) in READ {
        let (_, rows) = show(&driver, topic).await;
        assert!(!rows.is_empty(), "{topic} without rows is taken for a failure");
        let mut seen = BTreeSet::new();
        for row in &rows {
            let of: Vec<_> = words(labels).iter().map(|label| row[*label].clone()).collect();
            assert!(seen.insert(of), "{topic} tells two rows of {labels}: {row:?}");
            for name in words(numbers) {
                let cell = row[name].as_ref().unwrap_or_else(|| panic!("{topic}.{name} is NULL"));
                cell.parse::<f64>().unwrap_or_else(|_| panic!("{topic}.{name} = {cell}"));
            }
        }
    }
    let (columns, config) = show(&driver, "CONFIG").await;
    assert_eq!(columns, ["key", "value", "default", "changeable"]);
    let most = config.iter().find(|row| row["key"].as_deref() == Some("max_client_conn")).unwrap();
    assert!(most["value"].as_ref().unwrap().parse::<u64>().unwrap() > 0);
    // Its times are read by their form.
    for client in show(&driver, "CLIENTS").await.1 {
        for time in ["connect_time", "request_time"] {
            let text = client[time].as_ref().unwrap();
            assert!(text.ends_with(" UTC") && text.len() == 23, "{text}");
        }
    }
    let (columns, version) = show(&driver, "VERSION").await;
    assert_eq!((columns, version.len()), (vec!["version".to_owned()], 1));
}

/// An exporter at work on the console of a guard.
struct Exporter {
    child: Child,
    port: u16,
    /// Its settings.
    _folder: Scratch,
}

impl Exporter {
    fn start(guard: &Guard) -> Self {
        let folder = Scratch::new().unwrap();
        let port = free_port().unwrap();
        let dsn = format!(
            "postgresql://{}:{}@127.0.0.1:{}/tidegate",
            OTHER.name,
            OTHER.password,
            guard.addr().port()
        );
        let settings = folder.path().join("exporter.yml");
        let text = format!(
            "exporter_host: 127.0.0.1\nexporter_port: {port}\npgbouncers:\n  - dsn: {dsn:?}\n"
        );
        fs::write(&settings, text).unwrap();
        let program = state().join("exporter");
        assert!(program.exists(), "{program:?} is missing: run scripts/install-clients.sh");
        let child = Command::new(state().join("python/bin/python"))
            .args(["-m", "prometheus_pgbouncer_exporter.cli", "--log-level", "WARNING"])
            .arg("--config")
            .arg(&settings)
            .env("PYTHONPATH", program)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, port, _folder: folder }
    }

    /// What Prometheus would read; none while it does not listen.
    async fn scrape(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        assert!(head.contains(" 200 "), "{answer}");
        Some(body.to_owned())
    }

    /// Ends it. Returns what it said.
    async fn end(mut self) -> String {
        self.child.start_kill().unwrap();
        let output = self.child.wait_with_output().await.unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }
}

#[tokio::test]
async fn an_exporter_for_pgbouncer_is_content() {
    let Some((_server, guard)) = world().await else { return };
    let app = connect(&APP.config(guard.addr())).await.unwrap();
    app.simple_query("SELECT 1").await.unwrap();
    let driver = console(&guard).await;
    eventually("it is handed in", PATIENCE, async || {
        (stats(&driver, "app").await["total_query_count"] == 1).then_some(())
    })
    .await;
    let exporter = Exporter::start(&guard);
    let text = eventually("it listens", PATIENCE, async || exporter.scrape().await).await;
    let mut series = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(series.insert(name, value.parse::<f64>().unwrap()).is_none(), "{name} twice");
    }
    for (name, expected) in [
        ("pgbouncer_up", 1.0),
        ("pgbouncer_stats_queries_total{database=\"app\"}", 1.0),
        ("pgbouncer_stats_transactions_total{database=\"app\"}", 1.0),
        ("pgbouncer_pools_client_active_connections{database=\"app\",user=\"app\"}", 1.0),
        ("pgbouncer_pools_server_idle_connections{database=\"app\",user=\"app\"}", 1.0),
        ("pgbouncer_pools_client_waiting_connections{database=\"app\",user=\"app\"}", 0.0),
        (
            "pgbouncer_databases_database_current_connections{backend_database=\"app\",database=\"app\"}",
            1.0,
        ),
    ] {
        assert_eq!(series.get(name), Some(&expected), "{name}: {text}");
    }
    for name in ["received_bytes_total", "sent_bytes_total"] {
        assert!(series[&*format!("pgbouncer_stats_{name}{{database=\"app\"}}")] > 0.0, "{text}");
    }
    assert!(series["pgbouncer_config_max_client_conn"] > 0.0);
    let said = exporter.end().await;
    assert!(!said.contains("ERROR") && !said.contains("Traceback"), "{said}");
}
