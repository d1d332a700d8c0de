//! The flight recorder, before real servers: what led to a pile-up is in the recording before anything was done about
//! it, nobody's values are, it keeps to its memory, and a file of it can be read where no guard runs.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use harness::*;
use serde_json::Value;
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(30);

/// Enough for a pile-up, and fewer than there are connections.
const WAITERS: usize = 10;

/// In the statements of the test, and in no recording.
const SECRET: &str = "71077345";

/// Time limits that end nothing here, and a recorder that has done soon. Nobody is ended before all are there.
fn sections(folder: &Path) -> String {
    format!(
        "[class.default]\nstatement_time = \"off\"\ntransaction_time = \"off\"\n\
         idle_in_transaction_time = \"off\"\nlock_wait_time = \"50s\"\n\
         [melt]\nmode = \"enforce\"\nage_min = \"3s\"\n\
         [recorder]\nbefore = \"1m\"\nafter = \"2s\"\nmemory = \"2MiB\"\nfolder = \"{}\"\n",
        folder.display()
    )
}

const MEMORY: f64 = (2 << 20) as f64;

async fn guard(server: &Server, folder: &Path) -> Guard {
    let setup = Setup { connections: 24, ..Setup::with(sections(folder)) };
    Guard::start(server, &setup).await.unwrap()
}

/// The newest recording's head, once it is over.
async fn recorded(guard: &Guard) -> Value {
    eventually("a recording is over", SOON, async || {
        let heads = guard.json("/api/v1/recordings").await.unwrap();
        heads.get(0).filter(|head| head["is_over"] == true).cloned()
    })
    .await
}

/// `tidegate incidents …`.
fn incidents(guard: &Guard, arguments: &[&str]) -> Output {
    let mut command = Command::new(program().unwrap());
    command.arg("incidents").args(arguments);
    command.arg("--admin").arg(format!("http://{}", guard.admin()));
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).unwrap()
}

/// One holds a row, and ten wait for it, until the guard has ended the one.
async fn pile_up(server: &Server, guard: &Guard) {
    let engine = server.engine();
    let login = async || Caller::login(engine, guard.addr(), &APP).await.unwrap();
    let mut holder = login().await;
    holder.done("BEGIN").await;
    holder.done(&format!("UPDATE account SET n = n + {SECRET} WHERE id = 1")).await;
    let mut crowd = JoinSet::new();
    for _ in 0..WAITERS {
        let mut client = login().await;
        // In a transaction, so that no freeze holds up those who come last.
        client.done("BEGIN").await;
        client.done("SELECT 1").await;
        crowd.spawn(async move {
            client.ask(&format!("UPDATE account SET n = {SECRET} + n WHERE id = 1")).await?;
            client.ask("COMMIT").await
        });
    }
    while let Some(told) = crowd.join_next().await {
        told.unwrap().unwrap();
    }
}

async fn server(engine: Engine) -> Server {
    let server = Server::start(engine).await.unwrap();
    let mut owner = Caller::login(engine, server.addr(), &APP).await.unwrap();
    owner.done("CREATE TABLE account (id INT PRIMARY KEY, n INT)").await;
    owner.done("INSERT INTO account VALUES (1, 0), (2, 0)").await;
    server
}

async fn a_pile_up_is_recorded_with_its_holder_before_anything_was_done(engine: Engine) {
    let (folder, server) = (Scratch::new().unwrap(), server(engine).await);
    let guard = guard(&server, folder.path()).await;
    pile_up(&server, &guard).await;
    let head = recorded(&guard).await;
    let id = head["id"].as_str().unwrap();
    assert_eq!((&head["cause"], &head["pile_ups"]), (&"pile_up".into(), &1.into()), "{head:#}");
    let body = guard.get(&format!("/api/v1/recordings/{id}")).await.unwrap().body;
    for secret in [SECRET, APP.password, CONTROL.password] {
        assert!(!body.contains(secret), "{secret} is nobody's business");
    }
    let recording: Value = serde_json::from_str(&body).unwrap();

    // The holder, and all behind it, in a look that was before the act.
    let incident = &recording["incidents"][0];
    let begun =
        incident["began_unix_ms"].as_i64().unwrap() - head["triggered_unix_ms"].as_i64().unwrap();
    let acted = begun + incident["acts"][0]["at_ms"].as_i64().unwrap();
    let text = |id: &Value| recording["texts"][id.to_string()].as_str().unwrap_or_default();
    let looks = recording["looks"].as_array().unwrap();
    let before = looks.iter().filter(|look| look["at_ms"].as_i64().unwrap() <= acted + 1);
    let root = before
        .filter_map(|look| look["transactions"].get(0))
        .find(|root| root["behind"].as_u64() == Some(WAITERS as u64));
    let root =
        root.unwrap_or_else(|| panic!("nobody held up {WAITERS} before {acted}: {looks:#?}"));
    assert_eq!(text(&root["activity"]), "idle", "{root:#}");
    assert_eq!(text(&root["class"]), "default", "{root:#}");
    assert!(text(&root["statement"]).to_lowercase().starts_with("update account set n = n + ?"));
    assert_eq!(root["backend"], incident["acts"][0]["backend"], "{root:#}");

    // What the gate and the sessions were doing.
    let most = |column: &str| {
        let column = recording["samples"][column].as_array().unwrap().iter();
        column.filter_map(Value::as_u64).max().unwrap()
    };
    assert_eq!(most("in_flight"), WAITERS as u64 + 1);
    let doing = recording["seconds"].as_array().unwrap().iter();
    let doing = doing.flat_map(|second| second["doing"].as_array().unwrap());
    let waits = doing.map(|doing| (text(&doing["statement"]).to_lowercase(), &doing["sessions"]));
    let waits =
        waits.filter(|(statement, _)| statement.starts_with("update account set n = ? + n"));
    assert!(waits.map(|(_, sessions)| sessions.as_u64().unwrap()).max() > Some(4), "{recording:#}");

    let bytes = guard.metric("guard_recorder_bytes", &[]).await.unwrap();
    assert!(bytes > 0.0 && bytes <= MEMORY, "{bytes}");
    let count = guard.metric("guard_recordings_total", &["cause=\"pile_up\""]).await.unwrap();
    assert_eq!(count, 1.0);
    command_line(&guard, folder.path(), id);
}

