//! Fuzzes conversations: the same in one piece and in many, and nothing consumed twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::Malformed;
use wire::postgres::result::{Asker, Event, HEAD_MAX, Request, Tracker};

fuzz_target!(|input: (u8, Vec<(Vec<u8>, &[u8])>)| {
    let (piece, steps) = input;
    let piece = usize::from(piece).max(1);
    assert_eq!(walk(&steps, usize::MAX), walk(&steps, piece));
});

type Walk = (Vec<(usize, Event)>, Option<Malformed>, u64, bool, u32);

fn walk(steps: &[(Vec<u8>, &[u8])], piece: usize) -> Walk {
    let mut tracker = Tracker::new();
    let (mut events, mut consumed, mut unread) = (Vec::new(), 0, Vec::new());
    let mut failed = None;
    'all: for (sent, reply) in steps {
        for byte in sent {
            let asker = if byte & 1 == 0 { Asker::Client } else { Asker::Guard };
            tracker.push(request(byte >> 1), asker).expect("few are sent");
        }
        let mut chunks = reply.chunks(piece);
        loop {
            let scan = match tracker.scan(&unread) {
                Ok(scan) => scan,
                Err(malformed) => {
                    failed = Some(malformed);
                    break 'all;
                }
            };
            unread.drain(..scan.len);
            consumed += scan.len;
            if let Some(event) = scan.event {
                events.push((consumed, event));
                unread.drain(..event.bytes);
                consumed += event.bytes;
                continue;
            }
            assert!(tracker.needs() > unread.len(), "it waits for what is there");
            assert!(tracker.needs() <= HEAD_MAX);
            let Some(chunk) = chunks.next() else { break };
            unread.extend_from_slice(chunk);
        }
    }
    (events, failed, tracker.rows(), tracker.is_over(), tracker.doubts())
}

fn request(number: u8) -> Request {
    match number % 10 {
        0 => Request::Query,
        1 => Request::FunctionCall,
        2 => Request::Parse,
        3 => Request::Bind,
        4 => Request::DescribeStatement,
        5 => Request::DescribePortal,
        6 => Request::Execute,
        7 => Request::Close,
        8 => Request::Sync,
        _ => Request::CopyEnd,
    }
}
