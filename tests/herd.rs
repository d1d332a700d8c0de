//! The database is restarted under two hundred clients: it is not met by two hundred logins at once, and
//! is given little to do at first.

use std::time::Duration;

use harness::*;
use tokio::task::JoinSet;

const CLIENTS: usize = 200;
/// More than come back in the first second.
const CONNECTIONS: u32 = 100;
/// What the guard opens besides: two that cancel, and one that observes. Each may try twice.
const RESERVED: u64 = 6;
/// Logins that are under way at a time.
const AT_ONCE: f64 = 2.0;
const SAVED_UP: f64 = 20.0;
const SOON: Duration = Duration::from_secs(60);

/// What asks how many connections the server has taken since its start, and how long ago that was, in
/// seconds. Both are the server's own, so however slow this machine is, they belong together.
fn count_sql(engine: Engine) -> &'static str {
    match engine {
        _ if engine.is_postgres() => {
            "SELECT concat((SELECT sum(sessions) FROM pg_stat_database), ' ', \
             extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()))"
        }
        Engine::MySql => {
            "SELECT CONCAT(MAX(IF(VARIABLE_NAME = 'Connections', VARIABLE_VALUE, '')), ' ', \
             MAX(IF(VARIABLE_NAME = 'Uptime', VARIABLE_VALUE, ''))) \
             FROM performance_schema.global_status"
        }
        _ => {
            "SELECT CONCAT(MAX(IF(VARIABLE_NAME = 'CONNECTIONS', VARIABLE_VALUE, '')), ' ', \
             MAX(IF(VARIABLE_NAME = 'UPTIME', VARIABLE_VALUE, ''))) \
             FROM information_schema.GLOBAL_STATUS"
        }
    }
}

/// What it says.
async fn counted(root: &mut Caller, engine: Engine) -> (f64, f64) {
    let told = root.done(count_sql(engine)).await.unwrap();
    let (count, seconds) = told.split_once(' ').unwrap();
    (count.parse().unwrap(), seconds.parse().unwrap())
}

/// Connections that may have come so many seconds after the start: those that waited for it, those that
/// were saved up where it was away too shortly for a login to fail, and twenty a second to begin with, half as
/// many more each second.
fn paced(seconds: f64) -> f64 {
    // Uptime is told in whole seconds.
    let whole = (seconds + 1.0).ceil();
    AT_ONCE + SAVED_UP + 20.0 * (1.5_f64.powf(whole) - 1.0) / 0.5
}

async fn a_restart_is_met_by_few_logins_and_little_work(engine: Engine) {
    let mut server = Server::start(engine).await.unwrap();
    let setup = Setup { connections: CONNECTIONS, ..Setup::default() };
    let guard = Guard::start(&server, &setup).await.unwrap();
    let mut clients = JoinSet::new();
    let (addr, work) = (guard.addr(), sleep_sql(engine));
    for _ in 0..CLIENTS {
        clients.spawn(async move {
            let mut client = Caller::login(engine, addr, &APP).await.unwrap();
            loop {
                // While the database is away it is refused; then it tries again, as clients do.
                let _told = client.ask(work).await;
            }
        });
    }
    let connects = async || guard.metric("guard_upstream_connects_total", &["ok"]).await.unwrap();
    eventually("all connections are in use", SOON, async || {
        (connects().await >= f64::from(CONNECTIONS)).then_some(())
    })
    .await;
    let mut root = Caller::login(engine, server.addr(), &ROOT).await.unwrap();
    // By its uptime the restart is told, give or take two seconds.
    eventually("the server has run for a while", SOON, async || {
        (counted(&mut root, engine).await.1 > 8.0).then_some(())
    })
    .await;
    let before = connects().await;
    server.crash();
    server.restart().await.unwrap();
    root = Caller::login(engine, server.addr(), &ROOT).await.unwrap();
    eventually("the guard has its connections again", SOON, async || {
        let (count, seconds) = counted(&mut root, engine).await;
        let most = paced(seconds) + RESERVED as f64 + 3.0;
        assert!(count <= most, "{count} connections {seconds} s after its start");
        (connects().await >= before + f64::from(CONNECTIONS) * 0.9).then_some(())
    })
    .await;
    eventually("the observer has seen that it was restarted", SOON, async || {
        let changes = guard.metric("guard_database_role_changes_total", &[]).await.unwrap();
        (changes == 1.0).then_some(())
    })
    .await;
    clients.abort_all();
}

/// Work that keeps a connection for a moment, so that there are never enough of them.
fn sleep_sql(engine: Engine) -> &'static str {
    if engine.is_postgres() { "SELECT pg_sleep(0.3)" } else { "SELECT SLEEP(0.3)" }
}

on_both_engines! {
    a_restart_is_met_by_few_logins_and_little_work,
}
