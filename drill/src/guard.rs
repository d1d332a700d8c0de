//! The guard as a child process: started from a configuration text, asked over its admin side.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::error::{Error, at};
use crate::home::{Scratch, free_port, tail};
use crate::http;
pub use crate::http::Answer;
use crate::process::Process;
use crate::server::Server;
use crate::server::account::{APP, CONTROL, OTHER};
use crate::server::engine::Engine;

/// Longest a start may take, also on a machine that is busy building.
const START: Duration = Duration::from_secs(30);
/// Starts tried when another process takes a port between its choice and the guard's start.
const PORT_ATTEMPTS: usize = 3;

/// Where a guard will listen.
#[derive(Debug, Clone, Copy)]
pub struct Doors {
    /// For clients.
    pub listener: SocketAddr,
    /// For HTTP.
    pub admin: SocketAddr,
}

impl Doors {
    fn free() -> Result<Self, Error> {
        let listener = free_port()?;
        let mut admin = free_port()?;
        while admin == listener {
            admin = free_port()?;
        }
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { listener: local(listener), admin: local(admin) })
    }
}

/// What a drill says about a guard; everything else is the guard's default.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `upstream.connections`. Default: 8.
    pub connections: u32,
    /// More lines for `[[listener]]`, such as `tls = "offered"`.
    pub listener: String,
    /// More lines for `[upstream]`, such as `pooling = "session"`.
    pub upstream: String,
    /// More sections, such as `[class.default]`.
    pub sections: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            connections: 8,
            listener: String::new(),
            upstream: String::new(),
            sections: String::new(),
        }
    }
}

impl Setup {
    /// As the default, with more sections.
    #[must_use]
    pub fn with(sections: impl Into<String>) -> Self {
        Self { sections: sections.into(), ..Self::default() }
    }

    /// The configuration's text for a guard before `server`, which says so when that is a
    /// PostgreSQL. The accounts `app` and `other` are written in; all others are checked against the
    /// database.
    #[must_use]
    pub fn text(&self, server: &Server, doors: Doors) -> String {
        self.text_at(server.engine(), server.addr(), doors)
    }

    /// As [`Setup::text`], for a guard that reaches a server of that kind at `upstream`.
    #[must_use]
    pub fn text_at(&self, engine: Engine, upstream: SocketAddr, doors: Doors) -> String {
        let Doors { listener, admin } = doors;
        let users = [APP, OTHER]
            .map(|user| {
                format!("[[user]]\nname = \"{}\"\npassword = \"{}\"\n", user.name, user.password)
            })
            .concat();
        format!(
            "[[listener]]\naddress = \"{listener}\"\n{more_listener}\n\n\
             [upstream]\n{engine}address = \"{upstream}\"\nconnections = {connections}\n{more_upstream}\n\n\
             [control]\nuser = \"{user}\"\npassword = \"{password}\"\n\n\
             {users}\n\
             [admin]\naddress = \"{admin}\"\n\n\
             {sections}\n",
            more_listener = self.listener,
            engine = if engine.is_postgres() { "engine = \"postgres\"\n" } else { "" },
            connections = self.connections,
            more_upstream = self.upstream,
            user = CONTROL.name,
            password = CONTROL.password,
            sections = self.sections,
        )
    }
}

/// A running guard. Dropping it kills it.
#[derive(Debug)]
pub struct Guard {
    process: Process,
    doors: Doors,
    folder: Scratch,
}

impl Guard {
    /// Starts a guard before `server` and waits until it is ready.
    ///
    /// # Errors
    /// When the program is missing, refuses its configuration, or is not ready in time.
    pub async fn start(server: &Server, setup: &Setup) -> Result<Self, Error> {
        Self::start_with(|doors| setup.text(server, doors)).await
    }

    /// Starts a guard of a drill, with so many connections to the server and these sections: it writes
    /// only errors.
    ///
    /// # Errors
    /// As [`Guard::start`].
    pub async fn of_drill(
        server: &Server,
        connections: u32,
        sections: &str,
    ) -> Result<Self, Error> {
        let sections = format!("[log]\nlevel = \"error\"\n\n{sections}");
        Self::start(server, &Setup { connections, ..Setup::with(sections) }).await
    }

    /// As [`Guard::start`], with the whole configuration's text, made for the ports it will use.
    ///
    /// # Errors
    /// As [`Guard::start`].
    pub async fn start_with(text: impl Fn(Doors) -> String) -> Result<Self, Error> {
        Self::start_as(&program()?, text).await
    }

    /// As [`Guard::start_with`], of this program.
    ///
    /// # Errors
    /// As [`Guard::start`].
    pub async fn start_as(program: &Path, text: impl Fn(Doors) -> String) -> Result<Self, Error> {
        let mut attempt = 1;
        loop {
            let folder = Scratch::new()?;
            let doors = Doors::free()?;
            let config = folder.path().join(CONFIG);
            fs::write(&config, text(doors)).map_err(at(&config))?;
            let arguments = [Path::new("guard"), Path::new("-c"), &config];
            let process = Process::start(program, arguments, &folder.path().join(LOG))?;
            let mut guard = Self { process, doors, folder };
            match guard.ready().await {
                Err(_) if attempt < PORT_ATTEMPTS && guard.port_was_taken() => attempt += 1,
                Err(error) => return Err(error),
                Ok(()) => return Ok(guard),
            }
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.doors.listener
    }

    /// Where the admin side answers.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.doors.admin
    }

