//! Asks a running guard over its admin address: HTTP/1.1, one request per connection, no TLS, as
//! the address is on the loopback.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use guard::admin::CHANGE_HEADER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exit::Failure;
use crate::show::print;

/// Where the guard is, and how its answer is shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct Client {
    /// Where the guard's admin side is.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "TIDEGATE_ADMIN",
        default_value = "http://127.0.0.1:9307"
    )]
    admin: String,
    /// Show JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

/// A guard that does not answer within this is not reachable.
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer is larger, a recording of a guard with much memory for them included.
const ANSWER_MAX: u64 = 256 << 20;

impl Client {
    /// Whether JSON is asked for.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Asks, and prints the answer: as `show` makes it, or as JSON.
    pub(crate) fn print<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        show: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let answer = self.ask(method, path, body)?;
        let text = if self.json {
            let value: Value = serde_json::from_slice(&answer).context("the answer is not JSON")?;
            format!("{value:#}\n")
        } else {
            show(&read(&answer)?)
        };
        Ok(print(&text)?)
    }

    /// Asks, and returns the answer.
    pub(crate) fn fetch<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Failure> {
        Ok(read(&self.ask(method, path, body)?)?)
    }

    /// Prints what was fetched: as `show` makes it, or as JSON.
    pub(crate) fn show<T: Serialize>(
        &self,
        value: &T,
        show: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let text = if self.json {
            format!("{:#}\n", serde_json::to_value(value).context("no JSON")?)
        } else {
            show(value)
        };
        Ok(print(&text)?)
    }

    /// The body of the answer.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Vec<u8>, Failure> {
        let host = self.admin.strip_prefix("http://").unwrap_or(&self.admin).trim_end_matches('/');
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{CHANGE_HEADER}: 1\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(host, &request).map_err(|error| {
            Failure::Unreachable(format!(
                "no guard answers at {}: {error}; is it running, and is --admin its admin.address?",
                self.admin
            ))
        })?;
        Ok(parse(&answer)?)
    }
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(answer).context("the answer is not what this version expects")
}

fn exchange(host: &str, request: &str) -> std::io::Result<Vec<u8>> {
    let address = host.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

/// The body of an answer with a code of success; else what went wrong.
fn parse(answer: &[u8]) -> anyhow::Result<Vec<u8>> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("not HTTP")?;
    let head = std::str::from_utf8(&answer[..end]).context("not HTTP")?;
    let code: u16 = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .context("not HTTP")?;
    let body = &answer[end + 4..];
    if (200..300).contains(&code) {
        return Ok(body.into());
    }
    let told: Option<Value> = serde_json::from_slice(body).ok();
    match told.as_ref().and_then(|told| told["error"].as_str()) {
        Some(error) => Err(anyhow!("{error}")),
        None => Err(anyhow!("the guard answered with code {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_body_of_a_success_is_returned() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";
        assert_eq!(parse(answer).unwrap(), b"[]");
        assert_eq!(parse(b"HTTP/1.1 202 Accepted\r\n\r\n").unwrap(), b"");
    }

    #[test]
    fn a_failure_is_told_in_the_guards_words() {
        let error = |answer: &[u8]| parse(answer).unwrap_err().to_string();
        assert_eq!(error(b"HTTP/1.1 422 X\r\n\r\n{\"error\":\"too many\"}"), "too many");
        assert_eq!(error(b"HTTP/1.1 500 X\r\n\r\noops"), "the guard answered with code 500");
        assert_eq!(error(b"SSH-2.0-OpenSSH\r\n\r\n"), "not HTTP");
        assert_eq!(error(b""), "not HTTP");
    }
}
