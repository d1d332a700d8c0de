//! What a chunk is about: its items, written once, and how a batch is cut into chunks.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::error::LedgerError;
use super::schema::moment;
use super::varint;

/// A chunk has no more items. About a second of work of a batch that sends a thousand a second: so
/// much is done again at most where progress is not stored with the effect and never flushed.
pub const CHUNK_ITEMS_MAX: u32 = 1000;
/// A chunk's items have no more bytes; the cutter begins another before. Statements of a page stay
/// below what MySQL and MariaDB take by default (16 MiB) with it.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// An item has no more bytes: what is larger belongs into a table that its payload names.
pub const ITEM_BYTES_MAX: usize = 64 << 10;
/// A chunk's first and last moment are no further apart, so that who holds one holds it for seconds.
const SPAN_MAX: SignedDuration = SignedDuration::from_secs(10);

/// One thing to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Who it is for. Decimal numbers take about half their length.
    pub recipient: Vec<u8>,
    /// What the sink is given; may be empty.
    pub payload: Vec<u8>,
}

/// The items of a chunk, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub(super) items: u32,
    pub(super) bytes: Vec<u8>,
}

impl Body {
    /// Writes items down.
    ///
    /// # Errors
    /// [`LedgerError::TooLarge`] for an item or a chunk over its bound, [`LedgerError::Invalid`] for
    /// none at all.
    pub fn new(items: &[Item]) -> Result<Self, LedgerError> {
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        LedgerError::bound("items of a chunk", items.len(), CHUNK_ITEMS_MAX as usize)?;
        if items.is_empty() {
            return Err(LedgerError::invalid("chunk", "it has no items"));
        }
        let mut bytes = Vec::new();
        for item in items {
            put(&mut bytes, item)?;
        }
        LedgerError::bound("bytes of a chunk", bytes.len(), CHUNK_BYTES_MAX)?;
        Ok(Self { items: count, bytes })
    }

    /// How many bytes it takes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a body has at least one item")]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The items again. None where the bytes are damaged.
    #[must_use]
    pub fn items(&self) -> Option<Vec<Item>> {
        let mut bytes = self.bytes.as_slice();
        let items: Option<Vec<Item>> = (0..self.items).map(|_| take(&mut bytes)).collect();
        items.filter(|_| bytes.is_empty())
    }
}

fn put(out: &mut Vec<u8>, item: &Item) -> Result<(), LedgerError> {
    let len = item.recipient.len() + item.payload.len();
    LedgerError::bound("bytes of an item", len, ITEM_BYTES_MAX)?;
    match number(&item.recipient) {
        Some(number) => varint::put(out, number << 1 | 1),
        None => {
            varint::put(out, (item.recipient.len() as u64) << 1);
            out.extend(&item.recipient);
        }
    }
    varint::put(out, item.payload.len() as u64);
    out.extend(&item.payload);
    Ok(())
}

/// The number that a recipient is, where its decimal digits are exactly the recipient.
fn number(recipient: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(recipient).ok()?;
    let number: u64 = digits.parse().ok()?;
    (number < 1 << 63 && number.to_string() == digits).then_some(number)
}

fn take(bytes: &mut &[u8]) -> Option<Item> {
    let head = varint::take(bytes)?;
    let recipient = if head & 1 == 1 {
        (head >> 1).to_string().into_bytes()
    } else {
        split(bytes, head >> 1)?.to_vec()
    };
    let len = varint::take(bytes)?;
    Some(Item { recipient, payload: split(bytes, len)?.to_vec() })
}

fn split<'a>(bytes: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(taken)
}

/// A chunk to be added to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChunk {
    /// Its place in the batch, counted from 0 without a gap.
    pub seq: u32,
    /// When its first item is due: it is claimed no earlier.
    pub from: Timestamp,
    /// When its last item is due.
    pub to: Timestamp,
    /// Its items.
    pub body: Body,
}

impl NewChunk {
    /// What tells it from any other chunk with the same place.
    pub(super) fn digest(&self) -> Vec<u8> {
        let mut hasher = Sha256::new();
        hasher.update(moment(self.from).to_le_bytes());
        hasher.update(moment(self.to).to_le_bytes());
        hasher.update(self.body.items.to_le_bytes());
        hasher.update(&self.body.bytes);
        hasher.finalize().to_vec()
    }
}

/// Cuts a batch into chunks. Takes its items in the order of their moments.
#[derive(Debug, Default)]
pub struct Cutter {
    seq: u32,
    items: Vec<Item>,
    bytes: usize,
    span: Option<(Timestamp, Timestamp)>,
}