    /// Where one can watch it, as a line for the screen.
    pub(crate) fn page(&self) -> String {
        format!("watch the guard at http://{}/", self.doors.admin)
    }

    /// The guard's process id, to read its memory and CPU time by.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The last lines it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        tail(&self.folder.path().join(LOG))
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Writes another configuration and sends SIGHUP. The guard takes it up a moment later.
    ///
    /// # Errors
    /// When the file cannot be written or the guard is gone.
    pub fn reload(&self, text: &str) -> Result<(), Error> {
        let config = self.config();
        fs::write(&config, text).map_err(at(config))?;
        Ok(self.process.signal(Signal::HUP)?)
    }

    /// The file its configuration is in.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join(CONFIG)
    }

    /// Sends SIGTERM and waits until it has drained and ended.
    ///
    /// # Errors
    /// When it has not ended after `patience`.
    pub fn drain(&mut self, patience: Duration) -> Result<std::process::ExitStatus, Error> {
        self.process.terminate(patience)
    }

    /// Sends SIGTERM and does not wait.
    ///
    /// # Errors
    /// When it is gone.
    pub fn begin_drain(&self) -> Result<(), Error> {
        Ok(self.process.signal(Signal::TERM)?)
    }

    /// Kills it as a crash would.
    pub fn crash(&mut self) {
        self.process.kill();
    }

    /// Stops it in the middle, as SIGSTOP does: its sockets stay open.
    ///
    /// # Errors
    /// When it is gone, or does not stop.
    pub fn freeze(&self) -> Result<(), Error> {
        Ok(self.process.freeze()?)
    }

    /// Has it go on where it was stopped.
    ///
    /// # Errors
    /// When it is gone.
    pub fn thaw(&self) -> Result<(), Error> {
        Ok(self.process.thaw()?)
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// When the admin side does not answer.
    pub async fn metrics(&self) -> Result<String, Error> {
        Ok(self.get("/metrics").await?.body)
    }

    /// The sum over all series of a metric whose line contains each of `labels`, such as
    /// `reason="queue_full"`; 0 when there is none.
    ///
    /// # Errors
    /// When the admin side does not answer.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64, Error> {
        Ok(http::sum(&self.metrics().await?, name, labels))
    }

    /// Asks the JSON API.
    ///
    /// # Errors
    /// When it does not answer, or not with JSON.
    pub async fn json(&self, path: &str) -> Result<serde_json::Value, Error> {
        let answer = self.get(path).await?;
        let odd = |error| Error::Failed {
            program: format!("GET {path}: {error}"),
            log: answer.body.clone(),
        };
        serde_json::from_str(&answer.body).map_err(odd)
    }

    /// `GET path` of the admin side.
    ///
    /// # Errors
    /// When it does not answer in HTTP.
    pub async fn get(&self, path: &str) -> Result<Answer, Error> {
        self.http("GET", path, "").await
    }

    /// Any request of the admin side; a body is sent as JSON.
    ///
    /// # Errors
    /// When it does not answer in HTTP.
    pub async fn http(&self, method: &str, path: &str, body: &str) -> Result<Answer, Error> {
        http::ask(self.doors.admin, (method, path, body), || self.log()).await
    }

    async fn ready(&mut self) -> Result<(), Error> {
        let until = Instant::now() + START;
        loop {
            match self.get("/ready").await {
                Ok(answer) if answer.status == 200 => return Ok(()),
                _ if !self.runs() => {
                    return Err(Error::Failed {
                        program: "tidegate guard".into(),
                        log: self.log(),
                    });
                }
                _ if Instant::now() >= until => {
                    let what = "the guard being ready".into();
                    return Err(Error::Late { what, after: START, log: self.log() });
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn port_was_taken(&self) -> bool {
        self.log().contains("in use")
    }
}

const CONFIG: &str = "tidegate.toml";
const LOG: &str = "guard.log";

/// The program: `$TIDEGATE_BIN`, else this very program if it is `tidegate`, else the one that cargo
/// built beside the running test.
///
/// # Errors
/// When there is none.
pub fn program() -> Result<PathBuf, Error> {
    if let Some(named) = env::var_os("TIDEGATE_BIN") {
        return Ok(PathBuf::from(named));
    }
    let missing = Error::Missing {
        program: "tidegate",
        hint: "run `cargo build`, or name the program in TIDEGATE_BIN",
    };
    let Ok(this) = env::current_exe() else { return Err(missing) };
    // Tests run in target/<profile>/deps, the program itself in target/<profile>.
    let beside = this.ancestors().skip(1).take(2).map(|folder| folder.join("tidegate"));
    if this.file_name().is_some_and(|name| name == "tidegate") {
        return Ok(this);
    }
    beside.into_iter().find(|path| path.is_file()).ok_or(missing)
}
