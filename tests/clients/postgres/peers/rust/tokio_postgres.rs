//! The driver `tokio-postgres`.

use crate::driver::{Driver, Failure, Open, Outcome, Part, absent, poll_once};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt, TryStreamExt, pin_mut};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use std::error::Error as StdError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{
    AsyncMessage, CancelToken, Client, Config, Connection, Error, NoTls, Row, SimpleQueryMessage,
    Statement, ToStatement,
};
use tokio_postgres_rustls::MakeRustlsConnect;

type Notified = (String, String);
type AnyError = Box<dyn StdError + Sync + Send>;

pub(crate) struct Peer {
    client: Client,
    heard: mpsc::UnboundedReceiver<Notified>,
    statements: Vec<Option<Statement>>,
}

impl Driver for Peer {
    async fn open(open: &Open) -> Outcome<Self> {
        let mut config = Config::new();
        config
            // The certificate is for the name.
            .host("localhost")
            .hostaddr(open.host.parse().expect("the matrix names an address"))
            .port(open.port)
            .user(&open.user)
            .password(&open.password)
            .dbname(&open.database)
            .ssl_mode(tokio_postgres::config::SslMode::Disable);
        let (sender, heard) = mpsc::unbounded_channel();
        let client = if let (true, Some(ca)) = (open.tls, &open.ca) {
            config.ssl_mode(tokio_postgres::config::SslMode::Require);
            let (client, connection) = config.connect(tls(ca)).await?;
            listen(connection, sender);
            client
        } else {
            let (client, connection) = config.connect(NoTls).await?;
            listen(connection, sender);
            client
        };
        Ok(Self { client, heard, statements: Vec::new() })
    }

    fn canceller(&self) -> Option<CancelToken> {
        Some(self.client.cancel_token())
    }

    async fn run(&mut self, sql: String) -> Outcome<Vec<Part>> {
        let mut parts = Vec::new();
        let mut part = Part::default();
        for message in self.client.simple_query(&sql).await? {
            match message {
                SimpleQueryMessage::Row(row) => {
                    let value = |index| row.get(index).map(str::to_owned);
                    part.rows.push((0..row.len()).map(value).collect());
                }
                SimpleQueryMessage::CommandComplete(count) => {
                    part.affected = Some(count);
                    parts.push(std::mem::take(&mut part));
                }
                _ => {}
            }
        }
        Ok(parts)
    }

    async fn bind(&mut self, sql: String, args: Vec<Value>) -> Outcome<Part> {
        Ok(query(&self.client, sql.as_str(), args).await?)
    }

    async fn stream(&mut self, sql: String) -> Outcome<Part> {
        Ok(query(&self.client, sql.as_str(), Vec::new()).await?)
    }

    async fn prepare(&mut self, sql: String) -> Outcome<usize> {
        self.statements.push(Some(self.client.prepare(&sql).await?));
        Ok(self.statements.len() - 1)
    }

    async fn execute(&mut self, statement: usize, args: Vec<Value>) -> Outcome<Part> {
        match &self.statements[statement] {
            Some(statement) => Ok(query(&self.client, statement, args).await?),
            None => absent("the statement is closed"),
        }
    }

    async fn close(&mut self, statement: usize) -> Outcome<()> {
        self.statements[statement] = None;
        Ok(())
    }

    async fn carry(&mut self, select: String, insert: String, binary: bool) -> Outcome<()> {
        if !binary {
            return absent("it writes binary only");
        }
        let row = self.client.query_one(&select, &[]).await?;
        let values: Vec<Raw> = (0..row.len()).map(|index| row.get(index)).collect();
        self.client.execute_raw(&insert, values).await?;
        Ok(())
    }

    async fn pipeline(&mut self, statements: Vec<(String, Vec<Value>)>) -> Outcome<Vec<Part>> {
        let client = &self.client;
        let all = statements.into_iter().map(async |(sql, args)| {
            match query(client, sql.as_str(), args).await {
                Ok(part) => part,
                Err(error) => Part { refused: Some(told(&error)), ..Part::default() },
            }
        });
        Ok(join_all(all).await)
    }

