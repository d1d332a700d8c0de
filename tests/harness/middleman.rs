//! Between the guard and a PostgreSQL: passes bytes on, and behind the answer to a marked command
//! does what servers and networks do at bad moments.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use wire::postgres::backend::{Notice, Severity, put_error, put_notice};
use wire::postgres::frame::put_message;

/// What a command has in a comment whose answer is to be followed by an [`Act`].
pub const MARK: &str = "/* marked */";

/// What one read asks for.
const READ_LEN: usize = 64 * 1024;

/// What happens behind the answer, or to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The server says that it ends the connection, in one packet with the answer, and does.
    Farewell,
    /// The connection ends without a word.
    Silence,
    /// The connection ends in the middle of the answer.
    Cut,
    /// A notice.
    Notice,
    /// An answer to a question that nobody asked.
    Stray,
    /// Bytes that are no message.
    Garbage,
}

/// A relay. Dropping it ends its connections.
#[derive(Debug)]
pub struct Middleman {
    addr: SocketAddr,
    acts: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Middleman {
    /// Stands before `server` and does `act` behind each marked command.
    ///
    /// # Panics
    /// When there is no port for it.
    pub async fn before(server: SocketAddr, act: Act) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("it has one");
        let acts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&acts);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acts = Arc::clone(&counted);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(server).await {
                        // Either side may hang up as it likes.
                        let _ended = relay(client, server, act, &acts).await;
                    }
                });
            }
        });
        Self { addr, acts, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How often it has acted.
    #[must_use]
    pub fn acts(&self) -> u32 {
        self.acts.load(Ordering::Relaxed)
    }
}

impl Drop for Middleman {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    act: Act,
    acts: &AtomicU32,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut asked, mut answered) = (BytesMut::new(), BytesMut::new());
    let mut is_marked = false;
    loop {
        // So that what was sent in one write comes in one piece.
        asked.reserve(READ_LEN);
        answered.reserve(READ_LEN);
        tokio::select! {
            read = client.read_buf(&mut asked) => {
                if read? == 0 {
                    return Ok(());
                }
                is_marked |= asked.windows(MARK.len()).any(|text| text == MARK.as_bytes());
                server.write_all(&asked.split()).await?;
            }
            read = server.read_buf(&mut answered) => {
                if read? == 0 {
                    return Ok(());
                }
                if !is_marked {
                    client.write_all(&answered.split()).await?;
                } else if ends_with_ready(&answered) {
                    is_marked = false;
                    acts.fetch_add(1, Ordering::Relaxed);
                    let goes_on = act.apply(&mut answered);
                    client.write_all(&answered.split()).await?;
                    if !goes_on {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Whether it ends with a ReadyForQuery.
fn ends_with_ready(bytes: &[u8]) -> bool {
    matches!(bytes, [.., b'Z', 0, 0, 0, 5, _])
}

impl Act {
    /// Changes an answer; returns whether the connection goes on behind it.
    fn apply(self, answer: &mut BytesMut) -> bool {
        let notice = |severity, code| Notice {
            severity,
            code,
            message: b"terminating connection due to administrator command",
            detail: None,
            hint: None,
        };
        match self {
            Self::Farewell => put_error(answer, &notice(Severity::Fatal, *b"57P01")),
            Self::Silence => {}
            Self::Cut => answer.truncate(answer.len() / 2),
            Self::Notice => put_notice(answer, &notice(Severity::Warning, *b"01000")),
            Self::Stray => {
                put_message(
                    answer,
                    b'T',
                    b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xFF\xFF\xFF\xFF\xFF\xFF\0\0",
                );
                put_message(answer, b'D', b"\0\x01\0\0\0\x05stray");
                put_message(answer, b'C', b"SELECT 1\0");
                put_message(answer, b'Z', b"I");
            }
            Self::Garbage => answer.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        }
        matches!(self, Self::Notice | Self::Stray | Self::Garbage)
    }
}
