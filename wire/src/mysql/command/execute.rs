//! COM_STMT_EXECUTE and MariaDB's COM_STMT_BULK_EXECUTE: run a prepared statement.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html>
//!
//! The types of the parameters are sent once and remembered by the server, per statement and
//! connection. On another connection they must be sent again: so a proxy has to remember the type
//! block that it saw last, and put it into an EXECUTE that came without.

use std::ops::Range;

use bytes::{BufMut, BytesMut};

use super::super::capability::Capabilities;
use super::{Command, Parameter};
use crate::{Malformed, Reader};

/// A COM_STMT_EXECUTE, borrowed. The values of its parameters are not decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StmtExecute<'a> {
    /// The statement, or [`super::LAST_PREPARED`].
    pub statement: u32,
    /// Cursor type and, in [`Self::PARAMETER_COUNT_AVAILABLE`], a mark of query attributes.
    pub flags: u8,
    /// How many parameters the payload carries, query attributes included.
    pub params: usize,
    payload: &'a [u8],
    /// The flag that says whether types follow, and the types; both absent without parameters.
    types: Option<Types>,
}

/// Where the types of the parameters stand in a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Types {
    /// Which parameters are NULL, a bit each.
    nulls: Range<usize>,
    /// Whether each type has a name behind it.
    named: bool,
    /// The byte that says whether the block is there.
    flag: usize,
    /// The block; empty and right after the flag when it is not there.
    block: Range<usize>,
}

impl<'a> StmtExecute<'a> {
    /// In `flags`: rows are not sent, but left in a cursor for COM_STMT_FETCH.
    pub const CURSOR_READ_ONLY: u8 = 1;
    /// In `flags`: with `QUERY_ATTRIBUTES`, a count of parameters follows even if there are none.
    pub const PARAMETER_COUNT_AVAILABLE: u8 = 8;

    /// Reads a payload, command byte included. `param_count` is what the reply to PREPARE said.
    ///
    /// # Errors
    /// When it is another command, or cut short before the values.
    pub fn parse(
        payload: &'a [u8],
        param_count: u16,
        caps: Capabilities,
    ) -> Result<Self, Malformed> {
        let mut reader = Reader::new("COM_STMT_EXECUTE", payload);
        if reader.u8()? != Command::StmtExecute as u8 {
            return Err(reader.err("another command"));
        }
        let (statement, flags, _iterations) = (reader.u32()?, reader.u8()?, reader.u32()?);
        let attributes = caps.contains(Capabilities::QUERY_ATTRIBUTES);
        let counted =
            attributes && (param_count > 0 || flags & Self::PARAMETER_COUNT_AVAILABLE != 0);
        let params = if counted {
            usize::try_from(reader.lenenc()?)
                .ok()
                .filter(|&count| count / 8 <= reader.remaining())
                .ok_or(reader.err("more parameters than bytes"))?
        } else {
            param_count.into()
        };
        let types =
            if params == 0 { None } else { Some(Types::read(&mut reader, params, attributes)?) };
        Ok(Self { statement, flags, params, payload, types })
    }

