//! A pile-up behind one transaction is undone by ending that one, on real servers: the many that wait go
//! on, who held them up is told, and both keep their connections.

use std::time::Duration;

use harness::*;
use serde_json::Value;
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(30);

/// Enough for a pile-up, and fewer than there are connections.
const WAITERS: usize = 10;

/// Time limits that end nothing here. Nobody is ended before all are there.
const PATIENT: &str = "[class.default]\nstatement_time = \"off\"\ntransaction_time = \"off\"\n\
                       idle_in_transaction_time = \"off\"\nlock_wait_time = \"50s\"\n\
                       [melt]\nmode = \"enforce\"\nage_min = \"3s\"";

/// A server with one row, and a guard before it.
struct Scene {
    server: Server,
    guard: Guard,
    crowd: JoinSet<Told>,
}

impl Scene {
    async fn set(engine: Engine, sections: &str) -> Self {
        let server = Server::start(engine).await.unwrap();
        let mut owner = Caller::login(engine, server.addr(), &APP).await.unwrap();
        owner.done("CREATE TABLE account (id INT PRIMARY KEY, n INT)").await;
        owner.done("INSERT INTO account VALUES (1, 0), (2, 0)").await;
        let setup = Setup { connections: 24, ..Setup::with(sections) };
        let guard = Guard::start(&server, &setup).await.unwrap();
        Self { server, guard, crowd: JoinSet::new() }
    }

    async fn client(&self) -> Caller {
        Caller::login(self.server.engine(), self.guard.addr(), &APP).await.unwrap()
    }

    /// A client of the guard that has changed the row, in a transaction that stays open.
    async fn holder(&self) -> Caller {
        let mut holder = self.client().await;
        hold(&mut holder).await;
        holder
    }

    /// Has ten clients wait for the row.
    async fn pile_up(&mut self) {
        let mut clients = Vec::new();
        for _ in 0..WAITERS {
            let mut client = self.client().await;
            // In a transaction, so that no freeze holds up those who come last.
            client.done("BEGIN").await;
            client.done("SELECT 1").await;
            clients.push(client);
        }
        for mut client in clients {
            self.crowd.spawn(async move {
                client.ask("UPDATE account SET n = n + 1 WHERE id = 1").await?;
                client.ask("COMMIT").await
            });
        }
        let server = &self.server;
        eventually("all of them wait", SOON, async || {
            (open_on(server, &APP).await.waiting as usize == WAITERS).then_some(())
        })
        .await;
    }

    /// The newest incident, once it is `so`.
    async fn incident(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let seen = eventually(what, SOON, async || {
            let incidents = self.guard.json("/api/v1/incidents").await.unwrap();
            last = incidents.get(0).cloned().unwrap_or_default();
            so(&last).then_some(())
        });
        seen.await;
        last
    }

    /// All who waited have done their work.
    async fn crowd_is_done(&mut self) {
        while let Some(told) = self.crowd.join_next().await {
            told.unwrap().unwrap();
        }
    }

    async fn count(&self, metric: &str, cause: &str) -> f64 {
        self.guard.metric(metric, &[&format!("cause=\"{cause}\"")]).await.unwrap()
    }

    /// Whether anybody was ended, or would have been.
    async fn acts(&self) -> f64 {
        let done = self.guard.metric("guard_melt_acts_total", &[]).await.unwrap();
        done + self.guard.metric("guard_melt_would_acts_total", &[]).await.unwrap()
    }
}

async fn hold(holder: &mut Caller) {
    holder.done("BEGIN").await;
    holder.done("UPDATE account SET n = n + 100 WHERE id = 1").await;
}

/// The code of what the guard has ended.
fn ended_code(engine: Engine) -> &'static str {
    match engine {
        Engine::MariaDb => "1969",
        Engine::MySql => "3024",
        _ => "25P03",
    }
}

