//! Databases that behave, and databases that do not, as scripts over real sockets.

use std::time::Duration;

use bytes::BufMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wire::postgres::auth::md5;
use wire::postgres::auth::scram::{self, Keys, Mechanism, Server as Scram, Start};
use wire::postgres::backend::{
    Notice, Severity, put_backend_key_data, put_error, put_notice, put_parameter_status,
    put_ready_for_query,
};
use wire::postgres::frontend;
use wire::postgres::login::{Authentication, SaslInitialResponse, password, put_sasl};
use wire::postgres::startup::{
    CancelKey, First, Opening, StartupMessage, put_negotiate_protocol_version,
};

use super::*;
use crate::account::Credential;
use crate::tls::{Demand, ServerTls, end_point};
use crate::upstream::target::ClearPassword;

/// One connection, from the database's side.
struct Server(Messages<Stream>);

impl Server {
    /// Reads a start-up packet and gives it to `look`.
    async fn packet<T>(&mut self, look: impl FnOnce(Opening<'_>) -> T) -> T {
        self.0.fill(4).await.unwrap();
        let Some(First::Packet(len)) = First::peek(&self.0.buffer).unwrap() else { panic!("TLS") };
        self.0.fill(len).await.unwrap();
        look(Opening::parse(&self.0.buffer.split_to(len)).unwrap())
    }

    /// Reads the StartupMessage.
    async fn startup(&mut self) -> Version {
        self.packet(|opening| match opening {
            Opening::Startup(StartupMessage { version, parameters }) => {
                assert_eq!(parameters.get(b"user"), Some(&b"app"[..]));
                version
            }
            other => panic!("{other:?}"),
        })
        .await
    }

    async fn write(&mut self, put: impl FnOnce(&mut BytesMut)) {
        self.0.write(put).await.unwrap();
    }

    async fn ask(&mut self, authentication: Authentication<'_>) {
        self.write(|out| authentication.put(out)).await;
    }

    /// The client's answer. It may hang up instead.
    async fn answer(&mut self) -> Option<BytesMut> {
        let (kind, body) = self.0.read(frontend::Kind::of).await.ok()?;
        assert_eq!(kind, frontend::Kind::Password);
        Some(body)
    }

    /// Has the client prove by SCRAM that it knows `secret`, and says the last but one word.
    async fn scram(&mut self, end_point: Option<&[u8]>, secret: &str) -> Option<()> {
        let mut offer = vec![Mechanism::ScramSha256.name()];
        if end_point.is_some() {
            offer.insert(0, Mechanism::ScramSha256Plus.name());
        }
        self.write(|out| put_sasl(out, &offer)).await;
        let body = self.answer().await?;
        let first = SaslInitialResponse::parse(&body).unwrap();
        let start = Start {
            mechanism: Mechanism::from_name(first.mechanism).unwrap(),
            message: first.data.unwrap(),
        };
        let plus = start.mechanism == Mechanism::ScramSha256Plus;
        assert_eq!(plus, end_point.is_some(), "bound wherever it can be");
        let secret = scram::Secret::of(&Keys::derive(secret.as_bytes(), SALT, 8), SALT, 8);
        let exchange = Scram::new(start, &secret, end_point, [7; scram::NONCE_LEN]).unwrap();
        self.ask(Authentication::SaslContinue(exchange.message())).await;
        let proven = exchange.verify(&self.answer().await?).unwrap();
        self.ask(Authentication::SaslFinal(&proven.message)).await;
        Some(())
    }

    /// Lets the client in.
    async fn welcome(&mut self) {
        self.write(|out| {
            Authentication::Ok.put(out);
            put_parameter_status(out, b"server_version", b"15.18");
            put_notice(out, &notice(Severity::Warning, b"01000", b"collation"));
            put_parameter_status(out, b"TimeZone", b"UTC");
            put_backend_key_data(out, 42, CancelKey::new(b"key!").unwrap());
            put_ready_for_query(out, TransactionStatus::Idle);
        })
        .await;
    }

    async fn fail(&mut self, code: &[u8; 5], message: &[u8]) {
        self.write(|out| put_error(out, &notice(Severity::Fatal, code, message))).await;
    }

    async fn secure(self, tls: Arc<ServerTls>) -> Option<Self> {
        let Stream::Plain(tcp) = self.0.stream else { panic!("TLS twice") };
        let tls = TlsAcceptor::from(Arc::clone(&tls.config)).accept(tcp).await.ok()?;
        Some(Self(Messages::new(tls.into())))
    }
}

const SALT: &[u8] = b"sixteen bytes ok";

fn notice<'a>(severity: Severity, code: &[u8; 5], message: &'a [u8]) -> Notice<'a> {
    Notice { severity, code: *code, message, detail: None, hint: None }
}

