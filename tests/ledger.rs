//! The ledger on real servers: what every store promises, a store that goes away, and schedulers that
//! are killed and frozen while they work.
//!
//! The crash test plays for `TG_SECONDS` on each store, ten by default; `TG_SEED` plays the same
//! deaths again, as far as the machine's own timing lets it.

#[path = "../scheduler/tests/ledger/contract.rs"]
mod contract;
#[path = "ledger/crash.rs"]
mod crash;
#[path = "ledger/sink.rs"]
mod sink;

use std::time::Duration;

use contract::{Outcome, due, plan, terms, wish, work_off};
use harness::*;
use scheduler::ledger::{Ledger, LedgerError};

/// The URL of a database of a server, made when it is not there.
async fn database(server: &Server, name: &str) -> String {
    let (scheme, addr) =
        (if server.engine().is_postgres() { "postgres" } else { "mysql" }, server.addr());
    let url = |name: &str| format!("{scheme}://{}:{}@{addr}/{name}", APP.name, APP.password);
    sink::run(&url("app"), &format!("CREATE DATABASE {name}")).await.unwrap();
    url(name)
}

async fn keeps_the_contract(engine: Engine) -> Outcome {
    if !engine.available() {
        return Ok(());
    }
    let server = Server::start(engine).await?;
    for (name, check) in contract::CHECKS {
        eprintln!("{engine}: {name}");
        let url = database(&server, &format!("app_{name}")).await;
        check(url).await.map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

async fn survives_its_store(engine: Engine) -> Outcome {
    if !engine.available() {
        return Ok(());
    }
    // Private servers of MariaDB forget the last second when they are killed; a ledger's must not.
    let durable = (!engine.is_postgres()).then(|| "--innodb-flush-log-at-trx-commit=1".to_owned());
    let arguments = durable.into_iter().collect();
    let mut server = Server::start(Settings { arguments, ..Settings::usual(engine) }).await?;
    let ledger = Ledger::open(&database(&server, "app_gone").await, 2).await?;
    plan(&ledger, &terms("a"), &[5, 5, 5], due(&ledger).await?).await?;
    let mut claim = ledger.claim(&wish(1)).await?.pop().ok_or("nothing is due")?;
    claim.progress.sent(0, Duration::ZERO);
    ledger.flush(&mut claim.lease, &mut claim.progress).await?;
    server.crash();
    claim.progress.sent(1, Duration::ZERO);
    let gone = ledger.flush(&mut claim.lease, &mut claim.progress).await;
    assert!(matches!(gone, Err(LedgerError::Unavailable(_))), "{gone:?}");
    assert!(ledger.claim(&wish(1)).await.is_err());
    server.restart().await?;
    // Connections that were open when it went are found out one by one.
    let until = Deadline::after(PATIENCE);
    while ledger.flush(&mut claim.lease, &mut claim.progress).await.is_err() {
        assert!(!until.is_over(), "it does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ledger.report("a").await?.tally.sent, 2);
    ledger.release(claim.lease, &mut claim.progress).await?;
    work_off(&ledger, "a").await?;
    let audit = ledger.audit("a").await?;
    assert!(audit.closes() && audit.sent == 15, "{audit:?}");
    Ok(())
}

async fn loses_and_doubles_nothing(engine: Engine) -> Outcome {
    if !engine.available() {
        return Ok(());
    }
    let server = Server::start(engine).await?;
    crash::play(&engine.to_string(), &database(&server, "app_crash").await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_keeps_the_contract() -> Outcome {
    keeps_the_contract(Engine::MariaDb).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_keeps_the_contract() -> Outcome {
    keeps_the_contract(Engine::MySql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract() -> Outcome {
    keeps_the_contract(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_18_keeps_the_contract() -> Outcome {
    keeps_the_contract(Engine::Postgres18).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_that_goes_away_is_told_and_nothing_is_lost() -> Outcome {
    survives_its_store(Engine::MariaDb).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_goes_away_is_told_and_nothing_is_lost() -> Outcome {
    survives_its_store(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn schedulers_killed_and_frozen_on_mariadb_lose_and_double_nothing() -> Outcome {
    loses_and_doubles_nothing(Engine::MariaDb).await
}

#[tokio::test(flavor = "multi_thread")]
async fn schedulers_killed_and_frozen_on_mysql_lose_and_double_nothing() -> Outcome {
    loses_and_doubles_nothing(Engine::MySql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn schedulers_killed_and_frozen_on_postgres_lose_and_double_nothing() -> Outcome {
    loses_and_doubles_nothing(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn schedulers_killed_and_frozen_on_sqlite_lose_and_double_nothing() -> Outcome {
    let folder = Scratch::new()?;
    crash::play("SQLite", &format!("sqlite:{}", folder.path().join("ledger.db").display())).await
}
