//! A primary and a replica, a guard, a scheduler, a Prometheus that scrapes both, and clients that use all there is.

use std::fs;
use std::time::Duration;

use harness::*;
use tokio::task::JoinSet;

use super::receiver::Receiver;
use super::{SOON, root};

/// How long the usual clients work.
const LOAD: Duration = Duration::from_secs(8);
/// How many wait when the database tips over, and hold a row each otherwise.
const CROWD: usize = 12;

/// Everything on, nothing that ends the crowd; `brief` is cut off, `batch` may do little.
const SECTIONS: &str = r#"
[class.default]
reads = "replica"
statement_time = "off"
transaction_time = "off"
idle_in_transaction_time = "off"
lock_wait_time = "50s"
queue_time = "20s"
in_flight = 38

[class.brief]
statement_time = "300ms"
lock_wait_time = "off"
queue_time = "100ms"

[class.batch]
in_flight = 1
queue_length = 1
queue_time = "100ms"

[[rule]]
name = "brief"
class = "brief"
tag = { job = "brief" }

[[rule]]
name = "batch"
class = "batch"
tag = { job = "batch" }

[routing]
slow_start = "0s"
max_lag = "60s"

[limit]
mode = "observe"

[melt]
mode = "observe"

[hot]
mode = "enforce"

[ddl]
mode = "enforce"
"#;

pub(crate) struct Scene {
    servers: Replicated,
    guard: Guard,
    scheduler: Scheduler,
    pub(crate) prometheus: Prometheus,
    /// Recipients, and rules.
    folder: Scratch,
}

impl Scene {
    pub(crate) async fn set() -> Self {
        let servers = Replicated::start(Engine::MariaDb, 1).await.unwrap();
        let mut app = Caller::login(Engine::MariaDb, servers.primary.addr(), &APP).await.unwrap();
        for table in ["account", "ledger", "shelf"] {
            app.done(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, n INT NOT NULL)")).await;
            let rows: Vec<String> = (1..=40).map(|id| format!("({id}, 0)")).collect();
            app.done(&format!("INSERT INTO {table} VALUES {}", rows.join(", "))).await;
        }
        let setup =
            Setup { connections: 40, ..Setup::with(format!("{}{SECTIONS}", servers.sections())) };
        let guard = Guard::start(&servers.primary, &setup).await.unwrap();
        let folder = Scratch::new().unwrap();
        let receiver = Receiver::start(0).await;
        let scheduler = Scheduler::start(&scheduled(&folder, &guard, &receiver)).await.unwrap();
        let prometheus = Prometheus::start(&config(&folder, &guard, &scheduler)).await.unwrap();
        Self { servers, guard, scheduler, prometheus, folder }
    }

    async fn client(&self) -> Caller {
        Caller::login(Engine::MariaDb, self.guard.addr(), &APP).await.unwrap()
    }

    /// Everything that happens on a usual day, and on some others.
    pub(crate) async fn load(&self) {
        let mut usual = JoinSet::new();
        for worker in 0..3 {
            let mut client = self.client().await;
            usual.spawn(tokio::time::timeout(LOAD, async move {
                for turn in 0_u32.. {
                    let id = 2 + (turn * 7 + worker) % 30;
                    client.done(&format!("SELECT n FROM shelf WHERE id = {id}")).await;
                    client.done("BEGIN").await;
                    client.done(&format!("UPDATE shelf SET n = n + 1 WHERE id = {id}")).await;
                    client.done("COMMIT").await;
                    let _is_an_error = client.ask("SELECT nothing FROM shelf").await;
                    // Seldom, so that refusals are no pressure: that would hold up batches.
                    let _may_fail = match turn % 50 {
                        0 => client.ask("SELECT SLEEP(1) /*job='brief'*/").await,
                        1..3 => client.ask("SELECT SLEEP(0.3) /*job='batch'*/").await,
                        _ => Ok(None),
                    };
                }
            }));
        }
        self.heat().await;
        self.alter().await;
        let all = async { while usual.join_next().await.is_some() {} };
        all.await;
        eventually("items that are sent at their moments", SOON, async || {
            let sent = self.scheduler.metric("scheduler_pacing_error_seconds_count").await.unwrap();
            (sent >= 20.0).then_some(())
        })
        .await;
    }

    /// A row that everybody wants.
    async fn heat(&self) {
        let want = "UPDATE account SET n = n + 1 WHERE id = 1";
        for until in ["guard_hot_gated", "guard_hot_row_parked"] {
            let mut holder = self.client().await;
            holder.done("BEGIN").await;
            holder.done(want).await;
            let mut crowd = JoinSet::new();
            for _ in 0..6 {
                let mut client = self.client().await;
                crowd.spawn(async move { client.done(want).await });
            }
            self.becomes(until).await;
            self.is_scraped().await;
            holder.done("COMMIT").await;
            while crowd.join_next().await.is_some() {}
        }
    }

