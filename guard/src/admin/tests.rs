use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use policy::switch::Target;

use super::*;
use crate::config::Config;
use crate::control::{
    Check, ClassStatus, ClientsStatus, Declined, HotStatus, Incident, LocksStatus, PauseStatus,
    PinnedSession, PressureStatus, Rates, Recording, RecordingHead, Sample, Snapshot, SwitchStatus,
    UpstreamStatus,
};
use crate::listener::socket::ListenSocket;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::recorder::Recorder;
use crate::secret::Secret;

/// A guard that only remembers what it was asked.
struct Fake {
    pressure: tokio::sync::watch::Sender<PressureStatus>,
    live: Live,
    state: Mutex<State>,
    switches: Mutex<Vec<SwitchStatus>>,
    paused: Mutex<bool>,
    recorder: Arc<Recorder>,
}

impl Operations for Fake {
    fn status(&self) -> Status {
        Status {
            version: "0.1.0".into(),
            state: *self.state.lock(),
            mode: "enforce".into(),
            uptime_ms: 61_000,
            upstream: UpstreamStatus {
                address: "127.0.0.1:3306".into(),
                server: None,
                limit: 32,
                idle: 3,
                leased: 2,
                control: 2,
            },
            clients: ClientsStatus { connected: 40, busy: 2 },
            in_flight: 2,
            queued: 0,
            limit: None,
            switches: self.switches.lock().len(),
            pause_ends_in_ms: None,
            replicas: Vec::new(),
        }
    }

    fn classes(&self) -> Vec<ClassStatus> {
        Vec::new()
    }

    fn pins(&self) -> Vec<PinnedSession> {
        vec![PinnedSession {
            id: 7,
            user: "web".into(),
            client: "127.0.0.1:4000".into(),
            reasons: vec!["temporary_table".into()],
            for_ms: 1500,
            statement: Some("create temporary table t ( a int )".into()),
        }]
    }

    fn locks(&self) -> LocksStatus {
        LocksStatus { blocked: 3, seen_ms_ago: Some(0), ..LocksStatus::default() }
    }

    fn hot(&self) -> HotStatus {
        HotStatus { mode: "enforce".into(), ..HotStatus::default() }
    }

    fn incidents(&self) -> Vec<Incident> {
        vec![Incident { id: 7, ..Incident::default() }]
    }

    fn recorder(&self) -> Arc<Recorder> {
        Arc::clone(&self.recorder)
    }

    fn look_closely(&self) {}

    fn switches(&self) -> Vec<SwitchStatus> {
        self.switches.lock().clone()
    }

    fn set_switch(&self, order: SwitchOrder) -> Result<(), Declined> {
        let now = Instant::now();
        let switch = order.to_switch(now)?;
        self.switches.lock().push(SwitchStatus::of(&switch, now));
        Ok(())
    }

    fn clear_switch(&self, target: &Target) -> Result<(), Declined> {
        let mut switches = self.switches.lock();
        let index = switches.iter().position(|switch| switch.target == target.to_string());
        let index = index.ok_or_else(|| Declined(format!("no switch is set for {target}")))?;
        switches.remove(index);
        Ok(())
    }

    fn reload(&self) -> Result<Vec<String>, Declined> {
        Err(Declined("t.toml:1: upstream: required, and missing".into()))
    }

    fn config(&self) -> Vec<crate::config::ListedKey> {
        Vec::new()
    }

    fn pause(&self, order: PauseOrder) -> Result<PauseStatus, Declined> {
        order.to_hold(Instant::now())?;
        *self.paused.lock() = true;
        Ok(self.pause_status())
    }

    fn resume(&self) -> Result<PauseStatus, Declined> {
        let was = std::mem::take(&mut *self.paused.lock());
        let not = || Declined("the guard is not paused".into());
        was.then(|| self.pause_status()).ok_or_else(not)
    }

    fn pause_status(&self) -> PauseStatus {
        let ends_in_ms = self.paused.lock().then_some(60_000);
        PauseStatus { ends_in_ms, held: 0, in_flight: 2, connections: 9, pinned: 1 }
    }

    fn pressure(&self) -> PressureStatus {
        *self.pressure.borrow()
    }

    fn follow_pressure(&self) -> Result<tokio::sync::watch::Receiver<PressureStatus>, Declined> {
        Ok(self.pressure.subscribe())
    }

