//! A client that hides nothing: it sends any bytes, in any pieces, and shows every packet that comes
//! back. For storms (a dropped client closes its socket in the middle of whatever it was doing, as
//! an application that gave up does), and for tests of bytes.
//!
//! Absent: TLS and compression; drivers in the client matrix have both.

mod login;
mod reply;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::Malformed;
use wire::mysql::Capabilities;
use wire::mysql::auth::{Plugin, Scramble};
use wire::mysql::command::Command;
use wire::mysql::frame::{HEADER_LEN, Header, put_packet};
use wire::mysql::result::{Event, Tracker};

pub use self::login::Login;
pub use self::reply::{Failure, Packet, Reply, Success, Value};
use crate::server::account::Account;

/// How long to wait for bytes from the other side, unless told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Why a client got no reply. A server's ERR packet is a reply, except at login.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other side closed the connection, in the middle of a packet or before one.
    #[error("the connection was closed, {0} bytes into a packet")]
    Closed(usize),
    /// Nothing came in time.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// What came cannot be understood.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The login was refused.
    #[error("login refused: {0}")]
    Refused(Failure),
    /// The server wants a way to log in that is not spoken here.
    #[error("login not possible: {0}")]
    Login(String),
}

/// A connection. Dropping it closes the socket without a word.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    input: BytesMut,
    capabilities: Capabilities,
    connection_id: u32,
    patience: Duration,
    /// What the last login was asked to prove itself with.
    challenge: Option<(Plugin, Scramble)>,
    welcome: Option<Packet>,
}

