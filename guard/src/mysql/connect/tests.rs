//! Databases that behave, and databases that do not, as scripts over real sockets.

use std::time::Duration;

use std::net::SocketAddr;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wire::mysql::auth::{caching_sha2, ed25519, native};
use wire::mysql::frame::put_packet;
use wire::mysql::handshake::{AuthMoreData, AuthSwitch, Opening};
use wire::mysql::response::{put_err, put_ok};

use super::*;
use crate::secret::rsa::RsaKey;
use crate::tls::{Demand, ServerTls};

const SCRAMBLE: &Scramble = b"0123456789abcdefghij";

const SERVER: Capabilities = Capabilities(
    ALWAYS.0
        | Capabilities::CONNECT_WITH_DB.0
        | Capabilities::CONNECT_ATTRS.0
        | Capabilities::DEPRECATE_EOF.0
        | Capabilities::COMPRESS.0,
);

/// One connection, from the database's side.
struct Server(Packets<Stream>);

impl Server {
    async fn greet(&mut self, plugin: &str, capabilities: Capabilities) {
        let greeting = handshake::Greeting {
            version: b"8.4.0",
            connection_id: 42,
            scramble: *SCRAMBLE,
            capabilities,
            charset: 255,
            status: 2,
            plugin: plugin.as_bytes(),
        };
        self.0.write(|out, _| greeting.put(out)).await.unwrap();
    }

    async fn read(&mut self) -> BytesMut {
        self.0.read().await.unwrap()
    }

    /// Reads the response and gives its proof.
    async fn proof(&mut self) -> Vec<u8> {
        match Opening::parse(&self.read().await).unwrap() {
            Opening::Response(response) => response.auth.to_vec(),
            Opening::Ssl(_) => panic!("no TLS was offered"),
        }
    }

    async fn switch(&mut self, plugin: &str, data: &[u8]) -> BytesMut {
        let switch = AuthSwitch { plugin: plugin.as_bytes(), data };
        self.0.write(|out, seq| switch.put(out, seq)).await.unwrap();
        self.read().await
    }

    async fn more(&mut self, data: &[u8]) {
        self.0.write(|out, seq| AuthMoreData(data).put(out, seq)).await.unwrap();
    }

    async fn send(&mut self, payload: &[u8]) {
        self.0.write(|out, seq| put_packet(out, seq, payload)).await.unwrap();
    }

    async fn ok(&mut self) {
        let ok = OkPacket { status: wire::mysql::response::Status(2), ..Default::default() };
        self.0.write(|out, seq| put_ok(out, seq, SERVER, &ok)).await.unwrap();
    }
}

/// A database that plays `script` to one connection.
async fn database<F>(script: impl FnOnce(Server) -> F + Send + 'static) -> Target
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target(listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        script(Server(Packets::new(tcp.into(), 0))).await;
    });
    target
}

fn target(addr: SocketAddr) -> Target {
    Target {
        address: addr.into(),
        tls: None,
        connect_timeout: Duration::from_secs(5),
        clear_password: ClearPassword::Refused,
    }
}

fn account() -> Account {
    Account::new("app", "secret".into())
}

/// What comes of logging in at a database that plays `script`.
async fn play<F>(
    script: impl FnOnce(Server) -> F + Send + 'static,
) -> Result<Connected, ConnectError>
where
    F: Future<Output = ()> + Send,
{
    connect(&database(script).await, &account(), &Wishes::control()).await
}

