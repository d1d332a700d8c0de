//! What a driver offers, and the messages that ask for it: the methods of `session.Session` in Python.

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    Open(Open),
    Run(String),
    RunAll(String),
    Bind(String, Vec<Value>),
    Stream(String),
    Prepare(String),
    Execute(usize, Vec<Value>),
    Close(usize),
    Carry(String, String, bool),
    Pipeline(Vec<(String, Vec<Value>)>),
    CopyIn(String, String),
    CopyOut(String),
    Listen(String),
    Notification(()),
    Abandon(String),
    Pooled(u32, Vec<Vec<String>>, bool),
    Cancel(()),
}

#[derive(Deserialize)]
pub(crate) struct Open {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) database: String,
    /// The path of a certificate authority.
    pub(crate) ca: Option<String>,
    pub(crate) tls: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Results(Vec<Part>),
    Statement(usize),
    Copied(String),
    Notified(String, String),
    /// The server's SQLSTATE (empty for the driver's own errors) and its message.
    Refused(String, String),
    Absent(String),
    Done {},
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(code, message) => Self::Refused(code, message),
            Failure::Absent(why) => Self::Absent(why),
        }
    }
}

/// One result, or of a pipeline an error in its place. Values are JSON null or text.
#[derive(Serialize, Default)]
pub(crate) struct Part {
    pub(crate) rows: Vec<Vec<Option<String>>>,
    pub(crate) affected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<(String, String)>,
}

pub(crate) enum Failure {
    Refused(String, String),
    Absent(String),
}

pub(crate) type Outcome<T> = Result<T, Failure>;

pub(crate) fn absent<T>(why: &str) -> Outcome<T> {
    Err(Failure::Absent(why.into()))
}

/// Polls a query once, which sends it, and drops it.
pub(crate) async fn poll_once(query: impl Future) {
    let mut query = std::pin::pin!(query);
    std::future::poll_fn(|context| {
        // Whether it has failed already, the next statement says.
        let _answer = query.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
}

pub(crate) trait Driver: Sized {
    async fn open(open: &Open) -> Outcome<Self>;
    /// What ends the running statement while it is awaited.
    fn canceller(&self) -> Option<::tokio_postgres::CancelToken>;
    /// A simple query; all results.
    async fn run(&mut self, sql: String) -> Outcome<Vec<Part>>;
    async fn bind(&mut self, sql: String, args: Vec<Value>) -> Outcome<Part>;
    async fn stream(&mut self, sql: String) -> Outcome<Part>;
    async fn prepare(&mut self, sql: String) -> Outcome<usize>;
    async fn execute(&mut self, statement: usize, args: Vec<Value>) -> Outcome<Part>;
    async fn close(&mut self, statement: usize) -> Outcome<()>;
    async fn carry(&mut self, select: String, insert: String, binary: bool) -> Outcome<()>;
    async fn copy_in(&mut self, sql: String, data: String) -> Outcome<()>;
    async fn copy_out(&mut self, sql: String) -> Outcome<String>;
    async fn listen(&mut self, channel: String) -> Outcome<()>;
    async fn notification(&mut self) -> Outcome<(String, String)>;

    /// Sends a simple query and drops the future that would read its answer.
    async fn abandon(&mut self, sql: String) -> Outcome<()>;

    /// Runs each of the tasks on a connection of the driver's own pool, all at once or one after the other; of
    /// each the last result.
    async fn pooled(
        &mut self,
        _size: u32,
        _tasks: Vec<Vec<String>>,
        _at_once: bool,
    ) -> Outcome<Vec<Part>> {
        absent("it has no pool")
    }

    async fn pipeline(&mut self, _statements: Vec<(String, Vec<Value>)>) -> Outcome<Vec<Part>> {
        absent("it sends nothing ahead")
    }
}
