//! Rows, and what describes them.

use bytes::{BufMut, BytesMut};

use super::super::frame::{put_count, put_nul_bytes, write_message};
use super::super::list::{Format, Types, Values, put_types, put_value, put_values, value};
use super::Kind;
use crate::{Malformed, Reader};

/// One column of a result.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-ROWDESCRIPTION>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The OID of the table it is of; 0 if of none.
    pub table: u32,
    /// Its number in that table; 0 if of none.
    pub attribute: u16,
    /// The OID of its type.
    pub type_oid: u32,
    /// Bytes of a value; negative if they vary.
    pub type_len: i16,
    /// What the type was declared with, as `varchar(10)` is; -1 if with nothing.
    pub modifier: i32,
    /// How values are written. Of a statement that is described it is not known yet: text.
    pub format: Format,
}

impl<'a> Column<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            name: reader.nul_bytes()?,
            table: reader.u32_be()?,
            attribute: reader.u16_be()?,
            type_oid: reader.u32_be()?,
            type_len: i16::from_be_bytes(reader.array()?),
            modifier: reader.i32_be()?,
            format: reader.u16_be()?.try_into()?,
        })
    }

    fn put(&self, out: &mut BytesMut) {
        put_nul_bytes(out, self.name);
        out.put_u32(self.table);
        out.put_u16(self.attribute);
        out.put_u32(self.type_oid);
        out.put_i16(self.type_len);
        out.put_i32(self.modifier);
        out.put_u16(self.format.code());
    }
}

/// The columns of a RowDescription: an iterator.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    columns: Reader<'a>,
    count: usize,
}

impl<'a> Columns<'a> {
    /// Reads the body of a RowDescription.
    ///
    /// # Errors
    /// When it is cut short or goes on behind its end.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("RowDescription", body);
        let count = reader.u16_be()?.into();
        let columns = reader;
        for _ in 0..count {
            Column::read(&mut reader)?;
        }
        reader.end()?;
        Ok(Self { columns, count })
    }
}

impl<'a> Iterator for Columns<'a> {
    type Item = Column<'a>;

    fn next(&mut self) -> Option<Column<'a>> {
        self.count = self.count.checked_sub(1)?;
        Column::read(&mut self.columns).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl ExactSizeIterator for Columns<'_> {}

/// Appends a RowDescription of at most 65,535 columns.
pub fn put_row_description(out: &mut BytesMut, columns: &[Column<'_>]) {
    write_message(out, Kind::RowDescription.byte(), |out| {
        put_count(out, columns.len());
        columns.iter().for_each(|column| column.put(out));
    });
}

/// Reads the body of a DataRow: one value for each column.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-DATAROW>
///
/// # Errors
/// When it is cut short or goes on behind its end.
pub fn data_row(body: &[u8]) -> Result<Values<'_>, Malformed> {
    let mut reader = Reader::new("DataRow", body);
    let values = Values::read(&mut reader)?;
    reader.end()?;
    Ok(values)
}

/// Appends a DataRow of at most 65,535 values.
pub fn put_data_row(out: &mut BytesMut, values: &[Option<&[u8]>]) {
    write_message(out, Kind::DataRow.byte(), |out| put_values(out, values));
}

/// Reads the body of a ParameterDescription: the types of a statement's parameters.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-PARAMETERDESCRIPTION>
///
/// # Errors
/// When it is cut short or goes on behind its end.
pub fn parameter_types(body: &[u8]) -> Result<Types<'_>, Malformed> {
    let mut reader = Reader::new("ParameterDescription", body);
    let types = Types::read(&mut reader)?;
    reader.end()?;
    Ok(types)
}

/// Appends a ParameterDescription of at most 65,535 types.
pub fn put_parameter_description(out: &mut BytesMut, types: &[u32]) {
    write_message(out, Kind::ParameterDescription.byte(), |out| put_types(out, types));
}

/// What a function returned.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-FUNCTIONCALLRESPONSE>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionCallResponse<'a> {
    /// `None` is NULL.
    pub value: Option<&'a [u8]>,
}

impl<'a> FunctionCallResponse<'a> {
    /// Reads the body of a FunctionCallResponse.
    ///
    /// # Errors
    /// When it is cut short or goes on behind its end.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("FunctionCallResponse", body);
        let response = Self { value: value(&mut reader)? };
        reader.end()?;
        Ok(response)
    }

    /// Appends it as a message.
    pub fn put(&self, out: &mut BytesMut) {
        write_message(out, Kind::FunctionCallResponse.byte(), |out| put_value(out, self.value));
    }
}
