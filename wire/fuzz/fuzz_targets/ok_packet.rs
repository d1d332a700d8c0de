//! Fuzzes OK packets with their session state, and that what is kept reads back.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::mysql::Capabilities;
use wire::mysql::frame::{HEADER_LEN, MAX_PAYLOAD};
use wire::mysql::response::{OK, OkPacket, put_ok_filtered};

fuzz_target!(|input: (u64, u64, &[u8])| {
    let (caps, keep, payload) = input;
    let caps = Capabilities(caps);
    let Ok(ok) = OkPacket::parse(payload, caps) else { return };
    let (mut out, mut at, mut kept) = (BytesMut::new(), 0, 0);
    let filtered = put_ok_filtered(&mut out, 1, caps, &ok, OK, |_| {
        let keeps = keep >> (at % 64) & 1 == 1;
        at += 1;
        kept += usize::from(keeps);
        keeps
    });
    // A payload of 16 MiB and more is split, and not one packet any more.
    if filtered.is_ok() && out.len() < HEADER_LEN + MAX_PAYLOAD {
        let again = OkPacket::parse(&out[HEADER_LEN..], caps).expect("it was just written");
        assert_eq!(again.affected_rows, ok.affected_rows);
        assert_eq!(again.info, ok.info);
        assert_eq!(again.state.count(), kept);
    }
});
