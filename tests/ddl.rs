//! A statement that waits to have a table for itself, on real servers: who comes for the table waits in the guard,
//! so that few connections are enough for all others; and goes on once that is done or has gone.

use std::time::Duration;

use harness::*;
use serde_json::Value;
use tokio::task::JoinSet;
use wire::mysql::command::Command;

const SOON: Duration = Duration::from_secs(30);

/// More than there are connections: in the database they would take all.
const CROWD: usize = 12;
const CONNECTIONS: u32 = 3;

/// Time limits that end nothing here, and long queues.
const PATIENT: &str = "[class.default]\nstatement_time = \"off\"\ntransaction_time = \"off\"\n\
                       idle_in_transaction_time = \"off\"\nlock_wait_time = \"50s\"\n\
                       queue_time = \"50s\"\n[overall]\nqueue_time = \"50s\"\n\
                       [ddl]\nmode = \"enforce\"\n";

const READ: &str = "SELECT n FROM account WHERE id = 1";
const WRITE: &str = "UPDATE account SET n = n + 1 WHERE id = 1";
const ALTER: &str = "ALTER TABLE account ADD COLUMN more INT";
const OTHER: &str = "UPDATE ledger SET n = n + 1 WHERE id = 1";

/// A server with two tables, and a guard with few connections before it.
struct Scene {
    server: Server,
    guard: Guard,
    setup: Setup,
}

impl Scene {
    async fn set(engine: Engine, sections: &str) -> Self {
        Self::set_before(engine, "app", sections).await
    }

    /// With a guard whose own connections are to this database, where there are databases.
    async fn set_before(engine: Engine, database: &str, sections: &str) -> Self {
        let server = Server::start(engine).await.unwrap();
        let mut owner = Caller::login(engine, server.addr(), &APP).await.unwrap();
        for table in ["account", "ledger"] {
            owner.done(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, n INT NOT NULL)")).await;
            owner.done(&format!("INSERT INTO {table} VALUES (1, 0), (2, 0)")).await;
        }
        let setup = Setup { connections: CONNECTIONS, ..Setup::with(sections) };
        let control = format!("[control]\ndatabase = \"{database}\"\n");
        let text = |doors| setup.text(&server, doors).replace("[control]\n", &control);
        let guard = Guard::start_with(text).await.unwrap();
        Self { server, guard, setup }
    }

    async fn client(&self) -> Caller {
        Caller::login(self.server.engine(), self.guard.addr(), &APP).await.unwrap()
    }

    /// Past the guard.
    async fn direct(&self) -> Caller {
        Caller::login(self.server.engine(), self.server.addr(), &APP).await.unwrap()
    }

    /// Somebody who reads the table in a transaction that stays open.
    async fn reader(&self) -> Caller {
        let mut reader = self.direct().await;
        reader.done("BEGIN").await;
        reader.done(READ).await;
        reader
    }

    /// Somebody who wants the table for himself, once the guard has seen it.
    async fn wanted(&self, sql: &str) -> Caller {
        let mut owner = self.direct().await;
        owner.say(sql).await;
        self.ddl("the change is seen", |ddl| ddl["tables"][0]["table"].is_string()).await;
        owner
    }

    /// So many clients that each run this once.
    async fn crowd(&self, size: usize, sql: &'static str) -> JoinSet<Told> {
        let mut crowd = JoinSet::new();
        for _ in 0..size {
            let mut client = self.client().await;
            crowd.spawn(async move { client.ask(sql).await });
        }
        crowd
    }

