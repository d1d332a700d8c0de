//! Prometheus and Alertmanager as child processes, to show that boards and alerts work on what guards and schedulers
//! tell: own ports and folders. `scripts/install-prometheus.sh` unpacks them.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, at};
use crate::home::{self, Scratch, free_port, tail};
use crate::http;
use crate::process::Process;

/// Longest a start may take, also on a machine that is busy building.
const START: Duration = Duration::from_secs(30);
/// How often it is looked whether it is ready, or gone.
const POLL: Duration = Duration::from_millis(50);
/// Starts tried when another process takes the port between its choice and the start.
const PORT_ATTEMPTS: usize = 3;

const CONFIG: &str = "config.yml";
const LOG: &str = "log";

/// Where one of the programs is: `prometheus`, `promtool`, `alertmanager`, `amtool`.
///
/// # Errors
/// [`Error::Missing`] when it was not unpacked.
pub fn program(name: &'static str) -> Result<PathBuf, Error> {
    let path = home::state().join("prometheus/bin").join(name);
    let hint = "run scripts/install-prometheus.sh";
    if path.is_file() { Ok(path) } else { Err(Error::Missing { program: name, hint }) }
}

/// One of the two, as a process. Dropping it kills it and removes its folder.
#[derive(Debug)]
struct Daemon {
    name: &'static str,
    process: Process,
    addr: SocketAddr,
    folder: Scratch,
}

impl Daemon {
    async fn start(name: &'static str, config: &str, more: &[&str]) -> Result<Self, Error> {
        let program = program(name)?;
        let mut attempt = 1;
        loop {
            let folder = Scratch::new()?;
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            let file = folder.path().join(CONFIG);
            fs::write(&file, config).map_err(at(&file))?;
            let data = folder.path().join("data");
            let words = [
                format!("--config.file={}", file.display()),
                format!(
                    "--storage.{}path={}",
                    if name == "prometheus" { "tsdb." } else { "" },
                    data.display()
                ),
                format!("--web.listen-address={addr}"),
            ];
            let words = words.iter().map(String::as_str).chain(more.iter().copied());
            let process = Process::start(&program, words, &folder.path().join(LOG))?;
            let mut daemon = Self { name, process, addr, folder };
            match daemon.ready().await {
                Err(_) if attempt < PORT_ATTEMPTS && daemon.log().contains("in use") => {
                    attempt += 1
                }
                outcome => return outcome.map(|()| daemon),
            }
        }
    }

