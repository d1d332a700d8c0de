//! Addresses, TLS files, and the bounds of what is done on the network.

use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{
    Address, Bytes, Config, Endpoint, Engine, Listener, ListenerTls, TlsNegotiation, UpstreamTls,
};
use super::{Findings, Key};
use crate::listener::socket::gid;

/// What the system takes of a socket's path, in bytes, with a NUL behind it.
const SOCKET_PATH_MAX: usize = 108;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    if config.listeners.is_empty() {
        findings.error(&Key::of("listener"), "empty; expected at least one [[listener]]");
    }
    for (index, own) in config.listeners.iter().enumerate() {
        let key = Key::of("listener").item(index);
        listener(&key, own, findings);
        match &own.address {
            Address::Tcp(_) if own.socket_group.is_some() => {
                findings.warn(&key.field("socket_group"), "not used: address is no Unix socket");
            }
            Address::Tcp(_) => {}
            Address::Unix(path) => socket(&key, own, path, config.upstream.engine, findings),
        }
    }
    upstream(config, findings);
    clashes(config, findings);
}

fn listener(key: &Key, own: &Listener, findings: &mut Findings<'_>) {
    tls_files(key, (own.certificate.as_ref(), own.key.as_ref()), findings);
    if own.tls == ListenerTls::Required && own.certificate.is_none() {
        findings.warn(
            &key.field("certificate"),
            "missing: clients that verify certificates will not trust the one that the guard makes",
        );
    }
    if own.tls == ListenerTls::Off && own.certificate.is_some() && own.key.is_some() {
        findings.warn(&key.field("tls"), "off: certificate and key are not used");
    }
    let is_open = matches!(own.address, Address::Tcp(address) if !address.ip().is_loopback());
    if own.tls != ListenerTls::Required && is_open {
        findings.warn(
            &key.field("address"),
            "open to other hosts without tls = \"required\": statements and results can be read on \
             the way",
        );
    }
    findings.within(&key.field("max_clients"), own.max_clients, 1..=1_000_000);
    findings.within(&key.field("logins_at_once"), own.logins_at_once, 1..=10_000);
    nonzero(&key.field("login_timeout"), own.login_timeout, findings);
    nonzero(&key.field("write_timeout"), own.write_timeout, findings);
    nonzero(&key.field("idle_timeout"), own.idle_timeout, findings);
}

/// A certificate and its key: both or none, and files that can be read.
pub(super) fn tls_files(
    section: &Key,
    (certificate, key): (Option<&PathBuf>, Option<&PathBuf>),
    findings: &mut Findings<'_>,
) {
    let together = "missing: certificate and key go together";
    match (certificate, key) {
        (None, None) | (Some(_), Some(_)) => {}
        (None, Some(_)) => findings.error(&section.field("certificate"), together),
        (Some(_), None) => findings.error(&section.field("key"), together),
    }
    findings.readable(&section.field("certificate"), certificate);
    findings.readable(&section.field("key"), key);
}

/// The path of a Unix socket, and the group that it is for.
pub(super) fn socket_file(
    section: &Key,
    path: &Path,
    group: Option<&str>,
    findings: &mut Findings<'_>,
) {
    if path.as_os_str().len() >= SOCKET_PATH_MAX {
        let max = SOCKET_PATH_MAX - 1;
        let why = format!("too long for a Unix socket; expected {max} bytes at most");
        findings.error(&section.field("address"), why);
    }
    if let Some(Err(why)) = group.map(gid) {
        findings.error(&section.field("socket_group"), why.to_string());
    }
}

fn socket(key: &Key, own: &Listener, path: &Path, engine: Engine, findings: &mut Findings<'_>) {
    let address = key.field("address");
    socket_file(key, path, own.socket_group.as_deref(), findings);
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    let port = name.strip_prefix(b".s.PGSQL.").filter(|port| !port.is_empty());
    if engine == Engine::Postgres && !port.is_some_and(|port| port.iter().all(u8::is_ascii_digit)) {
        findings.warn(
            &address,
            "clients of PostgreSQL find a socket only by the name \".s.PGSQL.\" and a port",
        );
    }
    if own.tls == ListenerTls::Required {
        findings.warn(&key.field("tls"), "not used: a Unix socket has no TLS");
    }
}

