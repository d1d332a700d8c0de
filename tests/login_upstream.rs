//! The guard logs in at real databases: every plugin, plain and by TLS, cold caches included.

use std::sync::Arc;
use std::time::Duration;

use guard::mysql::connect::{ConnectError, Connected, Wishes, connect, probe};
use guard::mysql::users;
use guard::secret::Secret;
use guard::tls::{ClientTls, TlsMode};
use guard::upstream::target::{ClearPassword, Target};
use harness::{APP, Account, CONTROL, ED25519, Engine, OPEN, Server, TLS};

/// How the guard reaches `server`.
fn target(server: &Server, mode: TlsMode) -> Target {
    Target {
        address: server.addr().into(),
        tls: ClientTls::load(mode, "localhost", Some(&server.ca())).unwrap(),
        connect_timeout: Duration::from_secs(20),
        clear_password: ClearPassword::Refused,
    }
}

async fn log_in(
    server: &Server,
    mode: TlsMode,
    account: Account,
    database: &str,
) -> Result<Connected, ConnectError> {
    let account = guard::account::Account::new(account.name, Secret::from(account.password));
    let wishes = Wishes { database: Some(database.into()), ..Wishes::control() };
    connect(&target(server, mode), &account, &wishes).await
}

fn code_of(result: Result<Connected, ConnectError>) -> u16 {
    match result {
        Err(ConnectError::Refused(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

/// The engines that are installed, each with a server of its own.
async fn servers() -> Vec<Server> {
    let mut servers = Vec::new();
    for engine in [Engine::MariaDb, Engine::MySql] {
        if engine.available() {
            servers.push(Server::start(engine).await.unwrap());
        }
    }
    servers
}

#[tokio::test]
async fn every_account_is_proved_plain_and_by_tls() {
    for server in servers().await {
        let mut accounts = vec![APP, OPEN, CONTROL];
        if server.engine() == Engine::MariaDb {
            accounts.push(ED25519);
        }
        for mode in [
            TlsMode::Off,
            TlsMode::Preferred,
            TlsMode::Required,
            TlsMode::VerifyCa,
            TlsMode::VerifyFull,
        ] {
            for account in &accounts {
                let database = if *account == CONTROL { "information_schema" } else { "app" };
                let connected = log_in(&server, mode, *account, database).await.unwrap();
                assert_eq!(connected.mariadb, server.engine() == Engine::MariaDb);
                assert_eq!(connected.stream.is_tls(), mode != TlsMode::Off, "{mode:?}");
                assert!(connected.thread_id > 0);
                connected.quit().await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn the_databases_own_errors_come_back() {
    for server in servers().await {
        let wrong = Account { password: "wrong", ..APP };
        let unknown = Account { name: "nobody", password: "x" };
        for mode in [TlsMode::Off, TlsMode::VerifyFull] {
            assert_eq!(code_of(log_in(&server, mode, wrong, "app").await), 1045);
            assert!(log_in(&server, mode, unknown, "app").await.unwrap_err().is_refusal());
            let denied = code_of(log_in(&server, mode, APP, "nope").await);
            assert!(matches!(denied, 1044 | 1049), "{denied}");
        }
        assert_eq!(code_of(log_in(&server, TlsMode::Off, TLS, "app").await), 1045);
        log_in(&server, TlsMode::Required, TLS, "app").await.unwrap();
    }
}

/// `caching_sha2_password` forgets its cache at each start: then it asks for the password itself.
#[tokio::test]
async fn a_cold_cache_is_warmed_by_rsa_or_by_tls() {
    for mut server in servers().await {
        for mode in [TlsMode::Off, TlsMode::VerifyFull] {
            server.restart().await.unwrap();
            for attempt in ["cold", "warm"] {
                let connected = log_in(&server, mode, APP, "app").await;
                assert!(connected.is_ok(), "{attempt} {mode:?}: {connected:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_probe_tells_what_the_server_is() {
    for server in servers().await {
        let target = target(&server, TlsMode::Off);
        let account = guard::account::Account::new(CONTROL.name, Secret::from(CONTROL.password));
        let greeting = probe(&target, Some(&account)).await.unwrap();
        assert_eq!(greeting.mariadb, server.engine() == Engine::MariaDb);
        assert_eq!(greeting.version.contains("MariaDB"), greeting.mariadb);
    }
}

#[tokio::test]
async fn accounts_that_no_list_holds_are_verified_by_the_database() {
    for server in servers().await {
        let target = Arc::new(target(&server, TlsMode::VerifyFull));
        let verifier = users::Verifier::new(users::VerifierOptions::new(target));
        let users = users::Users::new([], Some(verifier));
        let from = server.addr().ip();
        let verify =
            async |name, password: &str| users.verify(name, Secret::from(password), from).await;
        let account = verify(APP.name, APP.password).await.unwrap();
        assert_eq!(account.password(), Some(&Secret::from(APP.password)));
        assert!(verify(OPEN.name, "").await.is_ok());
        for (name, password) in [(APP.name, "wrong"), ("nobody", "x"), (OPEN.name, "x")] {
            let denied = verify(name, password).await;
            assert!(matches!(denied, Err(users::Denial::Wrong)), "{name}: {denied:?}");
        }
    }
}
