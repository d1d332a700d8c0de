//! A connection to the HTTP side: plain, or with TLS whose handshake is part of its first read.
//!
//! So who is slow with it, or says something else, keeps nobody from being accepted.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;

use crate::stream::socket::Socket;
use crate::tls::ServerTls;

/// A handshake under way.
type Handshake = Pin<Box<dyn Future<Output = io::Result<TlsStream<Socket>>> + Send>>;

/// A connection. Dropping it closes it.
pub(super) struct Line(State);

enum State {
    Plain(Socket),
    Beginning(Handshake),
    Tls(Box<TlsStream<Socket>>),
    /// The handshake failed.
    Lost,
}

impl Line {
    pub(super) const fn plain(socket: Socket) -> Self {
        Self(State::Plain(socket))
    }

    /// One that begins with a handshake, whose costly step takes a place of `pacing`.
    pub(super) fn tls(socket: Socket, tls: &Arc<ServerTls>, pacing: &Arc<Semaphore>) -> Self {
        let (tls, pacing) = (Arc::clone(tls), Arc::clone(pacing));
        Self(State::Beginning(Box::pin(async move { tls.accept(socket, &pacing).await })))
    }

    /// What carries bytes, as soon as there is something that does.
    fn poll_carrier(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Pin<&mut dyn Carrier>>> {
        if let State::Beginning(handshake) = &mut self.0 {
            match ready!(handshake.as_mut().poll(context)) {
                Ok(stream) => self.0 = State::Tls(Box::new(stream)),
                Err(error) => {
                    self.0 = State::Lost;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(match &mut self.0 {
            State::Plain(socket) => Ok(Pin::new(socket)),
            State::Tls(stream) => Ok(Pin::new(&mut **stream)),
            State::Beginning(_) | State::Lost => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

trait Carrier: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Carrier for T {}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_carrier(context))?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_carrier(context))?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_carrier(context))?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {
            State::Plain(_) | State::Tls(_) => {
                ready!(self.poll_carrier(context))?.poll_shutdown(context)
            }
            // Nothing was said: there is nothing to take leave of.
            State::Beginning(_) | State::Lost => Poll::Ready(Ok(())),
        }
    }
}