    fn snapshot(&self) -> Snapshot {
        let now =
            Sample { rates: Rates { statements: 1204.0, ..Rates::default() }, ..Sample::default() };
        Snapshot { version: 1, now, status: self.status(), ..Snapshot::default() }
    }

    fn history(&self) -> Vec<Sample> {
        vec![Sample { in_flight: 9, ..Sample::default() }]
    }

    fn follow(&self) -> Result<tokio::sync::watch::Receiver<Arc<Snapshot>>, Declined> {
        let mut receiver = self.live.follow()?;
        receiver.mark_changed();
        Ok(receiver)
    }

    fn check(&self, application: &str, _store_type: &str, _store: &str) -> Check {
        let status_code = if application == "web" { Check::OK } else { Check::FORBIDDEN };
        Check { status_code, message: String::new(), value: 0.4, threshold: 0.75 }
    }

    fn drain(&self) {
        *self.state.lock() = State::Draining;
    }

    fn metrics(&self) -> String {
        "guard_draining 0\n".into()
    }
}

/// A recorder on whose tape nothing is.
fn recorder() -> Arc<Recorder> {
    let text = "[upstream]\naddress = \"db:3306\"\n[control]\nuser = \"tidegate\"\n";
    let config = Config::parse(std::path::Path::new("t.toml"), text, &|_| None).unwrap().config;
    let metrics = Arc::new(Metrics::new(&config.class_names()));
    Arc::new(Recorder::new(&config, Arc::default(), metrics))
}

/// A served router; it ends with the runtime it holds.
struct Served {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

fn open(operations: Ops) -> Router {
    router(operations, Arc::new(Access::new(&Secret::default(), false)))
}

fn with_token(operations: Ops) -> Router {
    router(operations, Arc::new(Access::new(&TOKEN.into(), false)))
}

const TOKEN: &str = "+0123456789abcdef0123456789abcd=";

fn serve_for_test(make: fn(Ops) -> Router) -> Served {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listening = async { ListenSocket::tcp(SocketAddr::from(([127, 0, 0, 1], 0))) };
    let listener = runtime.block_on(listening).unwrap();
    let address = listener.local_addr().unwrap();
    let bounded = Bounded::new(ListenSocket::Tcp(listener), None);
    let fake = Fake {
        pressure: tokio::sync::watch::Sender::new(PressureStatus::default()),
        live: Live::default(),
        state: Mutex::new(State::Ready),
        switches: Mutex::default(),
        paused: Mutex::default(),
        recorder: recorder(),
    };
    runtime.spawn(serve(bounded, make(Arc::new(fake)), std::future::pending()));
    Served { address, _runtime: runtime }
}

impl Served {
    /// Sends bytes as they are; returns the status and the body.
    fn send(&self, request: &str) -> (u16, String) {
        let (head, body) = self.whole(request);
        (head[9..12].parse().unwrap(), body)
    }

