//! Fuzzes whole replies: the same in one piece and in many, and nothing consumed twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::Malformed;
use wire::mysql::Capabilities;
use wire::mysql::command::Command;
use wire::mysql::result::{Event, Tracker};

fuzz_target!(|input: (u8, u64, u8, &[u8])| {
    let (command, caps, piece, reply) = input;
    let Ok(command) = Command::try_from(command) else { return };
    let piece = usize::from(piece).max(1);
    let caps = Capabilities(caps);
    assert_eq!(walk(command, caps, reply, reply.len()), walk(command, caps, reply, piece));
});

type Walk = (Vec<(usize, Event)>, usize, u64, bool);

fn walk(
    command: Command,
    caps: Capabilities,
    reply: &[u8],
    piece: usize,
) -> Result<Walk, Malformed> {
    let mut tracker = Tracker::new(command, caps);
    let (mut events, mut consumed, mut arrived) = (Vec::new(), 0, 0);
    loop {
        let scan = tracker.scan(&reply[consumed..arrived])?;
        consumed += scan.len;
        match scan.event {
            Some(event) => {
                events.push((consumed, event));
                consumed += packet_len(event);
                assert!(consumed <= arrived, "an event's packet is whole");
                tracker.infile_sent();
            }
            None if tracker.is_over() || arrived == reply.len() => break,
            None => {
                assert!(tracker.needs() > arrived - consumed, "it waits for what is there");
                arrived = reply.len().min(arrived + piece);
            }
        }
    }
    Ok((events, consumed, tracker.rows(), tracker.is_over()))
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
