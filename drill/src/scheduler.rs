//! The scheduler as a child process, with a ledger in a file of its own, and the command line beside it:
//! batches are submitted, asked about and audited by the program that people use.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::error::{Error, at};
use crate::guard::program;
use crate::home::{Scratch, free_port, tail};
use crate::http;
use crate::process::Process;

/// Longest a start may take, also on a machine that is busy building.
const START: Duration = Duration::from_secs(30);
/// How often it is looked whether it is ready, or gone.
const POLL: Duration = Duration::from_millis(20);
/// Starts tried when another process takes the port between its choice and the scheduler's start.
const PORT_ATTEMPTS: usize = 3;

const CONFIG: &str = "tidegate.toml";
const LOG: &str = "scheduler.log";
const ITEMS: &str = "items.ndjson";

/// A running scheduler. Dropping it kills it and removes its ledger.
#[derive(Debug)]
pub struct Scheduler {
    process: Process,
    admin: SocketAddr,
    folder: Scratch,
}

/// What the ledger's books say of a batch: every item is in one of the places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Whether the counts agree with each other and with what was submitted.
    pub closes: bool,
    /// Items submitted.
    pub items: u64,
    /// Taken by the sink.
    pub sent: u64,
    /// Given up.
    pub dead: u64,
    /// Waiting for somebody to decide.
    pub held: u64,
    /// Called off.
    pub cancelled: u64,
    /// Still to be sent.
    pub open: u64,
    /// Sent, and not answered at least once: they may have come twice.
    pub ambiguous: u64,
}

/// How long after their moments of the plan items of a batch went, as `batch report` tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Lateness {
    /// Until they were done.
    pub after_moment_ms: Quantiles,
    /// Until they set out: of those that nothing but the scheduler held up.
    pub pacing_error_ms: Quantiles,
}

/// In milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of them, at most.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// The latest.
    pub max: f64,
}

impl Scheduler {
    /// Starts one and waits until it is ready. `sections` are keys of `[scheduler]` but `ledger` and `admin`,
    /// then other tables, such as its sinks.
    ///
    /// # Errors
    /// When the program is missing, refuses its configuration, or is not ready in time.
    pub async fn start(sections: &str) -> Result<Self, Error> {
        let mut attempt = 1;
        loop {
            let folder = Scratch::new()?;
            let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            let ledger = folder.path().join("ledger.db");
            let text = format!(
                "[scheduler]\nledger = \"sqlite:{}\"\nadmin = \"{admin}\"\n{sections}\n",
                ledger.display()
            );
            let config = folder.path().join(CONFIG);
            fs::write(&config, text).map_err(at(&config))?;
            let words = [Path::new("scheduler"), Path::new("-c"), &config];
            let process = Process::start(&program()?, words, &folder.path().join(LOG))?;
            let mut scheduler = Self { process, admin, folder };
            match scheduler.ready().await {
                Err(_) if attempt < PORT_ATTEMPTS && scheduler.log().contains("in use") => {
                    attempt += 1;
                }
                outcome => return outcome.map(|()| scheduler),
            }
        }
    }

    /// Where its admin side answers.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Submits a batch of these items, lines of JSON with a `recipient` each; `words` are more of the command
    /// line: `--sink`, `--at`, `--spread`.
    ///
    /// # Errors
    /// When it is refused, with what the program says.
    pub async fn submit(&self, name: &str, items: &str, words: &[&str]) -> Result<(), Error> {
        let file = self.path(ITEMS);
        fs::write(&file, items).map_err(at(&file))?;
        let file = file.display().to_string();
        let mut all = vec!["submit", name, &file];
        all.extend(words);
        self.batch::<serde::de::IgnoredAny>(&all).await.map(drop)
    }

    /// Has the books of a batch gone over.
    ///
    /// # Errors
    /// When the ledger does not tell. Books that do not close are an answer.
    pub async fn audit(&self, name: &str) -> Result<Audit, Error> {
        self.batch(&["audit", name]).await
    }

    /// How long after their moments the items of a batch went.
    ///
    /// # Errors
    /// When the ledger does not tell.
    pub async fn lateness(&self, name: &str) -> Result<Lateness, Error> {
        self.batch(&["report", name]).await
    }

    /// The sum over all series of a metric; 0 when there is none.
    ///
    /// # Errors
    /// When the admin side does not answer.
    pub async fn metric(&self, name: &str) -> Result<f64, Error> {
        let page = http::ask(self.admin, ("GET", "/metrics", ""), || self.log()).await?;
        Ok(http::sum(&page.body, name, &[]))
    }

    /// Sends SIGTERM and waits until it has finished what is under way and ended.
    ///
    /// # Errors
    /// [`Error::Late`] when it has not ended after `patience`; it is left running.
    pub async fn drain(&mut self, patience: Duration) -> Result<ExitStatus, Error> {
        let until = Instant::now() + patience;
        if self.process.ended().is_none() {
            self.process.signal(Signal::TERM)?;
        }
        loop {
            if let Some(status) = self.process.ended() {
                return Ok(status);
            }
            if Instant::now() >= until {
                let what = "the scheduler's end".into();
                return Err(Error::Late { what, after: patience, log: self.log() });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The last lines it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        tail(&self.path(LOG))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `tidegate batch` and reads what it prints. Dropping the future kills it.
    async fn batch<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T, Error> {
        let mut command = Command::new(program()?);
        command.arg("batch").args(words).arg("--json").arg("-c").arg(self.path(CONFIG));
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        // Books that do not close are printed, too, with another exit code.
        serde_json::from_slice(&output.stdout).map_err(|_| Error::Failed {
            program: format!("tidegate batch {}", words.join(" ")),
            log: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    async fn ready(&mut self) -> Result<(), Error> {
        let until = Instant::now() + START;
        loop {
            match http::ask(self.admin, ("GET", "/ready", ""), String::new).await {
                Ok(answer) if answer.status == 200 => return Ok(()),
                _ if self.process.ended().is_some() => {
                    let program = "tidegate scheduler".into();
                    return Err(Error::Failed { program, log: self.log() });
                }
                _ if Instant::now() >= until => {
                    let what = "the scheduler being ready".into();
                    return Err(Error::Late { what, after: START, log: self.log() });
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }
}