impl Cutter {
    /// Takes the next item, which is due at `moment`, and returns the chunk before it when that is
    /// over.
    ///
    /// # Errors
    /// [`LedgerError::TooLarge`] for an item over its bound, [`LedgerError::Invalid`] for one that is
    /// due before the one before it.
    pub fn push(&mut self, item: Item, moment: Timestamp) -> Result<Option<NewChunk>, LedgerError> {
        // What the codec adds: at most 5 bytes for each of the two lengths.
        let len = item.recipient.len() + item.payload.len() + 10;
        LedgerError::bound("bytes of an item", len - 10, ITEM_BYTES_MAX)?;
        let (from, to) = self.span.unwrap_or((moment, moment));
        if moment < to {
            return Err(LedgerError::invalid(
                "items",
                "they are not in the order of their moments",
            ));
        }
        let is_over = self.items.len() >= CHUNK_ITEMS_MAX as usize
            || self.bytes + len > CHUNK_BYTES_MAX
            || moment.duration_since(from) > SPAN_MAX;
        let chunk = if is_over { self.finish()? } else { None };
        self.span = Some((self.span.map_or(moment, |(from, _)| from), moment));
        self.bytes += len;
        self.items.push(item);
        Ok(chunk)
    }

    /// The last chunk; none where there were no more items.
    ///
    /// # Errors
    /// As [`Body::new`].
    pub fn finish(&mut self) -> Result<Option<NewChunk>, LedgerError> {
        let Some((from, to)) = self.span.take() else { return Ok(None) };
        let body = Body::new(&std::mem::take(&mut self.items))?;
        let chunk = NewChunk { seq: self.seq, from, to, body };
        self.seq += 1;
        self.bytes = 0;
        Ok(Some(chunk))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item() -> impl Strategy<Value = Item> {
        let recipient = prop_oneof![
            any::<u64>().prop_map(|number| number.to_string().into_bytes()),
            "0[0-9]{0,3}|[a-z]{0,8}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..12),
        ];
        let payload = proptest::collection::vec(any::<u8>(), 0..40);
        (recipient, payload).prop_map(|(recipient, payload)| Item { recipient, payload })
    }

    proptest! {
        #[test]
        fn items_come_back(items in proptest::collection::vec(item(), 1..50)) {
            prop_assert_eq!(Body::new(&items).unwrap().items(), Some(items));
        }

        #[test]
        fn no_bytes_make_a_body_panic(items in 0_u32..50, bytes: Vec<u8>) {
            let _ = Body { items, bytes }.items();
        }

        #[test]
        fn a_batch_is_cut_without_a_loss(sizes in proptest::collection::vec((0_usize..3, 0_i64..4), 0..3000)) {
            let mut cutter = Cutter::default();
            let (mut chunks, mut at, mut items) = (Vec::new(), 0, Vec::new());
            for (index, (size, step)) in sizes.iter().enumerate() {
                at += step * 100;
                let payload = vec![0; [0, 100, 5000][*size]];
                let item = Item { recipient: index.to_string().into_bytes(), payload };
                items.push(item.clone());
                chunks.extend(cutter.push(item, Timestamp::from_millisecond(at).unwrap()).unwrap());
            }
            chunks.extend(cutter.finish().unwrap());
            prop_assert!(chunks.iter().enumerate().all(|(seq, chunk)| chunk.seq as usize == seq));
            prop_assert!(chunks.iter().all(|chunk| chunk.to.duration_since(chunk.from) <= SPAN_MAX));
            prop_assert!(chunks.is_sorted_by(|one, next| one.to <= next.from));
            let cut: Vec<Item> = chunks.iter().flat_map(|chunk| chunk.body.items().unwrap()).collect();
            prop_assert_eq!(cut, items);
        }
    }

    #[test]
    fn a_million_numbers_take_five_bytes_each() {
        let items: Vec<Item> = (9_999_000..10_000_000_u32)
            .map(|id| Item { recipient: id.to_string().into_bytes(), payload: Vec::new() })
            .collect();
        assert_eq!(Body::new(&items).unwrap().bytes.len(), 5000);
    }

    #[test]
    fn what_is_too_large_is_told_with_its_bound() {
        let item = Item { recipient: b"a".to_vec(), payload: vec![0; ITEM_BYTES_MAX] };
        let error = Cutter::default().push(item, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(error.to_string(), "65537 bytes of an item: at most 65536 are taken");
    }
}
