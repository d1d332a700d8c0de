//! A receiver of webhooks that counts, checks a sample of the signatures, and answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use scheduler::sink::http::signature::{Key, sign};
use tokio::net::TcpListener;

/// What requests are signed with.
pub(crate) const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Of so many signed requests one is checked: that a check of each would cost is the receiver's, not the
/// sink's, and they share the machine.
const SAMPLE: u64 = 64;

/// What has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whole requests, each of which was answered.
    pub(super) requests: u64,
    /// Those whose signature was checked, and was right.
    pub(super) verified: u64,
    /// Those that were not as they should be.
    pub(super) wrong: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    verified: AtomicU64,
    wrong: AtomicU64,
}

/// Answers 204 to every request, on one thread, until the process is killed; to GET, what has come.
pub(crate) fn receive(listen: SocketAddr) -> Result<()> {
    let key: &Key = Box::leak(Box::new(KEY.parse()?));
    let counters: &Counters = Box::leak(Box::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}"))?;
        loop {
            let (stream, _) = listener.accept().await.context("cannot accept")?;
            stream.set_nodelay(true)?;
            let answer = service_fn(move |request| answer(key, counters, request));
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            // A broken connection is its client's business.
            tokio::spawn(async move { drop(serving.await) });
        }
    })
}

/// What a receiver at this address has seen.
pub(super) async fn seen(addr: &str) -> Result<Seen> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(addr).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let body = text.split_once("\r\n\r\n").context("no answer")?.1;
    let numbers: Vec<u64> = body.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [requests, verified, wrong] = numbers[..] else { anyhow::bail!("an odd answer: {body}") };
    Ok(Seen { requests, verified, wrong })
}

async fn answer(
    key: &Key,
    counters: &Counters,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let Counters { requests, verified, wrong } = counters;
    if request.method() == Method::GET {
        let [requests, verified, wrong] =
            [requests, verified, wrong].map(|counter| counter.load(Relaxed));
        return Ok(Response::new(format!("{requests} {verified} {wrong}").into()));
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let number = requests.fetch_add(1, Relaxed);
    let signature = head.headers.get("webhook-signature");
    if signature.is_some() && number % SAMPLE == 0 {
        let is_right = expected(key, &head.headers, &body).is_some_and(|right| {
            signature.is_some_and(|signature| signature.as_bytes() == right.as_bytes())
        });
        if is_right { verified } else { wrong }.fetch_add(1, Relaxed);
    } else if body.is_empty() {
        wrong.fetch_add(1, Relaxed);
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

fn expected(key: &Key, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let id = headers.get("webhook-id").filter(|id| headers.get("idempotency-key") == Some(id))?;
    let second = headers.get("webhook-timestamp")?.to_str().ok()?.parse().ok()?;
    Some(sign(std::slice::from_ref(key), id.as_bytes(), second, body))
}
