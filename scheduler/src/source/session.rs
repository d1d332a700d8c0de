//! A connection to a database that is read from: read only, in UTC, and with statements that the server ends
//! after 10 s.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlRow};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Executor as _, MySqlConnection, PgConnection,
    Row as _, TypeInfo as _,
};
use tokio::time::timeout;

use super::SourceError;
use crate::sink::sql::Dialect;

/// The server ends a statement after so long.
const STATEMENT_TIME: Duration = Duration::from_secs(10);
/// A connection is waited for so long, and an answer.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const ANSWER_TIME: Duration = Duration::from_secs(15);

/// Where the next page begins: behind this key, of this type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) key: String,
    pub(super) kind: String,
}

/// A row: recipient, payload, key of the page, zone.
pub(super) type Texts = (Option<String>, Option<String>, Option<String>, Option<String>);

/// Rows of a page, and the type of the key.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) rows: Vec<Texts>,
    pub(super) kind: String,
}

/// An open connection. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    /// Of MySQL's dialect, which of the two.
    is_mariadb: bool,
}

#[derive(Debug)]
enum Connection {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// When there is no connection within 5 s.
    pub(super) async fn open(url: &str) -> Result<Self, SourceError> {
        let opened = async {
            let mut session = Self { connection: connect(url).await?, is_mariadb: false };
            if session.dialect() == Dialect::MySql {
                session.prepare().await?;
            }
            Ok(session)
        };
        match timeout(CONNECT_TIME, opened).await {
            Ok(opened) => opened,
            Err(_) => Err(SourceError::Silent("no connection", CONNECT_TIME)),
        }
    }

    /// Asks a MySQL which one it is, and has it be as a PostgreSQL is by what it is told when one connects. Nothing
    /// here pins a session of a guard.
    async fn prepare(&mut self) -> Result<(), SourceError> {
        let version = self.texts("SELECT VERSION()".into()).await?;
        let version = version.into_iter().flatten().flatten().next().unwrap_or_default();
        self.is_mariadb = version.contains("MariaDB");
        self.texts("SET SESSION TRANSACTION READ ONLY".into()).await?;
        let limit = match self.is_mariadb {
            true => format!("max_statement_time = {}", STATEMENT_TIME.as_secs()),
            false => format!("max_execution_time = {}", STATEMENT_TIME.as_millis()),
        };
        self.texts(format!("SET SESSION time_zone = '+00:00', SESSION {limit}")).await.map(drop)
    }

    pub(super) const fn dialect(&self) -> Dialect {
        match self.connection {
            Connection::Postgres(_) => Dialect::Postgres,
            Connection::MySql(_) => Dialect::MySql,
        }
    }

    pub(super) const fn is_mariadb(&self) -> bool {
        self.is_mariadb
    }

    /// Reads a page.
    pub(super) async fn page(
        &mut self,
        sql: &str,
        behind: Option<&Behind>,
    ) -> Result<Page, SourceError> {
        answered(self.ask_page(sql.to_owned(), behind)).await
    }

    async fn ask_page(
        &mut self,
        sql: String,
        behind: Option<&Behind>,
    ) -> Result<Page, SourceError> {
        match &mut self.connection {
            Connection::Postgres(connection) => {
                let mut query = sqlx::query(AssertSqlSafe(sql));
                if let Some(behind) = behind {
                    query = query.bind(behind.key.as_str());
                }
                page(
                    &connection.fetch_all(query).await?,
                    |row: &PgRow| row.column(4).type_info().name().to_owned(),
                    &["INT2", "INT4", "INT8", "TEXT", "VARCHAR", "UUID"],
                )
            }
            Connection::MySql(connection) => {
                let mut query = sqlx::query(AssertSqlSafe(sql));
                if let Some(behind) = behind {
                    // As a number where it is one: compared as texts, 10 would be before 9.
                    query = match (
                        behind.kind.contains("INT"),
                        behind.key.parse::<i64>(),
                        behind.key.parse::<u64>(),
                    ) {
                        (true, Ok(number), _) => query.bind(number),
                        (true, Err(_), Ok(number)) => query.bind(number),
                        _ => query.bind(behind.key.as_str()),
                    };
                }
                page(
                    &connection.fetch_all(query).await?,
                    |row: &MySqlRow| row.column(4).type_info().name().to_owned(),
                    &["INT", "CHAR", "TEXT"],
                )
            }
        }
    }

    /// Reads rows as texts, by the protocol without parameters.
    pub(super) async fn texts(
        &mut self,
        sql: String,
    ) -> Result<Vec<Vec<Option<String>>>, SourceError> {
        let asked = async {
            let sql = sqlx::raw_sql(AssertSqlSafe(sql));
            match &mut self.connection {
                Connection::Postgres(connection) => texts(&connection.fetch_all(sql).await?),
                Connection::MySql(connection) => texts(&connection.fetch_all(sql).await?),
            }
        };
        answered(asked).await
    }
}

async fn connect(url: &str) -> Result<Connection, SourceError> {
    let millis = STATEMENT_TIME.as_millis().to_string();
    if url.starts_with("postgres") {
        let options: PgConnectOptions = url.parse()?;
        let options = options.application_name("tidegate schedule").options([
            ("statement_timeout", millis.as_str()),
            ("default_transaction_read_only", "on"),
            ("timezone", "UTC"),
        ]);
        return Ok(Connection::Postgres(options.connect().await?));
    }
    let options: MySqlConnectOptions = url.parse()?;
    Ok(Connection::MySql(options.connect().await?))
}

async fn answered<T>(
    asked: impl Future<Output = Result<T, SourceError>>,
) -> Result<T, SourceError> {
    match timeout(ANSWER_TIME, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(SourceError::Silent("no answer", ANSWER_TIME)),
    }
}

/// The rows of a page, of a key whose type's name has one of `kinds` in it.
fn page<R>(rows: &[R], kind: impl Fn(&R) -> String, kinds: &[&str]) -> Result<Page, SourceError>
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    for<'r> Option<String>: sqlx::Decode<'r, R::Database>,
{
    let kind = rows.first().map(kind).unwrap_or_default();
    if !rows.is_empty() && !kinds.iter().any(|known| kind.contains(known)) {
        let why = format!(
            "order is a column of type {kind}; expected a whole number, a text or, on PostgreSQL, a UUID"
        );
        return Err(SourceError::Query(why));
    }
    let found = |row: &R| {
        let text = |column: usize| row.try_get_unchecked::<Option<String>, _>(column);
        Ok((text(0)?, text(1)?, text(2)?, text(3)?))
    };
    let rows = rows.iter().map(found).collect::<Result<_, sqlx::Error>>()?;
    Ok(Page { rows, kind })
}

/// All columns as they are written: the protocol without parameters has them so.
fn texts<R>(rows: &[R]) -> Result<Vec<Vec<Option<String>>>, SourceError>
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    for<'r> Option<String>: sqlx::Decode<'r, R::Database>,
{
    let texts = |row: &R| {
        let all = (0..row.len()).map(|at| row.try_get_unchecked::<Option<String>, _>(at));
        all.collect::<Result<Vec<_>, sqlx::Error>>()
    };
    Ok(rows.iter().map(texts).collect::<Result<_, _>>()?)
}
