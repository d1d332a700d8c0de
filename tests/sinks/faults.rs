//! A receiver for every way to fail, and what a webhook's sink makes of each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::eventually;
use policy::dispatch::lane::Off;
use policy::dispatch::{concurrency, lane};
use scheduler::sink::http::{Config, Http, Patience};
use scheduler::sink::{Fate, Item, Reason, Sink, Slice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{chunk, done, items};

/// What a receiver does with each request.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Answers so, and goes on.
    Says(&'static str),
    /// Writes so much, and hangs up.
    EndsAfter(&'static str),
    /// Writes so much, and then nothing more.
    HangsAfter(&'static str),
    /// Answers, and never stops.
    Floods(&'static str),
    /// Answers with a byte now and then.
    Drips,
    /// Does not even read.
    Deaf,
}

/// A receiver, with what it has seen.
struct Receiver {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Receiver {
    async fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (connections, requests) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let receiver = Self { addr, connections, requests };
        let (connections, requests) =
            (Arc::clone(&receiver.connections), Arc::clone(&receiver.requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, way, Arc::clone(&requests)));
            }
        });
        receiver
    }

    fn sink(&self) -> Http {
        self.sink_by("http", 4)
    }

    fn sink_by(&self, scheme: &str, at_once: u32) -> Http {
        let url = format!("{scheme}://{}/", self.addr).parse().unwrap();
        let mut config = Config::new(url, Vec::new());
        config.patience = Patience {
            connect: Duration::from_millis(400),
            first_byte: Duration::from_millis(800),
            whole: Duration::from_millis(1_200),
        };
        config.lane.concurrency = concurrency::Config { min: at_once, max: at_once };
        Http::new(config).unwrap()
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, way: Way, requests: Arc<AtomicUsize>) -> Option<()> {
    if matches!(way, Way::Deaf) {
        std::future::pending::<()>().await;
    }
    let mut seen = Vec::new();
    loop {
        read_request(&mut stream, &mut seen).await?;
        requests.fetch_add(1, Ordering::Relaxed);
        match way {
            Way::Says(words) => stream.write_all(words.as_bytes()).await.ok()?,
            Way::EndsAfter(words) => return stream.write_all(words.as_bytes()).await.ok(),
            Way::HangsAfter(words) => {
                stream.write_all(words.as_bytes()).await.ok()?;
                std::future::pending::<()>().await;
            }
            Way::Floods(words) => {
                stream.write_all(words.as_bytes()).await.ok()?;
                loop {
                    stream.write_all(&[b'x'; 64 * 1024]).await.ok()?;
                }
            }
            Way::Drips => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(b"x").await.ok()?;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Way::Deaf => unreachable!("it has not read"),
        }
    }
}

/// Reads a request with a body of a stated length.
async fn read_request(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Option<()> {
    loop {
        if let Some(end) = seen.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&seen[..end]).to_lowercase();
            let (_, len) = head.split_once("content-length: ")?;
            let len: usize = len.lines().next()?.parse().ok()?;
            if seen.len() >= end + 4 + len {
                seen.drain(..end + 4 + len);
                return Some(());
            }
        }
        if stream.read_buf(seen).await.ok()? == 0 {
            return None;
        }
    }
}

fn one() -> Vec<Item> {
    items(1, |_| "{}".into())
}

async fn offer(sink: &Http, items: &[Item]) -> Vec<Fate> {
    sink.offer(Slice { chunk: chunk("b", 1), items }).await
}

fn is_ambiguous(fate: &Fate) -> bool {
    matches!(fate, Fate::Ambiguous(_))
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn what_was_sent_and_not_answered_is_ambiguous() {
    let late = Fate::Ambiguous(Reason::Late(Duration::from_millis(800)));
    for way in [
        Way::HangsAfter(""),
        Way::HangsAfter("HTTP/1.1 200 OK\r\ncontent-le"),
        Way::EndsAfter(""),
        Way::EndsAfter("HTTP/1.1 200 OK\r\ncontent-le"),
        Way::Says("what do you want?\r\n\r\n"),
        Way::Says("HTTP/1.1 two hundred OK\r\n\r\n"),
        Way::Says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n"),
        Way::Floods("HTTP/1.1 200 OK\r\nx: "),
        Way::Says("HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let receiver = Receiver::start(way).await;
        let fates = offer(&receiver.sink(), &one()).await;
        assert!(is_ambiguous(&fates[0]), "{way:?}: {fates:?}");
        assert_eq!(receiver.requests(), 1, "{way:?}");
        if matches!(way, Way::HangsAfter(_)) {
            assert_eq!(fates, std::slice::from_ref(&late), "{way:?}");
        }
    }
    // A body that nobody reads is on its way nevertheless.
    let receiver = Receiver::start(Way::Deaf).await;
    let large = items(1, |_| "x".repeat(200_000));
    assert_eq!(offer(&receiver.sink(), &large).await, [late]);
}

#[tokio::test]
async fn what_was_not_sent_is_not_ambiguous() {
    let free = harness::free_port().unwrap();
    let nobody =
        Http::new(Config::new(format!("http://127.0.0.1:{free}/").parse().unwrap(), vec![]));
    // Who is spoken to in TLS and says nothing: the request is not written.
    let silent = Receiver::start(Way::HangsAfter("")).await.sink_by("https", 4);
    for sink in [nobody.unwrap(), silent] {
        let fates = offer(&sink, &one()).await;
        let is_unreachable =
            matches!(&fates[0], Fate::Retry { why: Reason::Unreachable(_), asked: None });
        assert!(is_unreachable, "{fates:?}");
    }
}

#[tokio::test]
async fn a_status_counts_whatever_becomes_of_the_body() {
    for way in [
        Way::Says(OK),
        Way::EndsAfter("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"),
        Way::HangsAfter("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"),
        Way::EndsAfter("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel"),
        Way::Says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\n"),
        Way::Floods("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"),
        Way::Floods("HTTP/1.1 200 OK\r\n\r\n"),
        Way::Drips,
    ] {
        let receiver = Receiver::start(way).await;
        let fates = offer(&receiver.sink(), &one()).await;
        assert_eq!(fates, [Fate::Done], "{way:?}");
    }
}

/// What is left behind by an answer must not be taken for the next one's.
#[tokio::test]
async fn an_answer_too_many_harms_nobody() {
    let twice =
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::start(Way::Says(twice)).await;
    let sink = receiver.sink_by("http", 1);
    for _ in 0..20 {
        let fates = offer(&sink, &one()).await;
        assert_eq!(fates, [Fate::Done]);
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Receiver::start(Way::Says(OK)).await;
    let moved = format!(
        "HTTP/1.1 307 Over There\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        other.addr
    );
    let receiver = Receiver::start(Way::Says(moved.leak())).await;
    let fates = offer(&receiver.sink(), &one()).await;
    assert_eq!(fates, [Fate::Retry { asked: None, why: Reason::Redirected(307) }]);
    assert_eq!((receiver.requests(), other.requests()), (1, 0));
}

#[tokio::test]
async fn a_pause_that_was_asked_for_holds_all_others_up() {
    let busy = "HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::start(Way::Says(busy)).await;
    let sink = receiver.sink_by("http", 1);
    let began = Instant::now();
    let fates = offer(&sink, &items(3, |_| "{}".into())).await;
    let asked = Some(Duration::from_secs(1));
    assert!(fates.iter().all(|fate| *fate == Fate::Retry { asked, why: Reason::Status(429) }));
    // Never sooner than it was asked for; how much later is the machine's affair.
    assert!(began.elapsed() >= 2 * Duration::from_secs(1));
}

#[tokio::test]
async fn gone_switches_the_sink_off_until_somebody_switches_it_on() {
    let gone = "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::start(Way::Says(gone)).await;
    let sink = receiver.sink_by("http", 1);
    let fates = offer(&sink, &items(50, |_| "{}".into())).await;
    assert!(fates.iter().all(|fate| *fate == Fate::Unsent(Reason::Gone)), "{fates:?}");
    assert_eq!(receiver.requests(), 1);
    assert_eq!(sink.lane().gauges().off, Some(Off::Gone));
    sink.lane().switch_on();
    assert_eq!(offer(&sink, &one()).await, [Fate::Unsent(Reason::Gone)]);
    assert_eq!(receiver.requests(), 2);
}

#[tokio::test]
async fn the_kill_switch_leaves_nothing_waiting() {
    let receiver = Receiver::start(Way::HangsAfter("")).await;
    let sink = Arc::new(receiver.sink_by("http", 2));
    let offered = tokio::spawn({
        let sink = Arc::clone(&sink);
        async move { offer(&sink, &items(100, |_| "{}".into())).await }
    });
    let is_full = async || (receiver.requests() == 2).then_some(());
    eventually("two are under way", harness::PATIENCE, is_full).await;
    sink.lane().switch_off(Off::Switched);
    let fates = offered.await.unwrap();
    let unsent = fates.iter().filter(|fate| **fate == Fate::Unsent(Reason::SwitchedOff)).count();
    let ambiguous = fates.iter().filter(|fate| is_ambiguous(fate)).count();
    assert_eq!((unsent, ambiguous, receiver.requests()), (98, 2, 2));
}

#[tokio::test]
async fn connections_are_kept_and_bounded() {
    let receiver = Receiver::start(Way::Says(OK)).await;
    let sink = receiver.sink_by("http", 8);
    for _ in 0..4 {
        assert_eq!(done(&offer(&sink, &items(500, |_| "{}".into())).await), 500);
    }
    assert_eq!(receiver.requests(), 2_000);
    // A request that finds a connection free while its own is still being opened leaves that one to
    // the next, so there may be a few more than go at once.
    let connections = receiver.connections.load(Ordering::Relaxed);
    assert!(connections <= 16, "{connections}");
}

#[tokio::test]
async fn a_ceiling_holds_for_all_slices_together() {
    let receiver = Receiver::start(Way::Says(OK)).await;
    let mut config = Config::new(format!("http://{}/", receiver.addr).parse().unwrap(), Vec::new());
    config.lane.ceiling = Some(lane::ceiling(100.try_into().unwrap()));
    let sink = Http::new(config).unwrap();
    let began = Instant::now();
    let (one, other) = (items(30, |_| "{}".into()), items(30, |_| "{}".into()));
    let fates = tokio::join!(offer(&sink, &one), offer(&sink, &other));
    assert_eq!(done(&fates.0) + done(&fates.1), 60);
    assert!(began.elapsed() >= Duration::from_millis(580));
}
