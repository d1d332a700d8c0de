//! Values with a form of their own: durations, sizes, endpoints; and how a secret is read and shown.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::secret::Secret;

/// A number of bytes. Written `"64MiB"`; the units are B, KiB, MiB and GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A server's `host:port`. An IPv6 address stands in brackets. Or the path of its Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address, without brackets. What begins with a slash is the path of a Unix socket.
    pub host: String,
    /// Port; 0 of a Unix socket, and of a host alone until [`Self::fill_port`].
    pub port: u16,
}

/// Where the guard listens: an IP address and port, or the path of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address of the network; port 0 is any that is free.
    Tcp(SocketAddr),
    /// A file, by its whole path.
    Unix(PathBuf),
}

/// Who may connect to a Unix socket: permissions of its file, in octal as for `chmod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(pub u32);

// === impl Bytes ===

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UNITS: [(&str, u64); 4] =
            [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
        UNITS
            .iter()
            .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
            .and_then(|(number, factor)| number.trim().parse::<u64>().ok()?.checked_mul(*factor))
            .map(Self)
            .ok_or_else(|| {
                "not a size; expected a whole number and a unit, such as \"64KiB\" or \"16MiB\""
                    .into()
            })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

// === impl Endpoint ===

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_path(text) {
            return Ok(Self { host: text.into(), port: 0 });
        }
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or_default())),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0),
            None => Some(0),
        };
        match port {
            Some(port) if !host.is_empty() && !host.contains(char::is_whitespace) => {
                Ok(Self { host: host.into(), port })
            }
            _ => Err("not an address; expected \"host:port\", such as \"db.internal:3306\" or \"[::1]:5432\"".into()),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self { host: addr.ip().to_string(), port: addr.port() }
    }
}

impl Endpoint {
    /// Host and port as clients of PostgreSQL give them: the folder of a Unix socket is its host, and
    /// the port is in its name.
    pub fn folder_and_port(&self) -> (&str, u16) {
        let named = || {
            let (folder, name) = self.host.rsplit_once('/')?;
            Some((folder, name.strip_prefix(".s.PGSQL.")?.parse().ok()?))
        };
        self.socket().and_then(|_| named()).unwrap_or((&self.host, self.port))
    }

    /// Gives a host that stands alone the port that its server usually has.
    pub fn fill_port(&mut self, usual: u16) {
        if self.port == 0 && self.socket().is_none() {
            self.port = usual;
        }
    }

    /// The path of its Unix socket, if it is one.
    pub fn socket(&self) -> Option<&Path> {
        is_path(&self.host).then(|| Path::new(&self.host))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            _ if self.socket().is_some() => f.write_str(&self.host),
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/')
}

// === impl Address ===

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_path(text) {
            return Ok(Self::Unix(text.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            "not an address; expected \"IP:port\", such as \"127.0.0.1:3307\" or \"[::1]:3307\", or the path \
             of a Unix socket"
                .into()
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

// === impl SocketMode ===

impl FromStr for SocketMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.map(Self).ok_or_else(|| {
            "not a mode; expected permissions in octal, such as \"0777\" or \"0770\"".into()
        })
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

// === durations ===

/// A duration in a file: a whole number and a unit.
pub mod duration {
    use super::{Deserializer, Duration, Serializer, parse_duration, show_duration, text};

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Duration, D::Error> {
        text(from, parse_duration)
    }

    pub(in super::super) fn serialize<S: Serializer>(
        value: &Duration,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&show_duration(*value))
    }
}

/// A time limit in a file: a duration, or `"off"`.
pub mod limit {
    use super::{Deserializer, Duration, Serializer, parse_duration, show_duration, text};

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        text(from, |text| match text {
            "off" => Ok(None),
            _ => match parse_duration(text)? {
                Duration::ZERO => {
                    Err("0 would end everything at once; expected a duration, or \"off\"".into())
                }
                limit => Ok(Some(limit)),
            },
        })
    }

    pub(in super::super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.map_or_else(|| "off".into(), show_duration))
    }
}

/// Parses `"250ms"`, `"10s"`, `"5m"` or `"2h"`.
///
/// # Errors
/// What the accepted form is.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    UNITS
        .iter()
        .find_map(|(unit, millis)| Some((text.strip_suffix(unit)?, millis)))
        .and_then(|(number, millis)| number.trim().parse::<u64>().ok()?.checked_mul(*millis))
        .filter(|millis| *millis <= DURATION_MAX.as_millis() as u64)
        .map(Duration::from_millis)
        .ok_or_else(|| {
            "not a duration; expected a whole number and a unit, such as \"250ms\", \"10s\", \"5m\" or \"2h\"".into()
        })
}

/// The shortest text that [`parse_duration`] reads back as the same, to the millisecond.
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => "0s".into(),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

/// A year: beyond it, adding to a clock could overflow.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

// === serde and schema ===

fn text<'de, D: Deserializer<'de>, T>(
    from: D,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    let text = Cow::<str>::deserialize(from)?;
    parse(&text).map_err(de::Error::custom)
}

macro_rules! text_value {
    ($type:ident, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// Read from and written as its text.
macro_rules! serde_as_text {
    ($($type:ident),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                text(from, str::parse)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )*};
}

serde_as_text!(Bytes, Endpoint, Address, SocketMode);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::from)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(if self.is_empty() { "" } else { "***" })
    }
}

/// Stands for a duration in the schema.
pub(super) struct DurationText;
/// Stands for a time limit in the schema.
pub(super) struct LimitText;

text_value!(Bytes, "Size", { "type": "string", "pattern": r"^(\$\{.+\}|\d+ ?(B|KiB|MiB|GiB))$" });
text_value!(Endpoint, "Endpoint", { "type": "string" });
text_value!(Address, "Address", { "type": "string" });
text_value!(SocketMode, "SocketMode", { "type": "string", "pattern": r"^(\$\{.+\}|0?[0-7]{3})$" });
text_value!(Secret, "Secret", { "type": "string" });
text_value!(DurationText, "Duration", { "type": "string", "pattern": r"^(\$\{.+\}|\d+ ?(ms|s|m|h))$" });
text_value!(LimitText, "TimeLimit", { "type": "string", "pattern": r"^(off|\$\{.+\}|\d+ ?(ms|s|m|h))$" });
