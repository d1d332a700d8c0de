use bytes::{BufMut, BytesMut};

use super::super::frame::{HEADER_LEN, Header, put_nul_bytes};
use super::{Kind, Target};
use crate::{Malformed, Reader};

/// How many bytes of a body both names of a message may take, their NULs included. The server
/// itself looks at the first 63 bytes of a name.
pub const NAMES_MAX: usize = 8192;

/// New names. What is `None` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Names<'n> {
    /// For the prepared statement.
    pub statement: Option<&'n [u8]>,
    /// For the portal.
    pub portal: Option<&'n [u8]>,
}

/// Appends the head of a Parse, Bind, Describe, Close or Execute, up to its names, with other names.
/// Returns how many bytes at the front of `message` that replaces: what follows them goes behind
/// as it is. So a message of 1 GiB is renamed without being whole.
///
/// `message` starts with a header and may end anywhere. `None`, and nothing appended, if it ends
/// before its names do.
///
/// # Errors
/// When the message has no names, they are longer than [`NAMES_MAX`], or end behind the message.
pub fn rename(
    out: &mut BytesMut,
    message: &[u8],
    names: Names<'_>,
) -> Result<Option<usize>, Malformed> {
    let Some(header) = Header::peek(message)? else { return Ok(None) };
    let kind = Kind::of(header)?;
    let limit = header.len.min(NAMES_MAX);
    let came = &message[HEADER_LEN..];
    let mut reader = Reader::new("names of a message", &came[..came.len().min(limit)]);
    let Some(head) = Head::read(kind, &mut reader)? else {
        let late = reader.err("no names that end in time");
        return if came.len() < limit { Ok(None) } else { Err(late) };
    };
    let start = out.len();
    out.put_bytes(0, HEADER_LEN);
    head.put(names, out);
    let old = reader.position();
    let len = header.len - old + out.len() - start - HEADER_LEN;
    out[start..start + HEADER_LEN].copy_from_slice(&Header { len, ..header }.bytes());
    Ok(Some(HEADER_LEN + old))
}

/// All that a message has up to its last name.
enum Head<'a> {
    Statement(&'a [u8]),
    Portal(&'a [u8]),
    Both { portal: &'a [u8], statement: &'a [u8] },
    Target(Target<'a>),
}

impl<'a> Head<'a> {
    /// `None` if the names do not end within what there is.
    fn read(kind: Kind, reader: &mut Reader<'a>) -> Result<Option<Self>, Malformed> {
        let wrong = reader.err("neither statement nor portal");
        let target = match kind {
            Kind::Describe | Kind::Close => reader.u8().ok(),
            Kind::Parse | Kind::Bind | Kind::Execute => None,
            _ => return Err(reader.err("a message without names")),
        };
        let Ok(name) = reader.nul_bytes() else { return Ok(None) };
        Ok(Some(match (kind, target) {
            (Kind::Parse, _) => Self::Statement(name),
            (Kind::Execute, _) => Self::Portal(name),
            (Kind::Bind, _) => match reader.nul_bytes() {
                Ok(statement) => Self::Both { portal: name, statement },
                Err(_) => return Ok(None),
            },
            (_, Some(b'S')) => Self::Target(Target::Statement(name)),
            (_, Some(b'P')) => Self::Target(Target::Portal(name)),
            _ => return Err(wrong),
        }))
    }

    fn put(self, names: Names<'_>, out: &mut BytesMut) {
        let statement = |old| names.statement.unwrap_or(old);
        let portal = |old| names.portal.unwrap_or(old);
        match self {
            Self::Statement(old) => put_nul_bytes(out, statement(old)),
            Self::Portal(old) => put_nul_bytes(out, portal(old)),
            Self::Both { portal: portal_old, statement: statement_old } => {
                put_nul_bytes(out, portal(portal_old));
                put_nul_bytes(out, statement(statement_old));
            }
            Self::Target(Target::Statement(old)) => Target::Statement(statement(old)).put(out),
            Self::Target(Target::Portal(old)) => Target::Portal(portal(old)).put(out),
        }
    }
}