    /// What the guard tells of such tables, once it is `so`.
    async fn ddl(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let deadline = Deadline::after(SOON);
        while !so(&last) {
            assert!(!deadline.is_over(), "{what}: {last:#}");
            last = self.guard.json("/api/v1/hot").await.unwrap()["ddl"].take();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        last
    }

    async fn parked(&self, count: usize) -> Value {
        self.ddl(&format!("{count} are parked"), |ddl| ddl["parked"] == count).await
    }

    /// What is left when it is over: nobody, and no table.
    async fn is_quiet(&self) {
        let is_empty = |ddl: &Value| ddl["parked"] == 0 && ddl["tables"] == Value::Array(vec![]);
        self.ddl("nobody is left", is_empty).await;
    }

    async fn waiting(&self, count: usize) {
        eventually(&format!("{count} wait on the server"), SOON, async || {
            (threads(&self.server).await.iter().filter(|one| waits(one)).count() == count)
                .then_some(())
        })
        .await;
    }

    async fn changes(&self) -> usize {
        self.client().await.done(READ).await.unwrap().parse().unwrap()
    }

    fn reload(&self, sections: &str) {
        let doors = Doors { listener: self.guard.addr(), admin: self.guard.admin() };
        let setup = Setup { sections: sections.into(), ..self.setup.clone() };
        let control = "[control]\ndatabase = \"app\"\n";
        let text = setup.text(&self.server, doors).replace("[control]\n", control);
        self.guard.reload(&text).unwrap();
    }
}

/// Whether it waits for a table.
fn waits(thread: &Thread) -> bool {
    let state = thread.state.as_deref().unwrap_or_default();
    state == "Lock" || state == "Waiting for table metadata lock"
}

async fn all_are_done(crowd: &mut JoinSet<Told>) {
    while let Some(told) = crowd.join_next().await {
        told.unwrap().unwrap();
    }
}

/// Has a client change the row with a statement that it prepares; the answer is heard later.
async fn say_prepared(client: &mut Caller) {
    match client {
        Caller::MySql(client) => {
            // The server opens the tables of what is prepared: this waits as well.
            let sql = "UPDATE account SET n = n + 1 WHERE id = ?";
            let prepare = [&[Command::StmtPrepare as u8], sql.as_bytes()].concat();
            client.send_packet(0, &prepare).await.unwrap();
        }
        Caller::Postgres(client) => {
            let sql = "UPDATE account SET n = n + $1::int WHERE id = $2";
            client.send(|out| put_series(out, sql, &["1", "1"])).await.unwrap();
        }
    }
}

async fn the_crowd_waits_in_the_guard_and_others_go_on_and_nothing_is_lost(engine: Engine) {
    let scene = Scene::set(engine, PATIENT).await;
    let mut reader = scene.reader().await;
    let mut owner = scene.wanted(ALTER).await;
    let mut writers = scene.crowd(CROWD, WRITE).await;
    let mut readers = scene.crowd(CROWD, READ).await;
    let mut client = scene.client().await;
    client.done("BEGIN").await;
    client.say(WRITE).await;
    let ddl = scene.parked(2 * CROWD + 1).await;
    assert!(ddl["tables"][0]["table"].as_str().unwrap().ends_with("account"), "{ddl:#}");
    assert!(ddl["tables"][0]["statement"].as_str().unwrap().starts_with("ALTER"), "{ddl:#}");
    // The database has one that waits, and all connections are there for others.
    scene.waiting(1).await;
    let mut others = scene.crowd(CROWD, OTHER).await;
    all_are_done(&mut others).await;
    let parked = scene.guard.metric("guard_ddl_parked", &[]).await.unwrap();
    assert_eq!(parked, (2 * CROWD + 1) as f64);

    reader.done("COMMIT").await;
    owner.hear().await.unwrap();
    // The writers may be waiting for what it has changed.
    client.hear().await.unwrap();
    client.done("COMMIT").await;
    all_are_done(&mut writers).await;
    all_are_done(&mut readers).await;
    assert_eq!(scene.changes().await, CROWD + 1);
    scene.is_quiet().await;
}

async fn who_prepares_a_statement_waits_as_well(engine: Engine) {
    let scene = Scene::set(engine, PATIENT).await;
    let mut reader = scene.reader().await;
    let mut owner = scene.wanted(ALTER).await;
    let mut client = scene.client().await;
    say_prepared(&mut client).await;
    scene.parked(1).await;
    scene.waiting(1).await;
    reader.done("COMMIT").await;
    owner.hear().await.unwrap();
    scene.is_quiet().await;
}

/// Invariant 4, at a table. The statement itself comes through the guard too.
async fn invariant_4_who_may_hold_locks_and_the_ddl_itself_pass(engine: Engine) {
    let scene = Scene::set(engine, PATIENT).await;
    let mut holder = scene.client().await;
    holder.done("BEGIN").await;
    holder.done(READ).await;
    let mut owner = scene.client().await;
    owner.say(ALTER).await;
    scene.ddl("the change is seen", |ddl| ddl["tables"][0]["table"].is_string()).await;
    // It has the table already, so it does not wait for who wants it.
    holder.done(READ).await;
    let mut second = scene.direct().await;
    second.say("ALTER TABLE account ADD COLUMN most INT").await;
    scene.waiting(2).await;
    scene.parked(0).await;
    holder.done("COMMIT").await;
    owner.hear().await.unwrap();
    second.hear().await.unwrap();
    scene.is_quiet().await;
}

async fn who_gives_up_is_told_why_and_who_leaves_is_forgotten(engine: Engine) {
    let hasty = PATIENT.replace("queue_time = \"50s\"", "queue_time = \"300ms\"") + "parked = 1\n";
    let scene = Scene::set(engine, &hasty).await;
    let mut reader = scene.reader().await;
    let mut owner = scene.wanted(ALTER).await;
    let mut client = scene.client().await;
    let refusal = client.refused(WRITE).await;
    assert_eq!(refusal.code, shed_code(engine), "{refusal:?}");
    for word in
        ["reason=ddl", "limit=0.3", "changed_by=class.default.queue_time", "account", "ALTER TABLE"]
    {
        assert!(refusal.message.contains(word), "{word} is missing: {refusal:?}");
    }
    let refusal = client.refused(&format!("{WRITE} /*deadline_ms='50'*/")).await;
    assert!(refusal.message.contains("changed_by=tag deadline_ms"), "{refusal:?}");
    scene.reload(&(PATIENT.to_owned() + "parked = 1\n"));
    client.say(READ).await;
    scene.parked(1).await;
    let mut late = scene.client().await;
    let refusal = late.refused(READ).await;
    assert!(refusal.message.contains("changed_by=ddl.parked"), "{refusal:?}");
    drop(client);
    scene.parked(0).await;
    late.say(READ).await;
    let ddl = scene.parked(1).await;
    assert_eq!(ddl["counts"]["refused"], 3, "{ddl:#}");
    reader.done("COMMIT").await;
    owner.hear().await.unwrap();
    late.hear().await.unwrap();
    scene.is_quiet().await;
}

async fn a_ddl_that_is_killed_lets_go(engine: Engine) {
    let scene = Scene::set(engine, PATIENT).await;
    let mut reader = scene.reader().await;
    let mut owner = scene.wanted(ALTER).await;
    let mut crowd = scene.crowd(CROWD, WRITE).await;
    let ddl = scene.parked(CROWD).await;
    let backend = &ddl["tables"][0]["backend"];
    let kill = match engine.is_postgres() {
        true => format!("SELECT pg_cancel_backend({backend})"),
        false => format!("KILL QUERY {backend}"),
    };
    scene.direct().await.done(&kill).await;
    owner.hear().await.unwrap_err();
    // The reader is still there.
    all_are_done(&mut crowd).await;
    reader.done("COMMIT").await;
    assert_eq!(scene.changes().await, CROWD);
    scene.is_quiet().await;
}

async fn one_that_waits_for_ever_is_let_alone_after_its_time(engine: Engine) {
    let scene = Scene::set(engine, &(PATIENT.to_owned() + "time = \"1s\"\n")).await;
    let mut reader = scene.reader().await;
    let mut owner = scene.wanted(ALTER).await;
    let mut crowd = scene.crowd(1, WRITE).await;
    // It goes to the database, and waits there.
    scene.waiting(2).await;
    scene.is_quiet().await;
    reader.done("COMMIT").await;
    owner.hear().await.unwrap();
    all_are_done(&mut crowd).await;
}

async fn observing_parks_nobody_and_a_reload_lets_go(engine: Engine) {
    let scene = Scene::set(engine, PATIENT).await;
    let mut reader = scene.reader().await;
    let mut owner = scene.wanted(ALTER).await;
    let mut crowd = scene.crowd(1, WRITE).await;
    scene.parked(1).await;
    scene.reload(&PATIENT.replace("[ddl]\nmode = \"enforce\"", "[ddl]\nmode = \"observe\""));
    scene.waiting(2).await;
    let mut late = scene.crowd(1, WRITE).await;
    scene.waiting(3).await;
    let ddl = scene.parked(0).await;
    assert_eq!(ddl["mode"], "observe");
    assert_eq!(ddl["counts"]["would_park"], 1, "{ddl:#}");
    reader.done("COMMIT").await;
    owner.hear().await.unwrap();
    all_are_done(&mut crowd).await;
    all_are_done(&mut late).await;
    assert_eq!(scene.changes().await, 2);
    scene.is_quiet().await;
}

async fn truncate_is_seen_too(engine: Engine) {
    let scene = Scene::set(engine, PATIENT).await;
    let mut reader = scene.reader().await;
    let mut owner = scene.wanted("TRUNCATE TABLE account").await;
    let mut crowd = scene.crowd(CROWD, READ).await;
    scene.parked(CROWD).await;
    reader.done("COMMIT").await;
    owner.hear().await.unwrap();
    all_are_done(&mut crowd).await;
    scene.is_quiet().await;
}

on_both_engines! {
    the_crowd_waits_in_the_guard_and_others_go_on_and_nothing_is_lost,
    who_prepares_a_statement_waits_as_well,
    invariant_4_who_may_hold_locks_and_the_ddl_itself_pass,
    who_gives_up_is_told_why_and_who_leaves_is_forgotten,
    a_ddl_that_is_killed_lets_go,
    one_that_waits_for_ever_is_let_alone_after_its_time,
    observing_parks_nobody_and_a_reload_lets_go,
    truncate_is_seen_too,
}

mod on_mysql {
    use super::Engine;

