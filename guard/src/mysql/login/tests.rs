//! Clients that behave, and clients that do not, over real sockets. The clock stands still unless
//! all wait, so no test takes as long as what it tests.

use std::net::SocketAddr;
use std::sync::LazyLock;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use wire::mysql::auth::{caching_sha2, native};
use wire::mysql::frame::put_packet;
use wire::mysql::handshake::{AuthReply, ConnectAttributes, HandshakeResponse, SslRequest};
use wire::mysql::response::ErrPacket;

use super::*;
use crate::secret::Secret;
use crate::secret::rsa;
use crate::tls::{ClientTls, Demand, TlsMode};
use crate::users::Entry;

/// One for all tests: to make one takes longer than most of them.
static RSA: LazyLock<Arc<RsaKey>> = LazyLock::new(|| Arc::new(RsaKey::generate().unwrap()));

const TIMEOUT: Duration = Duration::from_secs(10);

const CLIENT: Capabilities = Capabilities(
    Capabilities::LONG_PASSWORD.0
        | Capabilities::PROTOCOL_41.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA.0
        | Capabilities::CONNECT_ATTRS.0
        | Capabilities::DEPRECATE_EOF.0,
);

/// A guard that lets in `app` and `empty`, and `hashed` of whom it knows only a hash.
fn context(plugin: Plugin, demand: Option<Demand>) -> LoginContext {
    let entry = |user: &str, secret: &str| Entry { user: user.into(), secret: secret.into() };
    let users = Users::new(
        [
            entry("app", "secret"),
            entry("empty", ""),
            entry("hashed", "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"),
        ],
        None,
    );
    LoginContext {
        tls: demand.map(|demand| {
            let CertifiedKey { cert, signing_key } =
                generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
            Arc::new(ServerTls::new(vec![cert.der().clone()], key, demand).unwrap())
        }),
        users: Arc::new(users),
        plugin,
        timeout: TIMEOUT,
        pacing: Arc::new(Semaphore::new(1)),
        rsa: Arc::clone(&RSA),
    }
}

fn welcome(mariadb: bool) -> Welcome {
    let common = offer(CLIENT | Capabilities::SESSION_TRACK | Capabilities::COMPRESS, false);
    Welcome {
        connection_id: 7,
        version: "5.5.5-10.11.6-MariaDB".into(),
        capabilities: match mariadb {
            true => common.without(Capabilities::LONG_PASSWORD),
            false => common,
        },
        charset: 45,
        status: 2,
        mariadb,
    }
}

/// The outcome of the guard's side; whoever is let in is told so.
type Outcome = JoinHandle<Result<Login, LoginError>>;

async fn serve(context: LoginContext, mariadb: bool) -> (SocketAddr, Outcome) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let outcome = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut login = login(stream.into(), &welcome(mariadb), &context).await?;
        login.accept().await?;
        Ok(login)
    });
    (addr, outcome)
}

/// A client that does as it is told.
struct Client {
    packets: Packets<Stream>,
    scramble: Scramble,
    plugin: Plugin,
    offered: Capabilities,
}

impl Client {
    async fn connect(addr: SocketAddr) -> Self {
        let tcp = TcpStream::connect(addr).await.unwrap();
        let mut packets = Packets::new(Stream::from(tcp), 0);
        let payload = packets.read().await.unwrap();
        let greeting = Greeting::parse(&payload).unwrap();
        Self {
            scramble: greeting.scramble,
            plugin: Plugin::from_name(greeting.plugin).unwrap(),
            offered: greeting.capabilities,
            packets,
        }
    }

    async fn secure(mut self) -> Self {
        let request = SslRequest {
            capabilities: CLIENT | Capabilities::SSL,
            max_packet: 1 << 24,
            charset: 45,
        };
        self.packets.write(|out, seq| request.put(out, seq)).await.unwrap();
        let tls = ClientTls::load(TlsMode::Required, "localhost", None).unwrap().unwrap();
        let Stream::Plain(tcp) = self.packets.stream else { panic!("TLS twice") };
        let stream = TlsConnector::from(tls.config).connect(tls.server_name, tcp).await.unwrap();
        Self { packets: Packets::new(stream.into(), self.packets.seq), ..self }
    }

