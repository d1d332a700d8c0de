//! What holds for all bytes. `PROPTEST_CASES` says how many are tried.

use bytes::BytesMut;
use proptest::prelude::*;
use wire::Malformed;
use wire::postgres::auth::scram::{
    Binding, Client, Credential, KEY_LEN, Keys, Mechanism, NONCE_LEN, Secret, Server, Start,
};
use wire::postgres::backend::{self, Fields};
use wire::postgres::frame::Header;
use wire::postgres::frontend::{self, Names, rename};
use wire::postgres::login::{self, Authentication, SaslInitialResponse};
use wire::postgres::result::{Asker, Request};
use wire::postgres::startup::{First, NegotiateProtocolVersion, Opening};

use crate::captured::{Session, sessions};
use crate::walk::Walk;

/// Runs every decoder over the same bytes. None may panic; what they say does not matter, but that
/// no list has more entries than bytes.
fn decode_all(bytes: &[u8]) {
    let few = |count: usize| assert!(count <= bytes.len());
    let _ = Header::peek(bytes);
    let _ = First::peek(bytes);
    if let Ok(Opening::Startup(message)) = Opening::parse(bytes) {
        few(message.parameters.protocol_options().count());
        few(message.parameters.count());
    }
    if let Ok(message) = NegotiateProtocolVersion::parse(bytes) {
        few(message.unknown.count());
    }
    let _ = rename(&mut BytesMut::new(), bytes, Names { statement: Some(b"s"), portal: None });
    let _ = frontend::query_text(bytes);
    if let Ok(parse) = frontend::ParseMessage::parse(bytes) {
        few(parse.types.count());
    }
    if let Ok(bind) = frontend::Bind::parse(bytes) {
        assert_eq!(bind.values.len(), bind.values.count());
        few(bind.formats.count() + bind.result_formats.count());
    }
    let _ = frontend::Target::parse(bytes);
    let _ = frontend::Execute::parse(bytes);
    if let Ok(call) = frontend::FunctionCall::parse(bytes) {
        assert_eq!(call.values.len(), call.values.count());
    }
    let _ = frontend::copy_fail_reason(bytes);
    let _ = backend::TransactionStatus::parse(bytes);
    let _ = backend::ParameterStatus::parse(bytes);
    let _ = backend::BackendKeyData::parse(bytes);
    let _ = backend::NotificationResponse::parse(bytes);
    let _ = backend::CommandTag::parse(bytes);
    let _ = backend::CopyResponse::parse(bytes);
    few(Fields::of_head(bytes).count());
    if let Ok(fields) = Fields::parse(bytes) {
        let _ = (fields.severity(), fields.code(), fields.message());
    }
    if let Ok(columns) = backend::Columns::parse(bytes) {
        assert_eq!(columns.len(), columns.count());
    }
    if let Ok(values) = backend::data_row(bytes) {
        assert_eq!(values.len(), values.count());
    }
    if let Ok(types) = backend::parameter_types(bytes) {
        assert_eq!(types.len(), types.count());
    }
    let _ = backend::FunctionCallResponse::parse(bytes);
    decode_login(bytes);
}

fn decode_login(bytes: &[u8]) {
    if let Ok(Authentication::Sasl(mechanisms)) = Authentication::parse(bytes) {
        assert!(mechanisms.count() <= bytes.len());
    }
    let _ = login::password(bytes);
    let _ = SaslInitialResponse::parse(bytes);
    let _ = Secret::parse(bytes);
    let keys = Keys { client: [1; KEY_LEN], server: [2; KEY_LEN] };
    let secret = Secret::of(&keys, b"salt", 1);
    let client = Client::new(Binding::Unsupported, [3; NONCE_LEN]);
    let _ = client.clone().answer(bytes, Credential::Keys(&keys));
    let started = |message| {
        let start = Start { mechanism: Mechanism::ScramSha256, message };
        Server::new(start, &secret, None, [4; NONCE_LEN])
    };
    let _ = started(bytes);
    let server = started(client.message());
    let server = server.expect("a client's own message");
    let answer = client.answer(server.message(), Credential::Keys(&keys));
    assert!(answer.expect("a server's own message").verify(bytes).is_err());
    assert!(server.verify(bytes).is_err());
}