    async fn ready(&mut self) -> Result<(), Error> {
        let until = Instant::now() + START;
        loop {
            match http::ask(self.addr, ("GET", "/-/ready", ""), String::new).await {
                Ok(answer) if answer.status == 200 => return Ok(()),
                _ if self.process.ended().is_some() => {
                    return Err(Error::Failed { program: self.name.into(), log: self.log() });
                }
                _ if Instant::now() >= until => {
                    let what = format!("{} being ready", self.name);
                    return Err(Error::Late { what, after: START, log: self.log() });
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    fn log(&self) -> String {
        tail(&self.folder.path().join(LOG))
    }

    async fn ask<T: DeserializeOwned>(&self, request: (&str, &str, &str)) -> Result<T, Error> {
        let answer = http::ask(self.addr, request, || self.log()).await?;
        let is_good = answer.status == 200;
        let read = is_good.then(|| serde_json::from_str(&answer.body).ok()).flatten();
        read.ok_or_else(|| Error::Failed {
            program: format!("{}: {} {}", self.name, request.0, request.1),
            log: answer.body,
        })
    }
}

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus(Daemon);

/// What a query gives for one set of labels.
#[derive(Debug, Clone, Deserialize)]
pub struct Series {
    /// The labels.
    pub metric: BTreeMap<String, String>,
    /// When, and what, as text: `NaN` and `+Inf` are values.
    pub values: Vec<(f64, String)>,
}

/// An alert that holds.
#[derive(Debug, Clone, Deserialize)]
pub struct Alert {
    /// `alertname`, `severity`, and what it is about.
    pub labels: BTreeMap<String, String>,
    /// What it says.
    pub annotations: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: String,
}

#[derive(Debug, Deserialize)]
struct Answer<T> {
    data: T,
}

impl Prometheus {
    /// Starts one with the text of a configuration.
    ///
    /// # Errors
    /// When it is not installed, refuses its configuration, or is not ready in time.
    pub async fn start(config: &str) -> Result<Self, Error> {
        Daemon::start("prometheus", config, &[]).await.map(Self)
    }

    /// What a query gives over the time until now, a value each second.
    ///
    /// # Errors
    /// When Prometheus refuses it.
    pub async fn range(&self, query: &str, over: Duration) -> Result<Vec<Series>, Error> {
        #[derive(Deserialize)]
        struct Found {
            result: Vec<Series>,
        }
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (start, end) = (end.saturating_sub(over).as_secs(), end.as_secs());
        let query = escaped(query);
        let path = format!("/api/v1/query_range?query={query}&start={start}&end={end}&step=1");
        let found: Answer<Found> = self.0.ask(("GET", &path, "")).await?;
        Ok(found.data.result)
    }

    /// The alerts that hold now, and those that are about to.
    ///
    /// # Errors
    /// When Prometheus does not tell.
    pub async fn alerts(&self) -> Result<Vec<Alert>, Error> {
        #[derive(Deserialize)]
        struct Found {
            alerts: Vec<Alert>,
        }
        let found: Answer<Found> = self.0.ask(("GET", "/api/v1/alerts", "")).await?;
        Ok(found.data.alerts)
    }

    /// The last lines it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.0.log()
    }
}

impl Alert {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }

    /// Whether it fires and wakes somebody.
    #[must_use]
    pub fn pages(&self) -> bool {
        self.state == "firing"
            && self.labels.get("severity").is_some_and(|severity| severity == "page")
    }
}

/// A running Alertmanager.
#[derive(Debug)]
pub struct Alertmanager(Daemon);

impl Alertmanager {
    /// Starts one with the configuration in a file.
    ///
    /// # Errors
    /// When it is not installed, refuses its configuration, or is not ready in time.
    pub async fn start(config: &Path) -> Result<Self, Error> {
        let config = fs::read_to_string(config).map_err(at(config))?;
        Daemon::start("alertmanager", &config, &["--cluster.listen-address="]).await.map(Self)
    }

    /// Sends alerts, each a set of labels, as Prometheus does.
    ///
    /// # Errors
    /// When they are refused.
    pub async fn send(&self, alerts: &[BTreeMap<&str, &str>]) -> Result<(), Error> {
        let alerts = alerts.iter().map(|labels| serde_json::json!({ "labels": labels }));
        let body = Value::from_iter(alerts).to_string();
        let answer =
            http::ask(self.0.addr, ("POST", "/api/v2/alerts", &body), || self.0.log()).await?;
        match answer.status {
            200 => Ok(()),
            _ => Err(Error::Failed { program: "alertmanager".into(), log: answer.body }),
        }
    }

    /// The names of those of which somebody hears, and of those that others keep quiet.
    ///
    /// # Errors
    /// When it does not tell.
    pub async fn heard_and_quiet(&self) -> Result<(Vec<String>, Vec<String>), Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Status {
            inhibited_by: Vec<String>,
        }
        #[derive(Deserialize)]
        struct One {
            labels: BTreeMap<String, String>,
            status: Status,
        }
        let all: Vec<One> = self.0.ask(("GET", "/api/v2/alerts", "")).await?;
        let (heard, quiet): (Vec<One>, Vec<One>) =
            all.into_iter().partition(|one| one.status.inhibited_by.is_empty());
        let names = |all: Vec<One>| {
            let mut names: Vec<String> =
                all.into_iter().filter_map(|mut one| one.labels.remove("alertname")).collect();
            names.sort();
            names
        };
        Ok((names(heard), names(quiet)))
    }
}

/// As a value in a URL.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escaped("a{b=\"ä\"} > 1"), "a%7Bb%3D%22%C3%A4%22%7D%20%3E%201");
    }
}
