//! What a driver offers, and the messages that ask for it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    Open(Open),
    Run(String),
    RunAll(String),
    Load(String),
    Bind(String, Vec<Value>),
    Stream(String),
    Prepare(String),
    Execute(usize, Vec<Value>),
    Close(usize),
    Carry(String, String, bool),
    Use(String),
    Ping(()),
    Reset(()),
    ChangeUser(String, String, String),
}

#[derive(Deserialize)]
pub(crate) struct Open {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    /// Empty for none.
    pub(crate) database: String,
    /// The path of a certificate authority.
    pub(crate) ca: Option<String>,
    pub(crate) tls: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Results(Vec<Answer>),
    Statement(usize),
    /// The server's error code (0 for the driver's own errors) and its message.
    Refused(u16, String),
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

/// One result. Values are JSON null or text.
#[derive(Serialize, Default)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Vec<Option<String>>>,
    pub(crate) affected: u64,
    pub(crate) last_id: u64,
}

pub(crate) enum Failure {
    Refused(u16, String),
    Absent(String),
}

type Outcome<T> = Result<T, Failure>;

fn absent<T>(why: &str) -> Outcome<T> {
    Err(Failure::Absent(why.into()))
}

/// The methods of `adapter.Session` in Python.
pub(crate) trait Driver: Sized {
    async fn open(open: &Open) -> Outcome<Self>;

    /// In the text protocol; all results.
    async fn run(&mut self, sql: String) -> Outcome<Vec<Answer>>;
    async fn bind(&mut self, sql: String, args: Vec<Value>) -> Outcome<Vec<Answer>>;
    async fn stream(&mut self, sql: String) -> Outcome<Answer>;
    async fn prepare(&mut self, sql: String) -> Outcome<usize>;
    async fn execute(&mut self, statement: usize, args: Vec<Value>) -> Outcome<Vec<Answer>>;
    async fn close(&mut self, statement: usize) -> Outcome<()>;
    async fn carry(&mut self, select: String, insert: String, binary: bool) -> Outcome<()>;
    async fn ping(&mut self) -> Outcome<()>;

    /// LOAD DATA LOCAL INFILE.
    async fn load(&mut self, _sql: String) -> Outcome<Vec<Answer>> {
        absent("it never gives a local file to the server")
    }

    async fn select_database(&mut self, _database: String) -> Outcome<()> {
        absent("it changes the database only with USE")
    }

    async fn reset(&mut self) -> Outcome<()> {
        absent("it has no reset of the connection")
    }

    async fn change_user(
        &mut self,
        _user: String,
        _password: String,
        _database: String,
    ) -> Outcome<()> {
        absent("it has no change of user")
    }
}
