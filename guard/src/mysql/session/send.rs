//! Sending a statement: what must go before it, and the client's own bytes.

use std::{io, sync::Arc};

use bytes::BytesMut;
use policy::deadline::Deadline;
use tokio::io::AsyncWriteExt;
use wire::mysql::{
    Capabilities,
    command::{self, StmtBulkExecute, StmtExecute},
    frame::{HEADER_LEN, write_packet},
};

use super::{
    End, Session,
    client::{Client, ClientError, First},
    prepared::{ClientStatement, ClientStatements, ServerStatement},
    read_as::ReadAs,
    refuse,
    settings::Settings,
    task::{Execution, Task},
};
use crate::mysql::{
    Shared,
    connection::{Connection, Lost},
    handover::change_scene,
    texts::Text,
};

/// Small enough that copying it behind what the guard has to say costs less than a second write.
const COPY_LEN_MAX: usize = 16 * 1024;

/// How sending went.
pub(super) enum Sent {
    Yes {
        prepare_as: u32,
    },
    /// It cannot be done; nothing of it was sent.
    Refused(Box<refuse::Error>),
    Lost(Lost),
}

/// Why a command was not carried over.
enum Unsent {
    Refused(Box<refuse::Error>),
    Client(ClientError),
    Upstream(Lost),
}

impl Unsent {
    fn refused(error: refuse::Error) -> Self {
        Self::Refused(Box::new(error))
    }
}

impl From<Lost> for Unsent {
    fn from(lost: Lost) -> Self {
        Self::Upstream(lost)
    }
}

impl Session {
    /// Prepares what must be prepared, and sends the client's own
    /// bytes, consuming them.
    pub(super) async fn send(
        &mut self,
        task: &Task,
        deadline: Option<Deadline>,
    ) -> Result<Sent, End> {
        let Some(lease) = self.lease.as_mut() else { return Ok(Sent::Lost(Lost::Closed)) };
        let mut sending = Sending {
            client: &mut self.client,
            connection: lease,
            statements: &mut self.statements,
            settings: &self.settings,
            shared: &self.shared,
            is_taken: false,
        };
        let until = deadline.map(|deadline| deadline.at);
        let sent = tokio::select! {
            biased;
            sent = sending.run(task) => sent,
            // A statement that cannot even be sent within its limit: the database does not read, or
            // the client does not write.
            () = self.timer.until(until) => {
                Err(Unsent::Upstream(io::Error::new(io::ErrorKind::TimedOut, "not sent within its time").into()))
            }
        };
        let is_taken = sending.is_taken;
        match sent {
            Ok(prepare_as) => Ok(Sent::Yes { prepare_as }),
            Err(Unsent::Refused(error)) => Ok(Sent::Refused(error)),
            Err(Unsent::Upstream(lost)) => {
                if !is_taken {
                    // It gets one answer, that the database was lost: left where it is, it would be
                    // carried out once more, and its reply be taken for that to the next.
                    self.skip(task.first).await?;
                }
                Ok(Sent::Lost(lost))
            }
            Err(Unsent::Client(error)) => {
                // The database waits for the rest of a command that will not come.
                self.reclaim_lease();
                Err(End::Client(error))
            }
        }
    }
}

/// One command on its way from the client to the database.
struct Sending<'a> {
    client: &'a mut Client,
    connection: &'a mut Connection,
    statements: &'a mut ClientStatements,
    settings: &'a Arc<Settings>,
    shared: &'a Shared,
    /// Whether the command's first packet has left the client's buffer.
    is_taken: bool,
}

