//! Both ends of a login with real PostgreSQL: the guard logs in at servers, and libpq logs in at the
//! guard. Between them stands a relay that does nothing but pass bytes on.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use guard::account;
use guard::postgres::connect::{ConnectError, Connected, Wishes, cancel, connect};
use guard::postgres::key::BackendKey;
use guard::postgres::login::{Cancel, Entered, Login, LoginContext, login};
use guard::postgres::messages::Messages;
use guard::postgres::stored::random_seed;
use guard::postgres::users::{Asked, DEFAULT_QUERY, Looking, Lookup, Users};
use guard::secret::Secret;
use guard::stream::Stream;
use guard::tls::{ClientTls, Demand, ServerTls, TlsMode};
use guard::upstream::target::{ClearPassword, Target};
use guard::users::Entry;
use harness::*;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use wire::postgres::backend::{Fields, Kind};
use wire::postgres::frontend::put_query;
use wire::postgres::startup::{ALPN, Version};

const MODES: [TlsMode; 5] =
    [TlsMode::Off, TlsMode::Preferred, TlsMode::Required, TlsMode::VerifyCa, TlsMode::VerifyFull];

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
    let account = account::Account::new(account.name, Secret::from(account.password));
    connect(&target(server, mode), &account, &Wishes::control(Some(database.into()))).await
}

fn code_of(result: Result<Connected, ConnectError>) -> [u8; 5] {
    match result {
        Err(ConnectError::Refused(error)) => error.sqlstate,
        other => panic!("{other:?}"),
    }
}

/// The engines that are installed, each with a server of its own.
async fn servers() -> Vec<Server> {
    let mut servers = Vec::new();
    for engine in [
        Engine::Postgres,
        Engine::Postgres14,
        Engine::Postgres16,
        Engine::Postgres17,
        Engine::Postgres18,
    ] {
        if engine.available() {
            servers.push(Server::start(engine).await.unwrap());
        }
    }
    servers
}

/// The version that a server speaks, and how long its keys are then.
fn spoken(server: &Server) -> (Version, usize) {
    match server.engine() {
        Engine::Postgres18 => (Version::V3_2, 32),
        _ => (Version::V3_0, 4),
    }
}

#[tokio::test]
async fn every_account_is_proved_plain_and_by_tls() {
    for server in servers().await {
        for mode in MODES {
            for account in [APP, OPEN, MD5, CONTROL] {
                let connected = log_in(&server, mode, account, "app").await.unwrap();
                assert_eq!(connected.stream.is_tls(), mode != TlsMode::Off, "{mode:?}");
                let key = connected.key.as_ref().unwrap();
                let (version, key_len) = spoken(&server);
                assert_eq!(connected.version, version);
                assert_eq!(key.secret().as_bytes().len(), key_len);
                let setting = |name: &[u8]| {
                    let found = connected.parameters.iter().find(|(found, _)| **found == *name);
                    found.map(|(_, value)| value.to_vec()).unwrap()
                };
                assert_eq!(setting(b"application_name"), b"tidegate");
                assert_eq!(setting(b"session_authorization"), account.name.as_bytes());
                connected.quit().await.unwrap();
            }
        }
    }
}

/// PostgreSQL knows it since 17; older ones hang up.
#[tokio::test]
async fn direct_tls_is_for_servers_that_know_it() {
    for server in servers().await {
        for mode in [TlsMode::Required, TlsMode::VerifyFull] {
            let mut target = target(&server, mode);
            target.tls = target.tls.map(|tls| tls.direct(ALPN));
            let account = account::Account::new(APP.name, Secret::from(APP.password));
            let wishes = Wishes::control(Some(b"app".to_vec()));
            let connected = connect(&target, &account, &wishes).await;
            if matches!(server.engine(), Engine::Postgres17 | Engine::Postgres18) {
                let connected = connected.unwrap();
                assert!(connected.stream.is_tls());
                cancel(&target, connected.key.as_ref().unwrap()).await.unwrap();
                connected.quit().await.unwrap();
            } else {
                assert!(matches!(connected, Err(ConnectError::Tls(_))), "{connected:?}");
            }
        }
    }
}

/// As it is configured: clients are served over it.
#[tokio::test]
async fn a_guard_reaches_its_server_by_direct_tls() {
    if !Engine::Postgres18.available() {
        return;
    }
    let server = Server::start(Engine::Postgres18).await.unwrap();
    let ca = server.ca();
    let upstream = format!(
        "tls = \"required\"\ntls_negotiation = \"direct\"\nca = \"{}\"\nserver_name = \"localhost\"",
        ca.display()
    );
    let guard = Guard::start(&server, &Setup { upstream, ..Setup::default() }).await.unwrap();
    let mut client = PgClient::login(guard.addr(), &APP).await.unwrap();
    let sql = "SELECT count(*) FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
    assert_eq!(pg_done(&mut client, sql).await.value(), Some("1"));
}