    /// A table that somebody wants for himself.
    async fn alter(&self) {
        let mut reader = self.client().await;
        reader.done("BEGIN").await;
        reader.done("SELECT n FROM ledger WHERE id = 1 FOR UPDATE").await;
        let mut owner = self.client().await;
        owner.say("ALTER TABLE ledger ADD COLUMN more INT").await;
        self.becomes("guard_ddl_tables").await;
        let mut other = self.client().await;
        other.say("UPDATE ledger SET n = n + 1 WHERE id = 2").await;
        self.becomes("guard_ddl_parked").await;
        self.is_scraped().await;
        reader.done("COMMIT").await;
        owner.hear().await.unwrap();
        other.hear().await.unwrap();
    }

    async fn becomes(&self, gauge: &str) {
        eventually(gauge, SOON, async || {
            (self.guard.metric(gauge, &[]).await.unwrap() > 0.0).then_some(())
        })
        .await;
    }

    /// Waits for two more scrapes of the guard.
    async fn is_scraped(&self) {
        let count = async || {
            let query = "count_over_time(guard_build_info[2m])";
            let found = self.prometheus.range(query, Duration::ZERO).await.unwrap();
            found.first().map_or(0.0, |series| series.values[0].1.parse::<f64>().unwrap())
        };
        let before = count().await;
        eventually("two scrapes", SOON, async || (count().await >= before + 2.0).then_some(()))
            .await;
    }

    /// Somebody holds the rows that all others want, each of them another one, and goes away for a coffee.
    pub(crate) async fn tip(&self) -> (Caller, JoinSet<Told>) {
        let mut holder = self.client().await;
        holder.done("BEGIN").await;
        holder.done("UPDATE shelf SET n = n + 1").await;
        let mut crowd = JoinSet::new();
        for id in 1..=CROWD {
            let mut client = self.client().await;
            let sql = format!("UPDATE shelf SET n = n + 1 WHERE id = {id}");
            crowd.spawn(async move { client.ask(&sql).await });
        }
        eventually("all of them wait", SOON, async || {
            let waiting = open_on(&self.servers.primary, &APP).await.waiting as usize;
            (waiting == CROWD).then_some(())
        })
        .await;
        (holder, crowd)
    }

    /// The names of the alerts that wake somebody now.
    pub(crate) async fn pages(&self) -> Vec<String> {
        let alerts = self.prometheus.alerts().await.unwrap();
        alerts.iter().filter(|alert| alert.pages()).map(|alert| alert.name().to_owned()).collect()
    }
}

impl Drop for Scene {
    /// Tells what was written last, if the test fails.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = [self.guard.log(), self.scheduler.log(), self.prometheus.log()];
            eprintln!("{}: {}", self.folder.path().display(), logs.join("\n---\n"));
        }
    }
}

/// A batch every two seconds, slowed down by the guard's pressure.
fn scheduled(folder: &Scratch, guard: &Guard, receiver: &Receiver) -> String {
    let users = folder.path().join("users.ndjson");
    let line = |n: u32| format!("{{\"recipient\": \"user-{n}\"}}\n");
    fs::write(&users, (0..50).map(line).collect::<String>()).unwrap();
    format!(
        "guard = \"http://{}\"\n{}\n[[schedule]]\nname = \"often\"\ncron = \"*/2 * * * * *\"\nsink = \"app\"\n\
         spread = \"6s\"\noverlap = \"allow\"\nrecipients = {{ file = \"{}\" }}\n",
        guard.admin(),
        receiver.sink(""),
        users.display()
    )
}

/// The example's configuration, with these programs, and a second where it has more.
fn config(folder: &Scratch, guard: &Guard, scheduler: &Scheduler) -> String {
    let rules = root().join("dashboards/prometheus");
    let recording = fs::read_to_string(rules.join("tidegate-recording.yaml")).unwrap();
    let often = folder.path().join("recording.yaml");
    fs::write(&often, recording.replace("interval: 30s", "interval: 1s")).unwrap();
    let alerts = ["tip-over", "guard", "objectives", "scheduler"]
        .map(|group| format!("\"{}\"", rules.join(format!("tidegate-{group}.yaml")).display()));
    format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
         rule_files: [\"{}\", {}]\n\
         scrape_configs:\n  - job_name: shop\n    static_configs: [{{ targets: [\"{}\", \"{}\"] }}]\n",
        often.display(),
        alerts.join(", "),
        guard.admin(),
        scheduler.admin(),
    )
}