    /// The block of parameter types, with their names if `QUERY_ATTRIBUTES` is negotiated. `None`
    /// when the client relies on types that it sent before, or there are no parameters.
    pub fn types(&self) -> Option<&'a [u8]> {
        self.types
            .as_ref()
            .filter(|types| self.payload[types.flag] == 1)
            .map(|types| &self.payload[types.block.clone()])
    }

    /// Whether the client relies on types that it sent before: on a connection where it did not,
    /// the server cannot read the values.
    pub fn needs_types(&self) -> bool {
        self.params > 0 && self.types().is_none()
    }

    /// Type and flags of each parameter in order, `None` for NULL; types that are missing are taken
    /// from `before`, a block that [`Self::types`] returned for an earlier EXECUTE. Ends where there
    /// is no type.
    pub fn kinds(&self, before: &'a [u8]) -> impl Iterator<Item = Option<[u8; 2]>> + use<'a> {
        let (nulls, named) = match &self.types {
            Some(types) => (&self.payload[types.nulls.clone()], types.named),
            None => (&self.payload[..0], false),
        };
        let mut reader = Reader::new("COM_STMT_EXECUTE", self.types().unwrap_or(before));
        let params = self.params;
        (0..params).map_while(move |param| {
            let kind = [reader.u8().ok()?, reader.u8().ok()?];
            if named {
                reader.lenenc_bytes().ok()?;
            }
            let is_null = nulls.get(param / 8).is_some_and(|byte| byte >> (param % 8) & 1 == 1);
            Some((!is_null).then_some(kind))
        })
    }

    /// The values of the parameters in order, `None` for NULL; types that are missing are taken from
    /// `before`, as in [`Self::kinds`]. Ends where one cannot be read. Values that were sent ahead
    /// (COM_STMT_SEND_LONG_DATA) are not among them: behind such a one nothing is where it seems.
    pub fn parameters(&self, before: &'a [u8]) -> impl Iterator<Item = Option<Parameter<'a>>> {
        let from = self.types.as_ref().map_or(self.payload.len(), |types| types.block.end);
        let mut reader = Reader::new("COM_STMT_EXECUTE", &self.payload[from..]);
        self.kinds(before).map_while(move |kind| match kind {
            None => Some(None),
            Some(kind) => Parameter::read(&mut reader, kind).ok(),
        })
    }

    /// The query attributes that follow the statement's own `param_count` parameters: name and value
    /// of each that is text. None where the client relies on types that it sent before: the names
    /// are with the types.
    pub fn attributes(&self, param_count: u16) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let own = usize::from(param_count);
        let block = self.types().filter(|_| self.params > own).unwrap_or_default();
        let mut names = Reader::new("COM_STMT_EXECUTE", block);
        let names = std::iter::from_fn(move || {
            names.skip(2).ok()?;
            names.lenenc_bytes().ok()
        });
        names.zip(self.parameters(b"")).skip(own).filter_map(|(name, value)| match value {
            Some(Parameter::Bytes(value)) => Some((name, value)),
            _ => None,
        })
    }

    /// Whether rows are left in a cursor.
    pub const fn opens_cursor(&self) -> bool {
        self.flags & !Self::PARAMETER_COUNT_AVAILABLE != 0
    }

    /// Appends the payload to `out`, with `types` (a block that [`Self::types`] returned for an
    /// earlier EXECUTE) put in where it has none.
    pub fn with_types(&self, types: &[u8], out: &mut BytesMut) {
        match &self.types {
            Some(place) if self.needs_types() => {
                out.put_slice(&self.payload[..place.flag]);
                out.put_u8(1);
                out.put_slice(types);
                out.put_slice(&self.payload[place.block.end..]);
            }
            _ => out.put_slice(self.payload),
        }
    }
}

impl Types {
    /// Reads the NULL bitmap, the flag and the block.
    fn read(reader: &mut Reader<'_>, params: usize, named: bool) -> Result<Self, Malformed> {
        let nulls = reader.position();
        reader.skip(params.div_ceil(8))?;
        let flag = reader.position();
        let sent = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(reader.err("neither types nor none")),
        };
        let start = reader.position();
        match (sent, named) {
            (false, _) => {}
            (true, false) => reader.skip(params.saturating_mul(2))?,
            (true, true) => {
                for _ in 0..params {
                    reader.skip(2)?;
                    reader.lenenc_bytes()?;
                }
            }
        }
        Ok(Self { nulls: nulls..flag, named, flag, block: start..reader.position() })
    }
}

/// A COM_STMT_BULK_EXECUTE of MariaDB, borrowed: one statement over many sets of parameters.
/// <https://mariadb.com/docs/server/reference/clientserver-protocol/3-binary-protocol-prepared-statements/com_stmt_bulk_execute>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StmtBulkExecute<'a> {
    /// The statement, or [`super::LAST_PREPARED`].
    pub statement: u32,
    /// Options; [`Self::SENDS_TYPES`] is one.
    pub flags: u16,
    payload: &'a [u8],
    types: Range<usize>,
}

impl<'a> StmtBulkExecute<'a> {
    /// In `flags`: generated ids are returned as a result set.
    pub const RETURNS_IDS: u16 = 64;
    /// In `flags`: the block of parameter types follows.
    pub const SENDS_TYPES: u16 = 128;

