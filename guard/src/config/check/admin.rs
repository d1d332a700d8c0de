//! Who may come to the HTTP side and the console.

use super::super::{Address, Config, Engine, check_token};
use super::network::{socket_file, tls_files};
use super::{Findings, Key};
use crate::secret::Secret;

/// Permissions of everybody who is neither the owner nor of the group.
const OTHERS: u32 = 0o007;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let own = &config.admin;
    let key = Key::of("admin");
    token(&key, &own.token, findings);
    tls_files(&key, (own.certificate.as_ref(), own.key.as_ref()), findings);
    let is_tls = own.certificate.is_some() && own.key.is_some();
    match &own.address {
        Address::Tcp(address) => {
            if own.socket_group.is_some() {
                findings.warn(&key.field("socket_group"), "not used: address is no Unix socket");
            }
            let lacks = match (own.token.is_empty(), is_tls) {
                _ if address.ip().is_loopback() => None,
                (false, true) => None,
                (true, true) => Some("token or token_file"),
                (false, false) => Some("certificate and key"),
                (true, false) => Some("token or token_file, and certificate and key"),
            };
            if let Some(lacks) = lacks {
                let why = format!(
                    "open to other hosts; expected {lacks} as well, or a loopback address such as \
                     \"127.0.0.1:9307\", or the path of a Unix socket (metrics_address may be open)"
                );
                findings.error(&key.field("address"), why);
            }
        }
        Address::Unix(path) => {
            socket_file(&key, path, own.socket_group.as_deref(), findings);
            if is_tls {
                findings.warn(&key.field("certificate"), "not used: a Unix socket has no TLS");
            }
            if own.socket_mode.0 & OTHERS != 0 && own.token.is_empty() {
                findings.error(
                    &key.field("socket_mode"),
                    "open to everybody on this host; expected \"0770\" at most, or a token",
                );
            }
        }
    }
    console(config, findings);
}

/// One that is named must be good: whoever meant to ask for a token would else ask for none.
fn token(section: &Key, token: &Secret, findings: &mut Findings<'_>) {
    let named = ["token_file", "token"].map(|name| section.field(name));
    let Some(named) = named.iter().find(|key| findings.is_given(key)) else { return };
    if let Err(why) = check_token(token.expose()) {
        findings.error(named, why);
    }
}

fn console(config: &Config, findings: &mut Findings<'_>) {
    let own = &config.admin;
    for (name, list) in [("users", &own.users), ("stats_users", &own.stats_users)] {
        if config.upstream.engine == Engine::Mysql && !list.is_empty() {
            let why = "not used: only PostgreSQL's clients have the console";
            findings.warn(&Key::of("admin").field(name), why);
        }
    }
}
