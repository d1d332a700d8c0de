//! Asks a running guard over its admin address: HTTP/1.1, one request per connection, over what `reach` connects.

mod reach;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use guard::admin::CHANGE_HEADER;
use guard::config::check_token;
use guard::secret::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use self::reach::Place;
use crate::exit::Failure;
use crate::show::print;

/// Where the guard is, and how its answer is shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct Client {
    /// Where the guard's admin side is: http:// or https:// with host and port, or the path of its Unix socket.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "TIDEGATE_ADMIN",
        default_value = "http://127.0.0.1:9307"
    )]
    admin: String,
    /// A file with the guard's admin.token. The token itself may be in TIDEGATE_ADMIN_TOKEN instead.
    #[arg(long, global = true, value_name = "FILE", env = "TIDEGATE_ADMIN_TOKEN_FILE")]
    admin_token_file: Option<PathBuf>,
    /// A PEM file with the authorities to believe where --admin is https://. Default: the system's.
    #[arg(long, global = true, value_name = "FILE", env = "TIDEGATE_ADMIN_CA")]
    admin_ca: Option<PathBuf>,
    /// Show JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

/// Where the token is, unless it is in a file: not an argument, as all on the host may read those.
const TOKEN: &str = "TIDEGATE_ADMIN_TOKEN";
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
        let place = Place::parse(&self.admin);
        let token = self.token()?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{CHANGE_HEADER}: 1\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {len}\r\n",
            host = place.host(),
            len = body.len(),
        );
        let answer = self.exchange(&place, &head, token.as_ref(), &body).map_err(|error| {
            let at = &self.admin;
            match error.kind() {
                ErrorKind::InvalidInput => Failure::Usage(format!("--admin {at}: {error}")),
                _ => Failure::Unreachable(format!(
                    "no guard answers at {at}: {error}; is it running, and is --admin its admin.address?"
                )),
            }
        })?;
        if matches!(place, Place::Plain(_)) && is_alert(&answer) {
            let at = place.host();
            return Err(Failure::Usage(format!("{at} speaks TLS; expected --admin https://{at}")));
        }
        Ok(parse(&answer)?)
    }

    /// The token to show, if there is one. It is read for each request: it may be another by then.
    fn token(&self) -> Result<Option<Secret>, Failure> {
        let (named, token) = match &self.admin_token_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).map(Zeroizing::new);
                let named = format!("--admin-token-file {}", file.display());
                let text = text.map_err(|error| Failure::Usage(format!("{named}: {error}")))?;
                (named, Secret::from(text.trim_end_matches(['\r', '\n'])))
            }
            None => match std::env::var(TOKEN) {
                Ok(text) if !text.is_empty() => (TOKEN.to_owned(), Secret::from(text)),
                _ => return Ok(None),
            },
        };
        check_token(token.expose()).map_err(|why| Failure::Usage(format!("{named}: {why}")))?;
        Ok(Some(token))
    }

    /// Sends a request, and reads the answer to its end.
    fn exchange(
        &self,
        place: &Place,
        head: &str,
        token: Option<&Secret>,
        body: &str,
    ) -> io::Result<Vec<u8>> {
        let mut line = place.connect(self.admin_ca.as_deref(), token.is_some())?;
        let mut request = Zeroizing::new(head.as_bytes().to_vec());
        if let Some(token) = token {
            // Grown once: what a growing one leaves behind would hold the token.
            request.reserve_exact(64 + token.expose().len() + body.len());
            request.extend_from_slice(b"Authorization: Bearer ");
            request.extend_from_slice(token.expose());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body.as_bytes());
        // Whoever closes before all is written may have said why.
        let written = line.write_all(&request).and_then(|()| line.flush());
        let mut answer = Vec::new();
        let read = line.take(ANSWER_MAX).read_to_end(&mut answer);
        match written.and(read) {
            Err(error) if !is_alert(&answer) => Err(error),
            _ => Ok(answer),
        }
    }
}

/// Whether it is a record of TLS that tells of an alert (RFC 8446 §5.1).
fn is_alert(answer: &[u8]) -> bool {
    answer.first() == Some(&0x15)
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(answer).context("the answer is not what this version expects")
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