#[tokio::test]
async fn the_databases_own_errors_come_back() {
    for server in servers().await {
        let wrong = Account { password: "wrong", ..APP };
        let unknown = Account { name: "nobody", password: "x" };
        for mode in [TlsMode::Off, TlsMode::VerifyFull] {
            assert_eq!(code_of(log_in(&server, mode, wrong, "app").await), *b"28P01");
            assert!(log_in(&server, mode, unknown, "app").await.unwrap_err().is_refusal());
            assert_eq!(code_of(log_in(&server, mode, APP, "nope").await), *b"3D000");
        }
        assert_eq!(code_of(log_in(&server, TlsMode::Off, TLS, "app").await), *b"28000");
        log_in(&server, TlsMode::Required, TLS, "app").await.unwrap();
    }
}

#[tokio::test]
async fn a_statement_is_cancelled_plain_and_by_tls() {
    for server in servers().await {
        let control = server.postgres(&CONTROL).await.unwrap();
        for mode in [TlsMode::Off, TlsMode::VerifyFull] {
            let connected = log_in(&server, mode, APP, "app").await.unwrap();
            let key = connected.key.clone().unwrap();
            let mut messages = Messages::new(connected.stream);
            messages.write(|out| put_query(out, b"SELECT pg_sleep(600)")).await.unwrap();
            let process = key.process_id as i32;
            eventually("the statement runs", PATIENCE, async || {
                let sql = "SELECT count(*) FROM pg_stat_activity \
                           WHERE pid = $1 AND wait_event = 'PgSleep'";
                let row = control.query_one(sql, &[&process]).await.unwrap();
                (row.get::<_, i64>(0) == 1).then_some(())
            })
            .await;
            cancel(&target(&server, mode), &key).await.unwrap();
            assert_eq!(failure(&mut messages).await, *b"57014");
        }
    }
}

/// The SQLSTATE of the error that is due.
async fn failure(messages: &mut Messages<Stream>) -> [u8; 5] {
    loop {
        let (kind, body): (_, BytesMut) = messages.read(Kind::of).await.unwrap();
        if kind == Kind::ErrorResponse {
            return Fields::parse(&body).unwrap().code().unwrap();
        }
    }
}

// === impl Relay ===

/// A guard without anything between its two ends.
struct Relay {
    context: LoginContext,
    target: Target,
    /// Our key of each client, and the database's.
    keys: Mutex<Vec<(BackendKey, BackendKey)>>,
}

impl Relay {
    /// Serves clients until the test is over.
    async fn start(context: LoginContext, target: Target) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let relay = Arc::new(Self { context, target, keys: Mutex::default() });
        tokio::spawn(async move {
            for id in 1 << 30.. {
                let (tcp, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&relay).serve(tcp, id));
            }
        });
        addr
    }

    async fn serve(self: Arc<Self>, tcp: TcpStream, id: u32) {
        match login(tcp.into(), &self.context).await {
            Ok(Entered::Login(login)) => self.pass(*login, id).await,
            Ok(Entered::Cancel(request)) => self.cancel(request).await,
            Err(_) => {}
        }
    }

    async fn pass(&self, mut login: Login, id: u32) {
        let database = Some(login.database.to_vec());
        let wishes = Wishes { database, parameters: login.parameters.clone() };
        let mut connected = match connect(&self.target, &login.account, &wishes).await {
            Ok(connected) => connected,
            Err(ConnectError::Refused(error)) => return login.pass_on(&error).await,
            Err(error) => return login.refuse(b"08006", &error.to_string()).await,
        };
        let own = BackendKey::of_session(id, login.version);
        self.keys.lock().await.push((own.clone(), connected.key.clone().unwrap()));
        login.accept(&connected.parameters, &own).await.unwrap();
        // Either side may hang up as it likes.
        drop(tokio::io::copy_bidirectional(&mut login.stream, &mut connected.stream).await);
    }

    async fn cancel(&self, request: Cancel) {
        let keys = self.keys.lock().await;
        if let Some((_, theirs)) = keys.iter().find(|(own, _)| *own == request.key) {
            cancel(&self.target, theirs).await.unwrap();
        }
    }
}

/// Asks the server of a relay, as the guard's own account.
struct Ask(tokio_postgres::Client);

impl Lookup for Ask {
    fn look_up<'a>(&'a self, user: &'a str) -> Looking<'a> {
        Box::pin(async move {
            let row = self.0.query_opt(DEFAULT_QUERY, &[&user]).await?;
            Ok(row.and_then(|row| row.get::<_, Option<String>>(1)).map(Secret::from))
        })
    }
}

