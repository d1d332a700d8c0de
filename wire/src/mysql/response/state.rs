//! Changes of session state, which ride in OK packets.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html#sect_protocol_basic_ok_packet_sessinfo>

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::super::frame::{put_lenenc, put_lenenc_bytes};
use crate::{Malformed, Reader};

/// The changes that one OK packet reports: an iterator. After a malformed one it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionState<'a> {
    rest: &'a [u8],
}

/// One change of the session's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateChange<'a> {
    /// A system variable that the session tracks has this value now.
    SystemVariable {
        /// Its name, without `@@`.
        name: &'a [u8],
        /// Its value, as text.
        value: &'a [u8],
    },
    /// This database is selected now; empty if none.
    Schema(&'a [u8]),
    /// Whether anything was changed that would be lost with the session.
    Changed(bool),
    /// The GTIDs of what was committed (MySQL).
    Gtids(&'a [u8]),
    /// The SQL that would start the current transaction again; empty if none is open.
    TransactionCharacteristics(&'a [u8]),
    /// What the current transaction has done so far.
    TransactionState(TransactionState),
    /// A kind that is not known here.
    Other {
        /// Its number.
        kind: u8,
        /// What it says.
        data: &'a [u8],
    },
}

impl<'a> SessionState<'a> {
    const SYSTEM_VARIABLES: u8 = 0;
    const SCHEMA: u8 = 1;
    const STATE_CHANGE: u8 = 2;
    const GTIDS: u8 = 3;
    const TRANSACTION_CHARACTERISTICS: u8 = 4;
    const TRANSACTION_STATE: u8 = 5;

    /// Takes the block as it stands in an OK packet, without its length.
    pub const fn new(block: &'a [u8]) -> Self {
        Self { rest: block }
    }

    /// Appends the block of one change, without its length: this database is selected now.
    pub fn put_schema(out: &mut BytesMut, name: &[u8]) {
        let mut data = BytesMut::new();
        put_lenenc_bytes(&mut data, name);
        out.put_u8(Self::SCHEMA);
        put_lenenc_bytes(out, &data);
    }

    /// Whether no change is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The block that is left.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.rest
    }

    /// Appends the blocks, without a length in front, of those changes that `keep` returns true for.
    /// It ends at one that is malformed.
    pub fn put_some(mut self, out: &mut BytesMut, mut keep: impl FnMut(&StateChange<'_>) -> bool) {
        while let Ok(Some((kind, data))) = self.item() {
            if StateChange::parse(kind, data).is_ok_and(|change| keep(&change)) {
                out.put_u8(kind);
                put_lenenc_bytes(out, data);
            }
        }
    }

    /// Appends the block, length in front, with those changes that `keep` returns true for. Returns
    /// whether there are any; if not, what was appended is an empty block.
    pub(super) fn put_kept(
        self,
        out: &mut BytesMut,
        keep: &mut impl FnMut(&StateChange<'_>) -> bool,
    ) -> bool {
        let start = out.len();
        self.put_some(out, keep);
        // Only now is the length known: append it, and rotate it to the front.
        let end = out.len();
        put_lenenc(out, (end - start) as u64);
        let prefix = out.len() - end;
        out[start..].rotate_right(prefix);
        end > start
    }

    fn item(&mut self) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut reader = Reader::new("session state", std::mem::take(&mut self.rest));
        let item = (reader.u8()?, reader.lenenc_bytes()?);
        self.rest = reader.rest();
        Ok(Some(item))
    }
}

impl<'a> Iterator for SessionState<'a> {
    type Item = Result<StateChange<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let change = match self.item() {
            Ok(None) => return None,
            Ok(Some((kind, data))) => StateChange::parse(kind, data),
            Err(malformed) => Err(malformed),
        };
        if change.is_err() {
            self.rest = &[];
        }
        Some(change)
    }
}

impl<'a> StateChange<'a> {
    fn parse(kind: u8, data: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("session state", data);
        let change = match kind {
            SessionState::SYSTEM_VARIABLES => {
                Self::SystemVariable { name: reader.lenenc_bytes()?, value: reader.lenenc_bytes()? }
            }
            SessionState::SCHEMA => Self::Schema(reader.lenenc_bytes()?),
            SessionState::STATE_CHANGE => match reader.u8()? {
                b'0' => Self::Changed(false),
                b'1' => Self::Changed(true),
                _ => return Err(reader.err("neither changed nor not")),
            },
            SessionState::GTIDS => {
                if reader.u8()? != 0 {
                    return Err(reader.err("unknown encoding of GTIDs"));
                }
                Self::Gtids(reader.lenenc_bytes()?)
            }
            SessionState::TRANSACTION_CHARACTERISTICS => {
                Self::TransactionCharacteristics(reader.lenenc_bytes()?)
            }
            SessionState::TRANSACTION_STATE => {
                let flags = reader.lenenc_bytes()?;
                let flags = flags.try_into().map_err(|_| reader.err("not 8 flags"))?;
                Self::TransactionState(TransactionState(flags))
            }
            kind => Self::Other { kind, data: reader.rest() },
        };
        if reader.is_empty() { Ok(change) } else { Err(reader.err("bytes after the end")) }
    }
}

/// What a transaction has done so far: eight places, each a letter or `_`.
/// <https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html#sysvar_session_track_transaction_info>
///
/// `T_______` has just begun and holds nothing; `T___W___` has written and holds locks.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionState(pub [u8; 8]);

impl TransactionState {
    /// No transaction is open.
    pub const NONE: Self = Self(*b"________");

    /// Whether a transaction is open, however it began.
    pub const fn is_open(self) -> bool {
        self.0[0] != b'_'
    }

    /// Whether the transaction began with BEGIN or START TRANSACTION (`T`), not implicitly (`I`).
    pub const fn is_explicit(self) -> bool {
        self.0[0] == b'T'
    }

    /// Whether the transaction has begun and done nothing: it holds no lock and no snapshot.
    pub const fn is_untouched(self) -> bool {
        matches!(self.0, [_, b'_', b'_', b'_', b'_', b'_', _, b'_'])
    }

    /// Whether transactional tables were read (`R`) or a snapshot was taken.
    pub const fn has_read(self) -> bool {
        self.0[2] != b'_'
    }

    /// Whether transactional tables were written or locked for writing (`W`).
    pub const fn has_written(self) -> bool {
        self.0[4] != b'_'
    }

    /// Whether other tables were written (`w`): a rollback does not undo that.
    pub const fn has_written_beyond_rollback(self) -> bool {
        self.0[3] != b'_'
    }

    /// Whether tables are locked with LOCK TABLES (`L`).
    pub const fn has_locked_tables(self) -> bool {
        self.0[7] != b'_'
    }
}

impl fmt::Debug for TransactionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransactionState({})", self.0.escape_ascii())
    }
}
