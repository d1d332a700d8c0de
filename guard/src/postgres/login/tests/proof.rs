//! From the start-up packet to the last word.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use wire::postgres::auth::scram::{Binding, Client, Credential as Proof, NONCE_LEN};
use wire::postgres::login::{Authentication, SaslInitialResponse, put_password, put_sasl_response};

use super::*;
use crate::postgres::users::{Asked, Found, Looking, Lookup};

fn account(user: &str, password: &str) -> Account {
    Account::new(user, password.into())
}

#[tokio::test]
async fn whoever_knows_the_password_is_let_in() {
    for tls in [None, Some(Demand::Required)] {
        let mode = if tls.is_some() { TlsMode::Required } else { TlsMode::Off };
        for user in ["app", "scram", "md5"] {
            let (client, login) = meet(context(tls), mode, &account(user, "secret")).await;
            let client = client.unwrap();
            assert_eq!((client.version, client.parameters.len()), (Version::V3_2, SETTINGS.len()));
            assert_eq!(client.key.unwrap().process_id, 1 << 30);
            let login = entered(login);
            assert_eq!((&*login.user, &*login.database), (user, user.as_bytes()));
            let credential = login.account.credential();
            assert!(match user {
                "app" => matches!(credential, Credential::Password(p) if *p == "secret".into()),
                "scram" => matches!(credential, Credential::Scram(_)),
                _ => matches!(credential, Credential::Md5(_)),
            });
        }
    }
}

#[tokio::test]
async fn nobody_else_is_let_in_and_all_are_told_the_same() {
    for clear_password in [ClearPassword::Refused, ClearPassword::OverTls] {
        for (user, password) in
            [("app", "Secret"), ("scram", "Secret"), ("md5", "x"), ("nobody", "secret")]
        {
            let context = LoginContext { clear_password, ..context(Some(Demand::Offered)) };
            let (client, login) = meet(context, TlsMode::Required, &account(user, password)).await;
            let client = client.unwrap_err();
            let error = client.server_error().unwrap();
            let expect = format!("password authentication failed for user \"{user}\"");
            assert_eq!(
                (error.sqlstate, error.fields().message()),
                (*b"28P01", Some(expect.as_bytes()))
            );
            assert!(matches!(login, Err(LoginError::Denied { user: u }) if *u == *user));
        }
    }
}

/// PostgreSQL takes an empty password for none.
#[tokio::test]
async fn an_empty_password_proves_nothing() {
    let (addr, outcome) = serve(context(None)).await;
    let mut client = Raw::to(addr).await;
    client.startup(Version::V3_0, &[(b"user", b"locked")]).await;
    let keys = |salt: &[u8], iterations| Keys::derive(b"", salt, iterations);
    assert_eq!(exchange(&mut client, Binding::Unsupported, keys).await.0, "28P01");
    drop(client);
    assert!(matches!(outcome.await.unwrap(), Err(LoginError::Denied { .. })));
}

#[tokio::test]
async fn the_password_as_it_is_is_asked_for_by_tls_only() {
    for user in ["app", "scram", "md5"] {
        let clear = || LoginContext {
            clear_password: ClearPassword::OverTls,
            ..context(Some(Demand::Offered))
        };
        let (client, login) = meet(clear(), TlsMode::Required, &account(user, "secret")).await;
        client.unwrap();
        assert_eq!(entered(login).account.password(), Some(&"secret".into()), "{user}");

        let (client, _) = meet(clear(), TlsMode::Off, &account(user, "secret")).await;
        client.expect("proved");
    }
    let (addr, outcome) = serve(context(None)).await;
    let mut client = Raw::to(addr).await;
    client.startup(Version::V3_0, &[(b"user", b"app")]).await;
    client.hear().await;
    client.say(|out| put_password(out, b"secret")).await;
    assert_eq!(client.error().await.0, "08P01", "what is no SCRAM is no proof");
    drop(client);
    assert!(outcome.await.unwrap().is_err());
}

/// What a proof told the guard lets it in wherever the same secret is kept.
#[tokio::test]
async fn keys_pass_through() {
    for user in ["scram", "md5"] {
        let (_, login) = meet(context(None), TlsMode::Off, &account(user, "secret")).await;
        let learnt = entered(login).account;
        assert!(learnt.password().is_none());
        let (client, _) = meet(context(Some(Demand::Required)), TlsMode::Required, &learnt).await;
        client.unwrap();
    }
}