/// A database that plays `script` to each connection.
async fn database<F>(script: impl Fn(Server) -> F + Send + 'static) -> Target
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            script(Server(Messages::new(tcp.into()))).await;
        }
    });
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
async fn play<F>(script: impl Fn(Server) -> F + Send + 'static) -> Result<Connected, ConnectError>
where
    F: Future<Output = ()> + Send,
{
    connect(&database(script).await, &account(), &Wishes::default()).await
}

/// What comes of being asked `question`.
async fn asked(question: Authentication<'static>) -> ConnectError {
    let asked = play(move |mut server: Server| async move {
        server.startup().await;
        server.ask(question).await;
        server.answer().await;
    });
    asked.await.unwrap_err()
}

#[tokio::test]
async fn what_the_server_says_of_the_session_is_kept() {
    let connected = play(async |mut server: Server| {
        assert_eq!(server.startup().await, Version::V3_2);
        server.welcome().await;
    });
    let connected = connected.await.unwrap();
    let key = connected.key.unwrap();
    assert_eq!((key.process_id, key.secret().as_bytes()), (42, &b"key!"[..]));
    assert_eq!(format!("{key:?}"), "BackendKey { process_id: 42, secret: *** }");
    let names: Vec<_> = connected.parameters.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, [&b"server_version"[..], b"TimeZone"]);
    assert_eq!(connected.version, Version::V3_2);
    assert!(connected.leftover.is_empty());
}

#[tokio::test]
async fn wishes_come_in_order_behind_user_and_database() {
    let target = database(async |mut server: Server| {
        let parameters = server.packet(|opening| {
            match opening {
                Opening::Startup(startup) => startup.parameters.map(|(n, v)| [n, b"=", v].concat()),
                other => panic!("{other:?}"),
            }
            .collect::<Vec<_>>()
        });
        let expect: [&[u8]; 4] =
            [b"user=app", b"database=shop", b"options=-c x=1", b"application_name=a b"];
        assert_eq!(parameters.await, expect);
        server.welcome().await;
    });
    let pair = |name: &str, value: &str| (name.as_bytes().into(), value.as_bytes().into());
    let wishes = Wishes {
        database: Some(b"shop".to_vec()),
        parameters: vec![pair("options", "-c x=1"), pair("application_name", "a b")],
    };
    connect(&target.await, &account(), &wishes).await.unwrap();
}

#[tokio::test]
async fn the_password_is_proved_by_every_method() {
    let by_md5 = play(async |mut server: Server| {
        server.startup().await;
        server.ask(Authentication::Md5Password { salt: *b"salt" }).await;
        let reply = server.answer().await.unwrap();
        let stored = md5::stored(b"secret", b"app");
        assert!(md5::verify(password(&reply).unwrap(), &stored, *b"salt"));
        server.welcome().await;
    });
    by_md5.await.unwrap();
    let by_scram = play(async |mut server: Server| {
        server.startup().await;
        server.scram(None, "secret").await.unwrap();
        server.welcome().await;
    });
    by_scram.await.unwrap();
}

