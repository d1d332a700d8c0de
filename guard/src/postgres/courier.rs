//! Orders to PostgreSQL: `pg_cancel_backend`, `pg_terminate_backend`, and a look at who is there.
//!
//! All orders of a batch are one query. Its functions send their signals before it is answered, so
//! once it is, no cancel is on its way any more: what comes later on that connection is safe. (The
//! signals are handled between the backend's system calls, and one that finds it waiting for a
//! command is dropped.) A wire-level CancelRequest would cost the server a process for each.

use std::{fmt::Write as _, sync::Arc};

use observe::{Rows, server::Server};
use thiserror::Error;

use super::{
    connect::{self, ConnectError, ServerError, Wishes},
    connection::{Answer, Connection, Lost},
};
use crate::{
    account::Account,
    upstream::{
        control::{Ask, Backend, ControlError, Courier, Order, Told},
        target::Target,
    },
};

/// How reserved connections are opened.
#[derive(Debug)]
pub struct PostgresCourier {
    /// Where the server is.
    pub target: Arc<Target>,
    /// A member of `pg_signal_backend` and `pg_monitor`, or a superuser.
    pub account: Arc<Account>,
    /// Which database it connects to; it does not matter which.
    pub database: Vec<u8>,
}

/// Why the reserved connections could not be opened.
#[derive(Debug, Error)]
pub enum ControlOpenError {
    /// The login failed.
    #[error("control connection: {0}")]
    Connect(#[from] ConnectError),
    /// The connection failed behind the login.
    #[error("control connection: {0}")]
    Lost(#[from] Lost),
    /// The server does not tell which one it is.
    #[error("control connection: {0}")]
    Refused(ServerError),
}

/// When a backend began, in microseconds: with its number it means one backend only.
const SINCE: &str = "(extract(epoch from backend_start)*1000000)::pg_catalog.int8";

impl Courier for PostgresCourier {
    type Link = Connection;
    type Error = ControlOpenError;

    async fn connect(&self) -> Result<(Connection, String), ControlOpenError> {
        let wishes = Wishes::control(Some(self.database.clone()));
        let connected = connect::connect(&self.target, &self.account, &wishes).await?;
        let mut connection = Connection::new(connected);
        match read_identity(&mut connection).await? {
            Ok(identity) => Ok((connection, identity)),
            Err(refused) => Err(ControlOpenError::Refused(refused)),
        }
    }

    async fn carry(
        connection: &mut Connection,
        batch: &mut Vec<Order>,
    ) -> Result<(), ControlOpenError> {
        let asks: Vec<Ask> = batch.iter().map(|order| order.ask).collect();
        if let Ok(told) =
            connection.query(orders(&asks).as_bytes()).await?.map(|rows| told(&rows, asks.len()))
        {
            for (order, told) in batch.drain(..).zip(told) {
                order.answer(Ok(told));
            }
            return Ok(());
        }
        // One of them is refused: a superuser's backend, perhaps. The others are not to suffer.
        while let Some(order) = batch.first() {
            let answer = connection.query(orders(&[order.ask]).as_bytes()).await?;
            batch.remove(0).answer(one(answer));
        }
        Ok(())
    }

    const VERSION_SQL: &'static str = "SHOW server_version";

    fn server(version: &str) -> Server {
        Server::of_postgres(version)
    }

    /// A replica is a copy, with the system's identifier of its primary.
    fn may_follow(primary: &str, replica: &str) -> bool {
        system_of(primary) == system_of(replica)
    }

    async fn query(
        connection: &mut Connection,
        sql: &str,
    ) -> Result<Result<Rows, String>, ControlOpenError> {
        Ok(connection.query(sql.as_bytes()).await?.map_err(|error| error.to_string()))
    }

    async fn ended(connection: &mut Connection) {
        // It says nothing unasked, but for settings and notices.
        loop {
            let read = connection.fill().await;
            while let Ok(Some(_)) = connection.next_event() {}
            if read.is_err() || connection.tracker.has_ended() {
                return;
            }
        }
    }
}

/// The system's identifier, of what [`read_identity`] tells.
fn system_of(identity: &str) -> &str {
    identity.split('|').next().unwrap_or_default()
}

/// The query that carries orders out: for each, in order, NULL if there is no such backend.
fn orders(asks: &[Ask]) -> String {
    let mut sql = String::from("SELECT CASE WHEN here.pid IS NULL THEN NULL");
    sql.push_str(" WHEN what='c' THEN pg_catalog.pg_cancel_backend(ask.pid)");
    sql.push_str(" WHEN what='e' THEN pg_catalog.pg_terminate_backend(ask.pid)");
    sql.push_str(" ELSE true END FROM (VALUES ");
    for (number, ask) in asks.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let what = match ask {
            Ask::Cancel(_) => 'c',
            Ask::End(_) => 'e',
            Ask::IsAlive(_) => 'l',
        };
        let Backend { id, since } = ask.backend();
        let _infallible =
            write!(sql, "{comma}({number},'{what}',{id}::int4,{since}::pg_catalog.int8)");
    }
    let _infallible = write!(
        sql,
        ") ask(n,what,pid,since) LEFT JOIN (SELECT pid,{SINCE} AS since \
         FROM pg_catalog.pg_stat_get_activity(NULL)) here \
         ON here.pid=ask.pid AND (here.since=ask.since OR ask.since=0) ORDER BY n"
    );
    sql
}

fn told(rows: &[super::connection::Row], count: usize) -> Vec<Told> {
    let is_done =
        |row: &super::connection::Row| matches!(row.first(), Some(Some(value)) if **value == *b"t");
    let told = rows.iter().map(|row| if is_done(row) { Told::Done } else { Told::Gone });
    told.chain(std::iter::repeat(Told::Gone)).take(count).collect()
}

fn one(answer: Answer) -> Result<Told, ControlError> {
    match answer {
        Ok(rows) => Ok(told(&rows, 1).pop().unwrap_or(Told::Gone)),
        Err(error) => Err(ControlError::Refused(error.to_string())),
    }
}

/// Asks which server a connection leads to, and notes when its backend began.
///
/// A primary and its replicas share the system's identifier, not their own address.
///
/// # Errors
/// [`Lost`] when the connection failed; inside, what the server refused.
pub async fn read_identity(
    connection: &mut Connection,
) -> Result<Result<String, ServerError>, Lost> {
    let sql = format!(
        "SELECT pg_catalog.concat_ws('|',(SELECT system_identifier FROM pg_catalog.pg_control_system()),\
         pg_catalog.inet_server_addr(),pg_catalog.inet_server_port()),pid,{SINCE} \
         FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())"
    );
    let rows = match connection.query(sql.as_bytes()).await? {
        Ok(rows) => rows,
        Err(refused) => return Ok(Err(refused)),
    };
    let text = |column: usize| {
        let value = rows.first().and_then(|row| row.get(column)).and_then(Option::as_ref);
        value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    };
    // Not the number of the key: a proxy in between may have made that up.
    if let (Ok(id), Ok(since)) = (text(1).parse(), text(2).parse()) {
        connection.backend = Backend { id, since };
    }
    Ok(Ok(text(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_orders_of_a_batch_are_one_query() {
        let backend = |id| Backend { id, since: 7 };
        let sql =
            orders(&[Ask::Cancel(backend(1)), Ask::End(backend(2)), Ask::IsAlive(backend(3))]);
        assert!(sql.contains("(0,'c',1::int4,7::pg_catalog.int8),(1,'e',2"), "{sql}");
        assert!(sql.contains("(2,'l',3"), "{sql}");
    }
}