    async fn respond(&mut self, user: &str, plugin: &str, auth: &[u8], capabilities: Capabilities) {
        let block = ConnectAttributes::block([(&b"program_name"[..], &b"test"[..])]);
        let response = HandshakeResponse {
            capabilities,
            max_packet: 1 << 24,
            charset: 45,
            user: user.as_bytes(),
            auth,
            database: None,
            plugin: Some(plugin.as_bytes()),
            attributes: ConnectAttributes::parse(&block).unwrap(),
        };
        self.packets.write(|out, seq| response.put(out, seq)).await.unwrap();
    }

    fn reply(&self, password: &str) -> Vec<u8> {
        let password = password.as_bytes();
        match self.plugin {
            _ if password.is_empty() => Vec::new(),
            Plugin::NativePassword => {
                native::reply(&native::stage1(password), &self.scramble).into()
            }
            _ => caching_sha2::reply(password, &self.scramble).into(),
        }
    }

    /// Logs in as drivers do. Returns the last packet, OK or ERR.
    async fn log_in(&mut self, user: &str, password: &str) -> BytesMut {
        let auth = self.reply(password);
        self.respond(user, self.plugin.name(), &auth, CLIENT).await;
        self.follow(password).await
    }

    async fn follow(&mut self, password: &str) -> BytesMut {
        loop {
            let payload = self.packets.read().await.unwrap();
            match AuthReply::parse(&payload).unwrap() {
                AuthReply::Ok | AuthReply::Err => return payload,
                AuthReply::Switch(switch) => {
                    self.plugin = Plugin::from_name(switch.plugin).unwrap();
                    self.scramble = switch.data.try_into().unwrap();
                    let reply = self.reply(password);
                    self.send(&reply).await;
                }
                AuthReply::More([3]) => {}
                AuthReply::More([4]) => {
                    let mut plain = [password.as_bytes(), &[0]].concat();
                    if self.packets.stream.is_tls() {
                        self.send(&plain).await;
                        continue;
                    }
                    self.send(&[2]).await;
                    let payload = self.packets.read().await.unwrap();
                    let AuthReply::More(pem) = AuthReply::parse(&payload).unwrap() else {
                        panic!("no key")
                    };
                    caching_sha2::obscure(&mut plain, &self.scramble);
                    let encrypted = rsa::encrypt(pem, &plain).unwrap();
                    self.send(&encrypted).await;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    async fn send(&mut self, payload: &[u8]) {
        self.packets.write(|out, seq| put_packet(out, seq, payload)).await.unwrap();
    }
}

fn code_of(payload: &[u8]) -> u16 {
    ErrPacket::parse(payload, CLIENT).unwrap().code
}

#[tokio::test]
async fn a_right_password_lets_in_by_either_plugin_plain_or_by_tls() {
    for plugin in [Plugin::NativePassword, Plugin::CachingSha2Password] {
        for demand in [None, Some(Demand::Offered), Some(Demand::Required)] {
            for (user, password) in [("app", "secret"), ("empty", ""), ("hashed", "secret")] {
                let (addr, outcome) = serve(context(plugin, demand), false).await;
                let mut client = Client::connect(addr).await;
                assert_eq!(client.offered.contains(Capabilities::SSL), demand.is_some());
                assert!(!client.offered.contains(Capabilities::COMPRESS));
                if demand.is_some() {
                    client = client.secure().await;
                }
                let last = client.log_in(user, password).await;
                let ok = OkPacket::parse(&last, CLIENT).unwrap();
                assert_eq!(ok.status, Status::AUTOCOMMIT);
                let login = outcome.await.unwrap().unwrap();
                assert_eq!((&*login.user, &*login.account.user), (user, user));
                assert_eq!(login.stream.is_tls(), demand.is_some());
                assert_eq!(login.capabilities, CLIENT);
                assert_eq!(login.attributes, [(b"program_name"[..].into(), b"test"[..].into())]);
            }
        }
    }
}

#[tokio::test]
async fn what_is_learnt_from_a_client_is_enough_for_the_database() {
    let check = async |plugin, expect: Option<&str>| {
        let (addr, outcome) = serve(context(plugin, None), false).await;
        Client::connect(addr).await.log_in("hashed", "secret").await;
        let account = outcome.await.unwrap().unwrap().account;
        assert_eq!(account.password(), expect.map(Secret::from).as_ref());
        assert_eq!(*account.native_stage1().unwrap(), native::stage1(b"secret"));
    };
    check(Plugin::NativePassword, None).await;
    check(Plugin::CachingSha2Password, Some("secret")).await;
}

/// Item 18: whether the account exists shows neither in the words nor in the steps.
#[tokio::test]
async fn an_unknown_user_is_told_the_same_as_a_wrong_password() {
    for plugin in [Plugin::NativePassword, Plugin::CachingSha2Password] {
        let mut told = Vec::new();
        for user in ["app", "empty", "hashed", "nobody"] {
            let (addr, outcome) = serve(context(plugin, None), false).await;
            let mut client = Client::connect(addr).await;
            let last = client.log_in(user, "wrong").await;
            let error = ErrPacket::parse(&last, CLIENT).unwrap();
            assert_eq!((error.code, &error.sqlstate), (1045, b"28000"));
            let text = String::from_utf8_lossy(error.message).replace(user, "?");
            told.push((text, client.packets.seq));
            assert_eq!(outcome.await.unwrap().unwrap_err().label(), "denied");
        }
        assert!(told.iter().all(|other| *other == told[0]), "{told:?}");
        assert_eq!(told[0].0, "Access denied for user '?'@'127.0.0.1' (using password: YES)");
    }
}

#[tokio::test]
async fn a_client_that_speaks_another_plugin_is_asked_to_switch() {
    for (plugin, auth) in [
        ("dialog", &b""[..]),
        ("mysql_clear_password", b"secret\0"),
        ("caching_sha2_password", b""),
        ("", b""),
    ] {
        let (addr, outcome) = serve(context(Plugin::NativePassword, None), false).await;
        let mut client = Client::connect(addr).await;
        client.respond("app", plugin, auth, CLIENT).await;
        assert_eq!(client.follow("secret").await[0], 0, "{plugin}");
        outcome.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_client_without_plugins_logs_in_by_native() {
    let (addr, outcome) = serve(context(Plugin::NativePassword, None), false).await;
    let mut client = Client::connect(addr).await;
    let old = CLIENT.without(Capabilities::PLUGIN_AUTH).without(Capabilities::CONNECT_ATTRS);
    let auth = client.reply("secret");
    client.respond("app", "", &auth, old).await;
    assert_eq!(client.follow("secret").await[0], 0);
    assert_eq!(outcome.await.unwrap().unwrap().capabilities, old);
}

#[tokio::test]
async fn what_the_guard_does_not_offer_is_not_agreed_on() {
    let (addr, outcome) = serve(context(Plugin::NativePassword, None), false).await;
    let mut client = Client::connect(addr).await;
    let auth = client.reply("secret");
    let all = Capabilities(u64::MAX).without(Capabilities::CONNECT_WITH_DB | Capabilities::SSL);
    client.respond("app", client.plugin.name(), &auth, all).await;
    assert_eq!(client.follow("secret").await[0], 0);
    let agreed = outcome.await.unwrap().unwrap().capabilities;
    assert_eq!(agreed, CLIENT | Capabilities::SESSION_TRACK);
}

/// MariaDB's clients from 11.4 on trust a certificate that nobody signed if the final OK shows that
/// whoever sent it knows the password, and the certificate that they see.
#[tokio::test]
async fn mariadbs_client_is_shown_why_it_may_trust_the_certificate() {
    let context = context(Plugin::NativePassword, Some(Demand::Offered));
    let fingerprint = context.tls.as_ref().unwrap().fingerprint;
    let (addr, outcome) = serve(context, true).await;
    let mut client = Client::connect(addr).await.secure().await;
    let mariadb = CLIENT.without(Capabilities::LONG_PASSWORD);
    let auth = client.reply("secret");
    client.respond("app", client.plugin.name(), &auth, mariadb).await;
    let last = client.follow("secret").await;
    let info = OkPacket::parse(&last, mariadb).unwrap().info;
    let stage2 = native::stage2(&native::stage1(b"secret"));
    let digest = sha2::Digest::chain_update(<sha2::Sha256 as sha2::Digest>::new(), stage2);
    let digest = sha2::Digest::chain_update(digest, client.scramble);
    let digest = sha2::Digest::finalize(sha2::Digest::chain_update(digest, fingerprint));
    let hex: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(info, format!("\x01{hex}").as_bytes());
    outcome.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_must_use_tls_is_refused_before_its_password_is_looked_at() {
    let (addr, outcome) =
        serve(context(Plugin::NativePassword, Some(Demand::Required)), false).await;
    let last = Client::connect(addr).await.log_in("app", "wrong").await;
    assert_eq!(code_of(&last), 3159);
    assert_eq!(outcome.await.unwrap().unwrap_err().label(), "tls_required");
}

/// Item 1.
#[tokio::test(start_paused = true)]
async fn a_silent_client_is_dropped_in_time() {
    let (addr, outcome) = serve(context(Plugin::NativePassword, None), false).await;
    let begun = Instant::now();
    let mut client = Client::connect(addr).await;
    assert!(matches!(client.packets.read().await, Err(PacketError::Closed)));
    assert_eq!(outcome.await.unwrap().unwrap_err().label(), "login_timeout");
    assert!(begun.elapsed() < TIMEOUT + Duration::from_secs(1));
}

/// Item 2: the deadline is for the whole login, not for each read.
#[tokio::test(start_paused = true)]
async fn a_client_that_drips_is_dropped_in_time() {
    let (addr, outcome) = serve(context(Plugin::NativePassword, None), false).await;
    let mut client = Client::connect(addr).await;
    let begun = Instant::now();
    let drip = async {
        for byte in [60, 0, 0, 1].into_iter().cycle() {
            let Stream::Plain(tcp) = &mut client.packets.stream else { unreachable!() };
            if tcp.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    drip.await;
    assert_eq!(outcome.await.unwrap().unwrap_err().label(), "login_timeout");
    assert!(begun.elapsed() < TIMEOUT + Duration::from_secs(5));
}

/// Items 3, 9, 10, 14: bytes that are no login get a clear error, at once.
#[tokio::test]
async fn what_is_no_login_is_refused_at_once() {
    let check = async |bytes: &[u8], code: u16, label: &str| {
        let (addr, outcome) = serve(context(Plugin::NativePassword, None), false).await;
        let mut tcp = Client::connect(addr).await.packets.stream;
        tcp.write_all(bytes).await.unwrap();
        tcp.shutdown().await.unwrap();
        let mut told = Vec::new();
        tcp.read_to_end(&mut told).await.unwrap();
        let told = told.get(4..).unwrap_or_default();
        match code {
            0 => assert!(told.is_empty(), "{label}"),
            code => assert_eq!(code_of(told), code, "{label}"),
        }
        assert_eq!(outcome.await.unwrap().unwrap_err().label(), label);
    };
    check(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1156, "out_of_order").await;
    check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 1156, "out_of_order").await;
    check(b"\0\0\0\x08\x04\xd2\x16\x2f", 1156, "out_of_order").await;
    check(b"\xff\xff\xff\x01", 1153, "too_long").await;
    check(b"\x00\x00\x00\x01", 1043, "malformed").await;
    check(b"\x04\x00\x00\x01abcd", 1043, "malformed").await;
    check(b"\x20\x00\x00\x01\x00\x0a", 0, "closed").await;
    check(b"", 0, "closed").await;
}

/// Item 6, and TLS where there is none.
#[tokio::test]
async fn tls_is_asked_for_once_and_only_where_it_is_offered() {
    let request =
        SslRequest { capabilities: CLIENT | Capabilities::SSL, max_packet: 1, charset: 45 };
    for demand in [None, Some(Demand::Offered)] {
        let (addr, outcome) = serve(context(Plugin::NativePassword, demand), false).await;
        let mut client = Client::connect(addr).await;
        if demand.is_some() {
            client = client.secure().await;
        }
        client.packets.write(|out, seq| request.put(out, seq)).await.unwrap();
        assert_eq!(code_of(&client.packets.read().await.unwrap()), 1043);
        assert_eq!(outcome.await.unwrap().unwrap_err().label(), "tls_not_offered");
    }
}

/// Item 5, CVE-2021-3935: a response in plain text, sent along with the request for TLS, is not
/// taken for one that came by TLS.
#[tokio::test]
async fn plain_text_behind_the_request_for_tls_is_refused() {
    let (addr, outcome) =
        serve(context(Plugin::NativePassword, Some(Demand::Offered)), false).await;
    let mut client = Client::connect(addr).await;
    let mut both = BytesMut::new();
    SslRequest { capabilities: CLIENT | Capabilities::SSL, max_packet: 1, charset: 45 }
        .put(&mut both, 1);
    put_packet(&mut both, 2, b"injected");
    client.packets.stream.write_all(&both).await.unwrap();
    assert!(client.packets.read().await.is_err());
    assert_eq!(outcome.await.unwrap().unwrap_err().label(), "plain_text_before_tls");
}

/// Item 8: records that are no hello, and a hello that never ends.
#[tokio::test(start_paused = true)]
async fn broken_tls_ends_the_login() {
    for (hello, label) in [
        (&b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"[..], "tls"),
        (b"\x16\x03\x01\x40\x00\x01", "login_timeout"),
    ] {
        let context = context(Plugin::NativePassword, Some(Demand::Offered));
        let (addr, outcome) = serve(context, false).await;
        let mut client = Client::connect(addr).await;
        let request =
            SslRequest { capabilities: CLIENT | Capabilities::SSL, max_packet: 1, charset: 45 };
        client.packets.write(|out, seq| request.put(out, seq)).await.unwrap();
        client.packets.stream.write_all(hello).await.unwrap();
        assert_eq!(outcome.await.unwrap().unwrap_err().label(), label);
    }
}

/// Item 8: a client that stops in the middle of TLS holds no place that others need.
#[tokio::test]
async fn a_slow_client_keeps_no_place_from_others() {
    let context = Arc::new(context(Plugin::NativePassword, Some(Demand::Offered)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let context = Arc::clone(&context);
            tokio::spawn(async move {
                login(stream.into(), &welcome(false), &context)
                    .await
                    .unwrap()
                    .accept()
                    .await
                    .unwrap();
            });
        }
    });
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(addr).await;
        let request =
            SslRequest { capabilities: CLIENT | Capabilities::SSL, max_packet: 1, charset: 45 };
        client.packets.write(|out, seq| request.put(out, seq)).await.unwrap();
        client.packets.stream.write_all(b"\x16\x03\x01").await.unwrap();
        slow.push(client);
    }
    let last = Client::connect(addr).await.secure().await.log_in("app", "secret").await;
    assert_eq!(last[0], 0);
    server.abort();
}

/// Item 17: full authentication without TLS needs our key, and what is encrypted for another is
/// refused.
#[tokio::test]
async fn a_password_in_the_clear_or_for_another_key_is_refused() {
    for (asks_for_key, code, label) in [(false, 1045, "bare_password"), (true, 1043, "exchange")] {
        let (addr, outcome) = serve(context(Plugin::CachingSha2Password, None), false).await;
        let mut client = Client::connect(addr).await;
        let auth = client.reply("secret");
        client.respond("hashed", client.plugin.name(), &auth, CLIENT).await;
        assert_eq!(client.packets.read().await.unwrap()[..], [1, 4]);
        if asks_for_key {
            client.send(&[2]).await;
            client.packets.read().await.unwrap();
            client.send(&[0xAB; 256]).await;
        } else {
            client.send(b"secret\0").await;
        }
        assert_eq!(code_of(&client.packets.read().await.unwrap()), code);
        assert_eq!(outcome.await.unwrap().unwrap_err().label(), label);
    }
}

/// Item 18: whoever guesses makes the guard work only so often, and others are not held up.
#[tokio::test(start_paused = true)]
async fn guesses_are_counted_and_a_right_proof_still_passes() {
    let context = Arc::new(context(Plugin::CachingSha2Password, None));
    let attempt = async |user: &str, password: &str| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let context = Arc::clone(&context);
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            login(stream.into(), &welcome(false), &context).await?.accept().await
        });
        Client::connect(addr).await.log_in(user, password).await;
        served.await.unwrap().map_or_else(|error| error.label(), |()| "in")
    };
    let mut refused = 0;
    for _ in 0..40 {
        match attempt("nobody", "guess").await {
            "denied" => {}
            "too_many_denied" => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused >= 15, "{refused} of 40 were refused");
    assert_eq!(attempt("app", "secret").await, "in");
}

#[tokio::test]
async fn the_last_word_may_be_a_refusal() {
    let context = context(Plugin::NativePassword, None);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let login = login(stream.into(), &welcome(false), &context).await.unwrap();
        login.refuse(1049, b"42000", "Unknown database 'nope'").await;
    });
    let last = Client::connect(addr).await.log_in("app", "secret").await;
    assert_eq!(code_of(&last), 1049);
    served.await.unwrap();
}

#[tokio::test]
async fn a_client_may_change_its_user_and_is_asked_anew() {
    for plugin in [Plugin::NativePassword, Plugin::CachingSha2Password] {
        let check = async |user: &'static str, password: &str, label: &str| {
            let context = context(plugin, None);
            let (mut buffer, command) = (BytesMut::new(), format!("\x11{user}\0\0shop\0"));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut stream = Stream::from(listener.accept().await.unwrap().0);
            let packets = Packets::new(Stream::from(tcp), 1);
            let mut client = Client { packets, scramble: [0; 20], plugin, offered: CLIENT };
            let server = async {
                let before = Challenge { plugin, scramble: [7; 20] };
                let payload = command.as_bytes();
                let changed =
                    change_user(&mut stream, &mut buffer, payload, CLIENT, before, &context).await;
                if let Ok(changed) = &changed {
                    let mut packets = Packets::new(&mut stream, changed.seq);
                    let ok = OkPacket::default();
                    packets.write(|out, seq| put_ok(out, seq, CLIENT, &ok)).await.unwrap();
                }
                changed
            };
            let (changed, last) = tokio::join!(server, client.follow(password));
            match changed {
                Ok(changed) => {
                    assert_eq!((last[0], label), (0, "in"));
                    assert_eq!(
                        (&*changed.user, changed.database.as_deref()),
                        (user, Some(&b"shop"[..]))
                    );
                }
                Err(error) => assert_eq!((code_of(&last), error.label()), (1045, label)),
            }
        };
        check("app", "secret", "in").await;
        check("empty", "", "in").await;
        check("hashed", "secret", "in").await;
        check("app", "wrong", "denied").await;
        check("nobody", "secret", "denied").await;
    }
}

#[tokio::test]
async fn a_change_of_user_may_begin_with_a_reply_to_the_last_challenge() {
    let before = Challenge { plugin: Plugin::NativePassword, scramble: *b"abcdefghijklmnopqrst" };
    let reply = native::reply(&native::stage1(b"secret"), &before.scramble);
    let command = [b"\x11app\0\x14", &reply[..], b"shop\0\x2d\0mysql_native_password\0"].concat();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut stream = Stream::from(listener.accept().await.unwrap().0);
    let (mut buffer, context) = (BytesMut::new(), context(Plugin::CachingSha2Password, None));
    let changed = change_user(&mut stream, &mut buffer, &command, CLIENT, before, &context).await;
    let changed = changed.expect("nothing more was asked");
    assert_eq!((&*changed.user, changed.seq), ("app", 1));
}
