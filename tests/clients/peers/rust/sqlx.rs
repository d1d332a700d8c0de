//! The driver `sqlx`.

use crate::driver::{Answer, Driver, Failure, Open};
use futures_util::TryStreamExt;
use serde_json::Value;
use sqlx::mysql::types::MySqlTime;
use sqlx::mysql::{
    MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlQueryResult, MySqlRow, MySqlSslMode,
};
use sqlx::query::Query;
use sqlx::types::BigDecimal;
use sqlx::types::time::{Date, OffsetDateTime, PrimitiveDateTime};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Either, Executor, MySql, Row, SqlSafeStr,
    TypeInfo, ValueRef,
};

pub(crate) struct Peer {
    connection: MySqlConnection,
    /// The driver keeps prepared statements by their text, as many as its cache holds.
    statements: Vec<String>,
}

type Bound<'q> = Query<'q, MySql, MySqlArguments>;

impl Driver for Peer {
    async fn open(open: &Open) -> Result<Self, Failure> {
        let mut options = MySqlConnectOptions::new()
            .host(&open.host)
            .port(open.port)
            .username(&open.user)
            .password(&open.password)
            // The checks hold more statements at once than the driver would keep; it closes and
            // prepares again in packets that wait for each other's acknowledgement.
            .statement_cache_capacity(512)
            .ssl_mode(if open.tls { MySqlSslMode::VerifyIdentity } else { MySqlSslMode::Disabled });
        if let Some(ca) = &open.ca {
            options = options.ssl_ca(ca);
        }
        if !open.database.is_empty() {
            options = options.database(&open.database);
        }
        Ok(Self { connection: options.connect().await?, statements: Vec::new() })
    }

    async fn run(&mut self, sql: String) -> Result<Vec<Answer>, Failure> {
        let results = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(&mut self.connection);
        answers(results).await
    }

    async fn bind(&mut self, sql: String, args: Vec<Value>) -> Result<Vec<Answer>, Failure> {
        let query = args.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), bind_argument);
        answers(self.connection.fetch_many(query)).await
    }

    async fn stream(&mut self, sql: String) -> Result<Answer, Failure> {
        let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(&mut self.connection);
        let mut answer = Answer::default();
        while let Some(row) = rows.try_next().await? {
            answer.rows.push(texts(&row)?);
        }
        Ok(answer)
    }

    async fn prepare(&mut self, sql: String) -> Result<usize, Failure> {
        self.connection.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await?;
        self.statements.push(sql);
        Ok(self.statements.len() - 1)
    }

    async fn execute(
        &mut self,
        statement: usize,
        args: Vec<Value>,
    ) -> Result<Vec<Answer>, Failure> {
        self.bind(self.statements[statement].clone(), args).await
    }

    async fn close(&mut self, _statement: usize) -> Result<(), Failure> {
        Ok(())
    }

    async fn carry(&mut self, select: String, insert: String, binary: bool) -> Result<(), Failure> {
        let row = if binary {
            self.connection.fetch_one(sqlx::query(AssertSqlSafe(select))).await?
        } else {
            self.connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(select))).await?
        };
        let mut query = sqlx::query(AssertSqlSafe(insert));
        for index in 0..row.len() {
            query = Held::read(&row, index)?.bind(query);
        }
        self.connection.execute(query).await?;
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Failure> {
        Ok(self.connection.ping().await?)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let refusal = error
            .as_database_error()
            .and_then(|refusal| refusal.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>());
        let code = refusal.map_or(0, sqlx::mysql::MySqlDatabaseError::number);
        Self::Refused(code, error.to_string())
    }
}

async fn answers(
    mut results: impl TryStreamExt<Ok = Either<MySqlQueryResult, MySqlRow>, Error = sqlx::Error> + Unpin,
) -> Result<Vec<Answer>, Failure> {
    let mut answers = Vec::new();
    let mut answer = Answer::default();
    while let Some(part) = results.try_next().await? {
        match part {
            Either::Right(row) => answer.rows.push(texts(&row)?),
            Either::Left(counts) => {
                answer.affected = counts.rows_affected();
                answer.last_id = counts.last_insert_id();
                answers.push(std::mem::take(&mut answer));
            }
        }
    }
    Ok(answers)
}

fn bind_argument(query: Bound<'_>, arg: Value) -> Bound<'_> {
    match arg {
        Value::Null => query.bind(None::<String>),
        Value::String(text) => query.bind(text),
        other => query.bind(other.as_i64()),
    }
}

fn texts(row: &MySqlRow) -> Result<Vec<Option<String>>, Failure> {
    (0..row.len()).map(|index| Ok(Held::read(row, index)?.text())).collect()
}

/// A value as the Rust type that the driver's users would choose for its column.
enum Held {
    Null,
    Signed(i64),
    Unsigned(u64),
    Single(f32),
    Double(f64),
    Decimal(BigDecimal),
    Date(Date),
    Time(MySqlTime),
    Moment(PrimitiveDateTime),
    Stamp(OffsetDateTime),
    Text(String),
    Bytes(Vec<u8>),
}

impl Held {
    fn read(row: &MySqlRow, index: usize) -> Result<Self, sqlx::Error> {
        if row.try_get_raw(index)?.is_null() {
            return Ok(Self::Null);
        }
        Ok(match row.column(index).type_info().name() {
            "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => {
                Self::Signed(row.try_get_unchecked(index)?)
            }
            "BIT" | "YEAR" => Self::Unsigned(row.try_get_unchecked(index)?),
            name if name.ends_with(" UNSIGNED") => Self::Unsigned(row.try_get_unchecked(index)?),
            "FLOAT" => Self::Single(row.try_get(index)?),
            "DOUBLE" => Self::Double(row.try_get(index)?),
            "DECIMAL" => Self::Decimal(row.try_get(index)?),
            "DATE" => Self::Date(row.try_get(index)?),
            "TIME" => Self::Time(row.try_get(index)?),
            "DATETIME" => Self::Moment(row.try_get(index)?),
            "TIMESTAMP" => Self::Stamp(row.try_get(index)?),
            "GEOMETRY" => Self::Bytes(row.try_get_unchecked(index)?),
            name if name.ends_with("BLOB") || name.ends_with("BINARY") => {
                Self::Bytes(row.try_get(index)?)
            }
            _ => Self::Text(row.try_get_unchecked(index)?),
        })
    }

    fn text(self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Signed(number) => number.to_string(),
            Self::Unsigned(number) => number.to_string(),
            Self::Single(number) => number.to_string(),
            Self::Double(number) => number.to_string(),
            Self::Decimal(number) => number.to_string(),
            Self::Date(date) => date.to_string(),
            Self::Time(time) => time.to_string(),
            Self::Moment(moment) => moment.to_string(),
            Self::Stamp(stamp) => stamp.to_string(),
            Self::Text(text) => text,
            Self::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    fn bind(self, query: Bound<'_>) -> Bound<'_> {
        match self {
            Self::Null => query.bind(None::<String>),
            Self::Signed(number) => query.bind(number),
            Self::Unsigned(number) => query.bind(number),
            Self::Single(number) => query.bind(number),
            Self::Double(number) => query.bind(number),
            Self::Decimal(number) => query.bind(number),
            Self::Date(date) => query.bind(date),
            Self::Time(time) => query.bind(time),
            Self::Moment(moment) => query.bind(moment),
            Self::Stamp(stamp) => query.bind(stamp),
            Self::Text(text) => query.bind(text),
            Self::Bytes(bytes) => query.bind(bytes),
        }
    }
}