#[tokio::test]
async fn who_proves_the_same_shares_an_account() {
    let context = context(None);
    let known = context.users.find("scram", [127, 0, 0, 1].into()).await.unwrap();
    let again = || LoginContext {
        users: Arc::clone(&context.users),
        pacing: Arc::clone(&context.pacing),
        trusted: Vec::new(),
        tls: None,
        ..context
    };
    let first = entered(meet(again(), TlsMode::Off, &account("scram", "secret")).await.1);
    let second = entered(meet(again(), TlsMode::Off, &account("scram", "secret")).await.1);
    assert!(Arc::ptr_eq(&first.account, &second.account));
    assert!(known.trusted().has_no_password(), "a verifier alone proves nothing");
}

#[tokio::test]
async fn a_trusted_network_proves_nothing_and_is_let_in() {
    let trusted = || vec!["127.0.0.0/8".parse().unwrap()];
    for (user, password) in [("app", Some("secret")), ("nobody", Some("")), ("md5", None)] {
        let context = LoginContext { trusted: trusted(), ..context(None) };
        let (client, login) = meet(context, TlsMode::Off, &account(user, "")).await;
        client.unwrap();
        let login = entered(login);
        assert_eq!(login.account.password().cloned(), password.map(Secret::from));
    }
    let elsewhere = vec!["10.0.0.0/8".parse().unwrap()];
    let context = LoginContext { trusted: elsewhere, ..context(None) };
    let (client, _) = meet(context, TlsMode::Off, &account("app", "wrong")).await;
    assert!(client.is_err());
}

/// Proves itself by SCRAM with what `keys` makes of the salt. Returns SQLSTATE and text of the error,
/// and the salt.
async fn exchange(
    client: &mut Raw,
    binding: Binding<'_>,
    keys: impl FnOnce(&[u8], u32) -> Keys,
) -> (String, String, Vec<u8>) {
    let side = Client::new(binding, [1; NONCE_LEN]);
    client.hear().await;
    let first = SaslInitialResponse {
        mechanism: side.mechanism().name().as_bytes(),
        data: Some(side.message()),
    };
    client.say(|out| first.put(out)).await;
    let (kind, body) = client.hear().await;
    if kind == Kind::ErrorResponse {
        let fields = backend::Fields::parse(&body).unwrap();
        let code = String::from_utf8(fields.code().unwrap().to_vec()).unwrap();
        return (code, String::from_utf8(fields.message().unwrap().to_vec()).unwrap(), Vec::new());
    }
    let Ok(Authentication::SaslContinue(challenge)) = Authentication::parse(&body) else {
        panic!("no challenge")
    };
    let derivation = side.derivation(challenge).unwrap();
    let keys = keys(&derivation.salt, derivation.iterations);
    let answer = side.answer(challenge, Proof::Keys(&keys)).unwrap();
    client.say(|out| put_sasl_response(out, answer.message())).await;
    let (code, text) = client.error().await;
    (code, text, derivation.salt)
}

#[tokio::test]
async fn users_that_do_not_exist_always_have_the_same_salt() {
    let context = context(None);
    let mut salts = Vec::new();
    for user in ["nobody", "nobody", "nobody2"] {
        let again = LoginContext {
            users: Arc::clone(&context.users),
            pacing: Arc::clone(&context.pacing),
            trusted: Vec::new(),
            tls: None,
            ..context
        };
        let (addr, _outcome) = serve(again).await;
        let mut client = Raw::to(addr).await;
        client.startup(Version::V3_0, &[(b"user", user.as_bytes())]).await;
        let keys = |_: &[u8], _| Keys { client: [0; 32], server: [0; 32] };
        let (code, _, salt) = exchange(&mut client, Binding::Unsupported, keys).await;
        assert_eq!(code, "28P01");
        salts.push(salt);
    }
    assert_eq!((&salts[0], salts[0].len()), (&salts[1], 16));
    assert_ne!(salts[0], salts[2]);
}

