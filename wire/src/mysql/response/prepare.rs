use super::super::capability::Capabilities;
use super::OK;
use crate::{Malformed, Reader};

/// The head of the reply to COM_STMT_PREPARE.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_prepare.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrepareOk {
    /// The statement's id on this connection.
    pub statement: u32,
    /// How many columns its result has; 0 if it has none.
    pub columns: u16,
    /// How many parameters it takes.
    pub params: u16,
    /// How many warnings SHOW WARNINGS would list.
    pub warnings: u16,
    /// Whether definitions of parameters and columns follow.
    pub metadata: Metadata,
}

/// Whether definitions follow a count of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    /// As many definitions follow as were counted.
    Full,
    /// The client knows them or does not want to.
    Omitted,
}

impl Metadata {
    /// Reads the byte that says so, which is there only if such a capability is negotiated.
    pub(in crate::mysql) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.u8()? {
            0 => Ok(Self::Omitted),
            1 => Ok(Self::Full),
            _ => Err(reader.err("neither full nor no metadata")),
        }
    }
}

impl PrepareOk {
    /// Reads a payload that starts with [`OK`].
    ///
    /// # Errors
    /// When it is another packet, or its length is odd.
    pub fn parse(payload: &[u8], caps: Capabilities) -> Result<Self, Malformed> {
        let mut reader = Reader::new("COM_STMT_PREPARE_OK", payload);
        if reader.u8()? != OK {
            return Err(reader.err("not an OK packet"));
        }
        let (statement, columns, params) = (reader.u32()?, reader.u16()?, reader.u16()?);
        reader.skip(1)?;
        let warnings = reader.u16()?;
        let metadata = if caps.contains(Capabilities::OPTIONAL_RESULTSET_METADATA) {
            Metadata::read(&mut reader)?
        } else {
            Metadata::Full
        };
        let packet = Self { statement, columns, params, warnings, metadata };
        if reader.is_empty() { Ok(packet) } else { Err(reader.err("bytes after the end")) }
    }

    /// Puts another statement's id into such a payload.
    ///
    /// # Errors
    /// When it does not start with [`OK`] and an id; the payload is unchanged then.
    pub fn set_statement(payload: &mut [u8], id: u32) -> Result<(), Malformed> {
        let mut reader = Reader::new("COM_STMT_PREPARE_OK", payload);
        if reader.u8()? != OK {
            return Err(reader.err("not an OK packet"));
        }
        reader.u32()?;
        payload[1..5].copy_from_slice(&id.to_le_bytes());
        Ok(())
    }
}
