//! The driver `mysql_async`.

use crate::driver::{Answer, Driver, Failure, Open};
use mysql_async::prelude::{GlobalHandler, Protocol, Queryable};
use mysql_async::{
    ChangeUserOpts, Conn, Error, OptsBuilder, Params, QueryResult, Row, SslOpts, Statement, Value,
    WhiteListFsHandler,
};
use std::path::PathBuf;

pub(crate) struct Peer {
    connection: Conn,
    statements: Vec<Statement>,
}

impl Driver for Peer {
    async fn open(open: &Open) -> Result<Self, Failure> {
        let tls = open.tls.then(|| {
            let authority = open.ca.iter().map(|ca| PathBuf::from(ca).into());
            SslOpts::default().with_root_certs(authority.collect())
        });
        let options = OptsBuilder::default()
            .ip_or_hostname(open.host.clone())
            .tcp_port(open.port)
            .user(Some(open.user.clone()))
            .pass(Some(open.password.clone()))
            .db_name(Some(open.database.clone()).filter(|name| !name.is_empty()))
            .ssl_opts(tls)
            .prefer_socket(false)
            // The checks hold more statements at once than the driver would keep.
            .stmt_cache_size(0)
            // Whichever file the server asks for: it is the checks' own.
            .local_infile_handler(Some(|name: &[u8]| {
                let path = String::from_utf8_lossy(name).into_owned();
                WhiteListFsHandler::new([path]).handle(name)
            }));
        let connection = Conn::new(options).await?;
        Ok(Self { connection, statements: Vec::new() })
    }

    async fn run(&mut self, sql: String) -> Result<Vec<Answer>, Failure> {
        answers(self.connection.query_iter(sql).await?).await
    }

    async fn bind(
        &mut self,
        sql: String,
        args: Vec<serde_json::Value>,
    ) -> Result<Vec<Answer>, Failure> {
        answers(self.connection.exec_iter(sql, params(args)).await?).await
    }

    async fn stream(&mut self, sql: String) -> Result<Answer, Failure> {
        let mut result = self.connection.query_iter(sql).await?;
        let mut answer = Answer::default();
        while let Some(row) = result.next().await? {
            answer.rows.push(texts(row));
        }
        Ok(answer)
    }

    async fn prepare(&mut self, sql: String) -> Result<usize, Failure> {
        self.statements.push(self.connection.prep(sql).await?);
        Ok(self.statements.len() - 1)
    }

    async fn execute(
        &mut self,
        statement: usize,
        args: Vec<serde_json::Value>,
    ) -> Result<Vec<Answer>, Failure> {
        let statement = &self.statements[statement];
        answers(self.connection.exec_iter(statement, params(args)).await?).await
    }

    async fn close(&mut self, statement: usize) -> Result<(), Failure> {
        Ok(self.connection.close(self.statements[statement].clone()).await?)
    }

    async fn carry(&mut self, select: String, insert: String, binary: bool) -> Result<(), Failure> {
        let row: Option<Row> = if binary {
            self.connection.exec_first(select, ()).await?
        } else {
            self.connection.query_first(select).await?
        };
        let values = row.map_or_else(Vec::new, Row::unwrap);
        Ok(self.connection.exec_drop(insert, Params::Positional(values)).await?)
    }

    async fn load(&mut self, sql: String) -> Result<Vec<Answer>, Failure> {
        self.run(sql).await
    }

    async fn ping(&mut self) -> Result<(), Failure> {
        Ok(self.connection.ping().await?)
    }

    async fn reset(&mut self) -> Result<(), Failure> {
        self.connection.reset().await?;
        Ok(())
    }

    async fn change_user(
        &mut self,
        user: String,
        password: String,
        database: String,
    ) -> Result<(), Failure> {
        let options = ChangeUserOpts::default()
            .with_user(Some(user))
            .with_pass(Some(password))
            .with_db_name(Some(database));
        Ok(self.connection.change_user(options).await?)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Server(refusal) => Self::Refused(refusal.code, refusal.message),
            other => Self::Refused(0, other.to_string()),
        }
    }
}

async fn answers<P: Protocol>(mut result: QueryResult<'_, '_, P>) -> Result<Vec<Answer>, Failure> {
    let mut answers = Vec::new();
    loop {
        let mut answer = Answer {
            affected: result.affected_rows(),
            last_id: result.last_insert_id().unwrap_or_default(),
            ..Answer::default()
        };
        while let Some(row) = result.next().await? {
            answer.rows.push(texts(row));
        }
        answers.push(answer);
        if result.is_empty() {
            // An error in place of a further result is shown only to those who ask for its rows.
            result.next().await?;
            return Ok(answers);
        }
    }
}

fn texts(row: Row) -> Vec<Option<String>> {
    row.unwrap().into_iter().map(text).collect()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        other => Some(other.as_sql(true)),
    }
}

fn params(args: Vec<serde_json::Value>) -> Params {
    if args.is_empty() {
        return Params::Empty;
    }
    Params::Positional(args.into_iter().map(param).collect())
}

fn param(arg: serde_json::Value) -> Value {
    match arg {
        serde_json::Value::Null => Value::NULL,
        serde_json::Value::String(text) => text.into(),
        other => other.as_i64().map_or_else(|| other.to_string().into(), Value::from),
    }
}
