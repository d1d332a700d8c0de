use proptest::prelude::*;

use super::super::frame::HEADER_LEN;
use super::*;

/// The greeting of MariaDB 10.11.
const MARIADB: &[u8] = b"\x0a5.5.5-10.11.6-MariaDB\0\x2a\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\
    \xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0ijklmnopqrst\0mysql_native_password\0";

/// The greeting of MySQL 8.4.
const MYSQL: &[u8] = b"\x0a8.4.0\0\x08\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\
    \0\0\0\0ijklmnopqrst\0caching_sha2_password\0";

fn put<R>(body: impl FnOnce(&mut BytesMut) -> R) -> Vec<u8> {
    let mut out = BytesMut::new();
    body(&mut out);
    out[HEADER_LEN..].to_vec()
}

#[test]
fn greetings_of_both_servers_read_and_write_the_same() {
    let check = |bytes: &[u8], version: &str, id, mariadb, plugin: &str, charset| {
        let greeting = Greeting::parse(bytes).unwrap();
        assert_eq!(greeting.version, version.as_bytes());
        assert_eq!(greeting.connection_id, id);
        assert_eq!(&greeting.scramble, b"abcdefghijklmnopqrst");
        assert_eq!(greeting.is_mariadb(), mariadb);
        assert_eq!(greeting.capabilities.contains(Capabilities::STMT_BULK_OPERATIONS), mariadb);
        assert_eq!(greeting.plugin, plugin.as_bytes());
        assert_eq!(greeting.charset, charset);
        assert_eq!(put(|out| assert_eq!(greeting.put(out), 1)), bytes);
    };
    check(MARIADB, "5.5.5-10.11.6-MariaDB", 42, true, "mysql_native_password", 45);
    check(MYSQL, "8.4.0", 8, false, "caching_sha2_password", 255);
}

#[test]
fn every_cut_greeting_is_an_error_until_its_plugin_begins() {
    for bytes in [MARIADB, MYSQL] {
        let plugin = bytes.len() - 22;
        for len in 0..plugin {
            assert!(Greeting::parse(&bytes[..len]).is_err(), "{len}");
        }
        assert!(Greeting::parse(&bytes[..bytes.len() - 1]).is_ok(), "the last NUL may be missing");
    }
}

#[test]
fn a_greeting_of_an_old_protocol_is_refused() {
    assert!(Greeting::parse(b"\x093.20\0").is_err());
    assert!(Greeting::parse(b"\xff\x10\x04Too many connections").is_err());
}

fn response(capabilities: Capabilities) -> HandshakeResponse<'static> {
    HandshakeResponse {
        capabilities,
        max_packet: 1 << 24,
        charset: 45,
        user: b"app",
        auth: b"12345678901234567890",
        database: capabilities.contains(Capabilities::CONNECT_WITH_DB).then_some(b"shop"),
        plugin: capabilities
            .contains(Capabilities::PLUGIN_AUTH)
            .then_some(b"mysql_native_password"),
        attributes: match capabilities.contains(Capabilities::CONNECT_ATTRS) {
            true => ConnectAttributes::parse(b"\x03_os\x05Linux\x04_pid\x011").unwrap(),
            false => ConnectAttributes::default(),
        },
    }
}

const BASE: Capabilities = Capabilities(
    Capabilities::PROTOCOL_41.0 | Capabilities::SECURE_CONNECTION.0 | Capabilities::LONG_PASSWORD.0,
);

#[test]
fn a_response_reads_back_whatever_it_carries() {
    let optional = [
        Capabilities::CONNECT_WITH_DB,
        Capabilities::PLUGIN_AUTH,
        Capabilities::CONNECT_ATTRS,
        Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA,
        Capabilities::SSL,
    ];
    for chosen in 0_u32..1 << optional.len() {
        let capabilities = (0..optional.len())
            .filter(|at| chosen >> at & 1 == 1)
            .fold(BASE, |set, at| set | optional[at]);
        let response = response(capabilities);
        let bytes = put(|out| assert_eq!(response.put(out, 1), 2));
        assert_eq!(Opening::parse(&bytes), Ok(Opening::Response(response)));
    }
}

#[test]
fn mariadbs_extension_needs_long_password_unset() {
    let extended = BASE | Capabilities::STMT_BULK_OPERATIONS;
    let read = |capabilities| match Opening::parse(&put(|out| response(capabilities).put(out, 1))) {
        Ok(Opening::Response(read)) => read.capabilities,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(extended), BASE);
    let mariadb = extended.without(Capabilities::LONG_PASSWORD);
    assert_eq!(read(mariadb), mariadb);
}

#[test]
fn a_head_alone_asks_for_tls() {
    let request =
        SslRequest { capabilities: BASE | Capabilities::SSL, max_packet: 1, charset: 255 };
    let bytes = put(|out| assert_eq!(request.put(out, 1), 2));
    assert_eq!(bytes.len(), 32);
    assert_eq!(Opening::parse(&bytes), Ok(Opening::Ssl(request)));
}

