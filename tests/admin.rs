//! Who may come to the admin side: by a Unix socket whoever may open it, beyond the loopback whoever shows the token, over TLS.

use std::cell::Cell;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

const TOKEN: &str = "Zq7~w0rd.that_nobody-guesses/0123456789+=";

/// Longest a guard may take to end.
const DRAIN: Duration = Duration::from_secs(60);

/// A configuration whose admin side is as `lines` say. Whether it is ready is asked of its metrics address.
fn text(server: &Server, doors: Doors, lines: &str) -> String {
    let own = format!("[admin]\naddress = \"{}\"\n", doors.admin);
    let other = format!("[admin]\nmetrics_address = \"{}\"\n{lines}\n", doors.admin);
    let text = Setup::default().text(server, doors);
    assert!(text.contains(&own), "{text}");
    text.replace(&own, &other)
}

/// What a subcommand says, and its exit code; `more` are arguments.
fn tidegate(arguments: &str, more: &[&str], token: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(program().unwrap());
    command.args(arguments.split(' ')).args(more);
    command.envs(token.map(|token| ("TIDEGATE_ADMIN_TOKEN", token)));
    let output = command.output().unwrap();
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code(), told)
}

/// Sends a request as it is, and returns the answer.
fn exchange(mut stream: UnixStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn the_command_line_speaks_to_a_unix_socket() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let folder = Scratch::new().unwrap();
    let socket = folder.path().join("admin");
    let lines = format!("address = \"{}\"", socket.display());
    let mut guard = Guard::start_with(|doors| text(&server, doors, &lines)).await.unwrap();
    let file = fs::metadata(&socket).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600, "for nobody but the guard's own user");

    let path = socket.to_str().unwrap();
    for (arguments, part) in [
        ("status", "ready, mode enforce"),
        ("status --json", "\"state\": \"ready\""),
        ("top", "tidegate"),
        ("classes", "default"),
        ("locks", "nobody"),
        ("hot", "no row"),
        ("pins", "no"),
        ("switch off class default --for 1m --reason test", "class default"),
        ("switch list", "class default"),
        ("switch on class default", "no switch"),
        ("incidents list", "no"),
    ] {
        let (code, told) = tidegate(arguments, &["--admin", path], None);
        assert_eq!(code, Some(0), "{arguments}: {told}");
        assert!(told.to_lowercase().contains(part), "{arguments}: {told}");
    }
    assert_eq!(tidegate("status", &["--admin", &format!("unix:{path}")], None).0, Some(0));

    let ask = |host: &str| {
        let stream = UnixStream::connect(&socket).unwrap();
        exchange(stream, &format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    };
    assert!(ask("localhost:9307").starts_with("HTTP/1.1 200"), "as behind ssh -L");
    assert!(ask("evil.example").starts_with("HTTP/1.1 403"));

    guard.crash();
    let (code, told) = tidegate("status", &["--admin", path], None);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains(path) && told.contains("Connection refused"), "{told}");
    let mut guard = Guard::start_with(|doors| text(&server, doors, &lines)).await.unwrap();
    assert_eq!(
        tidegate("status", &["--admin", path], None).0,
        Some(0),
        "what was left is replaced"
    );
    assert!(guard.drain(DRAIN).unwrap().success());
    assert!(!socket.exists());
}

/// An authority, and a certificate of 127.0.0.1 that it has signed, with its key.
struct Papers {
    folder: Scratch,
}

impl Papers {
    fn new() -> Self {
        let folder = Scratch::new().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &authority).unwrap();
        let papers = Self { folder };
        fs::write(papers.authority(), authority.pem()).unwrap();
        fs::write(papers.path("own.pem"), own.pem()).unwrap();
        fs::write(papers.path("key.pem"), key.serialize_pem()).unwrap();
        fs::write(papers.path("token"), format!("{TOKEN}\n")).unwrap();
        papers
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn authority(&self) -> PathBuf {
        self.path("authority.pem")
    }

    fn lines(&self, address: SocketAddr) -> String {
        let of = |name| self.path(name).display().to_string();
        format!(
            "address = \"{address}\"\ntoken_file = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"\n",
            of("token"),
            of("own.pem"),
            of("key.pem"),
        )
    }
}

fn everywhere(port: u16) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, port).into()
}

