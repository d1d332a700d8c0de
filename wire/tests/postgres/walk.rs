//! A caller of the tracker, as the guard will be one: bytes come in pieces, and what was consumed
//! is gone.

use wire::Malformed;
use wire::postgres::backend::Kind;
use wire::postgres::frame::Header;
use wire::postgres::result::{Asker, Event, HEAD_MAX, Request, Tracker};

/// One side of a connection to a server.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) tracker: Tracker,
    /// Each event, and where in all bytes its message, or its part of one, starts.
    pub(crate) events: Vec<(usize, Event)>,
    pub(crate) consumed: usize,
    /// What came and is not consumed.
    unread: Vec<u8>,
}

impl Walk {
    /// Notes that `request` was sent.
    pub(crate) fn push(&mut self, request: Request, asker: Asker) -> u64 {
        self.tracker.push(request, asker).expect("tests send few requests")
    }

    /// Takes `bytes`, of which `piece` more arrive whenever the tracker wants more.
    pub(crate) fn take(
        &mut self,
        mut bytes: &[u8],
        mut piece: impl FnMut() -> usize,
    ) -> Result<(), Malformed> {
        loop {
            let scan = self.tracker.scan(&self.unread)?;
            self.consume(scan.len);
            if let Some(event) = scan.event {
                self.events.push((self.consumed, event));
                assert!(event.bytes > 0 && event.bytes <= HEAD_MAX.max(self.unread.len()));
                self.consume(event.bytes);
                continue;
            }
            assert!(self.tracker.needs() > self.unread.len(), "it waits for what is there");
            assert!(self.tracker.needs() <= HEAD_MAX);
            if bytes.is_empty() {
                return Ok(());
            }
            let (came, later) = bytes.split_at(bytes.len().min(piece().max(1)));
            self.unread.extend_from_slice(came);
            bytes = later;
        }
    }

    /// The events in the notation of [`super::captured::Session`].
    pub(crate) fn notes(&self) -> String {
        let note = |(_, event): &(usize, Event)| {
            let kind = char::from(event.kind.byte());
            match event.answers {
                Some(answer) => format!("{kind}{}", answer.request),
                None => format!("{kind}-"),
            }
        };
        self.events.iter().map(note).collect::<Vec<_>>().join(" ")
    }

    /// The kinds of the messages that came and are not consumed, and of those in `later`.
    pub(crate) fn kinds_with(&self, later: &[u8]) -> Vec<Kind> {
        let all = [&self.unread, later].concat();
        let (mut bytes, mut kinds) = (&all[..], Vec::new());
        while let Ok(Some(header)) = Header::peek(bytes) {
            kinds.extend(Kind::try_from(header.kind));
            bytes = &bytes[bytes.len().min(header.message_len())..];
        }
        kinds
    }

    fn consume(&mut self, len: usize) {
        self.unread.drain(..len);
        self.consumed += len;
    }
}
