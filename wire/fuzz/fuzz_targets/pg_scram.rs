//! Fuzzes SCRAM's messages on both sides, and stored secrets. Nobody guesses a proof.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::postgres::auth::scram::{
    Binding, Client, Credential, KEY_LEN, Keys, Mechanism, NONCE_LEN, Secret, Server, Start,
};

fuzz_target!(|input: (bool, bool, &[u8])| {
    let (plus, offers, text) = input;
    if let Ok(secret) = Secret::parse(text) {
        assert_eq!(Secret::parse(secret.text().as_bytes()), Ok(secret));
    }
    let mechanism = if plus { Mechanism::ScramSha256Plus } else { Mechanism::ScramSha256 };
    let end_point: Option<&[u8]> = offers.then_some(b"hash");
    let keys = Keys { client: [1; KEY_LEN], server: [2; KEY_LEN] };
    let secret = Secret::of(&keys, b"salt", 1);
    if let Ok(server) =
        Server::new(Start { mechanism, message: text }, &secret, end_point, [3; NONCE_LEN])
    {
        assert!(server.message().starts_with(b"r="));
    }
    let client = Client::new(Binding::Unsupported, [4; NONCE_LEN]);
    let _ = client.clone().answer(text, Credential::Keys(&keys));
    let start = Start { mechanism: Mechanism::ScramSha256, message: client.message() };
    let server = Server::new(start, &secret, None, [3; NONCE_LEN]).expect("a client's own message");
    let answer =
        client.answer(server.message(), Credential::Keys(&keys)).expect("a server's own message");
    assert!(answer.verify(text).is_err());
    assert!(server.verify(text).is_err());
});
