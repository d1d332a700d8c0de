//! A herd of clients that connect again and again: hashing passwords is their work, not the guard's.

use std::time::Duration;

use harness::*;
use wire::postgres::auth::scram::Keys;

/// How often each account logs in.
const LOGINS: u32 = 100;
/// As PostgreSQL has it by default, and the guard.
const ITERATIONS: u32 = 4096;

/// What hashing a password takes of the CPU, that many times.
fn hashing(times: u32) -> Duration {
    let before = cpu_time(std::process::id());
    for number in 0..times {
        let keys = Keys::derive(APP.password.as_bytes(), &number.to_be_bytes(), ITERATIONS);
        std::hint::black_box(keys);
    }
    cpu_time(std::process::id()) - before
}

/// One is listed with its password, the other looked up, where the database keeps its verifier. In
/// both cases the client's proof is held against keys that were computed once, if at all.
#[tokio::test]
async fn a_login_by_scram_costs_the_guard_less_than_hashing_a_password() {
    let server = Server::start(Engine::Postgres).await.unwrap();
    let guard = Guard::start(&server, &Setup::default()).await.unwrap();
    let hashing = hashing(LOGINS);
    for account in [APP, ROOT] {
        drop(PgClient::login(guard.addr(), &account).await.unwrap());
        let before = cpu_time(guard.id());
        for _ in 0..LOGINS {
            drop(PgClient::login(guard.addr(), &account).await.unwrap());
        }
        let logins = cpu_time(guard.id()) - before;
        let name = account.name;
        eprintln!("{LOGINS} logins of {name}: {logins:?}; hashing as many passwords: {hashing:?}");
        assert!(logins < hashing, "{name}: {logins:?}, and hashing takes {hashing:?}");
    }
}