async fn a_silent_holder_costs_one_act_and_the_waiters_go_on(engine: Engine) {
    let mut scene = Scene::set(engine, PATIENT).await;
    let mut holder = scene.holder().await;
    scene.pile_up().await;
    scene.crowd_is_done().await;

    let incident = scene.incident("it is over", |one| one["lasted_ms"].is_u64()).await;
    let acts = incident["acts"].as_array().unwrap();
    assert_eq!(acts.len(), 1, "one for ten: {incident:#}");
    assert_eq!(acts[0]["cause"], "idle_blocker", "{incident:#}");
    assert_eq!(acts[0]["answer"], "rolled back", "{incident:#}");
    assert_eq!(acts[0]["behind"], WAITERS, "{incident:#}");
    assert!(acts[0]["gone_after_ms"].is_u64(), "a look did not find it any more: {incident:#}");
    assert_eq!(incident["blocked"], WAITERS, "{incident:#}");
    let root = &incident["roots"][0];
    assert_eq!(root["holder"]["client"]["class"], "default", "{incident:#}");
    // PostgreSQL names tables of the database alone that the control connections are in.
    let on = if engine.is_postgres() { "row " } else { "account" };
    assert!(root["on"].as_str().unwrap().contains(on), "{incident:#}");
    let statement = root["holder"]["statement"].as_str().unwrap();
    assert!(!statement.contains("100"), "values are nobody's business: {incident:#}");
    assert_eq!(scene.count("guard_melt_acts_total", "idle_blocker").await, 1.0);
    assert_eq!(scene.acts().await, 1.0);
    assert_eq!(scene.guard.metric("guard_melt_piled_up", &[]).await.unwrap(), 0.0);

    // Its client is told what was measured, and its connection lives.
    let refusal = holder.refused("UPDATE account SET n = n + 100 WHERE id = 1").await;
    assert_eq!(refusal.code, ended_code(engine), "{refusal:?}");
    for word in ["reason=melt", "cause=idle_blocker", "waiters=10", "changed_by=melt.mode"] {
        assert!(refusal.message.contains(word), "{word} is missing: {refusal:?}");
    }
    holder.done("ROLLBACK").await;
    hold(&mut holder).await;
    holder.done("COMMIT").await;
    let n = holder.done("SELECT n FROM account WHERE id = 1").await;
    assert_eq!(n.as_deref(), Some("110"), "ten of the waiters, and the second try");
}

/// What is refused first, and what nobody is old enough for to be ended.
const FREEZES: &str = "[class.batch]\nsheddable = true\n\
    [[rule]]\nname = \"jobs\"\nclass = \"batch\"\ntag = { job = \"*\" }\n";

/// Most pile-ups end by this: nothing new is added, and those who hold locks come to their end.
async fn a_freeze_holds_up_writers_refuses_batches_and_lets_readers_and_commits_pass(
    engine: Engine,
) {
    let sections = format!("{FREEZES}{}", PATIENT.replace("3s", "1h"));
    let mut scene = Scene::set(engine, &sections).await;
    let mut holder = scene.holder().await;
    let mut batch = scene.client().await;
    let mut reader = scene.client().await;
    let mut writer = scene.client().await;
    let writes = tokio::spawn(async move {
        // Again and again: one of them comes while it is frozen.
        while writer.ask("UPDATE account SET n = n + 1 WHERE id = 2").await.is_ok() {}
    });
    scene.pile_up().await;
    let mut last = None;
    eventually("a batch is refused", SOON, async || {
        last = batch.ask("UPDATE account SET n = n + 1 WHERE id = 2 /* job='mail' */").await.err();
        last.is_some().then_some(())
    })
    .await;
    let refusal = last.unwrap();
    assert_eq!(refusal.code, shed_code(engine), "{refusal:?}");
    for word in ["class=batch", "reason=melt", "retry_after_ms=", "changed_by=melt.mode"] {
        assert!(refusal.message.contains(word), "{word} is missing: {refusal:?}");
    }
    reader.done("SELECT n FROM account WHERE id = 1").await;
    eventually("a writer is held up", SOON, async || {
        let held = scene.guard.metric("guard_melt_held_total", &[]).await.unwrap();
        (held > 0.0).then_some(())
    })
    .await;
    holder.done("COMMIT").await;
    scene.crowd_is_done().await;
    let incident = scene.incident("it is over", |one| one["lasted_ms"].is_u64()).await;
    assert_eq!(incident["steps"][0]["phase"], "freezing", "{incident:#}");
    assert!(incident["steps"][0]["blocked"].as_u64() >= Some(4), "{incident:#}");
    assert!(incident["held"].as_u64() > Some(0), "{incident:#}");
    assert!(incident["shed"].as_u64() > Some(0), "{incident:#}");
    assert_eq!(scene.acts().await, 0.0, "nobody was ended: {incident:#}");
    let shed = scene.guard.metric("guard_sheds_total", &["class=\"batch\"", "reason=\"melt\""]);
    assert!(shed.await.unwrap() > 0.0);
    eventually("writers are let in again, to the last", SOON, async || {
        let share = scene.guard.metric("guard_melt_write_share", &[]).await.unwrap();
        (share == 1.0).then_some(())
    })
    .await;
    writes.abort();
}

