//! The admin side of a program that a drill has started: one request, one answer, over a connection of its
//! own; and its metrics.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::Error;

/// Longest one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: String,
}

/// Any request: method, path and body, which is sent as JSON. `log` is what the program wrote last, for the
/// error's text.
///
/// # Errors
/// When it does not answer in HTTP, or not in time.
pub(crate) async fn ask(
    addr: SocketAddr,
    (method, path, body): (&str, &str, &str),
    log: impl FnOnce() -> String,
) -> Result<Answer, Error> {
    match timeout(ANSWER, request(addr, (method, path, body))).await {
        Ok(answer) => answer,
        Err(_) => {
            let what = format!("an answer to {method} {path}");
            Err(Error::Late { what, after: ANSWER, log: log() })
        }
    }
}

async fn request(
    addr: SocketAddr,
    (method, path, body): (&str, &str, &str),
) -> Result<Answer, Error> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\
         X-Tidegate: 1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    parse(&text).ok_or_else(|| Error::Failed {
        program: format!("{method} {path}"),
        log: text.chars().take(500).collect(),
    })
}

/// Reads an HTTP/1.1 answer that ended with its connection, chunked or not.
fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked");
    let body = if chunked { unchunk(body)? } else { body.to_owned() };
    Some(Answer { status, body })
}

fn unchunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (len, after) = rest.split_once("\r\n")?;
        let len = usize::from_str_radix(len.split(';').next()?.trim(), 16).ok()?;
        if len == 0 {
            return Some(body);
        }
        body += after.get(..len)?;
        rest = after.get(len + 2..)?;
    }
}

/// Sums the series of one metric in Prometheus' text format.
pub(crate) fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    let series = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
            && labels.iter().all(|label| line.contains(label))
    });
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_and_in_chunks() {
        let plain = parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        assert_eq!((plain.status, plain.body.as_str()), (200, "ok"));
        let head = "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunked = parse(&format!("{head}3\r\nnot\r\n6\r\n ready\r\n0\r\n\r\n")).unwrap();
        assert_eq!((chunked.status, chunked.body.as_str()), (503, "not ready"));
    }

    #[test]
    fn series_of_a_metric_are_summed_by_label() {
        let text = "# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"2\",y=\"2\"} 4\nab 9\na 0.5\n";
        assert_eq!(sum(text, "a", &[]), 7.5);
        assert_eq!(sum(text, "a", &["x=\"1\""]), 3.0);
        assert_eq!(sum(text, "c", &[]), 0.0);
    }
}
