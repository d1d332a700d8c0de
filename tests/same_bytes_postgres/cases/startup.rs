//! What the start-up packet says of a session.
//!
//! Not here: RESET of what it has set and the server reports, which open transactions and the client
//! see as the guard's own connection has it (docs/ARCHITECTURE.md, "What is open").

use harness::APP;

use super::super::script::q;
use super::Session;

/// Parameters that are asked for, and refused ones.
const PARAMETERS: [&[(&str, &str)]; 12] = [
    &[],
    &[("application_name", "an application")],
    &[("DateStyle", "German"), ("TimeZone", "Asia/Tokyo"), ("client_encoding", "LATIN1")],
    &[("client_encoding", "'utf8'"), ("extra_float_digits", "2")],
    &[("options", "-c work_mem=3MB --search-path=$schema -c a.b=c\\ d")],
    &[("work_mem", "3MB"), ("a.b", "c"), ("IntervalStyle", "iso_8601")],
    &[("default_transaction_isolation", "serializable"), ("standard_conforming_strings", "off")],
    &[("nonsense", "1")],
    &[("DateStyle", "nonsense")],
    &[("work_mem", "much")],
    &[("shared_buffers", "1GB")],
    &[("client_encoding", "nonsense")],
];

pub(super) fn sessions() -> Vec<Session> {
    let named = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    let of = |parameters: &&[(&str, &str)]| Session {
        name: "the start-up packet".to_owned(),
        account: APP,
        parameters: parameters.iter().map(named).collect(),
        steps: [
            "SHOW application_name",
            "SHOW DateStyle",
            "SHOW TimeZone",
            "SHOW client_encoding",
            "SHOW work_mem",
            "SHOW search_path",
            "SHOW standard_conforming_strings",
            "SELECT tz, iv, d FROM $schema.kinds ORDER BY id",
            "SELECT b FROM $schema.t ORDER BY id",
            "BEGIN",
            "SHOW transaction_isolation",
            "SET work_mem = '9MB'",
            "ROLLBACK",
            "SHOW work_mem",
            "SET work_mem = '8MB'",
            "RESET work_mem",
            "SHOW work_mem",
        ]
        .map(q)
        .to_vec(),
    };
    PARAMETERS.iter().map(of).collect()
}