fn upstream(config: &Config, findings: &mut Findings<'_>) {
    let key = Key::of("upstream");
    let own = &config.upstream;
    if own.tls == UpstreamTls::Required && own.ca.is_none() {
        findings.error(&key.field("ca"), "required by tls = \"required\", and missing");
    }
    if own.tls != UpstreamTls::Off && own.address.socket().is_some() {
        findings.error(&key.field("tls"), "a Unix socket has no TLS; expected \"off\"");
    }
    if own.tls != UpstreamTls::Required && own.ca.is_some() {
        findings.warn(&key.field("ca"), "not used: only tls = \"required\" checks the certificate");
    }
    if own.tls != UpstreamTls::Required && !is_local(&own.address) {
        findings.warn(
            &key.field("tls"),
            "another host without tls = \"required\": statements and results can be read or changed \
             on the way",
        );
    }
    if own.tls_negotiation == TlsNegotiation::Direct {
        let negotiation = key.field("tls_negotiation");
        if own.engine != Engine::Postgres {
            findings.error(&negotiation, "PostgreSQL's alone; expected \"request\"");
        } else if own.tls == UpstreamTls::Off {
            findings.error(&negotiation, "nothing to begin; expected tls = \"required\"");
        }
    }
    findings.readable(&key.field("ca"), own.ca.as_ref());
    findings.within(&key.field("connections"), own.connections, 1..=10_000);
    findings.within(&key.field("handshakes_at_once"), own.handshakes_at_once, 1..=1000);
    findings.within(&key.field("handshakes_per_second"), own.handshakes_per_second, 1..=10_000);
    findings.within(
        &key.field("statements_per_connection"),
        own.statements_per_connection,
        1..=65_536,
    );
    findings.within(&key.field("statements_per_client"), own.statements_per_client, 1..=65_536);
    findings.within(&key.field("listen_connections"), own.listen_connections, 0..=1000);
    findings.within(&key.field("replication_connections"), own.replication_connections, 0..=1000);
    if !(Bytes(1 << 20)..=Bytes(1 << 30)).contains(&own.max_packet) {
        findings.error(&key.field("max_packet"), "out of range; expected 1MiB to 1GiB");
    }
    nonzero(&key.field("connect_timeout"), own.connect_timeout, findings);
    nonzero(&key.field("idle_timeout"), own.idle_timeout, findings);
}

/// No two of our own addresses may be the same, and the upstream may not be the guard.
fn clashes(config: &Config, findings: &mut Findings<'_>) {
    let mut taken: Vec<(Key, Address)> = Vec::new();
    let admin = &config.admin;
    let http = |name, at| (Key::of("admin").field(name), at);
    let listeners = config.listeners.iter().enumerate();
    let ours = listeners
        .map(|(index, own)| (Key::of("listener").item(index).field("address"), own.address.clone()))
        .chain([http("address", admin.address.clone())])
        .chain(admin.metrics_address.map(|at| http("metrics_address", Address::Tcp(at))));
    for (key, address) in ours {
        if let Some((earlier, _)) = taken.iter().find(|(_, other)| overlap(other, &address)) {
            let what = if matches!(address, Address::Tcp(_)) { "port" } else { "path" };
            findings.error(&key, format!("already taken by {earlier}; expected another {what}"));
        }
        if leads_to(&config.upstream.address, &address) {
            findings
                .warn(&key, "the same port as upstream.address: the guard may connect to itself");
        }
        taken.push((key, address));
    }
}

/// Port 0 is any free port, so it never clashes.
fn overlap(a: &Address, b: &Address) -> bool {
    match (a, b) {
        (Address::Tcp(a), Address::Tcp(b)) => {
            a.port() != 0
                && a.port() == b.port()
                && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
        }
        (a, b) => a == b,
    }
}

fn leads_to(upstream: &Endpoint, ours: &Address) -> bool {
    match ours {
        Address::Tcp(address) => {
            is_local(upstream) && upstream.port != 0 && upstream.port == address.port()
        }
        Address::Unix(path) => upstream.socket() == Some(path),
    }
}

fn is_local(endpoint: &Endpoint) -> bool {
    endpoint.host == "localhost"
        || endpoint.socket().is_some()
        || endpoint.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn nonzero(key: &Key, duration: Duration, findings: &mut Findings<'_>) {
    if duration.is_zero() {
        findings.error(key, "0 would end everything at once; expected a duration above 0");
    }
}