/// What is sent, and what comes back.
type Step = (Vec<(Request, Asker)>, Vec<u8>);

/// Goes through `steps`, of which pieces arrive.
fn walk(steps: &[Step], piece: usize) -> (Walk, Option<Malformed>) {
    let mut walk = Walk::default();
    for (requests, bytes) in steps {
        for (request, asker) in requests {
            walk.push(*request, *asker);
        }
        if let Err(malformed) = walk.take(bytes, || piece) {
            return (walk, Some(malformed));
        }
    }
    (walk, None)
}

fn requests() -> impl Strategy<Value = Vec<(Request, Asker)>> {
    let request = prop::sample::select(&[
        Request::Query,
        Request::FunctionCall,
        Request::Parse,
        Request::Bind,
        Request::DescribeStatement,
        Request::DescribePortal,
        Request::Execute,
        Request::Close,
        Request::Sync,
        Request::CopyEnd,
    ]);
    let asker = prop::sample::select(&[Asker::Client, Asker::Guard]);
    prop::collection::vec((request, asker), 0..6)
}

/// A few messages that have a header, and a few bytes that have none.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(&b"RK23CdcGHWDIEVvnNAtS1sZTZCE12"[..]);
    let message = (kind, prop::collection::vec(0..4_u8, 0..7)).prop_map(|(kind, body)| {
        let mut out = BytesMut::new();
        wire::postgres::frame::put_message(&mut out, kind, &body);
        out.to_vec()
    });
    let noise = prop::collection::vec(any::<u8>(), 0..8);
    prop::collection::vec(prop_oneof![9 => message, 1 => noise], 0..6)
        .prop_map(|messages| messages.concat())
}

/// A captured conversation with a few bytes changed, added or taken away.
fn mutated() -> impl Strategy<Value = Vec<Step>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3_u8);
    (prop::sample::select(sessions().collect::<Vec<_>>()), prop::collection::vec(change, 1..4))
        .prop_map(|(Session { steps, .. }, changes)| {
            let mut steps: Vec<_> = steps
                .iter()
                .map(|step| {
                    let requests = step.sent.iter().map(|request| (*request, Asker::Client));
                    (requests.collect::<Vec<_>>(), step.reply.to_vec())
                })
                .collect();
            for (at, byte, how) in changes {
                let step = usize::from(byte) % steps.len();
                let bytes = &mut steps[step].1;
                let at = at.index(bytes.len().max(1)).min(bytes.len());
                match how {
                    0 => bytes.insert(at, byte),
                    1 if at < bytes.len() => bytes[at] = byte,
                    _ if at < bytes.len() => drop(bytes.remove(at)),
                    _ => {}
                }
            }
            steps
        })
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        decode_all(&bytes);
    }

    #[test]
    fn no_small_numbers_make_a_decoder_panic(bytes in prop::collection::vec(0..4_u8, 0..60)) {
        decode_all(&bytes);
    }

    #[test]
    fn no_bytes_make_the_tracker_panic_or_run_ahead(
        steps in prop::collection::vec((requests(), messages()), 1..6),
        piece in 1..30_usize,
    ) {
        let (whole, failed) = walk(&steps, usize::MAX);
        let len: usize = steps.iter().map(|(_, bytes)| bytes.len()).sum();
        prop_assert!(whole.consumed <= len);
        let (cut, cut_failed) = walk(&steps, piece);
        prop_assert_eq!((cut.events, cut_failed), (whole.events, failed));
    }

    #[test]
    fn a_damaged_conversation_reads_the_same_in_pieces(steps in mutated(), piece in 1..40_usize) {
        let (whole, failed) = walk(&steps, usize::MAX);
        let (cut, cut_failed) = walk(&steps, piece);
        prop_assert_eq!((cut.events, cut_failed), (whole.events, failed));
        for bytes in steps.iter().flat_map(|(_, bytes)| bytes.chunks(64)) {
            decode_all(bytes);
        }
    }
}
