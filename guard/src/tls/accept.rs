use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rustls::server::Acceptor;
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::ServerTls;
use crate::stream::socket::Socket;

/// The first byte of TLS: a record of the handshake.
pub const HANDSHAKE_RECORD: u8 = 0x16;

impl ServerTls {
    /// Begins TLS with a client that begins it now.
    ///
    /// The signature is the work that costs: it is done in the first step after the client's hello
    /// has come, so that only this step needs a place of `pacing`. A client that is slow before or
    /// behind it keeps nobody waiting.
    ///
    /// # Errors
    /// When the client hangs up or its TLS is wrong. Dropping the future closes the connection.
    pub async fn accept(
        &self,
        socket: Socket,
        pacing: &Semaphore,
    ) -> io::Result<TlsStream<Socket>> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
        let mut handshake = pin!(hello.into_stream(Arc::clone(&self.config)));
        let place = pacing.acquire().await.expect("the semaphore is never closed");
        let signed = poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await;
        drop(place);
        match signed {
            Poll::Ready(done) => done,
            Poll::Pending => handshake.await,
        }
    }
}
