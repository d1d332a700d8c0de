//! Schedules end to end: `tidegate scheduler` submits batches by itself, on real ledgers and from real
//! databases, with schedulers that are killed while they do it, runs that were missed, batches that are still
//! open, and schedules that are paused.

#[path = "scheduler/receiver.rs"]
mod receiver;
#[path = "ledger/sink.rs"]
mod sink;
#[path = "scheduler/station.rs"]
mod station;

use std::any::Any;
use std::collections::BTreeSet;
use std::time::Duration;

use harness::*;
use receiver::Receiver;
use scheduler::ledger::Ledger;
use scheduler::ledger::schedules::Standing;
use serde_json::Value;
use sqlx::{Connection as _, Executor as _};
use station::{PUT, Running, SQLITE, Station, TABLE, WITHIN, url};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A schedule `s` of recipients in a file that [`recipients`] writes.
fn schedule(cron: &str, more: &str) -> String {
    format!(
        "[[schedule]]\nname = \"s\"\ncron = \"{cron}\"\nsink = \"app\"\n{more}\n\
         recipients = {{ file = \"{{folder}}/users.ndjson\" }}\n"
    )
}

fn recipients(station: &Station, items: u32) {
    let line = |n: u32| format!("{{\"recipient\": \"user-{n}\"}}\n");
    station.write("users.ndjson", &(0..items).map(line).collect::<String>());
}

/// The names of all batches that stand, but for one submitted by hand, and whether each is over.
fn batches(station: &Station) -> Vec<(String, bool)> {
    let listed = station.run("batch list --most 1000").unwrap();
    let one = |batch: &Value| {
        let is_over = batch["state"] == "done" || batch["state"] == "cancelled";
        (batch["name"].as_str().unwrap().to_owned(), is_over)
    };
    let stands = |batch: &&Value| batch["state"] != "draft" && batch["name"] != "by-hand";
    listed.as_array().unwrap().iter().filter(stands).map(one).collect()
}

async fn until_batches(station: &Station, least: usize) -> Vec<(String, bool)> {
    eventually("batches of a schedule", WITHIN, async || {
        let found = batches(station);
        (found.len() >= least).then_some(found)
    })
    .await
}

async fn standing(station: &Station) -> Option<Standing> {
    let ledger = Ledger::open(station.ledger(), 1).await.ok()?;
    let (_, standings) = ledger.standings().await.ok()?;
    ledger.close().await;
    standings.into_iter().next()
}