    /// Reads a payload, command byte included. `param_count` is what the reply to PREPARE said.
    ///
    /// # Errors
    /// When it is another command, or cut short before the values.
    pub fn parse(payload: &'a [u8], param_count: u16) -> Result<Self, Malformed> {
        let mut reader = Reader::new("COM_STMT_BULK_EXECUTE", payload);
        if reader.u8()? != Command::StmtBulkExecute as u8 {
            return Err(reader.err("another command"));
        }
        let (statement, flags) = (reader.u32()?, reader.u16()?);
        let start = reader.position();
        if flags & Self::SENDS_TYPES != 0 {
            reader.skip(usize::from(param_count) * 2)?;
        }
        Ok(Self { statement, flags, payload, types: start..reader.position() })
    }

    /// The block of parameter types, `None` when the client relies on types that it sent before.
    pub fn types(&self) -> Option<&'a [u8]> {
        (self.flags & Self::SENDS_TYPES != 0).then(|| &self.payload[self.types.clone()])
    }

    /// Appends the payload to `out`, with `types` put in where it has none.
    pub fn with_types(&self, types: &[u8], out: &mut BytesMut) {
        if self.types().is_some() {
            return out.put_slice(self.payload);
        }
        out.put_slice(&self.payload[..5]);
        out.put_u16_le(self.flags | Self::SENDS_TYPES);
        out.put_slice(types);
        out.put_slice(&self.payload[self.types.end..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Capabilities = Capabilities(0);
    const NAMED: Capabilities = Capabilities::QUERY_ATTRIBUTES;

    /// Statement 2, two parameters: LONGLONG 7 and VAR_STRING "ab"; types sent, then relied upon.
    const FIRST: &[u8] = b"\x17\x02\0\0\0\0\x01\0\0\0\0\x01\x08\0\xFD\0\x07\0\0\0\0\0\0\0\x02ab";
    const AGAIN: &[u8] = b"\x17\x02\0\0\0\0\x01\0\0\0\0\0\x07\0\0\0\0\0\0\0\x02ab";

    #[test]
    fn types_sent_once_are_put_into_an_execute_without() {
        let first = StmtExecute::parse(FIRST, 2, PLAIN).unwrap();
        assert_eq!((first.statement, first.params, first.needs_types()), (2, 2, false));
        let types = first.types().unwrap();
        assert_eq!(types, b"\x08\0\xFD\0");
        let values = [Some(Parameter::Signed(7)), Some(Parameter::Bytes(b"ab"))];
        assert!(first.parameters(b"").eq(values));

        let again = StmtExecute::parse(AGAIN, 2, PLAIN).unwrap();
        assert_eq!((again.types(), again.needs_types()), (None, true));
        assert!(again.parameters(types).eq(values));
        assert_eq!(again.parameters(b"").count(), 0, "their types are not known");
        let mut out = BytesMut::new();
        again.with_types(types, &mut out);
        assert_eq!(&out[..], FIRST);
    }

    #[test]
    fn kinds_are_those_sent_or_those_of_before_and_none_for_null() {
        let kinds = |payload, params, caps, before: &[u8]| {
            let execute = StmtExecute::parse(payload, params, caps).unwrap();
            execute.kinds(before).collect::<Vec<_>>()
        };
        let (number, text) = (Some([8, 0]), Some([253, 0]));
        assert_eq!(kinds(FIRST, 2, PLAIN, b""), [number, text]);
        assert_eq!(kinds(AGAIN, 2, PLAIN, b"\x08\0\xFD\0"), [number, text]);
        assert_eq!(kinds(AGAIN, 2, PLAIN, b"\x08\0\xFD"), [number]);
        let null = b"\x17\x02\0\0\0\0\x01\0\0\0\x01\x01\x08\0\xFD\0\x02ab";
        assert_eq!(kinds(null, 2, PLAIN, b""), [None, text]);
        let named = b"\x17\x02\0\0\0\x08\x01\0\0\0\x02\0\x01\x08\0\x01a\xFD\0\x03tag";
        assert_eq!(kinds(named, 1, NAMED, b""), [number, text]);
        assert_eq!(kinds(b"\x17\x02\0\0\0\0\x01\0\0\0", 0, PLAIN, b""), []);
    }

    #[test]
    fn attributes_follow_the_parameters() {
        let named = b"\x17\x02\0\0\0\x08\x01\0\0\0\x03\0\x01\
                      \xFD\0\0\xFD\0\x03tag\x08\0\x01n\x02ab\x01x\x07\0\0\0\0\0\0\0";
        let execute = StmtExecute::parse(named, 1, NAMED).unwrap();
        assert_eq!(execute.attributes(1).collect::<Vec<_>>(), [(&b"tag"[..], &b"x"[..])]);
        // All three are the statement's own.
        assert_eq!(execute.attributes(3).count(), 0);
        assert_eq!(StmtExecute::parse(FIRST, 2, PLAIN).unwrap().attributes(2).count(), 0);
        assert_eq!(StmtExecute::parse(FIRST, 1, PLAIN).unwrap().attributes(1).count(), 0);
    }

    #[test]
    fn an_execute_that_has_types_stays_as_it_is() {
        let mut out = BytesMut::new();
        StmtExecute::parse(FIRST, 2, PLAIN).unwrap().with_types(b"other", &mut out);
        assert_eq!(&out[..], FIRST);
    }

    #[test]
    fn an_execute_without_parameters_has_no_types() {
        let payload = b"\x17\x02\0\0\0\x01\x01\0\0\0";
        for caps in [PLAIN, NAMED] {
            let execute = StmtExecute::parse(payload, 0, caps).unwrap();
            assert!(execute.opens_cursor());
            assert_eq!((execute.types(), execute.needs_types()), (None, false));
            let mut out = BytesMut::new();
            execute.with_types(b"", &mut out);
            assert_eq!(&out[..], payload);
        }
    }

    #[test]
    fn with_query_attributes_the_payload_counts_and_names_its_parameters() {
        let first = b"\x17\x02\0\0\0\x08\x01\0\0\0\x02\0\x01\xFD\0\0\xFD\0\x03tag\x01a\x01b";
        let again = b"\x17\x02\0\0\0\x08\x01\0\0\0\x02\0\0\x01a\x01b";
        let execute = StmtExecute::parse(first, 1, NAMED).unwrap();
        assert_eq!((execute.params, execute.opens_cursor()), (2, false));
        let types = execute.types().unwrap();
        assert_eq!(types, b"\xFD\0\0\xFD\0\x03tag");
        let mut out = BytesMut::new();
        StmtExecute::parse(again, 1, NAMED).unwrap().with_types(types, &mut out);
        assert_eq!(&out[..], first);
    }

    #[test]
    fn attributes_may_come_with_a_statement_that_has_no_parameters() {
        let payload = b"\x17\x02\0\0\0\x08\x01\0\0\0\x01\0\x01\xFD\0\x03tag\x01b";
        assert_eq!(StmtExecute::parse(payload, 0, NAMED).unwrap().params, 1);
    }

    #[test]
    fn every_cut_before_the_values_is_malformed() {
        for len in 0..16 {
            assert!(StmtExecute::parse(&FIRST[..len], 2, PLAIN).is_err(), "{len} bytes");
        }
        assert!(
            StmtExecute::parse(b"\x17\x02\0\0\0\0\x01\0\0\0\0\x02\x08\0\xFD\0", 2, PLAIN).is_err()
        );
        let huge = b"\x17\x02\0\0\0\x08\x01\0\0\0\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\x01";
        assert!(StmtExecute::parse(huge, 1, NAMED).is_err());
    }

    #[test]
    fn bulk_types_are_remembered_the_same_way() {
        let first = b"\xFA\x02\0\0\0\x80\0\x08\0\0\x07\0\0\0\0\0\0\0";
        let again = b"\xFA\x02\0\0\0\0\0\0\x07\0\0\0\0\0\0\0";
        let types = StmtBulkExecute::parse(first, 1).unwrap().types().unwrap();
        assert_eq!(types, b"\x08\0");
        let bulk = StmtBulkExecute::parse(again, 1).unwrap();
        assert_eq!((bulk.statement, bulk.types()), (2, None));
        let mut out = BytesMut::new();
        bulk.with_types(types, &mut out);
        assert_eq!(&out[..], first);
        assert!(StmtBulkExecute::parse(&first[..8], 1).is_err());
    }
}
