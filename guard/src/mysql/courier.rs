//! Orders to MySQL and MariaDB: `KILL`, and a look at the list of threads.

use std::sync::Arc;

use observe::server::Server;
use thiserror::Error;
use wire::mysql::command::{self, Command};

use crate::{
    account::Account,
    mysql::{
        connect::{self, ConnectError, Wishes},
        connection::{Answer, Connection, Lost, Rows},
        session::settings::Settings,
    },
    upstream::{
        control::{Ask, Backend, ControlError, Courier, Order, Told},
        target::Target,
    },
};

/// The error of the database that means "no such thread": it has ended by itself.
const NO_SUCH_THREAD: u16 = 1094;

/// How reserved connections are opened.
#[derive(Debug)]
pub struct MySqlCourier {
    /// Where the server is, or its extra door.
    pub target: Target,
    /// An account that may kill the clients' statements.
    pub account: Account,
}

/// Why the reserved connections could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The login failed.
    #[error("control connection: {0}")]
    Connect(#[from] ConnectError),
    /// The connection failed behind the login.
    #[error("control connection: {0}")]
    Lost(#[from] Lost),
}

/// What tells one server from another, and when it started, to be asked on every connection.
///
/// A name or an address may lead to several servers; a thread id means nothing on another one, nor
/// after a restart. The server counts its uptime from the start of the statement that asks, so the
/// difference is the same each time.
fn identity_sql(mariadb: bool) -> String {
    let status = match mariadb {
        true => "information_schema.GLOBAL_STATUS",
        false => "performance_schema.global_status",
    };
    format!(
        "SELECT CONCAT_WS('|',@@hostname,@@port,@@server_id,@@datadir,@@pid_file),\
         CAST(UNIX_TIMESTAMP()-(SELECT VARIABLE_VALUE FROM {status} \
         WHERE VARIABLE_NAME='UPTIME') AS UNSIGNED),@@collation_connection"
    )
}

impl Courier for MySqlCourier {
    type Link = Connection;
    type Error = OpenError;

    async fn connect(&self) -> Result<(Connection, String), OpenError> {
        let wishes = Wishes::control();
        let connected = connect::connect(&self.target, &self.account, &wishes).await?;
        let mut connection = Connection::new(connected, Arc::new(Settings::default()));
        let identity = read_identity(&mut connection).await?;
        Ok((connection, identity))
    }

    async fn carry(connection: &mut Connection, batch: &mut Vec<Order>) -> Result<(), OpenError> {
        let started = connection.server_started;
        for order in batch.extract_if(.., |order| order.ask.backend().since < started) {
            // Its server has ended since, and all threads with it.
            order.answer(Ok(Told::Gone));
        }
        for order in batch.iter() {
            let sql = sql(order.ask);
            command::put_query_with(
                &mut connection.outbuf,
                connection.capabilities,
                sql.as_bytes(),
            );
        }
        connection.flush().await?;
        while let Some(order) = batch.first() {
            let told = read_told(connection, order.ask).await?;
            batch.remove(0).answer(told);
        }
        Ok(())
    }

    const VERSION_SQL: &'static str = "SELECT VERSION()";

    fn server(version: &str) -> Server {
        Server::of_mysql(version)
    }

    async fn query(
        connection: &mut Connection,
        sql: &str,
    ) -> Result<Result<Rows, String>, OpenError> {
        // What only sets something answers without rows.
        if sql.starts_with("SET ") {
            return Ok(match connection.execute(sql.as_bytes()).await? {
                Answer::Ok(_) => Ok(Rows::new()),
                Answer::Err(error) => Err(error.to_string()),
            });
        }
        Ok(connection.query(sql.as_bytes()).await?.map_err(|error| error.to_string()))
    }

    async fn ended(connection: &mut Connection) {
        // Whatever it says, nobody has asked.
        let _ended = connection.fill().await;
    }
}

fn sql(ask: Ask) -> String {
    match ask {
        Ask::Cancel(Backend { id, .. }) => format!("KILL QUERY {id}"),
        Ask::End(Backend { id, .. }) => format!("KILL CONNECTION {id}"),
        Ask::IsAlive(Backend { id, .. }) => {
            format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID={id}")
        }
    }
}

async fn read_told(
    connection: &mut Connection,
    ask: Ask,
) -> Result<Result<Told, ControlError>, Lost> {
    Ok(match ask {
        Ask::IsAlive(_) => match connection.read_rows().await? {
            Ok(rows) => Ok(presence(&rows)),
            Err(error) => Err(ControlError::Refused(error.to_string())),
        },
        _ => match connection.read_answer(Command::Query).await? {
            Answer::Ok(_) => Ok(Told::Done),
            Answer::Err(error) if error.code == NO_SUCH_THREAD => Ok(Told::Gone),
            Answer::Err(error) => Err(ControlError::Refused(error.to_string())),
        },
    })
}

/// Reads the count of threads with the id that was asked for.
fn presence(rows: &Rows) -> Told {
    let count = rows.first().and_then(|row| row.first()).and_then(Option::as_ref);
    if count.is_some_and(|count| count.as_ref() != b"0") { Told::Done } else { Told::Gone }
}

/// Reads which server a connection leads to, empty when the server does not tell, and notes when it
/// started.
///
/// # Errors
/// [`Lost`] when the connection failed.
pub(super) async fn read_identity(connection: &mut Connection) -> Result<String, Lost> {
    let sql = identity_sql(connection.mariadb);
    let rows = connection.query(sql.as_bytes()).await?.unwrap_or_default();
    let text = |column: usize| {
        let value = rows.first().and_then(|row| row.get(column)).and_then(Option::as_ref);
        value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    };
    connection.server_started = text(1).parse().unwrap_or_default();
    connection.login_collation = text(2).into_bytes().into();
    Ok(text(0))
}
