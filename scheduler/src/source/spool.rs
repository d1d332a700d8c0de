//! Items on their way into a batch: in a file as they come, ranked in memory by 24 bytes each.
//!
//! A batch is cut by rank, so all its recipients must be known before the first chunk is. The file is
//! without a name and gone when it is closed, also when the process is killed.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use policy::spread::place::{Place, Salt};

use super::{ITEMS_MAX, SourceError};
use crate::ledger::Item;

/// What is written at once.
const BUFFER: usize = 1 << 20;

/// Items as they come.
#[derive(Debug)]
pub struct Spool {
    file: BufWriter<File>,
    salt: Salt,
    entries: Vec<Entry>,
    len: u64,
}

/// An item in the file. Ordered by place, then as they came. (Two recipients with one place, by the odds of
/// one in 2^64, would be told apart by their bytes in `policy::spread::place::order`.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    place: Place,
    offset: u64,
    recipient: u32,
    payload: u32,
}

/// Items by rank.
#[derive(Debug)]
pub struct Ranked {
    file: File,
    entries: Vec<Entry>,
}

impl Spool {
    /// An empty one, in a folder or the system's for such files. `family` gives recipients their places.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn new(folder: Option<&Path>, family: &str) -> Result<Self, SourceError> {
        let file = folder.map_or_else(tempfile::tempfile, tempfile::tempfile_in);
        let file = BufWriter::with_capacity(BUFFER, file.map_err(SourceError::Spool)?);
        Ok(Self { file, salt: Salt::new(family), entries: Vec::new(), len: 0 })
    }

    /// Takes an item.
    ///
    /// # Errors
    /// [`SourceError::TooMany`], and [`SourceError::Spool`] when the disk is full.
    pub fn push(&mut self, recipient: &str, payload: &str) -> Result<(), SourceError> {
        if self.entries.len() as u64 >= ITEMS_MAX {
            return Err(SourceError::TooMany);
        }
        let place = Place::new(self.salt, recipient.as_bytes());
        let size = |text: &str| u32::try_from(text.len()).map_err(|_| too_large());
        let (recipient_len, payload_len) = (size(recipient)?, size(payload)?);
        self.file.write_all(recipient.as_bytes()).map_err(SourceError::Spool)?;
        self.file.write_all(payload.as_bytes()).map_err(SourceError::Spool)?;
        let (offset, recipient, payload) = (self.len, recipient_len, payload_len);
        self.entries.push(Entry { place, offset, recipient, payload });
        self.len += u64::from(recipient) + u64::from(payload);
        Ok(())
    }

    /// Ranks them. Takes a tenth of a second for a million.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn rank(mut self) -> Result<Ranked, SourceError> {
        let file =
            self.file.into_inner().map_err(|error| SourceError::Spool(error.into_error()))?;
        self.entries.sort_unstable();
        Ok(Ranked { file, entries: self.entries })
    }
}

impl Ranked {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All items by rank.
    pub fn items(&self) -> impl Iterator<Item = Result<Item, SourceError>> + '_ {
        self.entries.iter().map(|entry| {
            let mut bytes = vec![0; (entry.recipient + entry.payload) as usize];
            self.file.read_exact_at(&mut bytes, entry.offset).map_err(SourceError::Spool)?;
            let payload = bytes.split_off(entry.recipient as usize);
            Ok(Item { recipient: bytes, payload })
        })
    }
}

fn too_large() -> SourceError {
    SourceError::Spool(io::Error::other("an item of 4 GiB or more"))
}

#[cfg(test)]
mod tests {
    use policy::spread::place::order;

    use super::*;

    #[test]
    fn items_come_back_in_the_order_of_their_places() {
        let recipients: Vec<String> = (0..5_000).map(|n| format!("user-{}", n % 4_000)).collect();
        let mut spool = Spool::new(None, "a").unwrap();
        for (index, recipient) in recipients.iter().enumerate() {
            spool.push(recipient, &index.to_string()).unwrap();
        }
        let ranked = spool.rank().unwrap();
        let items: Vec<Item> = ranked.items().collect::<Result<_, _>>().unwrap();
        assert_eq!(ranked.len(), 5_000);
        let expected = order(Salt::new("a"), &recipients);
        for (item, index) in items.iter().zip(expected) {
            assert_eq!(item.recipient, recipients[index].as_bytes());
            assert_eq!(item.payload, index.to_string().into_bytes());
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let error = Spool::new(Some(Path::new("/nonexistent")), "a").unwrap_err();
        assert!(error.to_string().starts_with("the spool: "), "{error}");
    }
}
