//! Sending a statement: what must go before it, and the client's own bytes.

use std::{io, sync::Arc};

use bytes::BytesMut;
use policy::deadline::Deadline;
use tokio::io::AsyncWriteExt;
use tracing::warn;
use wire::mysql::{
    Capabilities,
    command::{self, Command, StmtBulkExecute, StmtExecute},
    frame::{HEADER_LEN, write_packet},
};

use super::{
    End, Session,
    client::{Client, ClientError, First},
    prepared::{ClientStatement, ServerStatement},
    refuse,
    settings::Settings,
    state::{Transaction, begin_sql},
    statement::{Execution, Task},
};
use crate::{
    shared::Shared,
    upstream::{
        connection::{Answer, Connection, Lost},
        handover::change_scene,
    },
};

/// How sending went.
pub(super) enum Sent {
    Yes {
        prepare_as: u32,
    },
    /// It cannot be done; nothing of it was sent.
    Refused(Box<refuse::Error>),
    Lost(Lost),
}

impl Sent {
    fn refused(error: refuse::Error) -> Self {
        Self::Refused(Box::new(error))
    }
}

/// Which side failed while a command was carried over.
enum SendError {
    Client(ClientError),
    Upstream(Lost),
}

impl Session {
    /// Sends `BEGIN` if it is due, prepares what must be prepared, and sends the client's own
    /// bytes, consuming them.
    pub(super) async fn send(
        &mut self,
        task: &Task,
        deadline: Option<Deadline>,
    ) -> Result<Sent, End> {
        let sending = async {
            let Some(lease) = self.lease.as_mut() else { return Ok(Sent::Lost(Lost::Closed)) };
            let begins = match &self.transaction {
                Transaction::Begun(begin) => {
                    let capabilities = lease.capabilities;
                    command::put_query_with(&mut lease.outbuf, capabilities, begin_sql(*begin));
                    true
                }
                _ => false,
            };
            let mut prepare_as = 0;
            let mut rebuilt = None;
            let packet = task.first.packet;
            match &task.execution {
                Execution::Direct => {}
                Execution::Prepare { sql, shape } => {
                    let shape = Arc::clone(shape.as_ref().unwrap_or(&task.shape));
                    prepare_as = self.statements.insert(ClientStatement {
                        sql: Arc::clone(sql),
                        settings: Arc::clone(&self.settings),
                        shape,
                        params: 0,
                        types: Box::default(),
                    });
                }
                Execution::Prepared { id, sql, .. } => {
                    let statement = self.statements.find(*id);
                    let scene = statement.map_or(&self.settings, |statement| &statement.settings);
                    let scene = Arc::clone(scene);
                    let here = &self.settings;
                    let found = ready_statement(lease, *id, sql, &scene, here, &self.shared).await;
                    let server_id = match found {
                        Ok(Ok(server_id)) => server_id,
                        Ok(Err(error)) => return Ok(Sent::refused(error)),
                        Err(lost) => return Ok(Sent::Lost(lost)),
                    };
                    let bytes = &mut self.client.inbuf[HEADER_LEN..packet];
                    if command::set_statement_id(bytes, server_id).is_err() {
                        return Ok(Sent::refused(refuse::malformed("no statement id")));
                    }
                    if let Some(statement) = self.statements.find(*id) {
                        let capabilities = lease.capabilities;
                        if let Some(server) = lease.statements.find(*id, sql, &scene) {
                            rebuilt = put_types(statement, server, capabilities, bytes);
                        }
                    }
                    if rebuilt.is_some() && task.first.continues {
                        let why = "parameter types are missing from a packet of 16 MiB";
                        return Ok(Sent::refused(refuse::malformed(why)));
                    }
                }
            }
            send_packets(&mut self.client, lease, task.first, rebuilt).await?;
            if begins {
                match lease.read_answer(Command::Query).await {
                    Ok(Answer::Ok(_)) => {}
                    Ok(Answer::Err(error)) => {
                        warn!(%error, "the database refused BEGIN; the connection is given up");
                        return Ok(Sent::Lost(Lost::Closed));
                    }
                    Err(lost) => return Ok(Sent::Lost(lost)),
                }
            }
            Ok(Sent::Yes { prepare_as })
        };
        let until = deadline.map(|deadline| deadline.at);
        let result = tokio::select! {
            biased;
            result = sending => result,
            () = self.timer.until(until) => {
                // A statement that cannot even be sent within its limit: the database does not
                // read, or the client does not write.
                Ok(Sent::Lost(Lost::Io(io::ErrorKind::TimedOut.into())))
            }
        };
        match result {
            Err(SendError::Client(error)) => {
                // The database waits for the rest of a command that will not come.
                self.reclaim_lease();
                Err(End::Client(error))
            }
            Err(SendError::Upstream(lost)) => Ok(Sent::Lost(lost)),
            Ok(sent) => Ok(sent),
        }
    }
}