#[tokio::test]
async fn beyond_the_loopback_it_takes_the_token_and_tls() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let papers = Papers::new();
    let port = Cell::new(0);
    let start = Guard::start_with(|doors| {
        port.set(free_port().unwrap());
        text(&server, doors, &papers.lines(everywhere(port.get())))
    });
    let guard = start.await.unwrap();
    let at = format!("127.0.0.1:{}", port.get());
    let (tls, plain) = (format!("https://{at}"), format!("http://{at}"));
    let (authority, token_file) = (papers.authority(), papers.path("token"));
    let (authority, token_file) = (authority.to_str().unwrap(), token_file.to_str().unwrap());
    let trusted = ["--admin", &*tls, "--admin-ca", authority];

    // Who connects and says nothing, or something else, keeps nobody waiting.
    let mut silent: Vec<_> = (0..8).map(|_| TcpStream::connect(&at).unwrap()).collect();
    silent[0].write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();

    for arguments in ["status", "status --json", "top", "locks", "classes", "switch list"] {
        let (code, told) = tidegate(arguments, &trusted, Some(TOKEN));
        assert_eq!(code, Some(0), "{arguments}: {told}");
    }
    let by_file = [&trusted[..], &["--admin-token-file", token_file]].concat();
    let (code, told) = tidegate("switch off class default --for 1m --reason test", &by_file, None);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("class default"), "{told}");

    let other = TOKEN.replace('Z', "z");
    for (more, token, expected, part) in [
        (&trusted[..], None, 1, "the token is missing or another one"),
        (&trusted, Some(&*other), 1, "the token is missing or another one"),
        (&trusted, Some("q7"), 2, "TIDEGATE_ADMIN_TOKEN: too short"),
        (&["--admin", &tls], Some(TOKEN), 3, "invalid peer certificate"),
        (&["--admin", &tls, "--admin-ca", "/none.pem"], Some(TOKEN), 2, "/none.pem: "),
        (&["--admin", &plain], Some(TOKEN), 2, "speaks TLS; expected --admin https://127.0.0.1:"),
        // It is not even connected to.
        (
            &["--admin", "http://192.0.2.1:9"],
            Some(TOKEN),
            2,
            "the token would be sent in plain text",
        ),
    ] {
        let (code, told) = tidegate("status", more, token);
        assert_eq!(code, Some(expected), "{more:?}: {told}");
        assert!(told.contains(part), "{more:?}: {told}");
        assert!(token.is_none_or(|token| !told.contains(token)), "{told}");
    }
    let log = guard.log();
    assert!(log.contains("with another token"), "{log}");
    assert!(!log.contains(TOKEN) && !log.contains(&other), "{log}");
    let metrics = guard.get("/metrics").await.unwrap();
    assert_eq!(metrics.status, 200, "the metrics address asks for nothing");
    assert_eq!(guard.get("/api/v1/status").await.unwrap().status, 404, "and has nothing else");
}

/// What `tidegate check` says of an admin side as `lines` say.
fn check(folder: &Path, lines: &str) -> (Option<i32>, String) {
    let file = folder.join("tidegate.toml");
    let text = format!(
        "[upstream]\naddress = \"127.0.0.1:3306\"\n[control]\nuser = \"a\"\npassword = \"b\"\n[admin]\n{lines}\n"
    );
    fs::write(&file, text).unwrap();
    tidegate("check -c", &[file.to_str().unwrap()], None)
}

#[test]
fn half_of_what_it_takes_beyond_the_loopback_is_an_error() {
    let papers = Papers::new();
    let whole = papers.lines(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9307));
    let folder = papers.folder.path();
    let (code, told) = check(folder, &whole);
    assert_eq!(code, Some(0), "{told}");
    let without = |keys: &[&str]| {
        let is_left = |line: &&str| !keys.iter().any(|key| line.starts_with(key));
        whole.lines().filter(is_left).collect::<Vec<_>>().join("\n")
    };
    for (keys, part) in [
        (&["token_file"][..], "expected token or token_file as well"),
        (&["certificate", "key"], "expected certificate and key as well"),
        (
            &["token_file", "certificate", "key"],
            "expected token or token_file, and certificate and key",
        ),
        (&["key"], "admin.key: missing: certificate and key go together"),
    ] {
        let (code, told) = check(folder, &without(keys));
        assert_eq!(code, Some(2), "{keys:?}: {told}");
        assert!(told.contains(part), "{keys:?}: {told}");
    }
    fs::write(papers.path("token"), "0123456789").unwrap();
    let (code, told) = check(folder, &whole);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("too short") && !told.contains("0123456789"), "{told}");
}