/// Item 9 of the list of bad inputs: each lie is an error, none a panic.
#[test]
fn responses_that_lie_are_refused() {
    let good = |capabilities| put(|out| response(capabilities).put(out, 1));
    let check = |bytes: &[u8], what: &str| assert!(Opening::parse(bytes).is_err(), "{what}");
    let bytes = good(BASE);
    for len in 0..bytes.len() {
        check(&bytes[..len], "short");
    }
    check(&[&bytes[..32], b"user without a NUL"].concat(), "no NUL");
    let lenenc = good(BASE | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA);
    check(
        &[&lenenc[..36], b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff1234"].concat(),
        "proof of 2^64-1",
    );
    check(&[&lenenc[..36], b"\xfb"].concat(), "proof is NULL");
    let mut no_database = good(BASE);
    no_database[0] |= Capabilities::CONNECT_WITH_DB.0 as u8;
    check(&no_database, "no database");
    let attributes = good(BASE | Capabilities::CONNECT_ATTRS);
    let head = attributes.len() - 19;
    check(
        &[&attributes[..head], b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01a"].concat(),
        "block of 2^64-1",
    );
    check(&[&attributes[..head], b"\x04\x01a\x09b"].concat(), "a value beyond the block");
    check(&[&attributes[..head], b"\x02\x01a"].concat(), "a name without a value");
    check(b"\x0d\xa6\x03\0\0\x01root\0", "the protocol of 3.23");
}

#[test]
fn attributes_come_in_the_clients_order() {
    let pairs: [(&[u8], &[u8]); 2] = [(b"_os", b"Linux"), (b"program_name", b"")];
    let block = ConnectAttributes::block(pairs);
    let attributes = ConnectAttributes::parse(&block).unwrap();
    assert_eq!(attributes.iter().collect::<Vec<_>>(), pairs);
}

#[test]
fn replies_of_a_server_are_told_apart() {
    let check = |payload: &[u8], expect| assert_eq!(AuthReply::parse(payload), Ok(expect));
    check(b"\0\0\0\x02\0\0\0", AuthReply::Ok);
    check(b"\xff\x15\x04#28000no", AuthReply::Err);
    check(b"\x01\x03", AuthReply::More(&[3]));
    check(b"\x02plugin\0", AuthReply::NextFactor);
    check(b"\xfe", AuthReply::SwitchToOldPassword);
    let switch = AuthSwitch { plugin: b"client_ed25519", data: &[7; 32] };
    check(&put(|out| assert_eq!(switch.put(out, 2), 3)), AuthReply::Switch(switch));
    check(&put(|out| assert_eq!(AuthMoreData(b"key").put(out, 4), 5)), AuthReply::More(b"key"));
    assert!(AuthReply::parse(b"").is_err());
    assert!(AuthReply::parse(b"\x07").is_err());
    assert!(AuthReply::parse(b"\xfeplugin without a NUL").is_err());
}

#[test]
fn change_user_may_stop_after_its_database() {
    let capabilities = BASE | Capabilities::PLUGIN_AUTH | Capabilities::CONNECT_ATTRS;
    let short = b"\x11app\0\x02xyshop\0";
    let full = [&short[..], b"\x2d\0client_ed25519\0\x04\x01a\x01b"].concat();
    let read = ChangeUser::parse(&full, capabilities).unwrap();
    assert_eq!((read.user, read.auth, read.database), (&b"app"[..], &b"xy"[..], &b"shop"[..]));
    assert_eq!((read.charset, read.plugin), (Some(45), Some(&b"client_ed25519"[..])));
    assert_eq!(read.attributes.iter().collect::<Vec<_>>(), [(&b"a"[..], &b"b"[..])]);
    let read = ChangeUser::parse(short, capabilities).unwrap();
    assert_eq!((read.charset, read.plugin), (None, None));
    for len in 0..short.len() {
        assert!(ChangeUser::parse(&short[..len], capabilities).is_err(), "{len}");
    }
    assert!(ChangeUser::parse(b"\x11app\0\xffxy\0", capabilities).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        capabilities: u64,
    ) {
        let _ = Greeting::parse(&payload);
        let _ = AuthReply::parse(&payload);
        let _ = ChangeUser::parse(&payload, Capabilities(capabilities));
        if let Ok(Opening::Response(response)) = Opening::parse(&payload) {
            for (name, value) in response.attributes.iter() {
                prop_assert!(name.len() + value.len() < payload.len());
            }
        }
        let mut open = response(BASE).capabilities.0.to_le_bytes()[..4].to_vec();
        open.extend(&payload);
        let _ = Opening::parse(&open);
    }
}
