//! A folder with a configuration, the schedulers that run by it, and the command line beside them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use harness::*;
use serde_json::Value;

/// A ledger in the station's folder.
pub(crate) const SQLITE: &str = "sqlite:{folder}/ledger.db";
/// No key keeps doubles out of the table: they would show.
pub(crate) const TABLE: &str = "CREATE TABLE sent (id varchar(64), recipient varchar(64))";
/// Puts items into it.
pub(crate) const PUT: &str =
    "INSERT INTO sent (id, recipient) SELECT item.id, item.recipient FROM {items}";

/// A server's database `app`, as the application.
pub(crate) fn url(server: &Server) -> String {
    let scheme = if server.engine().is_postgres() { "postgres" } else { "mysql" };
    format!("{scheme}://{}:{}@{}/app", APP.name, APP.password, server.addr())
}

/// How long anything may take that is waited for.
pub(crate) const WITHIN: Duration = Duration::from_secs(90);

/// A ledger, sinks, and whoever works by them.
pub(crate) struct Station {
    folder: Scratch,
    ledger: String,
    /// Keys of `[scheduler]`, and sinks.
    sections: String,
}

/// A running `tidegate scheduler`.
pub(crate) struct Running {
    pub(crate) process: Process,
    admin: u16,
    log: PathBuf,
}

impl Station {
    /// By the ledger at this URL; `{folder}` in it is the station's own.
    pub(crate) fn new(ledger: &str, sections: &str) -> Result<Self, Error> {
        let folder = Scratch::new()?;
        let ledger = ledger.replace("{folder}", &folder.path().display().to_string());
        let mut station = Self { folder, ledger, sections: String::new() };
        station.reconfigure(sections);
        Ok(station)
    }

    /// Other sections, for those that are started from now on; `{folder}` in them is the station's own.
    pub(crate) fn reconfigure(&mut self, sections: &str) {
        self.sections = sections.replace("{folder}", &self.folder.path().display().to_string());
        self.configure("tidegate.toml", 9308);
    }

    pub(crate) fn ledger(&self) -> &str {
        &self.ledger
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn configure(&self, name: &str, admin: u16) -> PathBuf {
        let head = "lease = \"2s\"\ndrain_timeout = \"10s\"";
        let ledger = &self.ledger;
        let text = format!(
            "[scheduler]\nledger = \"{ledger}\"\nadmin = \"127.0.0.1:{admin}\"\n{head}\n{}\n",
            self.sections
        );
        self.write(name, &text)
    }

    /// Starts one, and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<Running, Error> {
        let admin = free_port()?;
        let config = self.configure(&format!("{admin}.toml"), admin);
        let log = self.folder.path().join(format!("{admin}.log"));
        let words = ["scheduler".into(), "-c".into(), config.into_os_string()];
        let process = Process::start(&program()?, words, &log)?;
        let mut running = Running { process, admin, log };
        eventually("a scheduler that is ready", WITHIN, async || {
            assert!(running.process.ended().is_none(), "{}", running.log());
            running.get("/ready").await.filter(|(status, _)| *status == 200)
        })
        .await;
        Ok(running)
    }

    /// Runs the command line and returns what it prints as JSON.
    ///
    /// # Errors
    /// What it tells on standard error.
    pub(crate) fn run(&self, words: &str) -> Result<Value, String> {
        let mut command = Command::new(program().unwrap());
        command.current_dir(self.folder.path()).args(words.split_whitespace()).arg("--json");
        let output = command.output().unwrap();
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Submits so many items of `{"recipient": …, "n": …}`.
    pub(crate) fn submit(&self, name: &str, items: u32, sink: &str, spread: &str) {
        self.submit_more(name, items, sink, spread, "");
    }

    /// The same, with more words of the command.
    pub(crate) fn submit_more(&self, name: &str, items: u32, sink: &str, spread: &str, more: &str) {
        let line = |n: u32| format!("{{\"recipient\": \"user-{n}\", \"n\": {n}}}\n");
        self.write("items.ndjson", &(0..items).map(line).collect::<String>());
        let words =
            format!("batch submit {name} items.ndjson --sink {sink} --spread {spread} {more}");
        let told = self.run(&words).unwrap();
        assert_eq!(told["items"], items);
    }

    pub(crate) fn report(&self, name: &str) -> Value {
        self.run(&format!("batch report {name}")).unwrap()
    }

    /// Waits until nothing more is done by itself, and has the books gone over.
    pub(crate) async fn audited(&self, name: &str) -> Value {
        eventually("the end of the batch", WITHIN, async || {
            let state = self.report(name)["batch"]["state"].clone();
            (state == "done" || state == "cancelled").then_some(())
        })
        .await;
        let audit = self.run(&format!("batch audit {name}")).unwrap();
        assert_eq!(audit["closes"], true, "{audit}");
        audit
    }
}

impl Running {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Status and body.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        self.ask("GET", path).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str) -> Option<(u16, String)> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.admin)).await.ok()?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Tidegate: 1\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let status = answer.get(9..12)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    /// The sum of a metric over its labels.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let (_, page) = self.get("/metrics").await?;
        let of_name =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let values = page.lines().filter(of_name);
        let values: Vec<f64> =
            values.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Ends it as a deployment does.
    pub(crate) fn stop(mut self) {
        let ended = self.process.terminate(Duration::from_secs(30)).unwrap();
        assert!(ended.success(), "{}", self.log());
    }
}