/// A client that believes that binding was not offered, when it was, has been deceived.
#[tokio::test]
async fn a_binding_that_somebody_took_away_is_noticed() {
    let check = async |tls: bool, binding: Binding<'_>| {
        let (addr, outcome) = serve(context(Some(Demand::Offered))).await;
        let mut client = Raw::to(addr).await;
        if tls {
            let tcp = TcpStream::connect(addr).await.unwrap();
            client.say(put_ssl_request).await;
            assert_eq!(client.byte().await, b'S');
            let Stream::Plain(old) = std::mem::replace(&mut client.0.stream, tcp.into()) else {
                panic!("TLS twice")
            };
            let tls = ClientTls::load(TlsMode::Required, "localhost", None).unwrap().unwrap();
            let connector = tokio_rustls::TlsConnector::from(tls.config);
            let stream = connector.connect(tls.server_name, old).await.unwrap();
            client.0.stream = stream.into();
        }
        client.startup(Version::V3_0, &[(b"user", b"app")]).await;
        let keys = |salt: &[u8], iterations| Keys::derive(b"secret", salt, iterations);
        let (code, ..) = exchange(&mut client, binding, keys).await;
        drop(client);
        assert!(matches!(outcome.await.unwrap(), Err(LoginError::Scram(_))));
        code
    };
    assert_eq!(check(true, Binding::NotOffered).await, "28000");
    assert_eq!(check(true, Binding::EndPoint(&[0; 32])).await, "28000", "another certificate");
    assert_eq!(check(false, Binding::EndPoint(&[0; 32])).await, "28000", "nothing to bind to");
}

#[tokio::test(start_paused = true)]
async fn many_wrong_proofs_are_answered_late() {
    let context = context(None);
    let from = [127, 0, 0, 1].into();
    assert_eq!(context.users.failed("app", from), Duration::ZERO);
    for _ in 0..1000 {
        context.users.failed("app", from);
    }
    let pause = context.users.failed("app", from);
    assert_eq!(pause, Duration::from_secs(1));
    let before = Instant::now();
    let right = LoginContext {
        users: Arc::clone(&context.users),
        pacing: Arc::clone(&context.pacing),
        trusted: Vec::new(),
        tls: None,
        ..context
    };
    meet(right, TlsMode::Off, &account("app", "secret")).await.0.unwrap();
    assert!(before.elapsed() < pause, "who knows the password is not held up");
    let (client, _) = meet(context, TlsMode::Off, &account("app", "wrong")).await;
    assert_eq!(client.unwrap_err().server_error().unwrap().sqlstate, *b"28P01");
    assert!(before.elapsed() >= pause);
}

/// A database that knows one user.
#[derive(Default)]
struct Database {
    password: Mutex<Option<String>>,
    asked: AtomicUsize,
}

impl Lookup for Arc<Database> {
    fn look_up<'a>(&'a self, user: &'a str) -> Looking<'a> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            // The others of a herd come meanwhile.
            tokio::task::yield_now().await;
            let found: Found = match (user, &*self.password.lock()) {
                ("asked", Some(password)) => Ok(Some(password.as_str().into())),
                (_, None) => Err("the database is gone".into()),
                _ => Ok(None),
            };
            found
        })
    }
}

fn asking(database: &Arc<Database>) -> Arc<Users> {
    let asked = Asked::new(Box::new(Arc::clone(database)), Duration::from_secs(30));
    Arc::new(Users::new([], Some(asked), random_seed()))
}

#[tokio::test(start_paused = true)]
async fn a_user_that_no_list_has_is_looked_up() {
    let database = Arc::new(Database::default());
    let users = asking(&database);
    let log_in = async |user: &str, password: &str| {
        let context = LoginContext { users: Arc::clone(&users), ..context(None) };
        let (_, login) = meet(context, TlsMode::Off, &account(user, password)).await;
        login.map(drop)
    };
    let gone = log_in("asked", "secret").await.unwrap_err();
    assert!(matches!(gone, LoginError::Unverifiable(_)));
    assert_eq!(gone.blame(), "upstream");
    *database.password.lock() = Some("secret".into());
    assert!(log_in("asked", "secret").await.is_ok());
    assert!(log_in("asked", "secret").await.is_ok());
    assert!(matches!(log_in("nobody", "secret").await, Err(LoginError::Denied { .. })));
    assert!(matches!(log_in("nobody", "secret").await, Err(LoginError::Denied { .. })));
    assert_eq!(database.asked.load(Ordering::Relaxed), 3, "and remembered");

    *database.password.lock() = Some("changed".into());
    assert!(log_in("asked", "changed").await.is_err(), "what was said is believed for a while");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(log_in("asked", "changed").await.is_ok(), "until a proof was wrong");
}

#[tokio::test]
async fn a_herd_asks_once() {
    let database = Arc::new(Database::default());
    *database.password.lock() = Some("secret".into());
    let users = asking(&database);
    let found = (0..50).map(|_| {
        let users = Arc::clone(&users);
        tokio::spawn(async move { users.find("asked", [10, 0, 0, 1].into()).await.unwrap() })
    });
    let found: Vec<_> = found.collect();
    for known in found {
        assert!(known.await.unwrap().recall(&"secret".into()).is_some());
    }
    assert!(database.asked.load(Ordering::Relaxed) <= 2, "as many as ask at once");
}
