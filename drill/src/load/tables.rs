//! Tables, made and filled as an application does.

use super::{Fault, Peer, Target};
use crate::error::Error;
use crate::server::Server;
use crate::server::account::APP;

/// Rows of one INSERT.
const ROWS: usize = 1000;

/// Runs statements on a server, one after the other.
///
/// # Errors
/// When the server refuses one.
pub(super) async fn make(
    server: &Server,
    statements: impl IntoIterator<Item = String>,
) -> Result<(), Error> {
    let run = async {
        let mut peer = Peer::login(Target::of(server), &APP).await?;
        for sql in statements {
            peer.run(&sql).await?;
        }
        Ok(())
    };
    run.await.map_err(failed(server, "loading"))
}

/// The first value that a statement gives on a server.
///
/// # Errors
/// When the server refuses it.
pub(super) async fn ask(server: &Server, sql: &str) -> Result<Option<String>, Error> {
    let run = async { Peer::login(Target::of(server), &APP).await?.value(sql).await };
    run.await.map_err(failed(server, "asking"))
}

fn failed(server: &Server, what: &str) -> impl FnOnce(Fault) -> Error {
    let program = format!("{what} {}", server.engine());
    move |fault| Error::Failed { program, log: fault.to_string() }
}

/// The statements that insert rows, each written as `(1,'one')`.
pub(super) fn insert(table: &str, rows: impl Iterator<Item = String>) -> Vec<String> {
    let rows: Vec<String> = rows.collect();
    let statement = |rows: &[String]| format!("INSERT INTO {table} VALUES {}", rows.join(","));
    rows.chunks(ROWS).map(statement).collect()
}
