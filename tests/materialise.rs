//! What a batch is made of and what it is checked by: recipients from a replica that has what the primary had,
//! what has changed meanwhile, and what no longer holds when it is due. On PostgreSQL, MariaDB and MySQL, with
//! replicas that are behind, gone, or killed amid reading.

#[path = "ledger/sink.rs"]
mod sink;
#[expect(dead_code, reason = "what batches that are submitted by hand need")]
#[path = "scheduler/station.rs"]
mod station;

#[path = "materialise/servers.rs"]
mod servers;

use std::time::Duration;

use harness::*;
use scheduler::ledger::Ledger;
use serde_json::Value;
use station::{Running, SQLITE, Station, WITHIN, url};

macro_rules! on_each {
    ($($(#[$doc:meta])* $test:ident,)*) => {
        on_each!(@ on_postgresql Postgres: $($(#[$doc])* $test,)*);
        on_each!(@ on_mariadb MariaDb: $($(#[$doc])* $test,)*);
        on_each!(@ on_mysql MySql: $($(#[$doc])* $test,)*);
    };
    (@ $engine:ident $kind:ident: $($(#[$doc:meta])* $test:ident,)*) => {
        mod $engine {
            $($(#[$doc])* #[tokio::test(flavor = "multi_thread")] async fn $test() {
                if harness::Engine::$kind.available() {
                    super::$test(harness::Engine::$kind).await;
                }
            })*
        }
    };
}

on_each! {
    recipients_are_read_from_a_replica_that_has_what_the_primary_had,
    without_a_replica_the_primary_is_read_from_slowly,
    without_a_replica_a_batch_is_given_up_where_that_is_wanted,
    one_that_is_killed_amid_reading_is_followed_by_another,
    what_changes_while_recipients_are_read_is_in_the_batch,
    what_no_longer_holds_is_dropped_and_listed,
    nothing_goes_that_cannot_be_checked,
    each_zone_has_its_own_time,
}

/// A primary with reminders, its replicas, and what has become of the items: a table at the primary.
struct Scene {
    servers: Replicated,
    station: Station,
    primary: String,
}

const DUE: &str = "SELECT id, body FROM reminder WHERE state = 'armed'";

impl Scene {
    /// With so many reminders, a source of these replicas and more keys, a schedule that is due every second,
    /// and more keys of its recipients.
    async fn new(engine: Engine, replicas: u32, rows: u32) -> Self {
        let servers = Replicated::start(engine, replicas).await.unwrap();
        let primary = url(&servers.primary);
        let time = if engine.is_postgres() { "timestamptz(6)" } else { "timestamp(6)" };
        for sql in [
            format!(
                "CREATE TABLE reminder (id bigint PRIMARY KEY, state varchar(10) NOT NULL, \
                 body varchar(100) NOT NULL, changed {time} NOT NULL DEFAULT CURRENT_TIMESTAMP(6))"
            ),
            "CREATE TABLE sent (id varchar(64), recipient varchar(64), body varchar(100))".into(),
        ] {
            sink::run(&primary, &sql).await.unwrap();
        }
        arm(&primary, 0, rows).await;
        Self { servers, station: Station::new(SQLITE, "").unwrap(), primary }
    }

    /// Configures it: more keys of the source, of the schedule, and of its recipients.
    fn configure(&mut self, source: &str, schedule: &str, query: &str, recipients: &str) {
        let replicas: Vec<String> =
            self.servers.replicas.iter().map(|replica| format!("\"{}\"", url(replica))).collect();
        let primary = self.primary.clone();
        self.configure_by((&primary, &replicas.join(", ")), source, schedule, (query, recipients));
    }

    /// The same, of a source at this URL with these replicas.
    fn configure_by(
        &mut self,
        (at, replicas): (&str, &str),
        source: &str,
        schedule: &str,
        (query, recipients): (&str, &str),
    ) {
        let primary = &self.primary;
        self.station.reconfigure(&format!(
            "[sink.app]\nkind = \"sql\"\nurl = \"{primary}\"\nstatement = \"INSERT INTO sent (id, recipient, body) \
             SELECT item.id, item.recipient, item.body FROM {{items}}\"\n\n\
             [source.app]\nurl = \"{at}\"\nreplicas = [{replicas}]\n{source}\n\n\
             [[schedule]]\nname = \"s\"\nsink = \"app\"\n{schedule}\n\n\
             [schedule.recipients]\nsource = \"app\"\nquery = \"{query}\"\nkey = \"id\"\npayload = \"body\"\n\
             {recipients}\n",
        ));
    }

    async fn count(&self, filter: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {filter}");
        sink::rows(&self.primary, &sql).await.unwrap()[0][0]
    }

    /// A schedule of once a day that is due in so many seconds, by the ledger's clock, and known already, with
    /// recipients that are read at once.
    async fn due_in(&self, seconds: i64) -> String {
        let ledger = Ledger::open(self.station.ledger(), 1).await.unwrap();
        let at = ledger.now().await.unwrap() + jiff::SignedDuration::from_secs(seconds);
        let at = at.strftime("%H:%M:%S").to_string();
        let told = format!("{at}||Shift|First");
        ledger.adopt("s", &told, Duration::from_secs(60)).await.unwrap();
        ledger.close().await;
        format!("at = \"{at}\"\nlead = \"60s\"\nspread = \"1s\"")
    }
}

/// Adds reminders.
async fn arm(url: &str, from: u32, to: u32) {
    let rows: Vec<String> = (from..to).map(|n| format!("({n}, 'armed', 'n{n}')")).collect();
    for page in rows.chunks(1_000) {
        let sql = format!("INSERT INTO reminder (id, state, body) VALUES {}", page.join(", "));
        sink::run(url, &sql).await.unwrap();
    }
}

async fn until_batch(station: &Station) -> String {
    eventually("a batch", WITHIN, async || {
        let listed = station.run("batch list --most 1000").unwrap();
        let batch = listed.as_array()?.iter().find(|batch| batch["state"] != "draft")?.clone();
        Some(batch["name"].as_str()?.to_owned())
    })
    .await
}

async fn until_log(scheduler: &Running, text: &str) {
    eventually(text, WITHIN, async || scheduler.log().contains(text).then_some(())).await;
}

/// Rows read from a replica, from the primary, and by the source's URL alone.
async fn read(scheduler: &Running) -> [f64; 3] {
    let (_, page) = scheduler.get("/metrics").await.unwrap();
    ["replica", "primary", "source"].map(|whom| {
        let of = |line: &&str| {
            line.starts_with("scheduler_read_rows_total{") && line.contains(&format!("\"{whom}\""))
        };
        let lines = page.lines().filter(of);
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    })
}

async fn pause(scheduler: &Running) {
    assert_eq!(scheduler.ask("POST", "/api/v1/schedules/s/pause").await.unwrap().0, 200);
}

const EACH_SECOND: &str = "cron = \"* * * * * *\"\nspread = \"1s\"";

async fn recipients_are_read_from_a_replica_that_has_what_the_primary_had(engine: Engine) {
    let mut scene = Scene::new(engine, 1, 3_000).await;
    scene.configure("wait = \"500ms\"", EACH_SECOND, DUE, "");
    servers::hold(&scene.servers.replicas[0]).await.unwrap();
    // The replica has none of these, and would tell a batch of 3,000.
    arm(&scene.primary, 3_000, 3_500).await;
    let scheduler = scene.station.start().await.unwrap();
    until_log(&scheduler, "recipients are read when a replica is fit").await;
    assert_eq!(read(&scheduler).await, [0.0; 3]);
    servers::let_go(&scene.servers.replicas[0]).await.unwrap();
    let name = until_batch(&scene.station).await;
    pause(&scheduler).await;
    let audit = scene.station.audited(&name).await;
    assert_eq!(audit["sent"], 3_500, "{audit}");
    let [replica, primary, source] = read(&scheduler).await;
    assert!(replica >= 3_500.0 && primary + source == 0.0, "{replica} {primary} {source}");
    scheduler.stop();
}

async fn without_a_replica_the_primary_is_read_from_slowly(engine: Engine) {
    let mut scene = Scene::new(engine, 1, 2_500).await;
    let source = "wait = \"200ms\"\notherwise = \"primary\"\nprimary_rows = 1000";
    scene.configure(source, EACH_SECOND, DUE, "");
    scene.servers.replicas[0].stop();
    let scheduler = scene.station.start().await.unwrap();
    let name = until_batch(&scene.station).await;
    pause(&scheduler).await;
    assert_eq!(scene.station.audited(&name).await["sent"], 2_500);
    let [replica, primary, source] = read(&scheduler).await;
    assert!(replica + source == 0.0 && primary >= 2_500.0, "{replica} {primary} {source}");
    assert!(scheduler.log().contains("the primary is read from, slowly"), "{}", scheduler.log());
    scheduler.stop();
}

async fn without_a_replica_a_batch_is_given_up_where_that_is_wanted(engine: Engine) {
    let mut scene = Scene::new(engine, 1, 100).await;
    scene.configure("wait = \"100ms\"\notherwise = \"refuse\"", EACH_SECOND, DUE, "");
    scene.servers.replicas[0].stop();
    let scheduler = scene.station.start().await.unwrap();
    until_log(&scheduler, "a batch is given up, as its source says").await;
    let (_, page) = scheduler.get("/metrics").await.unwrap();
    let passed = "scheduler_passed_over_total{schedule=\"s\",reason=\"replica\"}";
    let passed =
        page.lines().find_map(|line| line.strip_prefix(passed)?.trim().parse::<f64>().ok());
    assert!(passed >= Some(1.0), "{page}");
    assert_eq!(scene.station.run("batch list").unwrap(), Value::Array(Vec::new()));
    scene.servers.replicas[0].restart().await.unwrap();
    let name = until_batch(&scene.station).await;
    pause(&scheduler).await;
    assert_eq!(scene.station.audited(&name).await["sent"], 100);
    scheduler.stop();
}

async fn one_that_is_killed_amid_reading_is_followed_by_another(engine: Engine) {
    let mut scene = Scene::new(engine, 2, 3_000).await;
    // A millisecond for each row, so that there is a middle.
    let slow = match engine.is_postgres() {
        true => "pg_sleep(0.001)::text = ''",
        false => "SLEEP(0.001) = 0",
    };
    scene.configure("", EACH_SECOND, &format!("{DUE} AND {slow}"), "");
    // The first is read from, as the other has nothing of these yet.
    servers::hold(&scene.servers.replicas[1]).await.unwrap();
    arm(&scene.primary, 3_000, 3_100).await;
    let scheduler = scene.station.start().await.unwrap();
    eventually("rows", WITHIN, async || (read(&scheduler).await[0] >= 500.0).then_some(())).await;
    servers::let_go(&scene.servers.replicas[1]).await.unwrap();
    scene.servers.replicas[0].crash();
    let name = until_batch(&scene.station).await;
    pause(&scheduler).await;
    assert!(scheduler.log().contains("it failed amid a page"), "{}", scheduler.log());
    assert_eq!(scene.station.audited(&name).await["sent"], 3_100);
    assert_eq!(scene.count("sent").await, 3_100);
    assert_eq!(scene.count("(SELECT DISTINCT recipient FROM sent) AS one").await, 3_100);
    scheduler.stop();
}

async fn what_changes_while_recipients_are_read_is_in_the_batch(engine: Engine) {
    let mut scene = Scene::new(engine, 1, 1_000).await;
    // What there was is long past.
    sink::run(&scene.primary, "UPDATE reminder SET changed = '2020-01-01 00:00:00'").await.unwrap();
    let schedule = scene.due_in(25).await;
    let delta = format!("delta = \"{DUE} AND changed > :since\"\ndelta_lead = \"2s\"");
    scene.configure("", &schedule, DUE, &delta);
    let scheduler = scene.station.start().await.unwrap();
    eventually("all rows", WITHIN, async || (read(&scheduler).await[0] == 1_000.0).then_some(()))
        .await;
    // It waits until two seconds before its time.
    arm(&scene.primary, 1_000, 1_200).await;
    let edit = "UPDATE reminder SET body = 'new', changed = CURRENT_TIMESTAMP(6) WHERE id < 50";
    sink::run(&scene.primary, edit).await.unwrap();
    let name = until_batch(&scene.station).await;
    assert_eq!(scene.station.audited(&name).await["sent"], 1_200);
    assert_eq!(scene.count("sent WHERE body = 'new'").await, 50);
    assert_eq!(scene.count("(SELECT DISTINCT recipient FROM sent) AS one").await, 1_200);
    // Rows that had not changed were not read again.
    assert_eq!(read(&scheduler).await, [1_250.0, 0.0, 0.0]);
    scheduler.stop();
}

const CHECK: &str = "check = \"SELECT id FROM reminder WHERE id IN (:ids) AND state = 'armed'\"";

async fn what_no_longer_holds_is_dropped_and_listed(engine: Engine) {
    let mut scene = Scene::new(engine, 1, 2_000).await;
    let schedule = scene.due_in(25).await;
    scene.configure("", &schedule, DUE, CHECK);
    let scheduler = scene.station.start().await.unwrap();
    let name = until_batch(&scene.station).await;
    // It stands, and nothing of it has gone.
    assert_eq!(scene.count("sent").await, 0);
    let cancel = "UPDATE reminder SET state = 'off' WHERE id < 300";
    sink::run(&scene.primary, cancel).await.unwrap();
    sink::run(&scene.primary, "DELETE FROM reminder WHERE id >= 1900").await.unwrap();
    let audit = scene.station.audited(&name).await;
    assert_eq!((&audit["sent"], &audit["dropped"]), (&1_600.into(), &400.into()), "{audit}");
    assert_eq!(scene.count("sent").await, 1_600);
    assert_eq!(scene.count("sent s JOIN reminder r ON r.body = s.body WHERE r.id < 300").await, 0);
    let report = scene.station.run(&format!("batch report {name} --items dropped")).unwrap();
    assert_eq!(report["dropped"], 400, "{report}");
    let listed = report["listed"].as_array().unwrap();
    let mut gone: Vec<u32> =
        listed.iter().map(|item| item["recipient"].as_str().unwrap().parse().unwrap()).collect();
    gone.sort_unstable();
    assert_eq!(gone, (0..300).chain(1_900..2_000).collect::<Vec<_>>());
    assert_eq!(listed[0]["why"], "it no longer holds");
    assert_eq!(scheduler.metric("scheduler_dropped_total").await, Some(400.0));
    scheduler.stop();
}

async fn nothing_goes_that_cannot_be_checked(engine: Engine) {
    let mut scene = Scene::new(engine, 1, 500).await;
    let schedule = scene.due_in(25).await;
    scene.configure("wait = \"200ms\"", &schedule, DUE, CHECK);
    let scheduler = scene.station.start().await.unwrap();
    let name = until_batch(&scene.station).await;
    servers::hold(&scene.servers.replicas[0]).await.unwrap();
    // The replica does not know of it.
    sink::run(&scene.primary, "UPDATE reminder SET state = 'off' WHERE id < 20").await.unwrap();
    until_log(&scheduler, "whether items still hold cannot be asked; they wait").await;
    assert!(scheduler.metric("scheduler_check_failures_total").await >= Some(1.0));
    assert_eq!(scene.count("sent").await, 0);
    servers::let_go(&scene.servers.replicas[0]).await.unwrap();
    let audit = scene.station.audited(&name).await;
    assert_eq!((&audit["sent"], &audit["dropped"]), (&480.into(), &20.into()), "{audit}");
    until_log(&scheduler, "whether items still hold can be asked again").await;
    scheduler.stop();
}

async fn each_zone_has_its_own_time(engine: Engine) {
    let mut scene = Scene::new(engine, 1, 400).await;
    sink::run(&scene.primary, "ALTER TABLE reminder ADD COLUMN tz varchar(40)").await.unwrap();
    for (place, zone) in ["Pacific/Kiritimati", "Asia/Tokyo", "Mars/Base"].into_iter().enumerate() {
        let update = format!("UPDATE reminder SET tz = '{zone}' WHERE id % 4 = {place}");
        sink::run(&scene.primary, &update).await.unwrap();
    }
    // Due in a quarter of a minute where the clock is 14 hours ahead.
    let now = Ledger::open(scene.station.ledger(), 1).await.unwrap().now().await.unwrap();
    let due = now + jiff::SignedDuration::from_secs(15);
    let due = jiff::Timestamp::from_second(due.as_second()).unwrap();
    let wall = due + jiff::SignedDuration::from_hours(14);
    let schedule = format!(
        "at = \"{}\"\nzone = \"UTC\"\noverlap = \"allow\"\nlead = \"60s\"\nspread = \"2s\"\ncatch_up = \"60s\"",
        wall.strftime("%H:%M:%S")
    );
    let query = "SELECT id, body, tz FROM reminder";
    scene.configure("", &schedule, query, "zone = \"tz\"");
    let ledger = Ledger::open(scene.station.ledger(), 1).await.unwrap();
    let told = format!("{}|UTC|Shift|First|own", wall.strftime("%H:%M:%S"));
    ledger.adopt("s", &told, Duration::from_secs(60)).await.unwrap();
    ledger.close().await;
    let scheduler = scene.station.start().await.unwrap();
    let name = until_batch(&scene.station).await;
    assert_eq!(name, format!("s@{due}"));
    let chunks = format!(
        "SELECT (first - b.nominal) / 1000000, c.items FROM tg_body_1 o JOIN tg_batch b ON b.id = o.batch \
         JOIN tg_chunk_1 c ON c.batch = o.batch AND c.seq = o.seq WHERE b.name = '{name}' ORDER BY o.seq"
    );
    let chunks = sink::rows(scene.station.ledger(), &chunks).await.unwrap();
    // Kiritimati at once, Tokyo five hours later, those of no zone or an unknown one after 14.
    assert_eq!(chunks, [[0, 100], [5 * 3_600, 100], [14 * 3_600, 200]]);
    eventually("those of the first zone", WITHIN, async || {
        (scene.count("sent").await == 100).then_some(())
    })
    .await;
    scene.station.run(&format!("batch cancel {name}")).unwrap();
    let audit = scene.station.audited(&name).await;
    assert_eq!((&audit["sent"], &audit["cancelled"]), (&100.into(), &300.into()), "{audit}");
    scheduler.stop();
}

/// Pages go through a guard, in a class of their own that reads from its replica.
#[tokio::test(flavor = "multi_thread")]
async fn recipients_are_read_through_a_guard_from_its_replica() {
    let mut scene = Scene::new(Engine::MariaDb, 1, 2_000).await;
    let sections = format!(
        "[replica.r1]\naddress = \"{}\"\nconnections = 8\n\n[routing]\nslow_start = \"0s\"\nmax_lag = \"2s\"\n\n\
         [class.default]\n\n[class.bulk_read]\nreads = \"replica\"\n\n\
         [[rule]]\nname = \"recipients\"\nclass = \"bulk_read\"\ntag = {{ job = \"s\" }}\n",
        scene.servers.replicas[0].addr()
    );
    let guard = Guard::start(&scene.servers.primary, &Setup::with(sections)).await.unwrap();
    let through = format!("mysql://{}:{}@{}/app", APP.name, APP.password, guard.addr());
    scene.configure_by((&through, ""), "max_lag = \"2s\"", EACH_SECOND, (DUE, ""));
    let scheduler = scene.station.start().await.unwrap();
    let name = until_batch(&scene.station).await;
    pause(&scheduler).await;
    assert_eq!(scene.station.audited(&name).await["sent"], 2_000);
    assert!(read(&scheduler).await[2] >= 2_000.0);
    let reads = guard.metric("guard_replica_reads_total", &["replica=\"r1\""]).await.unwrap();
    assert!(reads >= 2.0, "{reads}");
    scheduler.stop();
}