#[tokio::test]
async fn the_password_is_proved_by_every_plugin() {
    let stage2 = native::stage2(&native::stage1(b"secret"));
    let by_native = play(async move |mut server: Server| {
        server.greet("mysql_native_password", SERVER).await;
        let proof = server.proof().await;
        assert!(native::verify(&proof, SCRAMBLE, &stage2).is_some());
        server.ok().await;
    });
    let connected = by_native.await.unwrap();
    assert_eq!((connected.thread_id, &*connected.version), (42, "8.4.0"));
    assert_eq!((connected.status, connected.mariadb), (2, false));
    assert_eq!(connected.capabilities, ALWAYS | Capabilities::DEPRECATE_EOF);
    assert_eq!(connected.server_capabilities, SERVER);

    let by_fast_sha2 = play(async |mut server: Server| {
        server.greet("caching_sha2_password", SERVER).await;
        let proof = server.proof().await;
        assert!(caching_sha2::verify(&proof, SCRAMBLE, &caching_sha2::digest(b"secret")));
        server.more(&[3]).await;
        server.ok().await;
    });
    by_fast_sha2.await.unwrap();

    let by_rsa = play(async |mut server: Server| {
        server.greet("caching_sha2_password", SERVER).await;
        server.proof().await;
        server.more(&[4]).await;
        assert_eq!(server.read().await[..], [2]);
        let key = RsaKey::generate().unwrap();
        server.more(key.public_pem().as_bytes()).await;
        let mut password = key.decrypt(&server.read().await).unwrap();
        caching_sha2::obscure(&mut password, SCRAMBLE);
        assert_eq!(*password, b"secret\0");
        server.ok().await;
    });
    by_rsa.await.unwrap();

    let by_ed25519 = play(async |mut server: Server| {
        server.greet("mysql_native_password", SERVER).await;
        server.proof().await;
        let proof = server.switch("client_ed25519", &[7; 32]).await;
        assert_eq!(proof[..], ed25519::sign(b"secret", &[7; 32]));
        server.ok().await;
    });
    by_ed25519.await.unwrap();
}

#[tokio::test]
async fn an_account_known_by_its_hash_only_proves_what_it_can() {
    let account = Account::from_native_stage1("app", native::stage1(b"secret"));
    let check = async |plugin: &'static str| {
        let target = database(async move |mut server: Server| {
            server.greet("caching_sha2_password", SERVER).await;
            server.proof().await;
            server.switch(plugin, SCRAMBLE).await;
            server.ok().await;
        });
        connect(&target.await, &account, &Wishes::control()).await
    };
    assert!(check("mysql_native_password").await.is_ok());
    let refused = check("caching_sha2_password").await.unwrap_err();
    assert!(matches!(refused, ConnectError::NeedsPassword("caching_sha2_password")));
    assert!(refused.is_refusal());
}

/// Item 16: the database is not trusted with more than it needs.
#[tokio::test]
async fn a_database_that_asks_for_too_much_is_refused() {
    let ask = async |plugin: &'static str| {
        let asked = play(async move |mut server: Server| {
            server.greet("mysql_native_password", SERVER).await;
            server.proof().await;
            server.switch(plugin, SCRAMBLE).await;
        });
        asked.await.unwrap_err()
    };
    assert!(matches!(ask("mysql_clear_password").await, ConnectError::ClearPassword));
    assert!(matches!(ask("dialog").await, ConnectError::Plugin(name) if name == "dialog"));
    assert!(matches!(ask("client_ed25519").await, ConnectError::Exchange("client_ed25519")));

    let say = async |payload: &'static [u8]| {
        let said = play(async move |mut server: Server| {
            server.greet("mysql_native_password", SERVER).await;
            server.proof().await;
            server.send(payload).await;
        });
        said.await.unwrap_err()
    };
    assert!(matches!(say(b"\xfe").await, ConnectError::Plugin(_)), "old password");
    assert!(matches!(say(b"\x02").await, ConnectError::Plugin(_)), "second factor");
    assert!(matches!(say(b"\x01\x04").await, ConnectError::Exchange("mysql_native_password")));
    assert!(matches!(say(b"\x42").await, ConnectError::Malformed(_)));
    assert!(matches!(say(b"").await, ConnectError::Malformed(_)));
}