/// What the command line tells of it, with and without the guard.
fn command_line(guard: &Guard, folder: &Path, id: &str) {
    let list = incidents(guard, &["list"]);
    assert!(list.status.success() && told(&list).contains(id), "{}", told(&list));
    let shown = incidents(guard, &["show", id]);
    let story = told(&shown);
    assert!(shown.status.success(), "{story}");
    for part in ["pile-up", "held up 10", "rolled back", "usually", "of 127.0.0.1"] {
        assert!(story.contains(part), "{part} is missing: {story}");
    }
    assert_eq!(told(&incidents(guard, &["show", "last"])), story);
    // The file that the guard wrote, and one that is exported, tell the same where no guard is asked.
    let written = folder.join(format!("recording-{id}.json"));
    let exported = folder.join("exported.json");
    let paths = [&written, &exported].map(|path| path.to_str().unwrap());
    let export = incidents(guard, &["export", id, "--format", "json", "--output", paths[1]]);
    assert!(export.status.success(), "{}", told(&export));
    for path in paths {
        assert_eq!(told(&incidents(guard, &["show", "--file", path])), story, "{path}");
    }
    for (format, begin) in [("html", "<!doctype html>"), ("md", "# Incident of ")] {
        let report = incidents(guard, &["export", "--file", paths[0], "--format", format]);
        assert!(report.status.success() && told(&report).starts_with(begin), "{}", told(&report));
        assert!(told(&report).contains("keep its transaction open"), "{}", told(&report));
    }
    for (arguments, code, why) in [
        (&["show", "20220627-130030"][..], 1, "there is no recording \"20220627-130030\""),
        (&["show", "../status"], 2, "is not the id of a recording; expected one such as 2022"),
        (&["show"], 2, "required"),
        (&["show", "--file", "/no/such/file"], 1, "/no/such/file cannot be read"),
        (&["export", "last", "--format", "pdf"], 2, "possible values: html, md, json"),
    ] {
        let failed = incidents(guard, arguments);
        assert_eq!(failed.status.code(), Some(code), "{arguments:?}: {}", told(&failed));
        assert!(told(&failed).contains(why), "{arguments:?}: {}", told(&failed));
    }
}

on_both_engines! {
    a_pile_up_is_recorded_with_its_holder_before_anything_was_done,
}

/// What an operator asks for is kept when the guard ends, and is there for the next one.
#[tokio::test]
async fn what_an_operator_asked_for_outlives_the_guard() {
    let (folder, server) = (Scratch::new().unwrap(), server(Engine::MariaDb).await);
    let mut first = guard(&server, folder.path()).await;
    let asked = incidents(&first, &["record", "--reason", "before the deploy"]);
    assert!(asked.status.success() && told(&asked).contains("recording 2"), "{}", told(&asked));
    let order = r#"{"target":"class default","keep_ratio":0.5,"reason":"try","author":"ann"}"#;
    assert_eq!(first.http("POST", "/api/v1/switches", order).await.unwrap().status, 200);
    eventually("the switch is noted", SOON, async || {
        let shown = told(&incidents(&first, &["show", "last"]));
        shown.contains("switch class default: down to 50 in 100 by ann: try").then_some(())
    })
    .await;
    assert!(first.drain(SOON).unwrap().success());

    let second = guard(&server, folder.path()).await;
    let heads = second.json("/api/v1/recordings").await.unwrap();
    assert_eq!(heads.as_array().unwrap().len(), 1, "{heads:#}");
    assert_eq!(
        (&heads[0]["note"], &heads[0]["is_over"]),
        (&"before the deploy".into(), &true.into())
    );
    let shown = told(&incidents(&second, &["show", "last"]));
    assert!(shown.contains("asked for: before the deploy"), "{shown}");
    assert!(shown.contains("switch class default: down to 50 in 100"), "{shown}");
    drop(second);
    let nobody = incidents(&first, &["list"]);
    assert_eq!(nobody.status.code(), Some(3), "{}", told(&nobody));
}

/// `enabled = false`: there is nothing, and whoever asks is told why.
#[tokio::test]
async fn nothing_is_recorded_where_that_is_configured() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let guard = Guard::start(&server, &Setup::with("[recorder]\nenabled = false")).await.unwrap();
    let answer = guard.http("POST", "/api/v1/recordings", "{}").await.unwrap();
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("recorder.enabled is false"), "{}", answer.body);
    assert_eq!(guard.json("/api/v1/recordings").await.unwrap(), Value::Array(Vec::new()));
    assert_eq!(guard.metric("guard_recorder_bytes", &[]).await.unwrap(), 0.0);
}