    #[tokio::test]
    async fn the_crowd_waits_in_the_guard_and_others_go_on_and_nothing_is_lost() {
        if Engine::MySql.available() {
            super::the_crowd_waits_in_the_guard_and_others_go_on_and_nothing_is_lost(Engine::MySql)
                .await;
        }
    }

    #[tokio::test]
    async fn truncate_is_seen_too() {
        if Engine::MySql.available() {
            super::truncate_is_seen_too(Engine::MySql).await;
        }
    }
}

/// What keeps out writers alone leaves readers to read; and where the guard's own connections are to
/// another database than the table is in, there is only the statement to tell it.
#[tokio::test]
async fn on_postgres_who_only_reads_goes_on_where_only_writers_would_wait() {
    for database in ["app", "postgres"] {
        let scene = Scene::set_before(Engine::Postgres, database, PATIENT).await;
        let mut writer = scene.direct().await;
        writer.done("BEGIN").await;
        writer.done(WRITE).await;
        let mut owner = scene.wanted("CREATE INDEX ON account (n)").await;
        let mut crowd = scene.crowd(CROWD, WRITE).await;
        scene.parked(CROWD).await;
        let mut readers = scene.crowd(CROWD, READ).await;
        all_are_done(&mut readers).await;
        writer.done("COMMIT").await;
        owner.hear().await.unwrap();
        all_are_done(&mut crowd).await;
        assert_eq!(scene.changes().await, CROWD + 1);
        scene.is_quiet().await;
    }
}

/// A change of a table with partitions wants the table first, then each of them: whoever names the table
/// waits at both stations.
#[tokio::test]
async fn on_postgres_a_table_with_partitions_is_kept_until_all_of_them_are_had() {
    let scene = Scene::set(Engine::Postgres, PATIENT).await;
    let mut owner = scene.direct().await;
    owner.done("CREATE TABLE event (id INT, n INT) PARTITION BY RANGE (id)").await;
    owner.done("CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10)").await;
    let mut reader = scene.direct().await;
    reader.done("BEGIN").await;
    reader.done("SELECT n FROM event_1").await;
    // It has the parent, and waits for the partition.
    let mut owner = scene.wanted("ALTER TABLE event ADD COLUMN more INT").await;
    let mut crowd = scene.crowd(2, "SELECT n FROM event").await;
    let mut direct = scene.crowd(2, "SELECT n FROM event_1").await;
    scene.parked(4).await;
    scene.waiting(1).await;
    reader.done("COMMIT").await;
    owner.hear().await.unwrap();
    all_are_done(&mut crowd).await;
    all_are_done(&mut direct).await;
    scene.is_quiet().await;
}
