//! A body that notices when it is written: what tells "not sent" from "sent and not answered".

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// An item's body. hyper asks for it only when the request is put onto a connection, and an empty
/// one is asked for too: so the mark stands at the latest when the first byte leaves.
#[derive(Debug)]
pub(super) struct Marked {
    body: Bytes,
    is_read: bool,
    sent: Arc<AtomicBool>,
}

impl Marked {
    pub(super) const fn new(body: Bytes, sent: Arc<AtomicBool>) -> Self {
        Self { body, is_read: false, sent }
    }
}

impl Body for Marked {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.sent.store(true, Ordering::Release);
        let is_read = std::mem::replace(&mut self.is_read, true);
        let frame = (!is_read).then(|| Ok(Frame::data(std::mem::take(&mut self.body))));
        Poll::Ready(frame)
    }

    /// Never before it was asked: hyper does not ask for the frames of a body that is at its end.
    fn is_end_stream(&self) -> bool {
        self.is_read
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.len() as u64)
    }
}