    async fn abandon(&mut self, sql: String) -> Outcome<()> {
        poll_once(self.client.simple_query(&sql)).await;
        Ok(())
    }

    async fn copy_in(&mut self, sql: String, data: String) -> Outcome<()> {
        let sink = self.client.copy_in::<_, Bytes>(&sql).await?;
        pin_mut!(sink);
        let data = Bytes::from(data);
        for start in (0..data.len()).step_by(CHUNK) {
            sink.send(data.slice(start..data.len().min(start + CHUNK))).await?;
        }
        sink.finish().await?;
        Ok(())
    }

    async fn copy_out(&mut self, sql: String) -> Outcome<String> {
        let stream = self.client.copy_out(&sql).await?;
        let parts: Vec<Bytes> = stream.try_collect().await?;
        Ok(String::from_utf8_lossy(&parts.concat()).into_owned())
    }

    async fn listen(&mut self, channel: String) -> Outcome<()> {
        Ok(self.client.batch_execute(&format!("LISTEN {channel}")).await?)
    }

    async fn notification(&mut self) -> Outcome<Notified> {
        let ended = || Failure::Refused(String::new(), "the connection ended".into());
        self.heard.recv().await.ok_or_else(ended)
    }
}

/// How much of a COPY goes into one message.
const CHUNK: usize = 64 << 10;

fn tls(ca: &str) -> MakeRustlsConnect {
    let mut roots = rustls::RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(ca).expect("the authority is a certificate");
    roots.add(authority).expect("the authority may sign");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("the provider has the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}

/// Serves a connection, and hands on what it hears.
fn listen<S, T>(mut connection: Connection<S, T>, heard: mpsc::UnboundedSender<Notified>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(note) = message {
                // Nobody may be listening any more.
                let _unheard = heard.send((note.channel().into(), note.payload().into()));
            }
        }
    });
}

async fn query<T: ?Sized + ToStatement>(
    client: &Client,
    statement: &T,
    args: Vec<Value>,
) -> Result<Part, Error> {
    let rows = client.query_raw(statement, args.into_iter().map(Argument)).await?;
    pin_mut!(rows);
    let mut part = Part::default();
    while let Some(row) = rows.try_next().await? {
        part.rows.push(texts(&row)?);
    }
    part.affected = rows.rows_affected();
    Ok(part)
}

/// The values of a row as text, for the types that the checks look at.
fn texts(row: &Row) -> Result<Vec<Option<String>>, Error> {
    let text = |(index, column): (usize, &tokio_postgres::Column)| {
        Ok(match *column.type_() {
            Type::INT4 => row.try_get::<_, Option<i32>>(index)?.map(|number| number.to_string()),
            Type::INT8 => row.try_get::<_, Option<i64>>(index)?.map(|number| number.to_string()),
            _ => row.try_get::<_, Option<String>>(index)?,
        })
    };
    row.columns().iter().enumerate().map(text).collect()
}

/// A parameter of the type that the server asks for.
#[derive(Debug)]
struct Argument(Value);

impl ToSql for Argument {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, AnyError> {
        match (&self.0, kind) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Number(number), &Type::INT4) => {
                i32::try_from(number.as_i64().unwrap_or_default())?.to_sql(kind, out)
            }
            (Value::Number(number), _) => number.as_i64().to_sql(kind, out),
            (Value::String(text), _) => text.to_sql(kind, out),
            (other, _) => other.to_string().to_sql(kind, out),
        }
    }

    fn accepts(_kind: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A value as the bytes that came.
#[derive(Debug)]
struct Raw(Option<Vec<u8>>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_kind: &Type, raw: &'a [u8]) -> Result<Self, AnyError> {
        Ok(Self(Some(raw.to_vec())))
    }

    fn from_sql_null(_kind: &Type) -> Result<Self, AnyError> {
        Ok(Self(None))
    }

    fn accepts(_kind: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _kind: &Type, out: &mut BytesMut) -> Result<IsNull, AnyError> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.put_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_kind: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn told(error: &Error) -> (String, String) {
    let code = error.code().map_or_else(String::new, |state| state.code().to_owned());
    (code, error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, message) = told(&error);
        Self::Refused(code, message)
    }
}