/// Small enough that copying it behind what the guard has to say costs less than a second write.
const COPY_LEN_MAX: usize = 16 * 1024;

/// Writes what the connection's `outbuf` holds, then the command with all its packets.
async fn send_packets(
    client: &mut Client,
    connection: &mut Connection,
    first: First,
    rebuilt: Option<BytesMut>,
) -> Result<(), SendError> {
    let upstream = |error: io::Error| SendError::Upstream(error.into());
    if !connection.closing.is_empty() {
        let closing = std::mem::take(&mut connection.closing);
        connection.outbuf.extend_from_slice(&closing);
    }
    if let Some(rebuilt) = rebuilt {
        connection.outbuf.extend_from_slice(&rebuilt);
        connection.flush().await.map_err(SendError::Upstream)?;
    } else if connection.outbuf.is_empty() {
        connection.stream.write_all(&client.inbuf[..first.packet]).await.map_err(upstream)?;
    } else if first.packet <= COPY_LEN_MAX {
        connection.outbuf.extend_from_slice(&client.inbuf[..first.packet]);
        connection.flush().await.map_err(SendError::Upstream)?;
    } else {
        connection.flush().await.map_err(SendError::Upstream)?;
        connection.stream.write_all(&client.inbuf[..first.packet]).await.map_err(upstream)?;
    }
    client.consume(first.packet);
    let (mut part, mut seq) = (first, 0_u8);
    while part.continues {
        seq = seq.wrapping_add(1);
        part = client.next_part(seq).await.map_err(SendError::Client)?;
        connection.stream.write_all(&client.inbuf[..part.packet]).await.map_err(upstream)?;
        client.consume(part.packet);
    }
    Ok(())
}

/// The server's id of a statement on this connection; prepares it there if it is not, in the scene
/// in which the client prepared it, which may not be where the session is by now.
async fn ready_statement(
    connection: &mut Connection,
    client: u32,
    sql: &Arc<[u8]>,
    scene: &Arc<Settings>,
    here: &Settings,
    shared: &Shared,
) -> Result<Result<u32, refuse::Error>, Lost> {
    if let Some(statement) = connection.statements.find(client, sql, scene) {
        return Ok(Ok(statement.id));
    }
    // BEGIN may wait to be sent; it goes with the client's own command.
    let waiting = std::mem::take(&mut connection.outbuf);
    let prepared = if scene.is_same_scene(here) {
        connection.prepare(sql).await?
    } else {
        let prepared = match change_scene(connection, here, scene, false).await? {
            None => connection.prepare(sql).await?,
            Some(error) => Err(error),
        };
        if change_scene(connection, scene, here, true).await?.is_some() {
            return Err(Lost::Closed);
        }
        prepared
    };
    connection.outbuf = waiting;
    let id = match prepared {
        Ok(id) => id,
        Err(error) => return Ok(Err(refuse::passed_on(&error))),
    };
    let max = shared.upstream.statements_per_connection;
    let evicted = connection.statements.insert(Arc::clone(sql), id, Arc::clone(scene), max);
    if let Some(evicted) = evicted {
        command::put_stmt_close(&mut connection.closing, evicted);
    }
    Ok(Ok(id))
}

/// Remembers the parameter types that an execution carries. Where the client relies on types that
/// it sent to another connection, returns the packet rebuilt with them.
fn put_types(
    statement: &mut ClientStatement,
    server: &mut ServerStatement,
    capabilities: Capabilities,
    payload: &[u8],
) -> Option<BytesMut> {
    let execute = StmtExecute::parse(payload, statement.params, capabilities);
    let bulk = StmtBulkExecute::parse(payload, statement.params);
    let types = match (&execute, &bulk) {
        (Ok(execute), _) => execute.types(),
        (_, Ok(bulk)) => bulk.types(),
        _ => None,
    };
    if let Some(types) = types {
        if *statement.types != *types {
            statement.types = types.into();
        }
        if *server.types != *types {
            server.types = types.into();
        }
        return None;
    }
    let execute = execute.ok().filter(StmtExecute::needs_types)?;
    if server.types == statement.types {
        return None;
    }
    server.types.clone_from(&statement.types);
    let mut rebuilt = BytesMut::new();
    write_packet(&mut rebuilt, 0, |out| execute.with_types(&statement.types, out));
    Some(rebuilt)
}
