use std::sync::atomic::{AtomicU32, Ordering};

use bytes::BytesMut;
use tokio::net::TcpListener;
use wire::mysql::Capabilities;
use wire::mysql::auth::native;
use wire::mysql::handshake::{AuthSwitch, Greeting, Opening};
use wire::mysql::response::{OkPacket, put_err, put_ok};

use super::*;
use crate::stream::Stream;
use crate::stream::packets::Packets;
use crate::upstream::target::ClearPassword;

const FRESH: Duration = Duration::from_secs(300);

/// A database with one password for everybody, which can be changed. Counts the logins.
struct Database {
    password: Arc<Mutex<Vec<u8>>>,
    logins: Arc<AtomicU32>,
    verifier: Arc<Verifier>,
}

impl Database {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let password = Arc::new(Mutex::new(b"secret".to_vec()));
        let logins = Arc::new(AtomicU32::new(0));
        let (expect, count) = (Arc::clone(&password), Arc::clone(&logins));
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let stage2 = native::stage2(&native::stage1(&expect.lock()));
                tokio::spawn(answer(tcp.into(), stage2));
            }
        });
        let target = Target {
            address: addr.into(),
            tls: None,
            connect_timeout: Duration::from_secs(3600),
            clear_password: ClearPassword::Refused,
        };
        let options = VerifierOptions { target: Arc::new(target), fresh: FRESH };
        Self { password, logins, verifier: Verifier::new(options) }
    }

    async fn verify(&self, password: &str) -> Result<Arc<Account>, Denial> {
        self.verifier.verify("app", password.into()).await
    }

    fn logins(&self) -> u32 {
        self.logins.load(Ordering::Relaxed)
    }
}

async fn answer(stream: Stream, stage2: [u8; 20]) {
    let mut packets = Packets::new(stream, 0);
    let greeting = Greeting {
        version: b"10.11.6-MariaDB",
        connection_id: 1,
        scramble: *b"0123456789abcdefghij",
        capabilities: Capabilities::PROTOCOL_41
            | Capabilities::SECURE_CONNECTION
            | Capabilities::PLUGIN_AUTH,
        charset: 45,
        status: 2,
        plugin: b"mysql_native_password",
    };
    packets.write(|out, _| greeting.put(out)).await.unwrap();
    let payload = packets.read().await.unwrap();
    let Ok(Opening::Response(response)) = Opening::parse(&payload) else { panic!("no response") };
    if response.user == b"odd" {
        let switch = AuthSwitch { plugin: b"sha256_password", data: &greeting.scramble };
        return packets.write(|out, seq| switch.put(out, seq)).await.unwrap();
    }
    let right = native::verify(response.auth, &greeting.scramble, &stage2).is_some();
    let caps = response.capabilities;
    let answer = packets.write(|out: &mut BytesMut, seq| match right {
        true => put_ok(out, seq, caps, &OkPacket::default()),
        false => put_err(out, seq, caps, 1045, b"28000", b"Access denied"),
    });
    answer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_right_password_is_asked_about_once() {
    let database = Database::start().await;
    assert!(database.verifier.recall("app").is_none());
    for _ in 0..3 {
        let account = database.verify("secret").await.unwrap();
        assert_eq!(account.password(), Some(&"secret".into()));
    }
    assert_eq!(database.logins(), 1);
    assert!(database.verifier.recall("app").is_some());
    assert!(database.verifier.recall("other").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_herd_asks_few_times() {
    let database = Database::start().await;
    let herd: Vec<_> = (0..200)
        .map(|_| {
            let verifier = Arc::clone(&database.verifier);
            tokio::spawn(async move { verifier.verify("app", "secret".into()).await.is_ok() })
        })
        .collect();
    for login in herd {
        assert!(login.await.unwrap());
    }
    assert!(database.logins() <= 2, "{}", database.logins());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_remembered_for_a_moment() {
    let database = Database::start().await;
    for _ in 0..3 {
        assert!(matches!(database.verify("wrong").await, Err(Denial::Wrong)));
    }
    assert_eq!(database.logins(), 1);
    *database.password.lock() = b"wrong".to_vec();
    tokio::time::advance(DENIED).await;
    assert!(database.verify("wrong").await.is_ok());
}

/// MySQL 9.7 asks for `sha256_password` on behalf of accounts that do not exist.
#[tokio::test(start_paused = true)]
async fn an_account_whose_plugin_is_not_spoken_looks_like_a_wrong_password() {
    let database = Database::start().await;
    let denied = database.verifier.verify("odd", "secret".into()).await;
    assert!(matches!(denied, Err(Denial::Wrong)));
}

/// Items 17 and 20: a password that was changed dies out.
#[tokio::test(start_paused = true)]
async fn a_changed_password_is_believed_no_longer_than_twice_its_freshness() {
    let database = Database::start().await;
    database.verify("secret").await.unwrap();
    *database.password.lock() = b"changed".to_vec();

    assert!(database.verify("changed").await.is_ok(), "the new one holds at once");
    assert!(database.verifier.recall("app").unwrap().password() == Some(&"changed".into()));

    *database.password.lock() = b"secret".to_vec();
    tokio::time::advance(FRESH).await;
    assert!(database.verifier.recall("app").is_some(), "stale, and asked about meanwhile");
    while database.verifier.memory.lock().known.contains_key("app") {
        tokio::task::yield_now().await;
    }
    assert_eq!(database.logins(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stale_account_is_forgotten_if_nobody_asks() {
    let database = Database::start().await;
    database.verify("secret").await.unwrap();
    tokio::time::advance(FRESH * 2).await;
    assert!(database.verifier.recall("app").is_none());
}

#[test]
fn memory_is_bounded() {
    let mut memory = Memory::default();
    let now = Instant::now();
    for n in 0..KNOWN_MAX + 3 {
        let account = Account::from_native_stage1(format!("user{n}"), [0; 20]);
        memory.remember(Arc::new(account), now + Duration::from_secs(n as u64));
    }
    assert_eq!(memory.known.len(), KNOWN_MAX);
    assert!(!memory.known.contains_key("user2") && memory.known.contains_key("user3"));
    for n in 0..DENIED_MAX + 3 {
        memory.deny(denied_key("app", &n.to_string().as_str().into()), now);
    }
    assert_eq!(memory.denied.len(), 3);
}