/// How clients are let in who are listed so, or found in the database.
async fn context(server: &Server, listed: &[Account]) -> LoginContext {
    let entry =
        |account: &Account| Entry { user: account.name.into(), secret: account.password.into() };
    let ask = Ask(server.postgres(&CONTROL).await.unwrap());
    let asked = Asked::new(Box::new(ask), Duration::from_secs(30));
    LoginContext {
        tls: Some(Arc::new(ServerTls::self_signed(Demand::Offered).unwrap().speaking(ALPN))),
        users: Arc::new(Users::new(listed.iter().map(entry), Some(asked), random_seed())),
        clear_password: ClearPassword::Refused,
        trusted: Vec::new(),
        timeout: Duration::from_secs(20),
        pacing: Arc::new(Semaphore::new(2)),
    }
}

/// Runs `psql` against a relay.
async fn psql(addr: SocketAddr, account: Account, more: &str, sql: &str) -> Output {
    let Account { name, password } = account;
    let connect = format!(
        "host={} port={} user={name} password={password} dbname=app {more}",
        addr.ip(),
        addr.port()
    );
    let arguments = ["-XAtc", sql, &connect].map(String::from);
    let run =
        move || Command::new(Engine::Postgres.client().unwrap()).args(arguments).output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const WHO: &str = "SELECT current_user, current_setting('application_name')";

/// Listed with the password, looked up with a verifier of SCRAM or with an md5 hash: keys pass
/// through without anybody knowing the password.
#[tokio::test]
async fn libpq_logs_in_and_what_it_proves_is_passed_on() {
    for server in servers().await {
        for mode in [TlsMode::Off, TlsMode::VerifyFull] {
            let context = context(&server, &[OTHER]).await;
            let addr = Relay::start(context, target(&server, mode)).await;
            for account in [OTHER, APP, MD5] {
                for more in ["sslmode=disable", "sslmode=require"] {
                    let more = format!("{more} application_name=me");
                    let output = psql(addr, account, &more, WHO).await;
                    assert_eq!(printed(&output), format!("{}|me", account.name));
                }
            }
            for account in [OTHER, APP] {
                let output = psql(addr, account, "sslmode=require channel_binding=require", WHO);
                assert!(printed(&output.await).starts_with(account.name));
            }
            for account in [
                Account { password: "wrong", ..OTHER },
                Account { password: "wrong", ..APP },
                Account { password: "wrong", ..MD5 },
                Account { name: "nobody", password: "x" },
            ] {
                let output = psql(addr, account, "sslmode=require", WHO).await;
                let name = account.name;
                let denied = format!("FATAL:  password authentication failed for user \"{name}\"");
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(said.contains(&denied), "{said}");
            }
        }
    }
}

/// CVE-2025-2291: a password that has expired proves nothing.
#[tokio::test]
async fn a_password_that_has_expired_is_none() {
    for server in servers().await {
        let root = server.postgres_root().await.unwrap();
        let sql = "CREATE ROLE late LOGIN PASSWORD 'x' VALID UNTIL '2020-01-01'; \
                   CREATE ROLE early LOGIN PASSWORD 'x' VALID UNTIL 'infinity'; \
                   CREATE ROLE nologin PASSWORD 'x'";
        root.batch_execute(sql).await.unwrap();
        let context = context(&server, &[]).await;
        let from = server.addr().ip();
        let password = |name| Account { name, password: "x" };
        assert!(context.users.find("early", from).await.is_ok());
        let addr = Relay::start(context, target(&server, TlsMode::Off)).await;
        assert!(psql(addr, password("early"), "", WHO).await.status.success());
        assert!(!psql(addr, password("late"), "", WHO).await.status.success());
        assert!(!psql(addr, password("nologin"), "", WHO).await.status.success());
    }
}

#[tokio::test]
async fn the_databases_refusal_is_passed_on() {
    for server in servers().await {
        let context = context(&server, &[APP]).await;
        let addr = Relay::start(context, target(&server, TlsMode::Off)).await;
        let output = psql(addr, APP, "dbname=nope", WHO).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("FATAL:  database \"nope\" does not exist"), "{said}");
    }
}

#[tokio::test]
async fn a_drivers_cancel_reaches_the_statement() {
    for server in servers().await {
        let control = server.postgres(&CONTROL).await.unwrap();
        let context = context(&server, &[APP]).await;
        let addr = Relay::start(context, target(&server, TlsMode::Off)).await;
        let client = drill::server::postgres::connect(&APP.config(addr)).await.unwrap();
        let token = client.cancel_token();
        let sleeps =
            tokio::spawn(async move { client.batch_execute("SELECT pg_sleep(600)").await });
        eventually("the statement runs", PATIENCE, async || {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
            let row = control.query_one(sql, &[]).await.unwrap();
            (row.get::<_, i64>(0) == 1).then_some(())
        })
        .await;
        token.cancel_query(tokio_postgres::NoTls).await.unwrap();
        let error = sleeps.await.unwrap().unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some("57014"));
    }
}