async fn a_working_holder_is_cancelled_and_told(engine: Engine) {
    let mut scene = Scene::set(engine, PATIENT).await;
    let mut holder = scene.holder().await;
    // It takes for ever, and ends with an error when it is cancelled.
    let work = match engine {
        _ if engine.is_postgres() => "SELECT pg_sleep(3600)",
        _ => {
            "SELECT COUNT(*) FROM information_schema.COLLATIONS a, information_schema.COLLATIONS b, \
             information_schema.COLLATIONS c, information_schema.COLLATIONS d"
        }
    };
    holder.say(work).await;
    scene.pile_up().await;
    scene.crowd_is_done().await;
    let refusal = holder.hear().await.unwrap_err();
    for word in ["reason=melt", "cause=root_blocker", "waiters=10"] {
        assert!(refusal.message.contains(word), "{word} is missing: {refusal:?}");
    }
    assert!(holder.ask("SELECT 1").await.is_err(), "its transaction is over");
    holder.done("ROLLBACK").await;
    assert_eq!(holder.done("SELECT n FROM account WHERE id = 1").await.as_deref(), Some("10"));
    assert_eq!(scene.acts().await, 1.0);
    assert_eq!(scene.count("guard_melt_acts_total", "root_blocker").await, 1.0);
}

async fn observing_counts_and_does_nothing(engine: Engine) {
    let mut scene = Scene::set(engine, &PATIENT.replace("enforce", "observe")).await;
    let mut holder = scene.holder().await;
    scene.pile_up().await;
    let is_decided = |one: &Value| one["acts"][0]["is_ordered"] == false;
    scene.incident("it is told whom it would end", is_decided).await;
    assert_eq!(scene.count("guard_melt_would_acts_total", "idle_blocker").await, 1.0);
    assert_eq!(open_on(&scene.server, &APP).await.waiting as usize, WAITERS, "all still wait");
    holder.done("COMMIT").await;
    scene.crowd_is_done().await;
    assert_eq!(holder.done("SELECT n FROM account WHERE id = 1").await.as_deref(), Some("110"));
    assert_eq!(scene.acts().await, 1.0, "nothing was done");
}

/// One that did not come through the guard holds the others up.
async fn a_stranger_is_left_alone(engine: Engine) {
    let mut scene = Scene::set(engine, PATIENT).await;
    let mut holder = Caller::login(engine, scene.server.addr(), &APP).await.unwrap();
    hold(&mut holder).await;
    scene.pile_up().await;
    let is_told = |one: &Value| one["roots"][0]["spared"].is_string();
    let incident = scene.incident("why it is left alone is told", is_told).await;
    let spared = incident["roots"][0]["spared"].as_str().unwrap();
    assert!(spared.contains("melt.others"), "{incident:#}");
    // It was weighed, and so were those that wait for it.
    scene.incident("a second has passed", |one| one["waited_ms"].as_u64() > Some(10_000)).await;
    assert_eq!(scene.acts().await, 0.0);
    holder.done("COMMIT").await;
    scene.crowd_is_done().await;
}

async fn a_stranger_is_ended_where_that_is_configured(engine: Engine) {
    let mut scene = Scene::set(engine, &format!("{PATIENT}\nothers = true")).await;
    let mut holder = Caller::login(engine, scene.server.addr(), &APP).await.unwrap();
    hold(&mut holder).await;
    scene.pile_up().await;
    scene.crowd_is_done().await;
    holder.closed().await;
    let incident = scene.incident("it is over", |one| one["lasted_ms"].is_u64()).await;
    assert_eq!(incident["acts"].as_array().unwrap().len(), 1, "{incident:#}");
}