/// Item 16: one plugin after the other, or one question after the other, without end.
#[tokio::test]
async fn a_database_that_never_makes_up_its_mind_is_refused() {
    let switches = play(async |mut server: Server| {
        server.greet("mysql_native_password", SERVER).await;
        server.proof().await;
        while server.0.stream.socket().peer().is_ok() {
            let switch = AuthSwitch { plugin: b"mysql_native_password", data: SCRAMBLE };
            if server.0.write(|out, seq| switch.put(out, seq)).await.is_err()
                || server.0.read().await.is_err()
            {
                return;
            }
        }
    });
    assert!(matches!(switches.await, Err(ConnectError::Switches(3))));
    let questions = play(async |mut server: Server| {
        server.greet("caching_sha2_password", SERVER).await;
        server.proof().await;
        for _ in 0..100 {
            if server.0.write(|out, seq| AuthMoreData(&[3]).put(out, seq)).await.is_err() {
                return;
            }
        }
    });
    assert!(questions.await.is_err());
}

#[tokio::test]
async fn the_servers_own_error_is_kept() {
    let full = play(async |mut server: Server| {
        server.send(b"\xff\x10\x04Too many connections").await;
    });
    let full = full.await.unwrap_err();
    let error = full.server_error().unwrap();
    assert_eq!((error.code, &*error.message), (1040, &b"Too many connections"[..]));
    assert!(!full.is_refusal(), "a server that is full is not well");

    let denied = play(async |mut server: Server| {
        server.greet("mysql_native_password", SERVER).await;
        server.proof().await;
        let denied = |out: &mut BytesMut, seq| put_err(out, seq, SERVER, 1045, b"28000", b"no");
        server.0.write(denied).await.unwrap();
    });
    let denied = denied.await.unwrap_err();
    assert_eq!(denied.server_error().map(|error| error.code), Some(1045));
    assert!(denied.is_refusal());
    assert_eq!(denied.to_string(), "the database refused: 1045 (28000): no");
}

#[tokio::test(start_paused = true)]
async fn a_silent_database_is_given_up_in_time() {
    let silent = play(async |server: Server| {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        drop(server);
    });
    assert!(matches!(silent.await, Err(ConnectError::TimedOut(_))));
}

#[tokio::test]
async fn a_wish_is_granted_as_far_as_the_server_can() {
    let wishes = Wishes {
        capabilities: Capabilities(u64::MAX),
        charset: 8,
        database: Some(b"shop".to_vec()),
        attributes: vec![(b"a"[..].into(), b"b"[..].into())],
    };
    let target = database(async |mut server: Server| {
        server.greet("mysql_native_password", SERVER).await;
        let payload = server.read().await;
        let Ok(Opening::Response(response)) = Opening::parse(&payload) else {
            panic!("no response")
        };
        assert_eq!((response.database, response.charset), (Some(&b"shop"[..]), 8));
        assert_eq!(response.attributes.iter().collect::<Vec<_>>(), [(&b"a"[..], &b"b"[..])]);
        assert_eq!(response.capabilities, SERVER.without(Capabilities::COMPRESS));
        server.ok().await;
    });
    let connected = connect(&target.await, &account(), &wishes).await.unwrap();
    assert_eq!(connected.capabilities, ALWAYS | Capabilities::DEPRECATE_EOF);
}

/// Authority, and a certificate by it for `localhost`.
fn certificates() -> (String, ServerTls) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let tls = ServerTls::new(vec![certificate.der().clone()], private, Demand::Offered).unwrap();
    (authority.pem(), tls)
}

