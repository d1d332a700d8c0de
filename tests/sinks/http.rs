//! Webhooks, received by a process that has the reference library of Standard Webhooks.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use harness::{PATIENCE, state};
use scheduler::sink::http::{Config, Http};
use scheduler::sink::{Fate, Reason, Sink, Slice};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::{beside, chunk, done, installed, items};

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_bmV3IGtleSBvZiB0aGUgcmVjZWl2ZXIh";

/// The receiver, and what it says of each request.
struct Receiver {
    _process: Child,
    said: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Receiver {
    async fn start(secret: &str) -> Option<Self> {
        let python: PathBuf = installed(state().join("sinks/bin/python"))?;
        let mut command = Command::new(python);
        command.arg(beside("receiver.py")).arg(secret).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = timeout(PATIENCE, said.next_line()).await.unwrap().unwrap().unwrap();
        let url = format!("http://127.0.0.1:{port}/remind?app=1");
        Some(Self { _process: process, said, url })
    }

    async fn next(&mut self) -> Value {
        let line = timeout(PATIENCE, self.said.next_line()).await.unwrap().unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn sink(&self, keys: &[&str]) -> Http {
        let keys = keys.iter().map(|key| key.parse().unwrap()).collect();
        Http::new(Config::new(self.url.parse().unwrap(), keys)).unwrap()
    }
}

#[tokio::test]
async fn webhooks_are_verified_by_the_reference_library() {
    let Some(mut receiver) = Receiver::start(NEW).await else { return };
    // While keys are changed both sign, and the receiver may have either.
    let sink = receiver.sink(&[OLD, NEW]);
    let items =
        items(300, |n| format!("{{\"type\":\"reminder.due\",\"data\":{{\"n\":{n},\"ü\":\"€\"}}}}"));
    let chunk = chunk("reminders@13:00", 1);
    let fates = sink.offer(Slice { chunk, items: &items }).await;
    assert_eq!(done(&fates), 300, "{fates:?}");
    let mut ids = HashSet::new();
    for _ in 0..300 {
        let said = receiver.next().await;
        assert_eq!(said["error"], Value::Null, "{said}");
        assert_eq!(said["signatures"], 2);
        assert_eq!(said["id"], said["key"]);
        let position = said["payload"]["data"]["n"].as_u64().unwrap() as u32;
        assert_eq!(said["id"], chunk.id(position).to_string());
        ids.insert(said["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 300);
}

#[tokio::test]
async fn another_attempt_has_the_same_id() {
    let Some(mut receiver) = Receiver::start(OLD).await else { return };
    let sink = receiver.sink(&[OLD]);
    let mut items = items(1, |_| "{}".into());
    sink.offer(Slice { chunk: chunk("b", 1), items: &items }).await;
    items[0].attempt = 2;
    sink.offer(Slice { chunk: chunk("b", 2), items: &items }).await;
    assert_eq!(receiver.next().await["id"], receiver.next().await["id"]);
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_tried_again_later() {
    let Some(mut receiver) = Receiver::start(NEW).await else { return };
    let sink = receiver.sink(&[OLD]);
    let fates = sink.offer(Slice { chunk: chunk("b", 1), items: &items(1, |_| "{}".into()) }).await;
    assert_eq!(fates, [Fate::Retry { asked: None, why: Reason::Status(401) }]);
    assert_eq!(receiver.next().await["error"], "No matching signature found");
}

#[tokio::test]
async fn what_is_too_late_or_too_large_is_not_sent() {
    let sink = Http::new(Config::new("http://127.0.0.1:9/".parse().unwrap(), Vec::new())).unwrap();
    let mut items = items(2, |n| "x".repeat(n as usize * 300_000));
    items[0].deadline = Some(jiff::Timestamp::now() - Duration::from_secs(1));
    let fates = sink.offer(Slice { chunk: chunk("b", 1), items: &items }).await;
    assert_eq!(fates[0], Fate::Dead(Reason::Expired));
    assert!(matches!(fates[1], Fate::Dead(Reason::TooLarge { len: 300_000, .. })), "{fates:?}");
}

#[tokio::test]
async fn what_is_no_url_says_what_would_be() {
    for (url, why) in [
        ("ftp://app.example/", "neither http:// nor https://"),
        ("/remind", "neither http:// nor https://"),
        ("https://user:s3cret@app.example/", "belong into a header"),
    ] {
        let error =
            Http::new(Config::new(url.parse().unwrap(), Vec::new())).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains("s3cret"), "{url}: {error}");
    }
}