impl Client {
    /// Connects a socket; says nothing and reads nothing.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(addr: SocketAddr) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: BytesMut::new(),
            capabilities: Capabilities::default(),
            connection_id: 0,
            patience: PATIENCE,
            challenge: None,
            welcome: None,
        })
    }

    /// Connects and logs in with what drivers usually ask for, to the schema `app`.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the server's own error, or what went wrong on the way.
    pub async fn login(addr: SocketAddr, account: &Account) -> Result<Self, ClientError> {
        Self::login_with(addr, &Login::new(account)).await
    }

    /// As [`Client::login`], with capabilities and schema of one's own.
    ///
    /// # Errors
    /// As [`Client::login`].
    pub async fn login_with(addr: SocketAddr, login: &Login) -> Result<Self, ClientError> {
        let mut client = Self::connect(addr).await?;
        login.run(&mut client).await?;
        Ok(client)
    }

    /// Waits no longer than this for any one packet. Default: [`PATIENCE`].
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Logs in again, on the same connection (COM_CHANGE_USER). Returns the packet that ends it.
    ///
    /// # Errors
    /// When there is no end to it; an ERR packet is one.
    pub async fn change_user(&mut self, login: &Login) -> Result<Packet, ClientError> {
        login.run_again(self).await
    }

    /// The OK packet of the login.
    #[must_use]
    pub fn welcome(&self) -> Option<&Packet> {
        self.welcome.as_ref()
    }

    /// Runs the text of a statement and reads the whole reply.
    ///
    /// # Errors
    /// When there is no whole reply; an ERR packet is one.
    pub async fn query(&mut self, sql: impl AsRef<[u8]>) -> Result<Reply, ClientError> {
        let mut payload = vec![Command::Query as u8];
        if self.capabilities.contains(Capabilities::QUERY_ATTRIBUTES) {
            // No attributes, in one set.
            payload.extend([0, 1]);
        }
        payload.extend(sql.as_ref());
        self.command(&payload).await
    }

    /// Sends a command (its byte and what follows it) and reads the whole reply, which has no
    /// packets for commands without a reply.
    ///
    /// # Errors
    /// When there is no whole reply, or the first byte is no command.
    pub async fn command(&mut self, payload: &[u8]) -> Result<Reply, ClientError> {
        let command = Command::of(payload)?;
        self.send_packet(0, payload).await?;
        self.reply(command).await
    }

    /// Sends a payload as one packet, or as several when it is longer than 16 MiB - 1.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn send_packet(&mut self, seq: u8, payload: &[u8]) -> Result<(), ClientError> {
        let mut out = BytesMut::new();
        put_packet(&mut out, seq, payload);
        self.send(&out).await
    }

    /// Sends bytes as they are: half a packet, several commands at once, nonsense.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Says that nothing more will be sent, and goes on reading.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn finish_sending(&mut self) -> Result<(), ClientError> {
        Ok(self.stream.shutdown().await?)
    }

    /// Reads the reply to a command sent before. At LOCAL INFILE it sends an empty file.
    ///
    /// # Errors
    /// When it does not come whole, or is none.
    pub async fn reply(&mut self, command: Command) -> Result<Reply, ClientError> {
        self.reply_with(command, b"").await
    }

    /// As [`Client::reply`], answering LOCAL INFILE with `file`.
    ///
    /// # Errors
    /// As [`Client::reply`].
    pub async fn reply_with(
        &mut self,
        command: Command,
        file: &[u8],
    ) -> Result<Reply, ClientError> {
        let mut tracker = Tracker::new(command, self.capabilities);
        let mut reply = Reply::new(command, self.capabilities);
        while tracker.expects_reply() && !tracker.is_over() {
            let packet = self.packet().await?;
            let mut frame = BytesMut::new();
            Header { len: packet.payload.len(), seq: packet.seq }.put(&mut frame);
            frame.extend_from_slice(&packet.payload);
            let scan = tracker.scan(&frame)?;
            let seq = packet.seq.wrapping_add(1);
            reply.push(packet, scan.event);
            if matches!(scan.event, Some(Event::LocalInfile { .. })) {
                self.send_file(seq, file).await?;
                tracker.infile_sent();
            }
        }
        Ok(reply)
    }

    /// Sends the contents asked for by LOCAL INFILE, then the empty packet that ends them.
    async fn send_file(&mut self, seq: u8, file: &[u8]) -> Result<(), ClientError> {
        /// Any size below 16 MiB does; this is what clients use.
        const PIECE: usize = 16 * 1024;
        let mut out = BytesMut::new();
        let mut seq = seq;
        for piece in file.chunks(PIECE) {
            seq = put_packet(&mut out, seq, piece);
        }
        put_packet(&mut out, seq, b"");
        self.send(&out).await
    }

    /// Reads one packet of the wire; one of 16 MiB - 1 is continued by the next.
    ///
    /// # Errors
    /// When the connection ends first or nothing comes within the patience.
    pub async fn packet(&mut self) -> Result<Packet, ClientError> {
        let patience = self.patience;
        timeout(patience, self.read_packet()).await.map_err(|_| ClientError::Late(patience))?
    }

    async fn read_packet(&mut self) -> Result<Packet, ClientError> {
        loop {
            let header = Header::peek(&self.input);
            if let Some(header) = header.filter(|header| self.input.len() >= header.packet_len()) {
                let mut packet = self.input.split_to(header.packet_len());
                let payload: Bytes = packet.split_off(HEADER_LEN).freeze();
                return Ok(Packet { seq: header.seq, payload });
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(ClientError::Closed(self.input.len()));
            }
        }
    }

    /// Reads at most `len` more bytes as they come, for tests that stop in the middle of a result.
    ///
    /// # Errors
    /// When the connection ends first or nothing comes within the patience.
    pub async fn read_some(&mut self, len: usize) -> Result<Bytes, ClientError> {
        if self.input.is_empty() {
            let read = timeout(self.patience, self.stream.read_buf(&mut self.input)).await;
            if read.map_err(|_| ClientError::Late(self.patience))?? == 0 {
                return Err(ClientError::Closed(0));
            }
        }
        let len = len.min(self.input.len());
        Ok(self.input.split_to(len).freeze())
    }

    /// Waits until the other side closes the connection, and gives what it said before.
    ///
    /// # Errors
    /// When it is still open after the patience. A reset counts as closed.
    pub async fn closed(&mut self) -> Result<Bytes, ClientError> {
        let patience = self.patience;
        let end = async {
            loop {
                match self.stream.read_buf(&mut self.input).await {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        timeout(patience, end).await.map_err(|_| ClientError::Late(patience))??;
        Ok(self.input.split().freeze())
    }

    /// What both sides agreed on at login; none before.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The connection id of the greeting; 0 before login.
    #[must_use]
    pub fn connection_id(&self) -> u32 {
        self.connection_id
    }

    /// This side's address, by which the other side knows the client.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }
}

#[cfg(test)]
mod tests;
