//! ErrorResponse and NoticeResponse: a list of fields, each with a byte that says what it is.
//! <https://www.postgresql.org/docs/current/protocol-error-fields.html>

use bytes::{BufMut, BytesMut};

use super::super::frame::{put_nul_bytes, write_message};
use super::Kind;
use crate::{Malformed, Reader};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Details for who looks for them: `DEBUG`.
    Debug,
    /// For the server's log: `LOG`.
    Log,
    /// What the client asked to be told: `INFO`.
    Info,
    /// What may help: `NOTICE`.
    Notice,
    /// A likely mistake: `WARNING`.
    Warning,
    /// The statement has failed: `ERROR`.
    Error,
    /// The connection is over: `FATAL`.
    Fatal,
    /// All connections are over: `PANIC`.
    Panic,
}

impl Severity {
    /// Reads the word of field `V`, which is in English whatever the session's language.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"DEBUG" => Self::Debug,
            b"LOG" => Self::Log,
            b"INFO" => Self::Info,
            b"NOTICE" => Self::Notice,
            b"WARNING" => Self::Warning,
            b"ERROR" => Self::Error,
            b"FATAL" => Self::Fatal,
            b"PANIC" => Self::Panic,
            _ => return None,
        })
    }

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Log => "LOG",
            Self::Info => "INFO",
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Panic => "PANIC",
        }
    }

    /// Whether the server closes the connection behind it.
    pub const fn ends_connection(self) -> bool {
        matches!(self, Self::Fatal | Self::Panic)
    }
}

/// The fields of an error or a notice: an iterator over their kind and text.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    fields: Reader<'a>,
}

impl<'a> Fields<'a> {
    /// Reads the body of an ErrorResponse or a NoticeResponse.
    ///
    /// # Errors
    /// When a field is cut short, or the list does not end with the message.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let fields = Self::of_head(body);
        let mut reader = fields.fields;
        while reader.u8()? != 0 {
            reader.nul_bytes()?;
        }
        reader.end()?;
        Ok(fields)
    }

    /// Takes what there is of a body that is not whole: the fields that end in it. Severity and
    /// code come first in what PostgreSQL sends.
    pub const fn of_head(body: &'a [u8]) -> Self {
        Self { fields: Reader::new("ErrorResponse or NoticeResponse", body) }
    }

    /// The text of the first field of that kind.
    pub fn field(&self, kind: u8) -> Option<&'a [u8]> {
        let mut fields = *self;
        fields.find(|(candidate, _)| *candidate == kind).map(|(_, text)| text)
    }

    /// How bad it is: `V`, or for servers before 9.6 `S`, if that is in English. `None` for words
    /// that the manual does not have.
    pub fn severity(&self) -> Option<Severity> {
        self.field(b'V').or_else(|| self.field(b'S')).and_then(Severity::from_name)
    }

    /// The SQLSTATE, if there is one of five bytes.
    pub fn code(&self) -> Option<[u8; 5]> {
        self.field(b'C')?.try_into().ok()
    }

    /// What happened.
    pub fn message(&self) -> Option<&'a [u8]> {
        self.field(b'M')
    }

    /// More about it.
    pub fn detail(&self) -> Option<&'a [u8]> {
        self.field(b'D')
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'a [u8]> {
        self.field(b'H')
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut ahead = self.fields;
        let kind = ahead.u8().ok().filter(|&kind| kind != 0)?;
        let text = ahead.nul_bytes().ok()?;
        self.fields = ahead;
        Some((kind, text))
    }
}

/// What an error or a notice of our own says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice<'a> {
    /// How bad it is.
    pub severity: Severity,
    /// The SQLSTATE.
    pub code: [u8; 5],
    /// What happened.
    pub message: &'a [u8],
    /// More about it.
    pub detail: Option<&'a [u8]>,
    /// What to do about it.
    pub hint: Option<&'a [u8]>,
}

/// Appends an ErrorResponse.
pub fn put_error(out: &mut BytesMut, notice: &Notice<'_>) {
    write_message(out, Kind::ErrorResponse.byte(), |out| put_fields(out, notice));
}

/// Appends a NoticeResponse.
pub fn put_notice(out: &mut BytesMut, notice: &Notice<'_>) {
    write_message(out, Kind::NoticeResponse.byte(), |out| put_fields(out, notice));
}

fn put_fields(out: &mut BytesMut, notice: &Notice<'_>) {
    let severity = Some(notice.severity.name().as_bytes());
    let fields = [
        (b'S', severity),
        (b'V', severity),
        (b'C', Some(&notice.code[..])),
        (b'M', Some(notice.message)),
        (b'D', notice.detail),
        (b'H', notice.hint),
    ];
    for (kind, text) in fields {
        if let Some(text) = text {
            out.put_u8(kind);
            put_nul_bytes(out, text);
        }
    }
    out.put_u8(0);
}