on_both_engines! {
    a_freeze_holds_up_writers_refuses_batches_and_lets_readers_and_commits_pass,
    a_silent_holder_costs_one_act_and_the_waiters_go_on,
    a_working_holder_is_cancelled_and_told,
    observing_counts_and_does_nothing,
    a_stranger_is_left_alone,
    a_stranger_is_ended_where_that_is_configured,
}

/// A COMMIT takes as long as its replica does, here for ever, and keeps its locks meanwhile.
#[tokio::test]
async fn who_commits_is_never_touched() {
    let mut scene = Scene::set(Engine::Postgres, PATIENT).await;
    let mut holder = scene.holder().await;
    let probe = scene.server.postgres_probe().await.unwrap();
    let set = async |sql: &str| {
        probe.client().batch_execute(sql).await.unwrap();
        probe.client().batch_execute("SELECT pg_reload_conf()").await.unwrap();
    };
    set("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    let mut other = Caller::login(Engine::Postgres, scene.server.addr(), &APP).await.unwrap();
    eventually("commits wait for a replica", SOON, async || {
        other.say("UPDATE account SET n = 0 WHERE id = 2").await;
        let waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let waiting = probe.client().query(waits, &[]).await.unwrap();
        (!waiting.is_empty()).then_some(())
    })
    .await;
    holder.say("COMMIT").await;
    scene.pile_up().await;
    let is_told = |one: &Value| {
        let spared = one["roots"][0]["spared"].as_str();
        spared == Some("it is being committed") && one["waited_ms"].as_u64() > Some(30_000)
    };
    scene.incident("it is seen to commit, and three seconds pass", is_told).await;
    assert_eq!(scene.acts().await, 0.0);
    set("ALTER SYSTEM RESET synchronous_standby_names").await;
    holder.hear().await.unwrap();
    scene.crowd_is_done().await;
    assert_eq!(holder.done("SELECT n FROM account WHERE id = 1").await.as_deref(), Some("110"));
}

/// MySQL answers a SLEEP() that was killed as if it had ended by itself.
async fn a_holder_whose_statement_is_killed_without_an_error_is_rolled_back_all_the_same(
    engine: Engine,
) {
    let mut scene = Scene::set(engine, PATIENT).await;
    let mut holder = scene.holder().await;
    holder.say("SELECT SLEEP(3600)").await;
    scene.pile_up().await;
    scene.crowd_is_done().await;
    let _slept = holder.hear().await;
    let refusal = holder.refused("UPDATE account SET n = n + 100 WHERE id = 1").await;
    assert!(refusal.message.contains("reason=melt"), "{refusal:?}");
    holder.done("ROLLBACK").await;
    assert_eq!(holder.done("SELECT n FROM account WHERE id = 1").await.as_deref(), Some("10"));
    let told = scene.incident("it is told", |one| one["acts"][0]["answer"].is_string()).await;
    assert_eq!(told["acts"][0]["answer"], "rolled back", "{told:#}");
    assert_eq!(scene.acts().await, 1.0, "{told:#}");
}

#[tokio::test]
async fn on_mariadb_a_holder_whose_statement_is_killed_is_rolled_back() {
    a_holder_whose_statement_is_killed_without_an_error_is_rolled_back_all_the_same(
        Engine::MariaDb,
    )
    .await;
}

mod on_mysql {
    use super::Engine;

    #[tokio::test]
    async fn a_holder_whose_statement_is_killed_without_an_error_is_rolled_back_all_the_same() {
        if Engine::MySql.available() {
            super::a_holder_whose_statement_is_killed_without_an_error_is_rolled_back_all_the_same(
                Engine::MySql,
            )
            .await;
        }
    }

    #[tokio::test]
    async fn a_silent_holder_costs_one_act_and_the_waiters_go_on() {
        if Engine::MySql.available() {
            super::a_silent_holder_costs_one_act_and_the_waiters_go_on(Engine::MySql).await;
        }
    }

    #[tokio::test]
    async fn a_working_holder_is_cancelled_and_told() {
        if Engine::MySql.available() {
            super::a_working_holder_is_cancelled_and_told(Engine::MySql).await;
        }
    }
}
