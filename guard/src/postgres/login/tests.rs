//! Clients that behave, and clients that do not, over real sockets. Those that behave are the guard's
//! own other end. The clock stands still where something waits for it.

mod open;
mod proof;

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use wire::postgres::auth::md5;
use wire::postgres::auth::scram::{Keys, Secret as Verifier};
use wire::postgres::backend;
use wire::postgres::startup::{ALPN, put_ssl_request, put_startup_message};

use super::*;
use crate::account::Credential;
use crate::postgres::connect::{ConnectError, Connected, Wishes, connect};
use crate::postgres::stored::random_seed;
use crate::secret::Secret;
use crate::tls::{ClientTls, Demand, TlsMode};
use crate::upstream::target::Target;
use crate::users::Entry;

const TIMEOUT: Duration = Duration::from_secs(10);

const SETTINGS: [(&[u8], &[u8]); 2] = [(b"server_version", b"15.18"), (b"TimeZone", b"UTC")];

/// A guard that lets in, all with the password `secret`: `app`, `scram`, `md5`; and `locked` not.
fn context(tls: Option<Demand>) -> LoginContext {
    let keys = Keys::derive(b"secret", b"salt", 64);
    let verifier = Verifier::of(&keys, b"salt", 64).text();
    let md5 = String::from_utf8(md5::stored(b"secret", b"md5").to_vec()).unwrap();
    let listed = [("app", "secret"), ("scram", &verifier), ("md5", &md5), ("locked", "")];
    let entry = |(user, secret): (&str, &str)| Entry { user: user.into(), secret: secret.into() };
    LoginContext {
        tls: tls.map(|demand| Arc::new(ServerTls::self_signed(demand).unwrap().speaking(ALPN))),
        users: Arc::new(Users::new(listed.map(entry), None, random_seed())),
        clear_password: ClearPassword::Refused,
        trusted: Vec::new(),
        timeout: TIMEOUT,
        pacing: Arc::new(Semaphore::new(1)),
    }
}

/// The outcome of the guard's side, for each client in turn; whoever is let in is told so.
type Outcome = JoinHandle<Result<Entered, LoginError>>;

async fn serve(context: LoginContext) -> (SocketAddr, Outcome) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let outcome = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut entered = login(tcp.into(), &context).await?;
        if let Entered::Login(login) = &mut entered {
            let settings = SETTINGS.map(|(name, value)| (name.into(), value.into()));
            let key = BackendKey::of_session(1 << 30, login.version);
            login.accept(&settings, &key).await?;
        }
        Ok(entered)
    });
    (addr, outcome)
}

fn target(addr: SocketAddr, mode: TlsMode) -> Target {
    Target {
        address: addr.into(),
        tls: ClientTls::load(mode, "localhost", None).unwrap(),
        connect_timeout: TIMEOUT,
        clear_password: ClearPassword::OverTls,
    }
}

/// What both sides make of a client with that account.
async fn meet(
    context: LoginContext,
    mode: TlsMode,
    account: &Account,
) -> (Result<Connected, ConnectError>, Result<Entered, LoginError>) {
    let (addr, outcome) = serve(context).await;
    let client = connect(&target(addr, mode), account, &Wishes::default()).await;
    (client, outcome.await.unwrap())
}

fn entered(outcome: Result<Entered, LoginError>) -> Login {
    match outcome {
        Ok(Entered::Login(login)) => *login,
        other => panic!("{other:?}"),
    }
}

/// A client that says what it is told to.
struct Raw(Messages<Stream>);

impl Raw {
    async fn to(addr: SocketAddr) -> Self {
        Self(Messages::new(TcpStream::connect(addr).await.unwrap().into()))
    }

    async fn say(&mut self, put: impl FnOnce(&mut BytesMut)) {
        self.0.write(put).await.unwrap();
    }

    async fn startup(&mut self, version: Version, parameters: &[(&[u8], &[u8])]) {
        self.say(|out| put_startup_message(out, version, parameters.iter().copied())).await;
    }

    async fn byte(&mut self) -> u8 {
        self.0.fill(1).await.unwrap();
        self.0.buffer.split_to(1)[0]
    }

    async fn hear(&mut self) -> (Kind, BytesMut) {
        self.0.read(Kind::of).await.unwrap()
    }

    /// SQLSTATE and text of the error that is due.
    async fn error(&mut self) -> (String, String) {
        let (kind, body) = self.hear().await;
        assert_eq!(kind, Kind::ErrorResponse);
        let fields = backend::Fields::parse(&body).unwrap();
        assert_eq!(fields.severity(), Some(Severity::Fatal));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&fields.code().unwrap()), text(fields.message().unwrap()))
    }

    /// Whether the guard has hung up.
    async fn is_over(&mut self) -> bool {
        matches!(self.0.fill(1).await, Err(MessageError::Closed))
    }
}