    /// Sends bytes as they are; returns the head and the body.
    fn whole(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.into(), body.into())
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    fn change(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:9307\r\nX-Tidegate: 1\r\nConnection: \
             close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

#[test]
fn everything_can_be_read() {
    let served = serve_for_test(open);
    assert_eq!(served.get("/live"), (200, "live\n".into()));
    assert_eq!(served.get("/ready"), (200, "ready\n".into()));
    assert_eq!(served.get("/metrics"), (200, "guard_draining 0\n".into()));
    let (code, status) = served.get("/api/v1/status");
    let status: Status = serde_json::from_str(&status).unwrap();
    assert_eq!((code, status.clients.connected), (200, 40));
    let (_, pins) = served.get("/api/v1/pins");
    assert!(pins.contains(r#""reasons":["temporary_table"]"#), "{pins}");
    assert_eq!(served.get("/api/v1/classes"), (200, "[]".into()));
    assert_eq!(served.get("/nothing"), (404, r#"{"error":"no such path"}"#.into()));
    assert_eq!(served.get("/api/v1/reload").0, 405);
}

#[test]
fn a_switch_is_set_listed_and_cleared() {
    let served = serve_for_test(open);
    let order = r#"{"target":"tag job=reminders","keep_ratio":0.1,"ttl_ms":60000,"author":"ann"}"#;
    let (code, list) = served.change("POST", "/api/v1/switches", order);
    assert_eq!(code, 200, "{list}");
    let list: Vec<SwitchStatus> = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0].target, "tag job=reminders");
    assert_eq!(list[0].ends_in_ms, Some(60_000));
    let clear = r#"{"target":"tag job=reminders"}"#;
    assert_eq!(served.change("DELETE", "/api/v1/switches", clear), (200, "[]".into()));
    assert_eq!(
        served.change("DELETE", "/api/v1/switches", clear),
        (404, r#"{"error":"no switch is set for tag job=reminders"}"#.into())
    );
}

#[test]
fn an_order_that_makes_no_sense_is_declined() {
    let served = serve_for_test(open);
    for (body, code, part) in [
        ("{", 400, "EOF"),
        (r#"{"target":"batch"}"#, 400, "not a target; expected"),
        (r#"{"target":"kind ddl","keep":1}"#, 400, "unknown field `keep`"),
        (r#"{"target":"kind ddl","keep_ratio":2}"#, 422, "keep_ratio = 2: out of range"),
        (r#"{"target":"kind ddl","ttl_ms":0}"#, 422, "ttl_ms = 0: out of range"),
    ] {
        let (told, answer) = served.change("POST", "/api/v1/switches", body);
        assert_eq!(told, code, "{answer}");
        assert!(answer.contains(part), "{answer}");
    }
}

#[test]
fn a_recording_is_begun_listed_and_read() {
    let served = serve_for_test(open);
    assert_eq!(served.get("/api/v1/recordings"), (200, "[]".into()));
    let (code, head) = served.change("POST", "/api/v1/recordings", r#"{"note":"looks odd"}"#);
    assert_eq!(code, 200, "{head}");
    let head: RecordingHead = serde_json::from_str(&head).unwrap();
    assert_eq!((&*head.note, &*head.address, head.is_over), ("looks odd", "db:3306", false));
    let (_, list) = served.get("/api/v1/recordings");
    let list: Vec<RecordingHead> = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0].id, head.id);
    let (code, recording) = served.get(&format!("/api/v1/recordings/{}", head.id));
    let recording: Recording = serde_json::from_str(&recording).unwrap();
    assert_eq!((code, recording.check()), (200, Ok(())));
    assert!(recording.events[0].what.contains("looks odd"));
    for id in ["7", "20220627-130030", "..%2f..%2fetc%2fpasswd"] {
        let (code, answer) = served.get(&format!("/api/v1/recordings/{id}"));
        assert_eq!(code, 404, "{answer}");
        assert!(answer.contains("there is no recording"), "{answer}");
    }
    let wrong = served.change("POST", "/api/v1/recordings", r#"{"why":1}"#);
    assert!(wrong.0 == 400 && wrong.1.contains("unknown field `why`"), "{wrong:?}");
}

#[test]
fn a_reload_that_fails_says_why_and_a_drain_ends_readiness() {
    let served = serve_for_test(open);
    assert_eq!(
        served.change("POST", "/api/v1/reload", ""),
        (422, r#"{"error":"t.toml:1: upstream: required, and missing"}"#.into())
    );
    assert_eq!(served.change("POST", "/api/v1/drain", "").0, 202);
    assert_eq!(served.get("/ready"), (503, "draining\n".into()));
    assert_eq!(served.get("/live").0, 200);
}

#[test]
fn a_browser_cannot_be_used_against_it() {
    let served = serve_for_test(open);
    let rebound = "GET /api/v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(served.send(rebound).0, 403);
    let without_host = "GET /api/v1/status HTTP/1.0\r\n\r\n";
    assert_eq!(served.send(without_host).0, 403);
    let cross_site = "POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: \
                      0\r\nConnection: close\r\n\r\n";
    assert_eq!(served.send(cross_site).0, 403);
    assert_eq!(served.get("/ready").0, 200, "the drain must not have begun");
}

/// Also where another site had found out the header: a browser says which site asks.
#[test]
fn another_site_s_page_cannot_change_anything() {
    let served = serve_for_test(open);
    let resume = |origin: &str| {
        format!(
            "POST /api/v1/drain HTTP/1.1\r\nHost: localhost:9307\r\nX-Tidegate: 1\r\nOrigin: {origin}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
    };
    for origin in
        ["http://evil.example", "null", "http://localhost:9308", "https://localhost:9307", ""]
    {
        let told = (403, r#"{"error":"the Origin header names another site"}"#.into());
        assert_eq!(served.send(&resume(origin)), told, "{origin}");
    }
    assert_eq!(served.get("/ready").0, 200, "the drain must not have begun");
    assert_eq!(served.send(&resume("http://localhost:9307")).0, 202);
}

/// `more` are lines of the head, each with its end.
fn request(method: &str, path: &str, more: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: db-proxy-1:9307\r\nConnection: close\r\n{more}\
         Content-Length: {len}\r\n\r\n{body}"
    )
}

#[test]
fn with_a_token_only_who_shows_it_learns_or_changes_anything() {
    let served = serve_for_test(with_token);
    let shown = format!("Authorization: Bearer {TOKEN}\r\n");
    for path in [
        "/",
        "/live",
        "/ready",
        "/metrics",
        "/api/v1/status",
        "/api/v1/snapshot/stream",
        "/page/stream",
        "/page/page.js",
        "/check/web/mysql/main",
        "/nothing",
        "/login/nothing",
    ] {
        for head in ["", "Authorization: Bearer nothing\r\n", "Cookie: tidegate=1.00\r\n"] {
            let (head, body) = served.whole(&request("GET", path, head, ""));
            assert!(head.starts_with("HTTP/1.1 401"), "{path}: {head}");
            assert!(head.contains("www-authenticate: Bearer"), "{path}: {head}");
            assert!(body.starts_with("{\"error\":\"the token is missing"), "{path}: {body}");
        }
    }
    assert_eq!(served.send(&request("GET", "/live", &shown, "")), (200, "live\n".into()));
    assert_eq!(served.send(&request("GET", "/nothing", &shown, "")).0, 404);
    let change = "X-Tidegate: 1\r\n";
    assert_eq!(served.send(&request("POST", "/api/v1/drain", change, "")).0, 401);
    assert_eq!(served.send(&request("POST", "/api/v1/drain", &shown, "")).0, 403);
    assert_eq!(served.send(&request("GET", "/ready", &shown, "")).0, 200, "it does not drain");
    let both = format!("{shown}{change}");
    assert_eq!(served.send(&request("POST", "/api/v1/drain", &both, "")).0, 202);
}

#[test]
fn a_browser_logs_in_by_a_form_and_is_known_by_its_cookie() {
    let served = serve_for_test(with_token);
    let (head, _) = served.whole(&request("GET", "/", "Accept: text/html\r\n", ""));
    assert!(head.starts_with("HTTP/1.1 303") && head.contains("location: /login"), "{head}");
    let (head, form) = served.whole(&request("GET", "/login", "", ""));
    assert!(head.starts_with("HTTP/1.1 200") && form.contains("type=\"password\""), "{head}");
    assert!(head.contains("form-action 'self'; frame-ancestors 'none'"), "{head}");
    assert!(served.send(&request("GET", "/login/page.css", "", "")).1.contains("color-scheme"));

    let post = |more: &str, body: &str| served.whole(&request("POST", "/login", more, body));
    for wrong in ["", "token=", "token=nothing", "other=1", "token=%ff%00", TOKEN] {
        let (head, body) = post("", wrong);
        assert!(head.starts_with("HTTP/1.1 403"), "{wrong}: {head}");
        assert!(!head.contains("set-cookie") && body.contains("not the token"), "{wrong}: {head}");
    }
    let right = format!("token={}", TOKEN.replace('+', "%2B").replace('=', "%3D"));
    for origin in ["http://evil.example", "https://db-proxy-1:9307", "null"] {
        let (head, _) = post(&format!("Origin: {origin}\r\n"), &right);
        assert!(
            head.starts_with("HTTP/1.1 403") && !head.contains("set-cookie"),
            "{origin}: {head}"
        );
    }
    let (head, _) = post("Origin: http://db-proxy-1:9307\r\n", &right);
    assert!(head.starts_with("HTTP/1.1 303") && head.contains("location: /\r\n"), "{head}");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let (cookie, rest) = cookie.split_once("; ").unwrap();
    assert_eq!(rest, "Path=/; HttpOnly; SameSite=Strict");

    let known = format!("Cookie: {cookie}\r\n");
    assert_eq!(served.send(&request("GET", "/", &known, "")).0, 200);
    let drain = |more: &str| served.send(&request("POST", "/api/v1/drain", more, "")).0;
    assert_eq!(drain(&known), 403, "a form of another site is not enough");
    assert_eq!(drain(&format!("{known}X-Tidegate: 1\r\nOrigin: http://evil.example\r\n")), 403);
    assert_eq!(drain(&format!("{known}X-Tidegate: 1\r\n")), 202);
}

#[test]
fn the_page_is_served_with_a_strict_policy() {
    let served = serve_for_test(open);
    for (path, kind, part) in [
        ("/", "text/html; charset=utf-8", "<dd class=\"value\">1,204</dd>"),
        ("/page/page.css", "text/css; charset=utf-8", "prefers-color-scheme"),
        ("/page/page.js", "text/javascript; charset=utf-8", "EventSource"),
        ("/page/uplot.css", "text/css; charset=utf-8", ".uplot"),
        ("/page/uplot.js", "text/javascript; charset=utf-8", "uPlot (v1.6.32)"),
    ] {
        let (head, body) = served
            .whole(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        let head = head.to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        for line in [
            &*format!("content-type: {kind}"),
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(head.contains(line), "{path}: {line} is missing: {head}");
        }
        assert!(!head.contains("unsafe"), "{head}");
        assert!(body.contains(part), "{path}: {part} is missing");
    }
    let rebound = "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(served.send(rebound).0, 403);
}

#[test]
fn a_glance_is_told_as_json_and_as_events() {
    let served = serve_for_test(open);
    let (_, snapshot) = served.get("/api/v1/snapshot");
    let snapshot: Snapshot = serde_json::from_str(&snapshot).unwrap();
    assert_eq!((snapshot.version, snapshot.now.rates.statements), (1, 1204.0));
    let (_, history) = served.get("/api/v1/history");
    let history: Vec<Sample> = serde_json::from_str(&history).unwrap();
    assert_eq!(history[0].in_flight, 9);
    for (path, part) in [
        ("/api/v1/snapshot/stream", "event: snapshot\ndata: {\"version\""),
        ("/page/stream", "event: page\ndata: {\"glance\":\"<section id="),
    ] {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut heard = String::new();
        while !heard.contains(part) {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap();
            assert!(read > 0, "{path}: it ended: {heard}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        assert!(heard.contains("content-type: text/event-stream"), "{heard}");
    }
}

#[test]
fn a_tool_is_told_by_status_code_and_in_freno_s_words() {
    let served = serve_for_test(open);
    let told = r#"{"StatusCode":200,"Message":"","Value":0.4,"Threshold":0.75}"#;
    assert_eq!(served.get("/check/web/mysql/main"), (200, told.into()));
    assert_eq!(served.get("/check/gh-ost/mysql/main").0, 417);
    let head =
        "HEAD /check/gh-ost/mysql/main HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(served.send(head), (417, String::new()));
    assert_eq!(served.get("/check/web/mysql").0, 404);
}

#[test]
fn bodies_and_heads_are_bounded() {
    let served = serve_for_test(open);
    let large = "x".repeat(BODY_MAX + 1);
    assert_eq!(served.change("POST", "/api/v1/switches", &large).0, 413);
    let long = format!("/{}", "x".repeat(70_000));
    assert!([414, 431].contains(&served.get(&long).0));
}

#[test]
fn the_open_side_only_reads() {
    let served = serve_for_test(metrics_router);
    let scrape = "GET /metrics HTTP/1.1\r\nHost: guard.internal:9308\r\nConnection: close\r\n\r\n";
    assert_eq!(served.send(scrape), (200, "guard_draining 0\n".into()));
    assert_eq!(served.get("/ready").0, 200);
    assert_eq!(served.get("/api/v1/pressure").0, 200);
    assert_eq!(served.get("/check/web/mysql/main").0, 200);
    assert_eq!(served.get("/api/v1/status").0, 404);
    assert_eq!(served.change("POST", "/api/v1/drain", "").0, 404);
    for path in ["/", "/api/v1/snapshot", "/page/stream"] {
        assert_eq!(served.get(path).0, 404, "{path}");
    }
}