#[tokio::test]
async fn certificates_are_verified_as_far_as_the_mode_says() {
    let folder = std::env::temp_dir().join(format!("tidegate-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (ours, other) = (folder.join("ours.pem"), folder.join("other.pem"));
    let (authority, tls) = certificates();
    std::fs::write(&ours, authority).unwrap();
    std::fs::write(&other, certificates().0).unwrap();
    let check = async |mode, name: &str, ca: &std::path::Path, expect: bool| {
        let config = Arc::clone(&tls.config);
        let mut target = database(async move |mut server: Server| {
            server.greet("mysql_native_password", SERVER | Capabilities::SSL).await;
            let payload = server.0.read_alone().await.unwrap();
            assert!(matches!(Opening::parse(&payload), Ok(Opening::Ssl(_))));
            let Stream::Plain(tcp) = server.0.stream else { unreachable!() };
            let Ok(tls) = TlsAcceptor::from(config).accept(tcp).await else { return };
            let mut server = Server(Packets::new(tls.into(), 2));
            if server.0.read().await.is_ok() {
                server.ok().await;
            }
        })
        .await;
        target.tls = ClientTls::load(mode, name, Some(ca)).unwrap();
        let result = connect(&target, &account(), &Wishes::control()).await;
        match &result {
            Ok(connected) => assert!(connected.stream.is_tls()),
            Err(error) => assert!(matches!(error, ConnectError::Tls(_)), "{error}"),
        }
        assert_eq!(result.is_ok(), expect, "{mode:?} {name} {ca:?}");
    };
    check(TlsMode::VerifyFull, "localhost", &ours, true).await;
    check(TlsMode::VerifyFull, "db.example", &ours, false).await;
    check(TlsMode::VerifyFull, "localhost", &other, false).await;
    check(TlsMode::VerifyCa, "db.example", &ours, true).await;
    check(TlsMode::VerifyCa, "localhost", &other, false).await;
    check(TlsMode::Required, "db.example", &other, true).await;
    check(TlsMode::Preferred, "db.example", &other, true).await;
    std::fs::remove_dir_all(folder).unwrap();
}

/// BACKRONYM (CVE-2015-3152): taking the flag away does not take TLS away.
#[tokio::test]
async fn tls_that_is_required_cannot_be_talked_out_of() {
    let check = async |mode| {
        let mut target = database(async |mut server: Server| {
            server.greet("mysql_native_password", SERVER).await;
            if server.0.read().await.is_ok() {
                server.ok().await;
            }
        })
        .await;
        target.tls = ClientTls::load(mode, "localhost", None).unwrap();
        connect(&target, &account(), &Wishes::control()).await
    };
    assert!(matches!(check(TlsMode::Required).await, Err(ConnectError::NoTls)));
    assert!(!check(TlsMode::Preferred).await.unwrap().stream.is_tls());
}

/// Item 5, from the other side: what comes in plain text behind the greeting is not taken for what
/// came by TLS.
#[tokio::test]
async fn plain_text_in_front_of_tls_is_refused() {
    let mut target = database(async |mut server: Server| {
        let mut both = BytesMut::new();
        let mut greeting = BytesMut::new();
        handshake::Greeting {
            version: b"8.4.0",
            connection_id: 1,
            scramble: *SCRAMBLE,
            capabilities: SERVER | Capabilities::SSL,
            charset: 45,
            status: 2,
            plugin: b"mysql_native_password",
        }
        .put(&mut greeting);
        both.extend_from_slice(&greeting);
        put_packet(&mut both, 1, b"injected");
        tokio::io::AsyncWriteExt::write_all(&mut server.0.stream, &both).await.unwrap();
        drop(server.0.read().await);
    })
    .await;
    target.tls = ClientTls::load(TlsMode::Required, "localhost", None).unwrap();
    let result = connect(&target, &account(), &Wishes::control()).await;
    assert!(matches!(result, Err(ConnectError::Tls(_))));
}

#[tokio::test]
async fn a_probe_says_what_the_server_is_and_whether_it_lets_us_in() {
    let (said, goodbye) = tokio::sync::oneshot::channel();
    let target = database(async move |mut server: Server| {
        server.greet("mysql_native_password", SERVER).await;
        server.proof().await;
        server.ok().await;
        server.0.seq = 0;
        said.send(server.read().await).unwrap();
    })
    .await;
    let greeting = probe(&target, Some(&account())).await.unwrap();
    assert_eq!((&*greeting.version, greeting.capabilities), ("8.4.0", SERVER));
    assert_eq!(goodbye.await.unwrap()[..], [1], "COM_QUIT");
}