async fn until_metric(scheduler: &Running, name: &str, holds: impl Fn(f64) -> bool) -> f64 {
    eventually(name, WITHIN, async || scheduler.metric(name).await.filter(|value| holds(*value)))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_schedulers_submit_each_batch_once() -> Outcome {
    let receiver = Receiver::start(0).await;
    let more = "spread = \"500ms\"\noverlap = \"allow\"";
    let sections = format!("{}{}", receiver.sink(""), schedule("*/2 * * * * *", more));
    let station = Station::new(SQLITE, &sections)?;
    recipients(&station, 200);
    let schedulers = [station.start().await?, station.start().await?];
    let found = until_batches(&station, 4).await;
    assert_eq!(schedulers[0].ask("POST", "/api/v1/schedules/s/pause").await.unwrap().0, 200);
    // One that was taken before may still be submitted; none is when the next was passed over.
    eventually("a run that is passed over", WITHIN, async || {
        let passed = "scheduler_passed_over_total";
        let [one, other] = &schedulers;
        let passed = one.metric(passed).await? + other.metric(passed).await?;
        (passed >= 1.0).then_some(())
    })
    .await;
    let names: BTreeSet<String> = found.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names.len(), found.len());
    assert!(names.iter().all(|name| name.starts_with("s@20") && name.ends_with('Z')), "{names:?}");
    for (name, _) in batches(&station) {
        assert_eq!(station.audited(&name).await["sent"], 200, "{name}");
    }
    let all = batches(&station);
    assert_eq!(receiver.distinct(), 200 * all.len());
    assert!(receiver.ids().values().all(|offers| *offers == 1));
    let mut fired = 0.0;
    for scheduler in &schedulers {
        fired += scheduler.metric("scheduler_fired_total").await.unwrap();
        assert_eq!(scheduler.metric("scheduler_overdue_seconds").await, Some(0.0));
    }
    assert_eq!(fired, all.len() as f64);
    for scheduler in schedulers {
        scheduler.stop();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_runs_are_made_up_for_by_their_policy() -> Outcome {
    for (policy, expected, missed) in [("once", 1, 2.0), ("all", 3, 0.0), ("skip", 0, 3.0)] {
        let receiver = Receiver::start(0).await;
        let more = format!("spread = \"500ms\"\noverlap = \"allow\"\nmissed = \"{policy}\"");
        let mut station = Station::new(SQLITE, &receiver.sink(""))?;
        let ledger = Ledger::open(station.ledger(), 1).await?;
        let now = ledger.now().await?;
        // Due ten minutes ago, in the last hour and the two before it.
        let minute = (now - jiff::SignedDuration::from_mins(10)).as_second() / 60 % 60;
        let cron = format!("{minute} * * * *");
        ledger.adopt("s", &format!("{cron}||Skip|Both"), Duration::from_secs(60)).await?;
        ledger.close().await;
        // Nobody was there for three hours less ten minutes and a bit.
        let back = 3 * 3_600_000_000_u64 - 60_000_000;
        sink::run(station.ledger(), &format!("UPDATE tg_schedule SET last = last - {back}"))
            .await?;
        let sections = format!("{}{}", receiver.sink(""), schedule(&cron, &more));
        station.reconfigure(&sections);
        recipients(&station, 20);
        let scheduler = station.start().await?;
        until_metric(&scheduler, "scheduler_passed_over_total", |value| value >= missed).await;
        until_metric(&scheduler, "scheduler_fired_total", |value| value >= f64::from(expected))
            .await;
        let found = batches(&station);
        assert_eq!(found.len(), usize::try_from(expected)?, "{policy}: {found:?}");
        for (name, _) in found {
            assert_eq!(station.audited(&name).await["sent"], 20, "{policy}");
        }
        assert_eq!(scheduler.metric("scheduler_passed_over_total").await, Some(missed), "{policy}");
        scheduler.stop();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_or_is_skipped_while_the_batch_before_it_is_open() -> Outcome {
    for policy in ["skip", "queue"] {
        let receiver = Receiver::start(0).await;
        let more = format!("spread = \"60s\"\noverlap = \"{policy}\"");
        let sections = format!("{}{}", receiver.sink(""), schedule("* * * * * *", &more));
        let station = Station::new(SQLITE, &sections)?;
        recipients(&station, 100);
        // That of another is open, too, and does not count.
        station.submit("by-hand", 10, "app", "60s");
        let scheduler = station.start().await?;
        let first = until_batches(&station, 1).await[0].0.clone();
        until_metric(&scheduler, "scheduler_passed_over_total", |passed| passed >= 3.0).await;
        assert_eq!(batches(&station).len(), 1, "{policy}");
        let waiting = standing(&station).await.and_then(|standing| standing.cursor.waiting);
        assert_eq!(waiting.is_some(), policy == "queue");
        station.run(&format!("batch cancel {first}"))?;
        let found = until_batches(&station, 2).await;
        assert!(found.iter().any(|(name, _)| *name != first));
        scheduler.stop();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_schedule_fires_nothing_and_makes_up_for_nothing() -> Outcome {
    let receiver = Receiver::start(0).await;
    let more = "spread = \"200ms\"\noverlap = \"allow\"\nmissed = \"all\"";
    let sections = format!("{}{}", receiver.sink(""), schedule("* * * * * *", more));
    let station = Station::new(SQLITE, &sections)?;
    recipients(&station, 10);
    let scheduler = station.start().await?;
    until_batches(&station, 2).await;
    let (status, _) = scheduler.ask("POST", "/api/v1/schedules/s/pause").await.unwrap();
    assert_eq!(status, 200);
    // One that was taken before may still be submitted.
    until_metric(&scheduler, "scheduler_passed_over_total", |passed| passed >= 1.0).await;
    let paused = batches(&station).len();
    until_metric(&scheduler, "scheduler_passed_over_total", |passed| passed >= 4.0).await;
    assert_eq!(batches(&station).len(), paused);
    let (_, told) = scheduler.get("/api/v1/schedules").await.unwrap();
    let told: Value = serde_json::from_str(&told)?;
    assert_eq!(told["s"]["paused"], true, "{told}");
    assert_eq!(station.run("schedule status")?[0]["paused"], true);
    assert_eq!(station.run("schedule resume s")?["paused"], false);
    let ledger = Ledger::open(station.ledger(), 1).await?;
    let since = ledger.now().await?;
    let found = until_batches(&station, paused + 2).await;
    let before = found.iter().filter_map(|(name, _)| name[2..].parse::<jiff::Timestamp>().ok());
    let since = since - jiff::SignedDuration::from_secs(2);
    assert_eq!(before.filter(|nominal| *nominal <= since).count(), paused);
    assert_eq!(scheduler.ask("POST", "/api/v1/schedules/who/pause").await.unwrap().0, 404);
    scheduler.stop();
    Ok(())
}

/// Items go where the application's load leaves room: here, in the second half of their window.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_spread_around_what_is_forecast() -> Outcome {
    let receiver = Receiver::start(0).await;
    let more = "spread = \"4s\"\nforecast = \"{folder}/load.csv\"\nlead = \"2s\"";
    let sections = format!("{}{}", receiver.sink(""), schedule("*/10 * * * * *", more));
    let station = Station::new(SQLITE, &sections)?;
    station.write("load.csv", "second,load\n0,1000\n1,1000\n2,0\n");
    recipients(&station, 400);
    let scheduler = station.start().await?;
    // The first may be planned late, the second is not.
    let mut found = until_batches(&station, 2).await;
    scheduler.ask("POST", "/api/v1/schedules/s/pause").await.unwrap();
    found.sort();
    let name = &found[1].0;
    assert_eq!(station.audited(name).await["sent"], 400);
    let first = format!(
        "SELECT min(first) - b.nominal FROM tg_body_1 c JOIN tg_batch b ON b.id = c.batch WHERE b.name = '{name}'"
    );
    let first = sink::rows(station.ledger(), &first).await?[0][0];
    assert!(first >= 2_000_000, "{first} us after its time");
    scheduler.stop();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_tells_of_a_schedule_that_does_not_fire() -> Outcome {
    let receiver = Receiver::start(0).await;
    let more = "spread = \"200ms\"\ngrace = \"2s\"";
    let sections = format!("{}{}", receiver.sink(""), schedule("*/4 * * * * *", more));
    let station = Station::new(SQLITE, &sections)?;
    let scheduler = station.start().await?;
    // There is no file of recipients.
    until_metric(&scheduler, "scheduler_overdue_seconds", |late| late > 1.0).await;
    assert!(until_metric(&scheduler, "scheduler_fire_failures_total", |n| n >= 1.0).await >= 1.0);
    let log = scheduler.log();
    assert!(log.contains("a schedule should have fired and has not"), "{log}");
    assert!(log.contains("users.ndjson: cannot be read"), "{log}");
    assert_eq!(batches(&station).len(), 0);
    recipients(&station, 10);
    until_batches(&station, 1).await;
    until_metric(&scheduler, "scheduler_overdue_seconds", |late| late == 0.0).await;
    scheduler.stop();
    Ok(())
}

/// A table of recipients with 5,000 rows, one of them not due, and sinks in the same database.
async fn from_a_query(engine: Engine) -> Outcome {
    if !engine.available() {
        return Ok(());
    }
    let server = Server::start(engine).await?;
    let url = url(&server);
    sink::run(&url, TABLE).await?;
    people(&url, engine, 5_000, 20).await?;
    let late = "INSERT INTO people (id, due, body) VALUES (900000, '2037-01-01 00:00:00', 'later')";
    sink::run(&url, late).await?;
    let query = "SELECT id, body FROM people WHERE due <= :nominal AND due > '1970-01-02 00:00:00'";
    let sections = sections(&url, query, "cron = \"* * * * * *\"\nspread = \"1s\"");
    let station = Station::new(&url, &sections)?;
    let scheduler = station.start().await?;
    let (name, _) = until_batches(&station, 1).await.remove(0);
    scheduler.ask("POST", "/api/v1/schedules/s/pause").await.unwrap();
    let audit = station.audited(&name).await;
    assert_eq!(audit["sent"], 5_000, "{audit}");
    scheduler.stop();
    Ok(())
}

/// Recipients in a table, with bodies of so many bytes.
async fn people(url: &str, engine: Engine, rows: u32, bytes: u32) -> Result<(), sqlx::Error> {
    let time = if engine.is_postgres() { "timestamptz" } else { "timestamp" };
    let table = format!(
        "CREATE TABLE people (id bigint PRIMARY KEY, due {time} NOT NULL, body varchar(4000) NOT NULL)"
    );
    sink::run(url, &table).await?;
    let digits: Vec<String> = (0..10).map(|digit| format!("SELECT {digit}")).collect();
    let fill = format!(
        "INSERT INTO people WITH d (n) AS ({}), five (n) AS (SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n \
         + 10000 * e.n FROM d a, d b, d c, d d, d e) \
         SELECT n, '2020-01-01 00:00:00', repeat('x', {bytes}) FROM five WHERE n < {rows}",
        digits.join(" UNION ALL ")
    );
    sink::run(url, &fill).await
}

fn sections(url: &str, query: &str, more: &str) -> String {
    format!(
        "[sink.app]\nkind = \"sql\"\nstatement = \"{PUT}\"\n\n[source.app]\nurl = \"{url}\"\n\n\
         [[schedule]]\nname = \"s\"\nsink = \"app\"\n{more}\n\
         recipients = {{ source = \"app\", query = \"{query}\", key = \"id\", payload = \"body\" }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_are_read_from_postgresql_page_by_page() -> Outcome {
    from_a_query(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_are_read_from_mariadb_page_by_page() -> Outcome {
    from_a_query(Engine::MariaDb).await
}

/// Has whoever writes the thirtieth chunk of a batch wait while the gate is [`shut`].
async fn build_gate(url: &str, engine: Engine) -> Result<(), sqlx::Error> {
    let built = match engine {
        Engine::Postgres => {
            let function = "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN \
                            PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END$$";
            sink::run(url, function).await?;
            "CREATE TRIGGER gate BEFORE INSERT ON tg_chunk_1 FOR EACH ROW WHEN (NEW.seq = 30) \
             EXECUTE FUNCTION gate()"
        }
        _ => {
            "CREATE TRIGGER gate BEFORE INSERT ON tg_chunk_1 FOR EACH ROW \
             SET @gate = IF(NEW.seq = 30, GET_LOCK('gate', 60), 1)"
        }
    };
    sink::run(url, built).await
}

/// Shuts the gate, until the connection that is returned is dropped.
async fn shut(url: &str, engine: Engine) -> Result<Box<dyn Any>, sqlx::Error> {
    Ok(match engine {
        Engine::Postgres => {
            let mut keeper = sqlx::PgConnection::connect(url).await?;
            keeper.execute("SELECT pg_advisory_lock(7)").await?;
            Box::new(keeper)
        }
        _ => {
            let mut keeper = sqlx::MySqlConnection::connect(url).await?;
            keeper.execute("SELECT GET_LOCK('gate', 60)").await?;
            Box::new(keeper)
        }
    })
}

/// Two schedulers, of which the one that submits is killed in the middle of its draft: the other throws the
/// draft away, and one batch stands, whole.
async fn killed_amid_submission(engine: Engine) -> Outcome {
    if !engine.available() {
        return Ok(());
    }
    let server = Server::start(engine).await?;
    let url = url(&server);
    sink::run(&url, TABLE).await?;
    // 60 MB: many pages, so that there is a middle.
    people(&url, engine, 20_000, 3_000).await?;
    let sections = sections(&url, "SELECT id, body FROM people", "at = \"AT\"\nspread = \"2s\"");
    let ledger = Ledger::open(&url, 1).await?;
    let soon = ledger.now().await? + jiff::SignedDuration::from_secs(5);
    let at = soon.strftime("%H:%M:%S").to_string();
    // It is known from now on, so that it is due however long the schedulers take to start.
    ledger.adopt("s", &format!("{at}||Shift|First"), Duration::from_secs(60)).await?;
    ledger.close().await;
    build_gate(&url, engine).await?;
    let gate = shut(&url, engine).await?;
    let station = Station::new(&url, &sections.replace("AT", &at))?;
    let mut schedulers = vec![station.start().await?, station.start().await?];
    let chunks =
        "SELECT count(*) FROM tg_chunk_1 c JOIN tg_batch b ON b.id = c.batch WHERE b.state = 0";
    eventually("a part of a draft", WITHIN, async || {
        let found = sink::rows(&url, chunks).await.ok()?;
        (found[0][0] >= 10).then_some(())
    })
    .await;
    let planner = standing(&station).await.and_then(|standing| standing.planner).unwrap();
    let is_planner = |running: &Running| planner.ends_with(&format!(":{}", running.process.id()));
    let place = schedulers.iter().position(is_planner).expect("one of the two plans");
    let mut killed = schedulers.remove(place);
    killed.process.kill();
    drop(gate);
    let (name, _) = until_batches(&station, 1).await.remove(0);
    let audit = station.audited(&name).await;
    assert_eq!(audit["sent"], 20_000, "{audit}");
    let found = sink::rows(&url, "SELECT count(*), count(DISTINCT recipient) FROM sent").await?;
    assert_eq!(found[0], [20_000, 20_000]);
    assert_eq!(batches(&station).len(), 1);
    for survivor in schedulers {
        assert!(survivor.log().contains("left half written"), "{}", survivor.log());
        survivor.stop();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_killed_amid_submission_is_followed_on_postgresql() -> Outcome {
    killed_amid_submission(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_killed_amid_submission_is_followed_on_mariadb() -> Outcome {
    killed_amid_submission(Engine::MariaDb).await
}

/// Batches that an application asks for in its own transaction: each once, whoever takes it up, and what
/// cannot be done is told in its row.
async fn requested(engine: Engine) -> Outcome {
    if !engine.available() {
        return Ok(());
    }
    let server = Server::start(engine).await?;
    let url = url(&server);
    sink::run(&url, TABLE).await?;
    let sections = format!(
        "[sink.app]\nkind = \"sql\"\nstatement = \"{PUT}\"\n\n[source.app]\nurl = \"{url}\"\nrequests = true\n"
    );
    let station = Station::new(&url, &sections)?;
    let schedulers = [station.start().await?, station.start().await?];
    let count = async |filter: &str| {
        let sql = format!("SELECT count(*) FROM batch_request WHERE {filter}");
        sink::rows(&url, &sql).await.ok().map(|rows| rows[0][0])
    };
    eventually("the table of requests", WITHIN, async || count("1 = 1").await).await;
    let items = |name: &str| -> String {
        (0..100).map(|n| format!("{{\"recipient\": \"{name}-{n}\"}}\n")).collect()
    };
    let mut ask = String::new();
    for (name, sink, items) in [
        ("one", "app", items("one")),
        ("two", "app", items("two")),
        ("three", "app", items("three")),
        ("nowhere", "fax", items("nowhere")),
        ("no-json", "app", "hello".to_owned()),
    ] {
        let comma = if ask.is_empty() { "" } else { ", " };
        ask += &format!("{comma}('{name}', '{sink}', '{items}', 1)");
    }
    let ask = format!("INSERT INTO batch_request (name, sink, items, spread_seconds) VALUES {ask}");
    sink::run(&url, &ask).await?;
    let until = async |filter: &str, least: i64| {
        let found = async || count(filter).await.filter(|found| *found >= least);
        eventually(filter, WITHIN, found).await;
    };
    until("state = 'done' AND item_count = 100 AND finished IS NOT NULL", 3).await;
    until("name = 'nowhere' AND state = 'failed' AND error LIKE 'sink: there is no%'", 1).await;
    until("name = 'no-json' AND state = 'failed' AND error LIKE 'items:1: not a line of JSON%'", 1)
        .await;
    // Made right, it is taken up again.
    sink::run(&url, "UPDATE batch_request SET sink = 'app', state = 'new' WHERE name = 'nowhere'")
        .await?;
    until("name = 'nowhere' AND state = 'done' AND error IS NULL", 1).await;
    // As if whoever submitted it had been killed before it said so.
    sink::run(&url, "UPDATE batch_request SET state = 'new' WHERE name = 'one'").await?;
    until("name = 'one' AND state = 'done'", 1).await;
    for name in ["one", "two", "three", "nowhere"] {
        assert_eq!(station.audited(name).await["sent"], 100, "{name}");
    }
    let found = sink::rows(&url, "SELECT count(*), count(DISTINCT recipient) FROM sent").await?;
    assert_eq!(found[0], [400, 400]);
    assert_eq!(batches(&station).len(), 4);
    for scheduler in schedulers {
        scheduler.stop();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_requested_in_a_table_of_postgresql() -> Outcome {
    requested(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_requested_in_a_table_of_mariadb() -> Outcome {
    requested(Engine::MariaDb).await
}

#[test]
fn a_schedule_that_is_wrong_is_told_by_line_and_key() {
    let good = "cron = \"@daily\"\nsink = \"app\"\nspread = \"1m\"\nrecipients = { file = \"x\" }";
    let cases = [
        ("cron = \"61 * * * *\"".to_owned(), "schedule[1].cron = \"61 * * * *\": minute"),
        (good.replace("\"app\"", "\"fax\""), "schedule[1].sink = \"fax\": there is no such sink"),
        (good.replace("@daily", "* *"), "schedule[1].cron = \"* *\": 2 fields"),
        (format!("{good}\nmissed = \"never\""), "expected one of"),
        (format!("{good}\nzone = \"Mars\""), "schedule[1].zone = \"Mars\": there is no"),
        (format!("{good}\nspraed = \"1m\""), "did you mean \"spread\"?"),
        (
            good.replace("file = \"x\"", "source = \"x\", query = \"SELECT 1\", key = \"id\""),
            "there is no [source.x]",
        ),
        (format!("{good}\ncapacity = 10.0"), "schedule[1].capacity = 10.0: forecast is missing"),
    ];
    let sink = "[sink.app]\nkind = \"command\"\ncommand = [\"cat\"]";
    let check = |text: &str| {
        let folder = Scratch::new().unwrap();
        std::fs::write(folder.path().join("tidegate.toml"), text).unwrap();
        let more =
            format!("[[schedule]]\nname = \"more\"\n{}\n", good.replace("@daily", "@hourly"));
        std::fs::write(folder.path().join("more.toml"), more).unwrap();
        let mut check = std::process::Command::new(program().unwrap());
        let output = check.current_dir(folder.path()).arg("check").output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&told).into_owned())
    };
    for (schedule, expected) in cases {
        let head = "[scheduler]\nledger = \"sqlite:x\"";
        let (code, told) =
            check(&format!("{head}\n{sink}\n[[schedule]]\nname = \"a\"\n{schedule}\n"));
        assert!(code == Some(2) && told.contains(expected), "{schedule}: {told}");
    }
    let head = "[scheduler]\nledger = \"sqlite:x\"\nschedules = \"more.toml\"";
    let (code, told) = check(&format!("{head}\n{sink}\n[[schedule]]\nname = \"a\"\n{good}\n"));
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("schedule a: due next at") && told.contains("schedule more:"), "{told}");
    let (code, told) = check(&format!("{head}\n{sink}\n[[schedule]]\nname = \"more\"\n{good}\n"));
    assert!(code == Some(2) && told.contains("two schedules of this name"), "{told}");
}
