//! The driver `sqlx`.

use crate::driver::{Driver, Failure, Open, Outcome, Part, absent, poll_once};
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use serde_json::Value;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgConnectOptions, PgConnection, PgListener, PgPoolOptions,
    PgQueryResult, PgRow, PgSslMode, PgTypeInfo, PgValueFormat,
};
use sqlx::query::Query;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Either, Encode, Executor, Postgres, Row, SqlSafeStr,
    Type, TypeInfo, ValueRef,
};
use std::time::Duration;

pub(crate) struct Peer {
    connection: PgConnection,
    options: PgConnectOptions,
    listener: Option<PgListener>,
    /// The driver keeps prepared statements by their text, as many as its cache holds.
    statements: Vec<String>,
}

/// Longer than a task may wait for a connection of the driver's pool, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

type Bound<'q> = Query<'q, Postgres, PgArguments>;

impl Driver for Peer {
    async fn open(open: &Open) -> Outcome<Self> {
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(if open.tls { "localhost" } else { &open.host })
            .port(open.port)
            .username(&open.user)
            .password(&open.password)
            .database(&open.database)
            // The checks hold more statements at once than the driver would keep.
            .statement_cache_capacity(512)
            .ssl_mode(if open.tls { PgSslMode::VerifyFull } else { PgSslMode::Disable });
        if let Some(ca) = &open.ca {
            options = options.ssl_root_cert(ca);
        }
        let connection = options.connect().await?;
        Ok(Self { connection, options, listener: None, statements: Vec::new() })
    }

    fn canceller(&self) -> Option<tokio_postgres::CancelToken> {
        None
    }

    async fn run(&mut self, sql: String) -> Outcome<Vec<Part>> {
        parts(sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(&mut self.connection)).await
    }

    async fn bind(&mut self, sql: String, args: Vec<Value>) -> Outcome<Part> {
        let query = args.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), bind_argument);
        let mut all = parts(self.connection.fetch_many(query)).await?;
        Ok(all.pop().unwrap_or_default())
    }

    async fn stream(&mut self, sql: String) -> Outcome<Part> {
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut self.connection);
        let mut part = Part::default();
        while let Some(row) = rows.try_next().await? {
            part.rows.push(texts(&row)?);
        }
        Ok(part)
    }

    async fn prepare(&mut self, sql: String) -> Outcome<usize> {
        self.connection.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await?;
        self.statements.push(sql);
        Ok(self.statements.len() - 1)
    }

    async fn execute(&mut self, statement: usize, args: Vec<Value>) -> Outcome<Part> {
        self.bind(self.statements[statement].clone(), args).await
    }

    async fn close(&mut self, _statement: usize) -> Outcome<()> {
        Ok(())
    }

    async fn carry(&mut self, select: String, insert: String, binary: bool) -> Outcome<()> {
        if !binary {
            return absent("it writes binary only");
        }
        let row = self.connection.fetch_one(sqlx::query(AssertSqlSafe(select))).await?;
        let mut query = sqlx::query(AssertSqlSafe(insert));
        for index in 0..row.len() {
            query = query.bind(Raw::read(&row, index)?);
        }
        self.connection.execute(query).await?;
        Ok(())
    }

    async fn abandon(&mut self, sql: String) -> Outcome<()> {
        poll_once(self.run(sql)).await;
        Ok(())
    }

    async fn pooled(
        &mut self,
        size: u32,
        tasks: Vec<Vec<String>>,
        at_once: bool,
    ) -> Outcome<Vec<Part>> {
        let pool = PgPoolOptions::new().max_connections(size).acquire_timeout(PATIENCE);
        let pool = &pool.connect_with(self.options.clone()).await?;
        let work = async |statements: Vec<String>| {
            let mut connection = pool.acquire().await?;
            let mut last = Part::default();
            for sql in statements {
                let query = sqlx::raw_sql(AssertSqlSafe(sql));
                last = parts(query.fetch_many(&mut *connection)).await?.pop().unwrap_or_default();
            }
            Outcome::Ok(last)
        };
        if at_once {
            return try_join_all(tasks.into_iter().map(work)).await;
        }
        let mut all = Vec::new();
        for task in tasks {
            all.push(work(task).await?);
        }
        Ok(all)
    }

    async fn copy_in(&mut self, sql: String, data: String) -> Outcome<()> {
        let mut copy = self.connection.copy_in_raw(&sql).await?;
        copy.send(data.into_bytes()).await?;
        copy.finish().await?;
        Ok(())
    }

    async fn copy_out(&mut self, sql: String) -> Outcome<String> {
        let stream = self.connection.copy_out_raw(&sql).await?;
        let parts: Vec<_> = stream.try_collect().await?;
        Ok(String::from_utf8_lossy(&parts.concat()).into_owned())
    }

    /// On a connection of its own, which is how the driver listens.
    async fn listen(&mut self, channel: String) -> Outcome<()> {
        if self.listener.is_none() {
            let pool = PgPoolOptions::new().max_connections(1).connect_with(self.options.clone());
            self.listener = Some(PgListener::connect_with(&pool.await?).await?);
        }
        match &mut self.listener {
            Some(listener) => Ok(listener.listen(&channel).await?),
            None => absent("it has no listener"),
        }
    }

    async fn notification(&mut self) -> Outcome<(String, String)> {
        let Some(listener) = &mut self.listener else { return absent("it does not listen") };
        let note = listener.recv().await?;
        Ok((note.channel().into(), note.payload().into()))
    }
}