/// Without TLS nothing is sent in the clear, whatever is allowed; with it, only if that is.
#[tokio::test]
async fn the_password_is_sent_in_the_clear_only_by_tls_and_only_if_allowed() {
    let check = async |tls: bool, clear_password| {
        let own = Arc::new(ServerTls::self_signed(Demand::Offered).unwrap());
        let mut target = database(move |mut server: Server| {
            let own = Arc::clone(&own);
            async move {
                if tls {
                    server.packet(|opening| assert_eq!(opening, Opening::SslRequest)).await;
                    server.0.stream.write_all(b"S").await.unwrap();
                    server = server.secure(own).await.unwrap();
                }
                server.startup().await;
                server.ask(Authentication::CleartextPassword).await;
                if let Some(answer) = server.answer().await {
                    assert!(tls);
                    assert_eq!(password(&answer), Ok(&b"secret"[..]));
                    server.welcome().await;
                }
            }
        })
        .await;
        if tls {
            target.tls = ClientTls::load(TlsMode::Required, "localhost", None).unwrap();
        }
        target.clear_password = clear_password;
        connect(&target, &account(), &Wishes::default()).await
    };
    assert!(check(true, ClearPassword::OverTls).await.is_ok());
    let refused = [
        check(true, ClearPassword::Refused).await,
        check(false, ClearPassword::OverTls).await,
        check(false, ClearPassword::Refused).await,
    ];
    for result in refused {
        assert!(matches!(result, Err(ConnectError::ClearPassword)), "{result:?}");
    }
}

#[tokio::test]
async fn an_account_proves_what_its_credential_can() {
    let check = async |credential, by_scram: bool| {
        let target = database(move |mut server: Server| async move {
            server.startup().await;
            let answered = if by_scram {
                server.scram(None, "secret").await
            } else {
                server.ask(Authentication::Md5Password { salt: *b"salt" }).await;
                server.answer().await.map(drop)
            };
            if answered.is_some() {
                server.welcome().await;
            }
        });
        connect(&target.await, &Account::with("app", credential), &Wishes::default()).await
    };
    let keys = || Credential::Scram(Keys::derive(b"secret", SALT, 8));
    let md5 = || Credential::Md5(md5::stored(b"secret", b"app").into());
    let nothing = || Credential::Password("".into());
    assert!(check(keys(), true).await.is_ok(), "keys pass through");
    assert!(check(md5(), false).await.is_ok());
    for (credential, by_scram) in [(keys(), false), (md5(), true), (nothing(), true)] {
        let refused = check(credential, by_scram).await.unwrap_err();
        assert!(matches!(refused, ConnectError::NeedsPassword(_)), "{refused}");
        assert!(refused.is_refusal());
    }
}

#[tokio::test]
async fn a_proof_is_bound_to_the_certificate() {
    let own = Arc::new(ServerTls::self_signed(Demand::Offered).unwrap());
    let offers_plus = Arc::clone(&own);
    let mut target = database(move |mut server: Server| {
        let own = Arc::clone(&offers_plus);
        async move {
            server.packet(|opening| assert_eq!(opening, Opening::SslRequest)).await;
            server.0.stream.write_all(b"S").await.unwrap();
            let mut server = server.secure(Arc::clone(&own)).await.unwrap();
            server.startup().await;
            server.scram(own.end_point.as_deref(), "secret").await.unwrap();
            server.welcome().await;
        }
    })
    .await;
    assert!(own.end_point.is_some());
    target.tls = ClientTls::load(TlsMode::Required, "localhost", None).unwrap();
    let connected = connect(&target, &account(), &Wishes::default()).await.unwrap();
    let Stream::Tls(tls) = &connected.stream else { panic!("plain") };
    let seen = tls.get_ref().1.peer_certificates().unwrap().first().and_then(end_point);
    assert_eq!(seen, own.end_point);
}

#[tokio::test]
async fn older_servers_are_spoken_to_in_their_version() {
    let negotiating = play(async |mut server: Server| {
        server.startup().await;
        server.write(|out| put_negotiate_protocol_version(out, Version::V3_0, &[])).await;
        server.welcome().await;
    });
    assert_eq!(negotiating.await.unwrap().version, Version::V3_0);

    let refusing = play(async |mut server: Server| match server.startup().await {
        Version::V3_0 => server.welcome().await,
        _ => server.fail(b"0A000", b"unsupported frontend protocol 3.2").await,
    });
    assert_eq!(refusing.await.unwrap().version, Version::V3_0);

    let odd = play(async |mut server: Server| {
        server.startup().await;
        let two = Version { major: 2, minor: 0 };
        server.write(|out| put_negotiate_protocol_version(out, two, &[])).await;
    });
    assert!(matches!(odd.await, Err(ConnectError::Exchange(_))));
}

