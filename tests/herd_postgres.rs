//! A herd of clients: hashing passwords is their work, not the guard's, and the database sees few of
//! them at a time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use harness::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
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

/// Stands before a server, and lets logins through only as it is told to.
struct Doorkeeper {
    addr: SocketAddr,
    /// Connections whose login is not over.
    knocking: Arc<AtomicUsize>,
    /// The most of them that there were at once.
    most: Arc<AtomicUsize>,
    /// Logins that may go on.
    lets_in: Arc<Semaphore>,
}

impl Doorkeeper {
    async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let keeper = Self {
            addr: listener.local_addr().unwrap(),
            knocking: Arc::default(),
            most: Arc::default(),
            lets_in: Arc::new(Semaphore::new(0)),
        };
        let (knocking, most) = (Arc::clone(&keeper.knocking), Arc::clone(&keeper.most));
        let lets_in = Arc::clone(&keeper.lets_in);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                most.fetch_max(knocking.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
                let (knocking, lets_in) = (Arc::clone(&knocking), Arc::clone(&lets_in));
                tokio::spawn(async move {
                    lets_in.acquire().await.unwrap().forget();
                    // Either side may hang up as it likes.
                    let _ended = relay(client, server, &knocking).await;
                });
            }
        });
        keeper
    }
}

/// Passes bytes on; the login is over with the first ReadyForQuery.
async fn relay(
    mut client: TcpStream,
    server: SocketAddr,
    knocking: &AtomicUsize,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let mut is_in = false;
    let (mut asked, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read? {
                0 => return Ok(()),
                len => server.write_all(&asked[..len]).await?,
            },
            read = server.read(&mut answered) => {
                let answer = &answered[..read?];
                if !is_in && matches!(answer, [.., b'Z', 0, 0, 0, 5, _]) {
                    is_in = true;
                    knocking.fetch_sub(1, Ordering::AcqRel);
                }
                if answer.is_empty() {
                    return Ok(());
                }
                client.write_all(answer).await?;
            }
        }
    }
}

/// All want a connection of their own at the same moment, and the database answers none of them for a
/// while.
#[tokio::test]
async fn a_herd_logs_in_to_the_database_few_at_a_time() {
    const CLIENTS: usize = 30;
    const AT_ONCE: usize = 3;
    let server = Server::start(Engine::Postgres).await.unwrap();
    let door = Doorkeeper::before(server.addr()).await;
    // The guard's own look at the server, and the first connection, by which clients are told of it.
    door.lets_in.add_permits(2);
    let setup = Setup {
        connections: 30,
        upstream: format!("handshakes_at_once = {AT_ONCE}\nhandshakes_per_second = 1000\n"),
        ..Setup::default()
    };
    let control = format!("[control]\naddress = \"{}\"\n", server.addr());
    let text = |doors| {
        let text =
            setup.text(&server, doors).replace(&server.addr().to_string(), &door.addr.to_string());
        text.replace("[control]\n", &control)
    };
    let guard = Guard::start_with(text).await.unwrap();
    let mut herd = Vec::new();
    for _ in 0..CLIENTS {
        herd.push(PgClient::login(guard.addr(), &APP).await.unwrap());
    }
    let begin = async |client: &mut PgClient| {
        pg_done(client, "BEGIN").await;
        pg_done(client, "SELECT 1").await;
    };
    let all = join_all(herd.iter_mut().map(begin));
    let watch = async {
        // Each has its permit, and one the connection that there is.
        eventually("all ask at once", PATIENCE, async || {
            let asks = status(&guard, "/in_flight").await == CLIENTS as u64;
            (asks && door.knocking.load(Ordering::Acquire) == AT_ONCE).then_some(())
        })
        .await;
        door.lets_in.add_permits(CLIENTS);
    };
    tokio::join!(all, watch);
    assert_eq!(door.most.load(Ordering::Acquire), AT_ONCE);
    assert_eq!(open_on(&server, &APP).await.transactions, CLIENTS as u32);
}
