//! `tidegate scheduler` end to end: batches submitted on the command line, ledgers and sinks on real
//! servers, schedulers that are killed, stopped, told to hold, and left without their ledger.

#[path = "scheduler/receiver.rs"]
mod receiver;
#[path = "ledger/sink.rs"]
mod sink;
#[path = "scheduler/station.rs"]
mod station;

use std::collections::HashSet;

use harness::*;
use receiver::Receiver;
use scheduler::ledger::Ledger;
use scheduler::sink::Chunk;
use station::{PUT, Running, SQLITE, Station, TABLE, WITHIN, url};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn table(url: Option<&str>) -> String {
    let url = url.map(|url| format!("url = \"{url}\"\n")).unwrap_or_default();
    format!("[sink.app]\nkind = \"sql\"\n{url}statement = \"{PUT}\"\n")
}

/// How many rows there are, and how many different ones.
async fn rows(url: &str) -> Option<(i64, i64)> {
    let counted = sink::rows(url, "SELECT count(*), count(DISTINCT id) FROM sent").await.ok()?;
    Some((counted[0][0], counted[0][1]))
}

/// Waits until so many items are in the table.
async fn put(url: &str, least: i64) {
    eventually("items in the table", WITHIN, async || {
        rows(url).await.filter(|(all, _)| *all >= least)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_to_a_webhook_and_the_books_close() -> Outcome {
    let receiver = Receiver::start(0).await;
    let station = Station::new(SQLITE, &receiver.sink(""))?;
    station.submit("hello", 1_500, "app", "2s");
    let scheduler = station.start().await?;
    let audit = station.audited("hello").await;
    assert_eq!((&audit["sent"], &audit["ambiguous"]), (&1_500.into(), &0.into()));
    assert_eq!(receiver.distinct(), 1_500);
    assert!(receiver.ids().values().all(|offers| *offers == 1));
    assert_eq!(scheduler.metric("scheduler_sent_total").await, Some(1_500.0));
    // The same again is the same batch: nothing is sent twice.
    let listed = station.run("batch list")?;
    assert_eq!(listed[0]["name"], "hello");
    scheduler.stop();
    Ok(())
}

/// How exactly a plan is kept on this machine: the figures are printed, for 4,000 items in ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn pacing_errors_are_measured_and_told() -> Outcome {
    let receiver = Receiver::start(0).await;
    let station = Station::new(SQLITE, &receiver.sink(""))?;
    let scheduler = station.start().await?;
    // Chunks are claimed before their time, as those of a schedule are.
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5);
    station.submit_more("paced", 4_000, "app", "10s", &format!("--at {soon}"));
    let audit = station.audited("paced").await;
    assert_eq!(audit["sent"], 4_000);
    let report = station.report("paced");
    let pacing = &report["pacing_error_ms"];
    eprintln!(
        "pacing errors in ms: {pacing}; until they were answered: {}",
        report["after_moment_ms"]
    );
    assert!(
        pacing["items"].as_u64() <= Some(4_000) && pacing["items"].as_u64() > Some(0),
        "{pacing}"
    );
    assert!(pacing["p99"].as_f64() <= pacing["max"].as_f64(), "{pacing}");
    let counted = scheduler.metric("scheduler_pacing_error_seconds_count").await;
    assert_eq!(counted, pacing["items"].as_f64());
    scheduler.stop();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_side_tells_what_it_is() -> Outcome {
    let receiver = Receiver::start(0).await;
    let station = Station::new(SQLITE, &receiver.sink(""))?;
    let scheduler = station.start().await?;
    let (status, document) = scheduler.get("/api/v1/openapi.json").await.unwrap();
    let document: serde_json::Value = serde_json::from_str(&document)?;
    assert_eq!((status, document["openapi"].as_str()), (200, Some("3.1.0")));
    // What is asked with GET answers as it says.
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(known) = item.get("get") else { continue };
        let (status, body) = scheduler.get(path).await.unwrap();
        let content = &known["responses"][status.to_string()]["content"];
        assert!(content.is_object(), "{path}: {status} {body}");
        if content.get("application/json").is_some() {
            serde_json::from_str::<serde_json::Value>(&body)?;
        }
    }
    scheduler.stop();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_to_a_command() -> Outcome {
    let station = Station::new(SQLITE, "")?;
    let script = r#"while read -r line; do
        id=${line#*'"id":"'}; id=${id%%'"'*}
        echo "{\"id\":\"$id\",\"ok\":true}"
    done"#;
    let script = station.write("echo.sh", script);
    let command = format!("[sink.app]\nkind = \"command\"\ncommand = [\"sh\", {script:?}]\n");
    let station = Station::new(SQLITE, &command)?;
    station.submit("lines", 500, "app", "1s");
    let scheduler = station.start().await?;
    assert_eq!(station.audited("lines").await["sent"], 500);
    scheduler.stop();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_paused_resumed_and_cancelled_half_way() -> Outcome {
    let receiver = Receiver::start(0).await;
    let station = Station::new(SQLITE, &receiver.sink(""))?;
    let scheduler = station.start().await?;
    station.submit("half", 3_000, "app", "30s");
    let reach = async |least: usize| {
        let what = "items at the receiver";
        eventually(what, WITHIN, async || (receiver.distinct() >= least).then_some(())).await;
    };
    let idle = async |scheduler: &Running| {
        eventually("a scheduler without a chunk", WITHIN, async || {
            scheduler.metric("scheduler_held_chunks").await.filter(|held| *held == 0.0)
        })
        .await;
    };
    reach(100).await;
    station.run("batch pause half")?;
    idle(&scheduler).await;
    let paused = station.report("half");
    assert_eq!(paused["leased"], 0, "{paused}");
    assert_eq!(paused["sent"].as_u64(), Some(receiver.distinct() as u64));
    station.run("batch resume half")?;
    reach(paused["sent"].as_u64().unwrap_or(0) as usize + 100).await;
    assert_eq!(scheduler.ask("POST", "/api/v1/sinks/app/off").await.unwrap().0, 200);
    idle(&scheduler).await;
    let off = receiver.distinct();
    assert_eq!(scheduler.ask("POST", "/api/v1/sinks/app/on").await.unwrap().0, 200);
    reach(off + 50).await;
    station.run("batch cancel half")?;
    let audit = station.audited("half").await;
    let (sent, cancelled) = (audit["sent"].as_u64().unwrap(), audit["cancelled"].as_u64().unwrap());
    assert_eq!(sent + cancelled, 3_000);
    assert_eq!((sent as usize, audit["ambiguous"].as_u64()), (receiver.distinct(), Some(0)));
    assert!(station.run("batch resume half").unwrap_err().contains("cancelled"));
    scheduler.stop();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sink_leaves_without_an_answer_is_listed_and_sent_again() -> Outcome {
    let receiver = Receiver::start(20).await;
    let more = "timeout = \"1s\"\nretry_base = \"100ms\"";
    let station = Station::new(SQLITE, &receiver.sink(more))?;
    station.submit("deaf", 300, "app", "2s");
    let scheduler = station.start().await?;
    let audit = station.audited("deaf").await;
    assert_eq!((audit["sent"].as_u64(), audit["dead"].as_u64()), (Some(300), Some(0)));
    let twice = receiver.ids().values().filter(|offers| **offers > 1).count();
    assert!(twice >= 20);
    assert_eq!(audit["ambiguous"].as_u64(), Some(twice as u64));
    scheduler.stop();
    Ok(())
}

async fn once_in_a_table(engine: Engine) -> Outcome {
    if !engine.available() {
        return Ok(());
    }
    let server = Server::start(engine).await?;
    let url = url(&server);
    sink::run(&url, TABLE).await?;
    let station = Station::new(&url, &table(None))?;
    killed_in_the_middle(&station, &url).await
}

/// Two schedulers, of which one is killed when a quarter has gone: each item is there once.
async fn killed_in_the_middle(station: &Station, table: &str) -> Outcome {
    let mut schedulers = [station.start().await?, station.start().await?];
    station.submit("once", 4_000, "app", "8s");
    put(table, 1_000).await;
    let held = schedulers[0].metric("scheduler_claims_total").await;
    schedulers[0].process.kill();
    let audit = station.audited("once").await;
    assert_eq!(audit["sent"], 4_000, "{audit}");
    assert_eq!(rows(table).await, Some((4_000, 4_000)));
    let [_, survivor] = schedulers;
    let taken = survivor.metric("scheduler_takeovers_total").await;
    eprintln!("killed one with {held:?} claims; {taken:?} chunks were taken over");
    survivor.stop();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_item_is_in_a_table_once_on_postgresql() -> Outcome {
    once_in_a_table(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_item_is_in_a_table_once_on_mariadb() -> Outcome {
    once_in_a_table(Engine::MariaDb).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_item_is_once_in_a_table_of_another_database() -> Outcome {
    let server = Server::start(Engine::Postgres).await?;
    let url = url(&server);
    sink::run(&url, TABLE).await?;
    let station = Station::new(SQLITE, &table(Some(&url)))?;
    killed_in_the_middle(&station, &url).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_each_id_and_whatever_it_got_twice_is_listed() -> Outcome {
    let server = Server::start(Engine::Postgres).await?;
    let receiver = Receiver::start(0).await;
    let station = Station::new(&url(&server), &receiver.sink("timeout = \"2s\""))?;
    let mut schedulers = [station.start().await?, station.start().await?];
    station.submit("hook", 4_000, "app", "8s");
    let what = "items at the receiver";
    eventually(what, WITHIN, async || (receiver.distinct() >= 1_000).then_some(())).await;
    schedulers[0].process.kill();
    let audit = station.audited("hook").await;
    assert_eq!(audit["sent"], 4_000, "{audit}");
    let ids = receiver.ids();
    assert_eq!(ids.len(), 4_000);
    let listed = ambiguous(&station, "hook").await?;
    let twice: Vec<_> = ids.iter().filter(|(_, offers)| **offers > 1).collect();
    assert!(twice.iter().all(|(id, _)| listed.contains(*id)), "{twice:?}");
    eprintln!("{} were offered twice, {} are listed", twice.len(), listed.len());
    let [_, survivor] = schedulers;
    survivor.stop();
    Ok(())
}

/// The ids that the ledger lists as ambiguous.
async fn ambiguous(
    station: &Station,
    name: &str,
) -> Result<HashSet<String>, Box<dyn std::error::Error>> {
    let ledger = Ledger::open(station.ledger(), 1).await?;
    let batch = ledger.find(name).await?;
    let failures = ledger.failures(&batch, None, 10_000).await?;
    let id = |seq: u32, item: u32| {
        let chunk = Chunk { batch: name, number: seq, first: u64::from(seq) * 1_000, fence: 0 };
        chunk.id(item).to_string()
    };
    let listed = failures.iter().filter(|failed| failed.failure.is_ambiguous);
    Ok(listed.map(|failed| id(failed.seq, failed.item)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_goes_away_and_comes_back_loses_and_doubles_nothing() -> Outcome {
    let mut server = Server::start(Engine::Postgres).await?;
    let url = url(&server);
    sink::run(&url, TABLE).await?;
    let station = Station::new(&url, &table(None))?;
    let scheduler = station.start().await?;
    station.submit("gone", 3_000, "app", "8s");
    put(&url, 500).await;
    server.crash();
    eventually("a scheduler that is not ready", WITHIN, async || {
        scheduler.get("/ready").await.filter(|(status, _)| *status == 503)
    })
    .await;
    server.restart().await?;
    let audit = station.audited("gone").await;
    assert_eq!(audit["sent"], 3_000, "{audit}");
    assert_eq!(rows(&url).await, Some((3_000, 3_000)));
    scheduler.stop();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_is_stopped_hands_over_without_a_double() -> Outcome {
    let receiver = Receiver::start(0).await;
    let station = Station::new(SQLITE, &receiver.sink(""))?;
    let first = station.start().await?;
    station.submit("handed", 2_000, "app", "6s");
    let what = "items at the receiver";
    eventually(what, WITHIN, async || (receiver.distinct() >= 300).then_some(())).await;
    first.stop();
    let second = station.start().await?;
    let audit = station.audited("handed").await;
    assert_eq!((audit["sent"].as_u64(), audit["ambiguous"].as_u64()), (Some(2_000), Some(0)));
    assert!(receiver.ids().values().all(|offers| *offers == 1));
    second.stop();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pressed_database_slows_a_batch_down() -> Outcome {
    let receiver = Receiver::start(0).await;
    let (addr, pressure) = guard().await;
    let sections = format!("guard = \"http://{addr}\"\n{}", receiver.sink(""));
    let station = Station::new(SQLITE, &sections)?;
    let scheduler = station.start().await?;
    station.submit("slow", 2_000, "app", "20s");
    let reach = async |what: &str, holds: &dyn Fn(f64) -> bool| {
        let look = async || scheduler.metric("scheduler_multiplier").await.filter(|m| holds(*m));
        eventually(what, WITHIN, look).await
    };
    pressure.send_replace(1.0);
    reach("a batch that nearly stands", &|multiplier| multiplier < 0.1).await;
    assert_eq!(scheduler.metric("scheduler_pressure").await, Some(1.0));
    pressure.send_replace(0.0);
    reach("a batch that goes again", &|multiplier| multiplier > 0.5).await;
    assert_eq!(station.audited("slow").await["sent"], 2_000);
    scheduler.stop();
    Ok(())
}

/// What the guard's admin side says of pressure, in the guard's own words, ten times a second.
async fn guard() -> (std::net::SocketAddr, tokio::sync::watch::Sender<f64>) {
    use tokio::io::AsyncWriteExt as _;
    let (sender, told) = tokio::sync::watch::channel(0.0);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                for number in 1.. {
                    let pressure = *told.borrow();
                    let event = format!(
                        "event: pressure\nid: {number}\ndata: {{\"number\":{number},\"uptime_ms\":0,\
                         \"pressure\":{pressure},\"threshold\":0.75,\"parts\":{{}}}}\n\n"
                    );
                    stream.write_all(event.as_bytes()).await?;
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                Ok::<_, std::io::Error>(())
            });
        }
    });
    (addr, sender)
}

#[test]
fn a_configuration_that_is_wrong_is_told_by_line_and_key() {
    let cases = [
        ("ledger = \"oracle://x\"", "", "scheduler.ledger: not a ledger"),
        ("", "", "scheduler.ledger: required"),
        ("ledger = \"sqlite:x\"\nadmin = \"0.0.0.0:1\"", "", "must be a loopback address"),
        ("ledger = \"sqlite:x\"", "kind = \"http\"", "sink.app.url: missing"),
        ("ledger = \"sqlite:x\"", "kind = \"sql\"\nstatement = \"x\"", "sink.app.url: missing"),
        ("ledger = \"sqlite:x\"", "kind = \"fax\"", "expected one of"),
        ("ledger = \"sqlite:x\"", "kind = \"command\"\ntimeout = \"soon\"", "not a duration"),
        ("ledger = \"sqlite:x\"\nlaese = \"2s\"", "", "did you mean \"lease\"?"),
    ];
    for (scheduler, sink, expected) in cases {
        let folder = Scratch::new().unwrap();
        let sink = if sink.is_empty() { String::new() } else { format!("[sink.app]\n{sink}\n") };
        let text = format!("[scheduler]\n{scheduler}\n{sink}");
        std::fs::write(folder.path().join("tidegate.toml"), text).unwrap();
        let mut check = std::process::Command::new(program().unwrap());
        let output = check.current_dir(folder.path()).arg("check").output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("oracle://x"), "{told}");
    }
}
