//! `[[listener]]`: where PgBouncer listens, over the network and on a Unix socket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::ImportError;
use super::draft::{Draft, duration, text};
use super::settings::{Given, Settings};
use super::translate::NEVER;
use crate::config::Address;

/// More clients no guard takes.
const CLIENTS_MAX: u32 = 1_000_000;
/// Where PgBouncer has its socket, and looks for the server's.
const SOCKET_DIR: &str = "/tmp";

/// Writes the listeners of one guard, the `number`th from 0.
pub(super) fn write(
    draft: &mut Draft,
    settings: &mut Settings,
    number: u16,
) -> Result<(), ImportError> {
    let port = settings.number("listen_port", 6432)?;
    let first = u16::try_from(port.value).unwrap_or(6432);
    let port = Given { value: first.saturating_add(number), from: port.from };
    let mut addresses = addresses(settings, &port);
    let socket = socket(settings, port.value);
    addresses.extend(socket);
    if addresses.is_empty() {
        settings.note(
            "[pgbouncer] neither listen_addr nor unix_socket_dir",
            "nobody could connect: 127.0.0.1 is written",
        );
        let address = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port.value)));
        addresses.push((address, port.from));
    }
    let mode_of_socket = settings.text("unix_socket_mode");
    let group = settings.text("unix_socket_group");
    let clients = settings.number("max_client_conn", 100)?;
    let login = settings.seconds("client_login_timeout", 60)?;
    let idle = settings.seconds("client_idle_timeout", 0)?;
    let mode = settings.text("client_tls_sslmode");
    let (certificate, key) =
        (settings.file("client_tls_cert_file"), settings.file("client_tls_key_file"));
    let never = |time: Duration| if time.is_zero() { NEVER } else { time };
    for (address, from) in addresses {
        draft.section("[[listener]]");
        draft.set("address", text(&address.to_string()).as_str(), &from);
        draft.set("max_clients", clients.value.clamp(1, CLIENTS_MAX), &clients.from);
        draft.set("login_timeout", duration(never(login.value)), &login.from);
        draft.set("idle_timeout", duration(never(idle.value)), &idle.from);
        if let Address::Unix(_) = address {
            for (ours, given) in [("socket_mode", &mode_of_socket), ("socket_group", &group)] {
                if let Some(given) = given {
                    draft.set(ours, text(&given.value).as_str(), &given.from);
                }
            }
            continue;
        }
        let (tls, from) = match &mode {
            None => ("off", "PgBouncer's default client_tls_sslmode"),
            Some(mode) => (listener_tls(&mode.value), "client_tls_sslmode"),
        };
        draft.set("tls", text(tls).as_str(), from);
        if tls == "off" {
            continue;
        }
        for (ours, file) in [("certificate", &certificate), ("key", &key)] {
            if let Some(file) = file {
                draft.set(ours, text(&file.value.to_string_lossy()).as_str(), &file.from);
            }
        }
    }
    if mode.is_some_and(|mode| mode.value.starts_with("verify")) {
        settings.note(
            "[pgbouncer] client_tls_sslmode = verify-…",
            "TLS is required; certificates of clients are not asked for: they prove their password",
        );
    }
    Ok(())
}

/// The addresses of the network, and where each is from.
fn addresses(settings: &mut Settings, port: &Given<u16>) -> Vec<(Address, String)> {
    let Some(given) = settings.text("listen_addr") else { return Vec::new() };
    let mut addresses = Vec::new();
    for name in given.value.split(',').map(str::trim) {
        let address: IpAddr = match name {
            "*" => Ipv4Addr::UNSPECIFIED.into(),
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            name => match name.parse() {
                Ok(address) => address,
                Err(_) => {
                    settings.note(
                        format!("[pgbouncer] listen_addr = {name}"),
                        "an address is needed, not a name: 127.0.0.1 is written",
                    );
                    Ipv4Addr::LOCALHOST.into()
                }
            },
        };
        let address = Address::Tcp(SocketAddr::new(address, port.value));
        if !addresses.iter().any(|(known, _)| *known == address) {
            addresses.push((address, format!("{}, {}", given.from, port.from)));
        }
    }
    addresses
}

/// The Unix socket, if there is one, and where it is from.
fn socket(settings: &mut Settings, port: u16) -> Option<(Address, String)> {
    let (folder, from) = socket_dir(settings)?;
    let path = Path::new(&folder).join(format!(".s.PGSQL.{port}"));
    Some((Address::Unix(path), from))
}

/// The folder of PgBouncer's own Unix socket, in which it looks for the server's too; and where that is
/// from.
pub(super) fn socket_dir(settings: &mut Settings) -> Option<(String, String)> {
    let Some(folder) = settings.given("unix_socket_dir") else {
        return Some((SOCKET_DIR.into(), "PgBouncer's default unix_socket_dir".into()));
    };
    if folder.is_empty() {
        return None;
    }
    if !folder.starts_with('/') {
        settings.note(
            format!("[pgbouncer] unix_socket_dir = {folder}"),
            "a whole path is needed, and no name in the abstract namespace: there is no Unix socket",
        );
        return None;
    }
    Some((folder, "unix_socket_dir".into()))
}

fn listener_tls(mode: &str) -> &'static str {
    match mode {
        "disable" => "off",
        "allow" | "prefer" => "offered",
        _ => "required",
    }
}
