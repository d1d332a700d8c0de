//! A client that hides nothing: it logs in and hands out messages as they come.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use harness::Account;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::postgres::auth::scram::{Answer, Binding, Client as Scram, Credential};
use wire::postgres::backend::Kind;
use wire::postgres::frame::{HEADER_LEN, Header};
use wire::postgres::frontend::put_terminate;
use wire::postgres::login::{Authentication, SaslInitialResponse, put_sasl_response};
use wire::postgres::startup::{Version, put_startup_message};

/// The longest that one message may take on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(60);

/// One message of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) kind: Kind,
    pub(crate) body: BytesMut,
}

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Client {
    /// Logs in to the database `app` with SCRAM. All that comes once the proof was taken is
    /// appended to `replies`, up to ReadyForQuery or an error.
    pub(crate) async fn login(
        addr: SocketAddr,
        account: &Account,
        parameters: &[(String, String)],
        replies: &mut Vec<Reply>,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, buffer: BytesMut::new() };
        let mut out = BytesMut::new();
        let more = parameters.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let fixed = [(&b"user"[..], account.name.as_bytes()), (b"database", b"app")];
        put_startup_message(&mut out, Version::V3_0, fixed.into_iter().chain(more));
        client.send(&out).await?;
        client.prove(account.password, replies).await?;
        while replies.last().is_none_or(|reply| !ends_login(reply.kind)) {
            replies.push(client.receive().await?);
        }
        Ok(client)
    }

    /// Answers what the server asks until it is satisfied, or refuses.
    async fn prove(&mut self, password: &str, replies: &mut Vec<Reply>) -> io::Result<()> {
        let (mut scram, mut answer) = (None, None::<Answer>);
        loop {
            let reply = self.receive().await?;
            if reply.kind != Kind::Authentication {
                replies.push(reply);
                return Ok(());
            }
            let mut out = BytesMut::new();
            match Authentication::parse(&reply.body).map_err(odd)? {
                Authentication::Ok => return Ok(()),
                Authentication::Sasl(_) => {
                    let random = std::array::from_fn(|_| fastrand::u8(..));
                    let begun = Scram::new(Binding::Unsupported, random);
                    let mechanism = begun.mechanism().name().as_bytes();
                    let data = Some(begun.message());
                    SaslInitialResponse { mechanism, data }.put(&mut out);
                    scram = Some(begun);
                }
                Authentication::SaslContinue(data) => {
                    let begun = scram.take().ok_or_else(|| odd("nothing to go on with"))?;
                    let credential = Credential::Password(password.as_bytes());
                    let proof = begun.answer(data, credential).map_err(odd)?;
                    put_sasl_response(&mut out, proof.message());
                    answer = Some(proof);
                }
                Authentication::SaslFinal(data) => {
                    let proof = answer.take().ok_or_else(|| odd("nothing to end"))?;
                    proof.verify(data).map_err(odd)?;
                }
                other => return Err(odd(format!("{other:?}"))),
            }
            self.send(&out).await?;
        }
    }

    /// Sends bytes. What comes meanwhile is kept: a server that cannot write its replies stops
    /// reading.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut reader, mut writer) = self.stream.split();
        let mut sent = 0;
        while sent < bytes.len() {
            let step = async {
                tokio::select! {
                    written = writer.write(&bytes[sent..]) => sent += written?,
                    read = reader.read_buf(&mut self.buffer) => if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    },
                }
                Ok(())
            };
            patiently(step).await?;
        }
        Ok(())
    }

    /// The next message.
    pub(crate) async fn receive(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(header) = Header::peek(&self.buffer).map_err(odd)?
                && self.buffer.len() >= header.message_len()
            {
                let kind = Kind::of(header).map_err(odd)?;
                self.buffer.advance(HEADER_LEN);
                return Ok(Reply { kind, body: self.buffer.split_to(header.len) });
            }
            if patiently(self.stream.read_buf(&mut self.buffer)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Says goodbye and waits until the other side has heard it.
    pub(crate) async fn quit(mut self) {
        let mut out = BytesMut::new();
        put_terminate(&mut out);
        let _gone = self.send(&out).await;
        while self.receive().await.is_ok() {}
    }
}

fn ends_login(kind: Kind) -> bool {
    matches!(kind, Kind::ReadyForQuery | Kind::ErrorResponse)
}

async fn patiently<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn odd(error: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
