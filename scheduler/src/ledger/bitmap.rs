//! A bit for each item of a chunk.

/// Which of so many items: a bit each, the first in the lowest bit of the first byte.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bitmap {
    len: u32,
    bytes: Vec<u8>,
}

impl Bitmap {
    /// None of `len` items.
    #[must_use]
    pub fn new(len: u32) -> Self {
        Self { len, bytes: vec![0; bytes_of(len)] }
    }

    /// As it was stored: what is missing at the end is zero. None where it names items beyond `len`.
    #[must_use]
    pub fn parse(len: u32, stored: &[u8]) -> Option<Self> {
        let mut bitmap = Self::new(len);
        bitmap.bytes.get_mut(..stored.len())?.copy_from_slice(stored);
        let spare = bitmap.bytes.len() as u32 * 8 - len;
        let beyond = bitmap.bytes.last().is_some_and(|last| last.leading_zeros() < spare);
        (!beyond).then_some(bitmap)
    }

    /// As it is stored, without the zeros at its end: as long as its last item needs.
    #[must_use]
    pub fn stored(&self) -> &[u8] {
        let used = self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &self.bytes[..used]
    }

    /// Notes an item; false where it was noted already or there is no such item.
    pub fn set(&mut self, item: u32) -> bool {
        let is_new = item < self.len && !self.contains(item);
        if is_new {
            self.bytes[item as usize / 8] |= 1 << (item % 8);
        }
        is_new
    }

    /// Takes an item out.
    pub fn clear(&mut self, item: u32) {
        if item < self.len {
            self.bytes[item as usize / 8] &= !(1 << (item % 8));
        }
    }

    /// Whether an item is noted.
    #[must_use]
    pub fn contains(&self, item: u32) -> bool {
        item < self.len && self.bytes[item as usize / 8] & (1 << (item % 8)) != 0
    }

    /// How many are noted.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.bytes.iter().map(|byte| byte.count_ones()).sum()
    }

    /// How many there are, noted or not.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are no items at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The items that are noted, in order.
    pub fn items(&self) -> impl Iterator<Item = u32> {
        (0..self.len).filter(|item| self.contains(*item))
    }
}

impl std::fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.count(), self.len)
    }
}

const fn bytes_of(len: u32) -> usize {
    len.div_ceil(8) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_set_of_what_was_noted(len in 0_u32..200, acts in proptest::collection::vec((any::<bool>(), 0_u32..220), 0..300)) {
            let (mut bitmap, mut model) = (Bitmap::new(len), BTreeSet::new());
            for (adds, item) in acts {
                if adds {
                    prop_assert_eq!(bitmap.set(item), item < len && model.insert(item));
                } else {
                    bitmap.clear(item);
                    model.remove(&item);
                }
            }
            prop_assert_eq!(bitmap.count() as usize, model.len());
            prop_assert_eq!(bitmap.items().collect::<BTreeSet<_>>(), model);
            prop_assert_eq!(Bitmap::parse(len, bitmap.stored()), Some(bitmap));
        }

        #[test]
        fn no_bytes_name_items_that_there_are_not(len in 0_u32..100, stored in proptest::collection::vec(any::<u8>(), 0..20)) {
            if let Some(bitmap) = Bitmap::parse(len, &stored) {
                prop_assert!(bitmap.items().all(|item| item < len));
                prop_assert_eq!(bitmap.count() as usize, bitmap.items().count());
            }
        }
    }
}
