//! A caller of the tracker, as the guard is one: bytes come in pieces, and what was consumed is gone.

use wire::Malformed;
use wire::mysql::Capabilities;
use wire::mysql::command::Command;
use wire::mysql::result::{CONTROL_PACKET_MAX, Event, Tracker};

/// What was seen on the way through one reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Each event, and where in the reply its packet starts.
    pub(crate) events: Vec<(usize, Event)>,
    pub(crate) consumed: usize,
    pub(crate) rows: u64,
    pub(crate) over: bool,
}

/// Walks through `reply`, of which `piece` more bytes arrive whenever the tracker wants more.
pub(crate) fn walk(
    command: Command,
    caps: Capabilities,
    reply: &[u8],
    mut piece: impl FnMut() -> usize,
) -> Result<Walk, Malformed> {
    let mut tracker = Tracker::new(command, caps);
    let (mut consumed, mut arrived) = (0, 0);
    let mut events = Vec::new();
    loop {
        let scan = tracker.scan(&reply[consumed..arrived])?;
        consumed += scan.len;
        if let Some(event) = scan.event {
            events.push((consumed, event));
            consumed += packet_len(event);
            tracker.infile_sent();
            continue;
        }
        if tracker.is_over() || arrived == reply.len() {
            break;
        }
        assert!(tracker.needs() > arrived - consumed, "it waits for what is there");
        assert!(tracker.needs() <= CONTROL_PACKET_MAX);
        arrived = reply.len().min(arrived + piece().max(1));
    }
    Ok(Walk { events, consumed, rows: tracker.rows(), over: tracker.is_over() })
}

/// The whole reply at once.
pub(crate) fn walk_whole(
    command: Command,
    caps: Capabilities,
    reply: &[u8],
) -> Result<Walk, Malformed> {
    walk(command, caps, reply, || reply.len())
}

fn packet_len(event: Event) -> usize {
    match event {
        Event::Ok { packet, .. }
        | Event::Eof { packet, .. }
        | Event::Err { packet }
        | Event::PrepareOk { packet, .. }
        | Event::LocalInfile { packet }
        | Event::Done { packet } => packet,
    }
}

/// Whether the reply is over with this event.
pub(crate) fn is_last(event: Event) -> bool {
    match event {
        Event::Ok { last, .. } | Event::Eof { last, .. } | Event::PrepareOk { last, .. } => last,
        Event::Err { .. } | Event::Done { .. } => true,
        Event::LocalInfile { .. } => false,
    }
}