impl Sending<'_> {
    /// Returns the id by which the client will know a statement that is prepared.
    async fn run(&mut self, task: &Task) -> Result<u32, Unsent> {
        let (prepare_as, rebuilt) = match &task.execution {
            Execution::Direct => (0, None),
            Execution::Prepare { text } => (self.note_statement(text), None),
            Execution::Prepared { id, .. } => (0, self.bind(task.first, *id).await?),
        };
        self.send_packets(task.first, rebuilt).await?;
        Ok(prepare_as)
    }

    fn note_statement(&mut self, text: &Arc<Text>) -> u32 {
        self.statements.insert(ClientStatement {
            text: Arc::clone(text),
            settings: Arc::clone(self.settings),
            params: 0,
            types: Box::default(),
            read_as: ReadAs::default(),
        })
    }

    /// Puts the server's id of a statement into the client's command. Returns the packet to send in
    /// its place, where types of parameters are missing from it.
    async fn bind(&mut self, first: First, id: u32) -> Result<Option<BytesMut>, Unsent> {
        let unknown = || Unsent::refused(refuse::unknown_statement(id, "mysql_stmt_precheck"));
        let capabilities = self.connection.capabilities;
        let statement = self.statements.find_mut(id).ok_or_else(unknown)?;
        if !self.connection.mariadb {
            note_values(statement, capabilities, &self.client.inbuf[HEADER_LEN..first.packet]);
        }
        if self.connection.statements.find(id, statement).is_none() {
            let (text, scene) = (Arc::clone(&statement.text), Arc::clone(&statement.settings));
            self.prepare(&text, &scene).await?;
        }
        let statement = self.statements.find_mut(id).ok_or_else(unknown)?;
        let server = self.connection.statements.find(id, statement).ok_or_else(unknown)?;
        let payload = &mut self.client.inbuf[HEADER_LEN..first.packet];
        command::set_statement_id(payload, server.id)
            .map_err(|_| Unsent::refused(refuse::malformed("no statement id")))?;
        let rebuilt = put_types(statement, server, capabilities, payload);
        if rebuilt.is_some() && first.continues {
            let why = "parameter types are missing from a packet of 16 MiB";
            return Err(Unsent::refused(refuse::malformed(why)));
        }
        Ok(rebuilt)
    }

    /// Prepares a statement on this connection, in the scene in which the client prepared it, which
    /// may not be where the session is by now.
    async fn prepare(&mut self, text: &Arc<Text>, scene: &Arc<Settings>) -> Result<(), Unsent> {
        let (connection, here) = (&mut *self.connection, self.settings);
        // BEGIN may wait to be sent; it goes with the client's own command.
        let waiting = std::mem::take(&mut connection.outbuf);
        let prepared = if scene.is_same_scene(here) {
            connection.prepare(&text.sql).await?
        } else {
            let prepared = match change_scene(connection, here, scene, false).await? {
                None => connection.prepare(&text.sql).await?,
                Some(error) => Err(error),
            };
            if change_scene(connection, scene, here, true).await?.is_some() {
                return Err(Lost::Closed.into());
            }
            prepared
        };
        connection.outbuf = waiting;
        let id = prepared.map_err(|error| Unsent::refused(refuse::passed_on(&error)))?;
        let max = self.shared.upstream.statements_per_connection;
        let evicted = connection.statements.insert(Arc::clone(text), id, Arc::clone(scene), max);
        if let Some(evicted) = evicted {
            command::put_stmt_close(&mut connection.closing, evicted);
        }
        Ok(())
    }

    /// Writes what the connection's `outbuf` holds, then the command with all its packets.
    async fn send_packets(
        &mut self,
        first: First,
        rebuilt: Option<BytesMut>,
    ) -> Result<(), Unsent> {
        let (client, connection) = (&mut *self.client, &mut *self.connection);
        if !connection.closing.is_empty() {
            let closing = std::mem::take(&mut connection.closing);
            connection.outbuf.extend_from_slice(&closing);
        }
        let packet = &client.inbuf[..first.packet];
        if let Some(rebuilt) = rebuilt {
            connection.outbuf.extend_from_slice(&rebuilt);
            connection.flush().await?;
        } else if connection.outbuf.is_empty() {
            connection.stream.write_all(packet).await.map_err(Lost::from)?;
        } else if packet.len() <= COPY_LEN_MAX {
            connection.outbuf.extend_from_slice(packet);
            connection.flush().await?;
        } else {
            connection.flush().await?;
            connection.stream.write_all(packet).await.map_err(Lost::from)?;
        }
        client.consume(first.packet);
        self.is_taken = true;
        let (mut part, mut seq) = (first, 0_u8);
        while part.continues {
            seq = seq.wrapping_add(1);
            part = client.next_part(seq).await.map_err(Unsent::Client)?;
            let packet = &client.inbuf[..part.packet];
            connection.stream.write_all(packet).await.map_err(Lost::from)?;
            client.consume(part.packet);
        }
        Ok(())
    }
}

/// Notes as what MySQL reads the values of a command from now on.
fn note_values(statement: &mut ClientStatement, capabilities: Capabilities, payload: &[u8]) {
    if let Ok(execute) = StmtExecute::parse(payload, statement.params, capabilities) {
        let kinds = execute.kinds(&statement.types).take(statement.params.into());
        statement.read_as.note(kinds);
    } else if let Ok(param) = command::long_data_param(payload)
        && param < statement.params
    {
        statement.read_as.note_sent_ahead(param.into());
    }
}

/// Remembers the parameter types that an execution carries. Where the client relies on types that
/// it sent to another connection, returns the packet rebuilt with them.
fn put_types(
    statement: &mut ClientStatement,
    server: &mut ServerStatement,
    capabilities: Capabilities,
    payload: &[u8],
) -> Option<BytesMut> {
    if server.read_as != statement.read_as {
        server.read_as.clone_from(&statement.read_as);
    }
    let execute = StmtExecute::parse(payload, statement.params, capabilities);
    let bulk = match &execute {
        Ok(_) => None,
        Err(_) => StmtBulkExecute::parse(payload, statement.params).ok(),
    };
    let types = match &execute {
        Ok(execute) => execute.types(),
        Err(_) => bulk.as_ref().and_then(StmtBulkExecute::types),
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