#[tokio::test]
async fn the_servers_own_error_is_kept() {
    let full = play(async |mut server: Server| {
        server.startup().await;
        server.fail(b"53300", b"sorry, too many clients already").await;
    });
    let full = full.await.unwrap_err();
    assert!(!full.is_refusal(), "a server that is full is not well");
    let error = full.server_error().unwrap();
    assert_eq!(error.fields().severity(), Some(Severity::Fatal));
    assert_eq!(error.to_string(), "53300: sorry, too many clients already");

    let missing = play(async |mut server: Server| {
        server.startup().await;
        server.write(|out| Authentication::Ok.put(out)).await;
        server.fail(b"3D000", b"database \"app\" does not exist").await;
    });
    let missing = missing.await.unwrap_err();
    assert_eq!(missing.server_error().map(|error| error.sqlstate), Some(*b"3D000"));
    assert!(missing.is_refusal());
}

/// A server that does not know the secret is not the one it says.
#[tokio::test]
async fn a_server_that_does_not_prove_itself_is_refused() {
    let silent = play(async |mut server: Server| {
        server.startup().await;
        server.write(|out| put_sasl(out, &["SCRAM-SHA-256"])).await;
        let body = server.answer().await.unwrap();
        let first = SaslInitialResponse::parse(&body).unwrap().data.unwrap();
        let nonce = first.split(|&byte| byte == b'=').next_back().unwrap();
        let challenge = [b"r=", nonce, b"more,s=c2FsdA==,i=1"].concat();
        server.ask(Authentication::SaslContinue(&challenge)).await;
        server.answer().await;
        server.welcome().await;
    });
    assert!(matches!(silent.await, Err(ConnectError::Exchange(_))), "no signature");
    let wasteful = play(async |mut server: Server| {
        server.startup().await;
        server.write(|out| put_sasl(out, &["SCRAM-SHA-256"])).await;
        let body = server.answer().await.unwrap();
        let first = SaslInitialResponse::parse(&body).unwrap().data.unwrap();
        let nonce = first.split(|&byte| byte == b'=').next_back().unwrap();
        let challenge = [b"r=", nonce, b"more,s=c2FsdA==,i=4000000000"].concat();
        server.ask(Authentication::SaslContinue(&challenge)).await;
        server.answer().await;
    });
    let wasteful = wasteful.await.unwrap_err();
    assert!(matches!(wasteful, ConnectError::Scram(scram::Failure::Iterations(_))));
}

#[tokio::test]
async fn a_server_that_says_what_is_not_due_is_refused() {
    assert!(matches!(asked(Authentication::SaslFinal(b"v=")).await, ConnectError::Exchange(_)));
    assert!(matches!(asked(Authentication::SaslContinue(b"r=")).await, ConnectError::Exchange(_)));
    let gssapi = asked(Authentication::Other { code: 7, data: b"" }).await;
    assert!(matches!(gssapi, ConnectError::Method(_)) && gssapi.is_refusal());

    let say = async |put: fn(&mut BytesMut)| {
        let said = play(move |mut server: Server| async move {
            server.startup().await;
            server.write(|out| Authentication::Ok.put(out)).await;
            server.write(put).await;
        });
        said.await.unwrap_err()
    };
    let in_transaction = say(|out| put_ready_for_query(out, TransactionStatus::Open)).await;
    assert!(matches!(in_transaction, ConnectError::Exchange(_)));
    assert!(matches!(say(|out| out.put_slice(b"HTTP/")).await, ConnectError::Message(_)));
    let statuses = say(|out| {
        (0..=PARAMETERS_MAX).for_each(|_| put_parameter_status(out, b"a", b"b"));
    });
    assert!(matches!(statuses.await, ConnectError::Exchange(_)));
    let notices = say(|out| {
        let notice = notice(Severity::Notice, b"00000", b"psst");
        (0..=NOTICES_MAX).for_each(|_| put_notice(out, &notice));
    });
    assert!(matches!(notices.await, ConnectError::Exchange(_)));
}