async fn parts(
    mut results: impl TryStreamExt<Ok = Either<PgQueryResult, PgRow>, Error = sqlx::Error> + Unpin,
) -> Outcome<Vec<Part>> {
    let mut parts = Vec::new();
    let mut part = Part::default();
    while let Some(step) = results.try_next().await? {
        match step {
            Either::Right(row) => part.rows.push(texts(&row)?),
            Either::Left(counts) => {
                part.affected = Some(counts.rows_affected());
                parts.push(std::mem::take(&mut part));
            }
        }
    }
    Ok(parts)
}

fn bind_argument(query: Bound<'_>, arg: Value) -> Bound<'_> {
    match arg {
        Value::Null => query.bind(None::<String>),
        Value::String(text) => query.bind(text),
        other => query.bind(other.as_i64().and_then(|number| i32::try_from(number).ok())),
    }
}

/// The values of a row as text: those of a simple query are, and of others the checks look at these
/// types.
fn texts(row: &PgRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    let text = |index| {
        let value = row.try_get_raw(index)?;
        if value.is_null() {
            return Ok(None);
        }
        if value.format() == PgValueFormat::Text {
            return Ok(Some(value.as_str().map_err(sqlx::Error::Decode)?.to_owned()));
        }
        Ok(Some(match row.column(index).type_info().name() {
            "INT4" => row.try_get::<i32, _>(index)?.to_string(),
            "INT8" => row.try_get::<i64, _>(index)?.to_string(),
            _ => row.try_get::<String, _>(index)?,
        }))
    };
    (0..row.len()).map(text).collect()
}

/// A value as the bytes that came, and its type.
struct Raw {
    kind: PgTypeInfo,
    bytes: Option<Vec<u8>>,
}

impl Raw {
    fn read(row: &PgRow, index: usize) -> Result<Self, sqlx::Error> {
        let value = row.try_get_raw(index)?;
        let bytes = match value.is_null() {
            true => None,
            false => Some(value.as_bytes().map_err(sqlx::Error::Decode)?.to_vec()),
        };
        Ok(Self { kind: row.column(index).type_info().clone(), bytes })
    }
}

impl Type<Postgres> for Raw {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Raw {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.kind.clone())
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|refusal| refusal.code());
        Self::Refused(code.map_or_else(String::new, |code| code.into_owned()), error.to_string())
    }
}
