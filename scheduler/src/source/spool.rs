//! Items on their way into a batch: in a file as they come, ranked in memory by 32 bytes each.
//!
//! A batch is cut by rank, so all its recipients must be known before the first chunk is. The file is
//! without a name and gone when it is closed, also when the process is killed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use policy::spread::place::{Place, Salt};
use sha2::{Digest as _, Sha256};

use super::{ITEMS_MAX, SourceError};
use crate::ledger::Item;

/// What is written at once.
const BUFFER: usize = 1 << 20;
/// No batch has recipients in more zones: there are about 600 names.
pub const ZONES_MAX: usize = 1_000;

/// Items as they come.
#[derive(Debug)]
pub struct Spool {
    file: BufWriter<File>,
    salt: Salt,
    entries: Vec<Entry>,
    /// Which entry a row is in, by half of the SHA-256 of its key; for those that may come again.
    rows: HashMap<[u8; 16], usize>,
    /// Names of zones, without doubles; and which of them what comes next is of.
    zones: Vec<String>,
    zone: u16,
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
    zone: u16,
}

/// Items by rank.
#[derive(Debug)]
pub struct Ranked {
    file: File,
    entries: Vec<Entry>,
    zones: Vec<String>,
}

impl Spool {
    /// An empty one, in a folder or the system's for such files. `family` gives recipients their places.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn new(folder: Option<&Path>, family: &str) -> Result<Self, SourceError> {
        let file = folder.map_or_else(tempfile::tempfile, tempfile::tempfile_in);
        let file = BufWriter::with_capacity(BUFFER, file.map_err(SourceError::Spool)?);
        Ok(Self {
            file,
            salt: Salt::new(family),
            entries: Vec::new(),
            rows: HashMap::new(),
            zones: vec![String::new()],
            zone: 0,
            len: 0,
        })
    }

    /// What is taken from now on is of recipients with this zone, the empty one at first.
    ///
    /// # Errors
    /// Where there are more than [`ZONES_MAX`].
    pub fn turn_to(&mut self, zone: &str) -> Result<&mut Self, SourceError> {
        if self.zones[usize::from(self.zone)] != zone {
            let known = self.zones.iter().position(|known| known == zone);
            let place = known.unwrap_or(self.zones.len());
            if place >= ZONES_MAX {
                let why = format!("more than {ZONES_MAX} zones: the column names something else");
                return Err(SourceError::Query(why));
            }
            if known.is_none() {
                self.zones.push(zone.to_owned());
            }
            self.zone = place as u16;
        }
        Ok(self)
    }

    /// Takes an item.
    ///
    /// # Errors
    /// [`SourceError::TooMany`], and [`SourceError::Spool`] when the disk is full.
    pub fn push(&mut self, recipient: &str, payload: &str) -> Result<(), SourceError> {
        if self.entries.len() as u64 >= ITEMS_MAX {
            return Err(SourceError::TooMany);
        }
        let entry = self.write(recipient, payload)?;
        self.entries.push(entry);
        Ok(())
    }

    /// Takes the item of a row that may come again: then it takes the place of what came before. True where it
    /// did. Takes about 40 bytes more of memory for each.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn put(&mut self, row: &str, recipient: &str, payload: &str) -> Result<bool, SourceError> {
        let mut key = [0; 16];
        key.copy_from_slice(&Sha256::digest(row)[..16]);
        if let Some(known) = self.rows.get(&key).copied() {
            self.entries[known] = self.write(recipient, payload)?;
            return Ok(true);
        }
        self.push(recipient, payload)?;
        self.rows.insert(key, self.entries.len() - 1);
        Ok(false)
    }

    fn write(&mut self, recipient: &str, payload: &str) -> Result<Entry, SourceError> {
        let place = Place::new(self.salt, recipient.as_bytes());
        let size = |text: &str| u32::try_from(text.len()).map_err(|_| too_large());
        let (recipient_len, payload_len) = (size(recipient)?, size(payload)?);
        self.file.write_all(recipient.as_bytes()).map_err(SourceError::Spool)?;
        self.file.write_all(payload.as_bytes()).map_err(SourceError::Spool)?;
        let (offset, recipient, payload) = (self.len, recipient_len, payload_len);
        self.len += u64::from(recipient) + u64::from(payload);
        Ok(Entry { place, offset, recipient, payload, zone: self.zone })
    }

    /// Ranks them. Takes a tenth of a second for a million.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn rank(mut self) -> Result<Ranked, SourceError> {
        let file =
            self.file.into_inner().map_err(|error| SourceError::Spool(error.into_error()))?;
        self.entries.sort_unstable();
        Ok(Ranked { file, entries: self.entries, zones: self.zones })
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
        self.entries.iter().map(|entry| self.read(entry))
    }

    /// The item of this rank. None beyond the last.
    pub fn item(&self, rank: u32) -> Option<Result<Item, SourceError>> {
        self.entries.get(rank as usize).map(|entry| self.read(entry))
    }

    /// The zone that each rank's recipient is in, by its place in [`Self::zones`].
    pub fn places(&self) -> impl Iterator<Item = u16> + '_ {
        self.entries.iter().map(|entry| entry.zone)
    }

    /// The zones of recipients; the empty one for those without.
    #[must_use]
    pub fn zones(&self) -> &[String] {
        &self.zones
    }

    fn read(&self, entry: &Entry) -> Result<Item, SourceError> {
        let mut bytes = vec![0; (entry.recipient + entry.payload) as usize];
        self.file.read_exact_at(&mut bytes, entry.offset).map_err(SourceError::Spool)?;
        let payload = bytes.split_off(entry.recipient as usize);
        Ok(Item { recipient: bytes, payload })
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
    fn a_row_that_comes_again_takes_the_place_of_the_first() {
        let mut spool = Spool::new(None, "a").unwrap();
        assert!(!spool.put("1", "anna", "old").unwrap());
        assert!(!spool.put("2", "anna", "another").unwrap());
        assert!(spool.put("1", "anna", "new").unwrap());
        let ranked = spool.rank().unwrap();
        let items = ranked.items().map(|item| String::from_utf8(item.unwrap().payload).unwrap());
        // Of one recipient, as they came to the file.
        assert_eq!(items.collect::<Vec<_>>(), ["another", "new"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let error = Spool::new(Some(Path::new("/nonexistent")), "a").unwrap_err();
        assert!(error.to_string().starts_with("the spool: "), "{error}");
    }
}
