//! Follows the guard's pressure: server-sent events from its admin side.
//!
//! The newest is kept, with when it came; what is old is for the pacer to judge, which takes no signal for
//! a reason to be slow. When the stream breaks, or is silent, it is opened again, with pauses that grow.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

pub use policy::spread::pacer::STALE_AFTER;

/// When something was last heard, and how pressed the database was.
pub type Signal = Option<(Instant, f64)>;

const PATH: &str = "/api/v1/pressure/stream";
/// A connection, and the head of the answer, within this.
const CONNECT: Duration = Duration::from_secs(2);
/// The first pause before it is opened again, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// No event is longer.
const EVENT_MAX: usize = 16 * 1024;

/// What of an event counts.
#[derive(Debug, Deserialize)]
struct Event {
    pressure: f64,
}

/// What carries bytes to and fro.
trait Carrier: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Carrier for T {}

/// Connects to the guard's HTTP side, by its URL or the path of its Unix socket; and what it is called there.
async fn connect(place: &str) -> io::Result<(Box<dyn Carrier>, &str)> {
    if place.starts_with('/') {
        return Ok((Box::new(UnixStream::connect(place).await?), "localhost"));
    }
    let host = place.strip_prefix("http://").unwrap_or(place).trim_end_matches('/');
    Ok((Box::new(TcpStream::connect(host).await?), host))
}

/// Follows the guard at this URL, as `http://127.0.0.1:9307`, or Unix socket, for as long as somebody wants to know.
pub async fn follow(url: String, signal: watch::Sender<Signal>) {
    let mut pause = PAUSE.0;
    let mut is_told = false;
    while !signal.is_closed() {
        let began = signal.borrow().map(|(at, _)| at);
        let Err(error) = listen(&url, &signal).await;
        if signal.borrow().map(|(at, _)| at) != began {
            (pause, is_told) = (PAUSE.0, false);
        }
        if !is_told {
            warn!(%error, "the guard does not tell its pressure; batches go slowly until it does");
            is_told = true;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Reads one stream to its end, which is always an error.
async fn listen(url: &str, signal: &watch::Sender<Signal>) -> io::Result<std::convert::Infallible> {
    let opened = async {
        let (stream, host) = connect(url).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let task = Aborted(tokio::spawn(async move { drop(connection.await) }));
        let request = Request::get(PATH)
            .header(header::HOST, host)
            .header(header::ACCEPT, "text/event-stream")
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        Ok::<_, io::Error>((task, sender, answer))
    };
    let (_task, _sender, answer) = timeout(CONNECT, opened).await??;
    if answer.status() != StatusCode::OK {
        return Err(io::Error::other(format!(
            "the guard answered with status {}",
            answer.status()
        )));
    }
    info!("following the guard's pressure");
    let mut body = answer.into_body();
    let mut events = Events::default();
    loop {
        let frame = timeout(STALE_AFTER, body.frame()).await?;
        let frame = frame.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
        let Some(bytes) = frame.data_ref() else { continue };
        for data in events.push(bytes)? {
            let event: Event = serde_json::from_slice(&data)?;
            signal.send_replace(Some((Instant::now(), event.pressure)));
        }
    }
}

/// A task that ends with whoever has it.
struct Aborted(tokio::task::JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Cuts a stream into the data of its events (HTML, section 9.2.6). Fields but `data` are passed over.
#[derive(Debug, Default)]
struct Events {
    line: Vec<u8>,
    data: Vec<u8>,
}

impl Events {
    fn push(&mut self, bytes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut whole = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() + self.data.len() > EVENT_MAX {
                    return Err(io::Error::other("an event has no end"));
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if line.is_empty() {
                whole.extend(Some(std::mem::take(&mut self.data)).filter(|data| !data.is_empty()));
            } else if let Some(data) = line.strip_prefix(b"data:") {
                self.data.extend(data.strip_prefix(b" ").unwrap_or(data));
            }
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_guard_is_followed_by_its_unix_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin");
        let listener = UnixListener::bind(&path).unwrap();
        let (signal, mut heard) = watch::channel(None);
        let follower = tokio::spawn(follow(path.to_str().unwrap().to_owned(), signal));
        let (mut guard, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4096];
        let len = guard.read(&mut asked).await.unwrap();
        let asked = String::from_utf8_lossy(&asked[..len]).to_lowercase();
        assert!(asked.starts_with("get /api/v1/pressure/stream http/1.1"), "{asked}");
        assert!(asked.contains("host: localhost"), "{asked}");
        let answer = b"HTTP/1.1 200 OK\r\n\r\ndata: {\"pressure\":0.5}\n\n";
        guard.write_all(answer).await.unwrap();
        heard.changed().await.unwrap();
        assert_eq!(heard.borrow().map(|(_, pressure)| pressure), Some(0.5));
        follower.abort();
    }

    #[test]
    fn events_are_cut_wherever_the_network_cuts_them() {
        let stream =
            b"event: pressure\nid: 1\ndata: {\"pressure\":0.25}\n\n: a comment\r\n\r\ndata:{}\r\n\r\n";
        for size in 1..stream.len() {
            let mut events = Events::default();
            let found: Vec<_> =
                stream.chunks(size).flat_map(|part| events.push(part).unwrap()).collect();
            assert_eq!(found, [b"{\"pressure\":0.25}".to_vec(), b"{}".to_vec()], "{size}");
        }
        assert!(Events::default().push(&[b'x'; EVENT_MAX + 1]).is_err());
    }
}
