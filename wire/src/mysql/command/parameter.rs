//! The value of a parameter in its binary form.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html#sect_protocol_binary_resultset_row_value>

use crate::{Malformed, Reader};

/// The value of a parameter. What is neither a number nor text is told as its bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Parameter<'a> {
    /// A whole number with a sign.
    Signed(i64),
    /// A whole number without.
    Unsigned(u64),
    /// FLOAT, DOUBLE.
    Real(f64),
    /// Text, decimals, bytes; dates and times without their length.
    Bytes(&'a [u8]),
}

/// In the second byte of a type: the number has no sign.
const UNSIGNED: u8 = 0x80;

impl<'a> Parameter<'a> {
    /// Reads a value of this type (a type and its flags). `None` for the type that has none, NULL.
    pub(super) fn read(
        reader: &mut Reader<'a>,
        [kind, flags]: [u8; 2],
    ) -> Result<Option<Self>, Malformed> {
        let is_unsigned = flags & UNSIGNED != 0;
        let whole = |signed: i64, unsigned: u64| match is_unsigned {
            true => Self::Unsigned(unsigned),
            false => Self::Signed(signed),
        };
        Ok(Some(match kind {
            // TINY
            1 => {
                let [byte] = reader.array()?;
                whole(i8::from_le_bytes([byte]).into(), byte.into())
            }
            // SHORT, YEAR
            2 | 13 => {
                let bytes = reader.array()?;
                whole(i16::from_le_bytes(bytes).into(), u16::from_le_bytes(bytes).into())
            }
            // LONG, INT24
            3 | 9 => {
                let bytes = reader.array()?;
                whole(i32::from_le_bytes(bytes).into(), u32::from_le_bytes(bytes).into())
            }
            // LONGLONG
            8 => {
                let bytes = reader.array()?;
                whole(i64::from_le_bytes(bytes), u64::from_le_bytes(bytes))
            }
            // FLOAT, DOUBLE
            4 => Self::Real(f32::from_le_bytes(reader.array()?).into()),
            5 => Self::Real(f64::from_le_bytes(reader.array()?)),
            // NULL
            6 => return Ok(None),
            // TIMESTAMP, DATE, TIME, DATETIME, NEWDATE
            7 | 10..=12 | 14 => {
                let len = reader.u8()?;
                Self::Bytes(reader.bytes(len.into())?)
            }
            // DECIMAL, VARCHAR, BIT; JSON, NEWDECIMAL and all that are text or bytes
            0 | 15 | 16 | 245..=255 => Self::Bytes(reader.lenenc_bytes()?),
            _ => return Err(reader.err("a type that no parameter has")),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_types_are_read_one_behind_the_other() {
        let bytes = b"\xff\xff\xff\xff\x07\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\
                      \0\0\x28\x41\0\0\0\0\0\0\x1c\xc0\x04\xe6\x07\x06\x1b\x02ab";
        let mut reader = Reader::new("values", bytes);
        let mut next = |kind, flags| Parameter::read(&mut reader, [kind, flags]).unwrap();
        assert_eq!(next(1, 0), Some(Parameter::Signed(-1)));
        assert_eq!(next(1, UNSIGNED), Some(Parameter::Unsigned(255)));
        assert_eq!(next(2, UNSIGNED), Some(Parameter::Unsigned(65_535)));
        assert_eq!(next(3, 0), Some(Parameter::Signed(7)));
        assert_eq!(next(6, 0), None);
        assert_eq!(next(8, 0), Some(Parameter::Signed(-1)));
        assert_eq!(next(4, 0), Some(Parameter::Real(10.5)));
        assert_eq!(next(5, 0), Some(Parameter::Real(-7.0)));
        assert_eq!(next(10, 0), Some(Parameter::Bytes(b"\xe6\x07\x06\x1b")));
        assert_eq!(next(253, 0), Some(Parameter::Bytes(b"ab")));
        assert!(Parameter::read(&mut reader, [253, 0]).is_err());
        assert!(Parameter::read(&mut reader, [99, 0]).is_err());
    }
}
