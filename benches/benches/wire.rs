//! Where does a reply end? The one question the relay asks of every byte that it forwards.
//!
//! Every bench also counts its allocations: there shall be none.

use bytes::BytesMut;
use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher, black_box};
use wire::mysql::capability::Capabilities;
use wire::mysql::command::Command;
use wire::mysql::frame::{put_lenenc_bytes, put_packet, write_packet};
use wire::mysql::response::{OkPacket, Status, put_eof, put_ok};
use wire::mysql::result::{Event, Tracker};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// What MariaDB and a client of today agree on, as far as it shapes a reply.
const CAPS: Capabilities = Capabilities::PROTOCOL_41.with(Capabilities::DEPRECATE_EOF);

fn main() {
    divan::main();
}

#[divan::bench]
fn ok(bencher: Bencher<'_, '_>) {
    let mut reply = BytesMut::new();
    put_ok(&mut reply, 1, CAPS, &OkPacket { status: Status::AUTOCOMMIT, ..OkPacket::default() });
    follow(bencher, &reply, CAPS);
}

/// A point select's one row, and the hundred of a range, of one column of 120 bytes.
#[divan::bench(args = [1, 100])]
fn rows(bencher: Bencher<'_, '_>, rows: usize) {
    follow(bencher, &result_set(rows, 120, CAPS), CAPS);
}

/// As above for a client that still wants its EOF packets.
#[divan::bench(args = [1, 100])]
fn rows_with_eof(bencher: Bencher<'_, '_>, rows: usize) {
    follow(bencher, &result_set(rows, 120, Capabilities::PROTOCOL_41), Capabilities::PROTOCOL_41);
}

/// Rows of 1 MiB, in reads of 16 KiB: nearly all bytes are passed by length.
#[divan::bench]
fn large_rows(bencher: Bencher<'_, '_>) {
    let reply = result_set(4, 1 << 20, CAPS);
    bencher.counter(BytesCount::new(reply.len())).bench_local(|| {
        let mut tracker = Tracker::new(Command::Query, CAPS);
        black_box(&reply[..]).chunks(16 * 1024).map(|read| walk(&mut tracker, read)).sum::<usize>()
    });
}

fn follow(bencher: Bencher<'_, '_>, reply: &[u8], caps: Capabilities) {
    bencher.counter(BytesCount::new(reply.len())).bench_local(|| {
        let mut tracker = Tracker::new(Command::Query, caps);
        let events = walk(&mut tracker, black_box(reply));
        assert!(tracker.is_over());
        events
    });
}

/// Scans one read to its end, as the relay does; yields how many events it held.
///
/// What a scan leaves over at the end of a read would be kept for the next by the relay; it is
/// dropped here, which the lengths above never need.
fn walk(tracker: &mut Tracker, read: &[u8]) -> usize {
    let (mut at, mut events) = (0, 0);
    while at < read.len() {
        let scan = tracker.scan(&read[at..]).expect("the reply is well formed");
        at += scan.len;
        let Some(event) = scan.event else { break };
        at += packet_len(event);
        events += 1;
    }
    events
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

/// The reply to a `SELECT` of one column.
fn result_set(rows: usize, width: usize, caps: Capabilities) -> BytesMut {
    let mut reply = BytesMut::new();
    let mut seq = put_packet(&mut reply, 1, &[1]);
    seq = write_packet(&mut reply, seq, |body| {
        for text in ["def", "app", "sbtest1", "sbtest1", "c", "c"] {
            put_lenenc_bytes(body, text.as_bytes());
        }
        body.extend_from_slice(&[0x0C, 33, 0, 104, 1, 0, 0, 254, 0, 0, 0, 0, 0]);
    });
    let with_eof = !caps.contains(Capabilities::DEPRECATE_EOF);
    if with_eof {
        seq = put_eof(&mut reply, seq, caps, Status::AUTOCOMMIT, 0);
    }
    let row = vec![b'7'; width];
    for _ in 0..rows {
        seq = write_packet(&mut reply, seq, |body| put_lenenc_bytes(body, &row));
    }
    if with_eof {
        put_eof(&mut reply, seq, caps, Status::AUTOCOMMIT, 0);
    } else {
        put_packet(&mut reply, seq, &[0xFE, 0, 0, 2, 0, 0, 0]);
    }
    reply
}
