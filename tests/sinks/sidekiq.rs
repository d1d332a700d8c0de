//! Redis, with Debian's Sidekiq (6.4): its own API reads what was pushed, and its process works it
//! off. Sidekiq 8 has the same fields with whole milliseconds, which are checked field by field.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use harness::{PATIENCE, Scratch, eventually, free_port};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use scheduler::sink::redis::{Config, Redis, Retry, Times};
use scheduler::sink::{Chunk, Fate, Item, Reason, Sink, Slice};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::{beside, chunk, done, installed, items};

/// A Redis of the test's own. Dropped, it is killed.
struct Server {
    process: Child,
    port: u16,
    folder: Scratch,
}

impl Server {
    async fn start() -> Option<Self> {
        installed("/usr/bin/redis-server".into())?;
        let (folder, port) = (Scratch::new().unwrap(), free_port().unwrap());
        let process = launch(folder.path(), port);
        let server = Self { process, port, folder };
        server.client().await;
        Some(server)
    }

    /// Kills it, and starts it again with what it has on disk.
    async fn restart(&mut self) {
        self.process.kill().await.unwrap();
        self.process = launch(self.folder.path(), self.port);
        self.client().await;
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    async fn client(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        let connect = async || client.get_multiplexed_async_connection().await.ok();
        eventually("Redis answers", PATIENCE, connect).await
    }

    fn sink(&self, change: impl FnOnce(&mut Config)) -> Redis {
        let mut config = Config::new("reminders", "RemindJob");
        change(&mut config);
        Redis::new(&self.url(), config).unwrap()
    }

    /// A program of Sidekiq's, in a folder of its own.
    fn ruby(&self, program: &str, arguments: &[&str]) -> Option<Command> {
        let mut command = Command::new(installed(program.into())?);
        command.args(arguments).env("REDIS_URL", self.url()).current_dir(self.folder.path());
        command.stdin(Stdio::null()).kill_on_drop(true);
        Some(command)
    }

    /// The jobs of a queue, or the scheduled ones, as Sidekiq's API reads them.
    async fn read_by_sidekiq(&self, queue: &str) -> Option<Vec<Value>> {
        installed("/usr/bin/sidekiq".into())?;
        let script = beside("queue.rb");
        let output =
            self.ruby("/usr/bin/ruby", &[script.to_str().unwrap(), queue])?.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }
}

/// It keeps everything, as a queue's Redis does.
fn launch(folder: &Path, port: u16) -> Child {
    let mut command = Command::new("/usr/bin/redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
    command.args(["--appendfsync", "always", "--port", &port.to_string(), "--dir"]).arg(folder);
    command.stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

fn jobs(count: u32) -> Vec<Item> {
    items(count, |n| format!("[{n}, \"it's ü\"]"))
}

async fn offer(sink: &Redis, fence: u64, items: &[Item]) -> Vec<Fate> {
    sink.offer(Slice { chunk: chunk("b", fence), items }).await
}

fn jids(count: u32) -> BTreeSet<String> {
    (0..count).map(|n| chunk("b", 1).id(n).jid()).collect()
}

#[tokio::test]
async fn a_sidekiq_process_works_off_what_was_pushed() {
    let Some(server) = Server::start().await else { return };
    let worker = beside("worker.rb");
    let arguments =
        ["-r", worker.to_str().unwrap(), "-q", "reminders", "-c", "4", "-e", "production"];
    let Some(mut sidekiq) = server.ruby("/usr/bin/sidekiq", &arguments) else { return };
    let sink = server.sink(|config| config.job.times = Times::Seconds);
    assert_eq!(done(&offer(&sink, 1, &jobs(500)).await), 500);
    let _process = sidekiq.stdout(Stdio::null()).spawn().unwrap();
    let mut client = server.client().await;
    let noted = async || {
        let noted: Vec<String> = client.lrange("noted", 0, -1).await.unwrap();
        (noted.len() >= 500).then_some(noted)
    };
    let noted = eventually("500 jobs are done", 2 * PATIENCE, noted).await;
    let noted: Vec<Value> = noted.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let done: BTreeSet<_> =
        noted.iter().map(|job| job["jid"].as_str().unwrap().to_owned()).collect();
    assert_eq!((noted.len(), done), (500, jids(500)));
    assert!(noted.iter().all(|job| job["words"] == "it's ü"));
}

#[tokio::test]
async fn sidekiqs_own_api_reads_queue_and_schedule() {
    let Some(server) = Server::start().await else { return };
    let seconds = |config: &mut Config| {
        config.job.times = Times::Seconds;
        config.job.retry = Retry::Times(3);
    };
    let before = jiff::Timestamp::now().as_millisecond() as f64 / 1_000.0;
    offer(&server.sink(seconds), 1, &jobs(50)).await;
    let later = server.sink(|config| {
        seconds(config);
        config.delay = Some(Duration::from_secs(3_600));
    });
    let other = Chunk { number: 1, first: 50, ..chunk("b", 1) };
    later.offer(Slice { chunk: other, items: &jobs(20) }).await;
    let Some(queued) = server.read_by_sidekiq("reminders").await else { return };
    // Newest first; workers take the oldest.
    for (n, job) in queued.iter().rev().enumerate() {
        assert_eq!(job["jid"], chunk("b", 1).id(n as u32).jid());
        assert_eq!((&job["class"], &job["queue"]), (&json!("RemindJob"), &json!("reminders")));
        assert_eq!((&job["args"], &job["retry"]), (&json!([n, "it's ü"]), &json!(3)));
        for time in ["created_at", "enqueued_at"] {
            let time = job[time].as_f64().unwrap();
            assert!((before - 1.0..before + 60.0).contains(&time), "{time} from {before}");
        }
    }
    let scheduled = server.read_by_sidekiq("schedule").await.unwrap();
    assert_eq!((queued.len(), scheduled.len()), (50, 20));
    for job in scheduled {
        assert_eq!(job["enqueued_at"], Value::Null);
        let at = job["at"].as_f64().unwrap();
        assert!((before + 3_599.0..before + 3_660.0).contains(&at), "{at} from {before}");
    }
}

#[tokio::test]
async fn a_job_of_sidekiq_8_has_every_documented_field() {
    let Some(server) = Server::start().await else { return };
    offer(&server.sink(|_| {}), 1, &jobs(3)).await;
    let mut client = server.client().await;
    let queues: BTreeSet<String> = client.smembers("queues").await.unwrap();
    assert_eq!(queues, BTreeSet::from(["reminders".to_owned()]));
    let jobs: Vec<String> = client.lrange("queue:reminders", 0, -1).await.unwrap();
    for (n, job) in jobs.iter().rev().enumerate() {
        let job: Value = serde_json::from_str(job).unwrap();
        let fields: BTreeSet<_> = job.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = ["args", "class", "created_at", "enqueued_at", "jid", "queue", "retry"];
        assert_eq!(fields, expected.into());
        assert_eq!((&job["args"], &job["retry"]), (&json!([n, "it's ü"]), &json!(true)));
        let age = jiff::Timestamp::now().as_millisecond() - job["created_at"].as_i64().unwrap();
        assert!((0..60_000).contains(&age) && job["enqueued_at"] == job["created_at"], "{job}");
    }
}

/// Four holders of growing fences offer the same items again and again, in any slices, while their
/// connections are cut and the server is killed and comes back.
#[tokio::test]
async fn whatever_is_offered_again_each_job_is_pushed_once() {
    let Some(mut server) = Server::start().await else { return };
    let all = Arc::new(jobs(1_000));
    let mut holders = Vec::new();
    for fence in 1..=4 {
        let (sink, all) = (server.sink(|_| {}), Arc::clone(&all));
        holders.push(tokio::spawn(async move {
            let mut dice = fastrand::Rng::new();
            let mut counts = [0_usize; 3];
            for _ in 0..150 {
                let from = dice.usize(..950);
                let fates = offer(&sink, fence, &all[from..from + dice.usize(1..50)]).await;
                for fate in fates {
                    counts[match fate {
                        Fate::Done => 0,
                        Fate::Unsent(Reason::Fenced) => 1,
                        Fate::Retry { .. } => 2,
                        other => panic!("{other:?}"),
                    }] += 1;
                }
            }
            counts
        }));
    }
    let mut cutter = server.client().await;
    for _ in 0..20 {
        let kill = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").to_owned();
        let _cut = kill.query_async::<u32>(&mut cutter).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.restart().await;
    for (holder, counts) in holders.into_iter().enumerate() {
        eprintln!("holder {holder}: done, fenced, again: {:?}", counts.await.unwrap());
    }
    // The last one finishes; whoever was there before finds itself fenced.
    let sink = server.sink(|_| {});
    sink.open(chunk("b", 5)).await.unwrap();
    assert_eq!(done(&offer(&sink, 5, &all).await), 1_000);
    let fenced = offer(&sink, 4, &all).await;
    assert!(fenced.iter().all(|fate| *fate == Fate::Unsent(Reason::Fenced)));
    assert_eq!(sink.open(chunk("b", 4)).await, Err(Reason::Fenced));
    assert_eq!(sink.open(chunk("b", 6)).await.unwrap(), (0..1_000).collect::<Vec<_>>());
    let queued: Vec<String> = server.client().await.lrange("queue:reminders", 0, -1).await.unwrap();
    let jobs: BTreeSet<_> = queued
        .iter()
        .map(|job| serde_json::from_str::<Value>(job).unwrap()["jid"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((queued.len(), jobs), (1_000, jids(1_000)));
}

#[tokio::test]
async fn what_cannot_be_pushed_loses_nothing() {
    let Some(server) = Server::start().await else { return };
    let sink = server.sink(|_| {});
    let mut client = server.client().await;
    // The queue's key is taken by something else: nothing is noted as pushed.
    let _: () = client.set("queue:reminders", "mine").await.unwrap();
    let fates = offer(&sink, 1, &jobs(10)).await;
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Retry { .. })), "{fates:?}");
    assert_eq!(sink.open(chunk("b", 1)).await.unwrap(), [0_u32; 0]);
    let _: () = client.del("queue:reminders").await.unwrap();
    let mut items = jobs(10);
    items[3].body = "no array".into();
    let fates = offer(&sink, 1, &items).await;
    assert_eq!(done(&fates), 9);
    assert!(matches!(fates[3], Fate::Dead(Reason::Unfit(_))));
    let nobody =
        Redis::new(&format!("redis://127.0.0.1:{}", free_port().unwrap()), Config::new("q", "C"));
    let fates = offer(&nobody.unwrap(), 1, &items[..2]).await;
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Retry { .. })), "{fates:?}");
    let error = Redis::new("http://:secret@nowhere", Config::new("q", "C")).unwrap_err();
    assert!(!error.to_string().contains("secret"));
}