/// Servers behind some proxies name no key. Time limits do not need it: the guard asks for the process.
#[tokio::test]
async fn a_server_that_gives_no_key_is_as_good() {
    let keyless = play(async |mut server: Server| {
        server.startup().await;
        server
            .write(|out| {
                Authentication::Ok.put(out);
                put_ready_for_query(out, TransactionStatus::Idle);
            })
            .await;
    });
    assert!(keyless.await.unwrap().key.is_none());
}

/// Without a word before, and only with a server that says what it speaks.
#[tokio::test]
async fn direct_tls_is_begun_with_a_server_that_says_what_it_speaks() {
    let check = async |own: ServerTls| {
        let own = Arc::new(own);
        let mut target = database(move |server: Server| {
            let own = Arc::clone(&own);
            async move {
                let Some(mut server) = server.secure(own).await else { return };
                if server.0.fill(8).await.is_ok() {
                    server.startup().await;
                    server.welcome().await;
                }
            }
        })
        .await;
        let tls = ClientTls::load(TlsMode::Required, "localhost", None).unwrap();
        target.tls = tls.map(|tls| tls.direct(ALPN));
        connect(&target, &account(), &Wishes::default()).await
    };
    let own = || ServerTls::self_signed(Demand::Offered).unwrap();
    assert!(check(own().speaking(ALPN)).await.unwrap().stream.is_tls());
    assert!(matches!(check(own()).await, Err(ConnectError::NoAlpn)));
    assert!(matches!(check(own().speaking(b"http/1.1")).await, Err(ConnectError::Tls(_))));
}

#[tokio::test]
async fn tls_that_is_required_cannot_be_talked_out_of() {
    let check = async |mode, answer: &'static [u8]| {
        let mut target = database(move |mut server: Server| async move {
            server.packet(|opening| assert_eq!(opening, Opening::SslRequest)).await;
            server.0.stream.write_all(answer).await.unwrap();
            if answer == b"N" && server.0.fill(8).await.is_ok() {
                server.startup().await;
                server.welcome().await;
            }
            server.0.part().await;
        })
        .await;
        target.tls = ClientTls::load(mode, "localhost", None).unwrap();
        connect(&target, &account(), &Wishes::default()).await
    };
    assert!(matches!(check(TlsMode::Required, b"N").await, Err(ConnectError::NoTls)));
    assert!(!check(TlsMode::Preferred, b"N").await.unwrap().stream.is_tls());
    for mode in [TlsMode::Required, TlsMode::Preferred] {
        let error = check(mode, b"E\0\0\0\x0bSFATAL\0\0").await;
        assert!(matches!(error, Err(ConnectError::Exchange(_))), "an error nobody vouches for");
        let injected = check(mode, b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await;
        assert!(matches!(injected, Err(ConnectError::Tls(_))), "plain text in front of TLS");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_database_is_given_up_in_time() {
    let silent = database(async |mut server: Server| {
        drop(server.0.fill(1 << 20).await);
    });
    let target = silent.await;
    let result = connect(&target, &account(), &Wishes::default()).await;
    assert!(matches!(result, Err(ConnectError::TimedOut(_))));
}

#[tokio::test]
async fn a_cancel_is_over_when_the_server_hangs_up() {
    let key = CancelKey::new(&[9; 32]).unwrap();
    let key = BackendKey::from(BackendKeyData { process: 42, key });
    let (said, heard) = tokio::sync::mpsc::unbounded_channel();
    let target = database(move |mut server: Server| {
        let said = said.clone();
        async move {
            let request = |opening: Opening<'_>| match opening {
                Opening::Cancel(request) => (request.process, request.key.as_bytes().to_vec()),
                other => panic!("{other:?}"),
            };
            said.send(server.packet(request).await).unwrap();
        }
    })
    .await;
    let mut heard = heard;
    cancel(&target, &key).await.unwrap();
    assert_eq!(heard.recv().await, Some((42, vec![9; 32])));

    let answering = database(async |mut server: Server| {
        server.packet(|_| ()).await;
        server.fail(b"XX000", b"what?").await;
    });
    let answered = cancel(&answering.await, &key).await;
    assert!(matches!(answered, Err(ConnectError::Exchange(_))), "{answered:?}");
}
