//! Where recordings are kept: the last ones in memory, and in a folder if there is one.
//!
//! A file is written beside its place and then renamed, so that it is whole or not there. The oldest go when
//! there is no more room. What cannot be written is told in the log, and kept in memory all the same.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tracing::warn;

use crate::control::{Recording, RecordingHead, is_date_id};

/// Files in the folder, at most.
const FILES_MAX: usize = 1000;
/// The head of a recording stands in so many bytes at the begin of its file.
const HEAD_BYTES_MAX: u64 = 16 << 10;
/// A longer file is none of ours: a recording has to fit into the memory of a guard.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// What stands before and behind the id in the name of a file.
const PREFIX: &str = "recording-";
const SUFFIX: &str = ".json";
/// What stands behind that while it is written.
const UNFINISHED: &str = ".new";

/// Recordings, in a bounded number of bytes.
#[derive(Debug)]
pub(super) struct Shelf {
    kept: Mutex<Kept>,
    bytes_max: usize,
    folder: Option<Folder>,
}

/// Those in memory, the oldest first.
#[derive(Debug, Default)]
struct Kept {
    recordings: VecDeque<(RecordingHead, Bytes)>,
    bytes: usize,
}

/// Those on the disk.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    bytes_max: u64,
}

impl Shelf {
    /// An empty one, with room for so many bytes in memory, and so many in a folder.
    pub(super) fn new(bytes_max: usize, folder: Option<(PathBuf, u64)>) -> Self {
        let folder = folder.map(|(path, bytes_max)| Folder { path, bytes_max });
        Self { kept: Mutex::default(), bytes_max, folder }
    }

    /// Puts a recording there. This writes a file, and may take as long as that does.
    pub(super) fn put(&self, recording: &Recording) {
        let id = &recording.head.id;
        let json = match serde_json::to_vec(recording) {
            Ok(json) => Bytes::from(json),
            Err(error) => return warn!(id, %error, "a recording cannot be written as JSON"),
        };
        if let Some(folder) = &self.folder
            && let Err(error) = folder.put(id, &json)
        {
            warn!(id, folder = %folder.path.display(), %error, "a recording is not on the disk");
        }
        if json.len() > self.bytes_max {
            return warn!(
                id,
                bytes = json.len(),
                "a recording is larger than recorder.memory has room for"
            );
        }
        let kept = &mut *self.kept.lock();
        while kept.bytes + json.len() > self.bytes_max {
            let Some((_, gone)) = kept.recordings.pop_front() else { break };
            kept.bytes -= gone.len();
        }
        kept.bytes += json.len();
        kept.recordings.push_back((recording.head.clone(), json));
    }

    /// What those in memory take.
    pub(super) fn bytes(&self) -> usize {
        self.kept.lock().bytes
    }

    /// All that are kept, the newest first. With a folder this reads the head of each file there.
    pub(super) fn list(&self) -> Vec<RecordingHead> {
        let mut heads: Vec<_> =
            self.kept.lock().recordings.iter().map(|(head, _)| head.clone()).collect();
        if let Some(folder) = &self.folder {
            let is_new = |id: &String| !heads.iter().any(|head| head.id == *id);
            let ids = folder.ids().unwrap_or_default().into_iter().filter(is_new);
            let read: Vec<_> = ids.filter_map(|id| folder.head(&id)).collect();
            heads.extend(read);
        }
        heads.sort_by(|a, b| b.id.cmp(&a.id));
        heads
    }

    /// A recording as JSON; `None` where there is none of this id.
    ///
    /// # Errors
    /// When it has a file that cannot be read.
    pub(super) fn find(&self, id: &str) -> io::Result<Option<Bytes>> {
        if !is_date_id(id) {
            return Ok(None);
        }
        let kept = self.kept.lock();
        if let Some((_, json)) = kept.recordings.iter().find(|(head, _)| head.id == id) {
            return Ok(Some(json.clone()));
        }
        drop(kept);
        self.folder.as_ref().map_or(Ok(None), |folder| folder.find(id))
    }
}

// === impl Folder ===

impl Folder {
    fn file(&self, id: &str) -> PathBuf {
        self.path.join(format!("{PREFIX}{id}{SUFFIX}"))
    }

    fn put(&self, id: &str, json: &[u8]) -> io::Result<()> {
        let file = self.file(id);
        let mut unfinished = file.clone().into_os_string();
        unfinished.push(UNFINISHED);
        fs::write(&unfinished, json)?;
        File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, &file)?;
        self.make_room()
    }

    /// Deletes the oldest, until the rest is few and small enough; and what a crash left unfinished.
    fn make_room(&self) -> io::Result<()> {
        let mut room = self.bytes_max;
        for (index, id) in self.ids()?.iter().rev().enumerate() {
            let file = self.file(id);
            let bytes = fs::metadata(&file)?.len();
            // The newest stays, however large.
            if index > 0 && (index >= FILES_MAX || bytes > room) {
                room = 0;
                fs::remove_file(&file)?;
            } else {
                room = room.saturating_sub(bytes);
            }
        }
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if id_of(&path, &format!("{SUFFIX}{UNFINISHED}")).is_some() {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// The ids of all that are there, the oldest first.
    fn ids(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?;
        let mut ids: Vec<_> =
            entries.filter_map(|entry| id_of(&entry.ok()?.path(), SUFFIX)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn head(&self, id: &str) -> Option<RecordingHead> {
        let mut begin = Vec::new();
        File::open(self.file(id)).ok()?.take(HEAD_BYTES_MAX).read_to_end(&mut begin).ok()?;
        read_head(&begin).filter(|head| head.id == id)
    }

    fn find(&self, id: &str) -> io::Result<Option<Bytes>> {
        let file = match File::open(self.file(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if file.metadata()?.len() > FILE_BYTES_MAX {
            return Err(io::Error::other(format!(
                "the file is longer than {FILE_BYTES_MAX} bytes"
            )));
        }
        let mut json = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut json)?;
        Ok(Some(json.into()))
    }
}

/// The id in the name of a file.
fn id_of(path: &Path, suffix: &str) -> Option<String> {
    let id = path.file_name()?.to_str()?.strip_prefix(PREFIX)?.strip_suffix(suffix)?;
    is_date_id(id).then(|| id.to_owned())
}

/// The head of a recording, by the begin of its JSON: it stands before all that is long.
fn read_head(begin: &[u8]) -> Option<RecordingHead> {
    const KEY: &[u8] = b"\"head\":";
    let at = begin.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    serde_json::Deserializer::from_slice(&begin[at..]).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Event, EventKind, FORMAT, VERSION, date_id};

    /// A folder of its own.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("tidegate-shelf-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn files(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    fn recording(second: u64, bytes: usize) -> Recording {
        let what = "x".repeat(bytes).into();
        Recording {
            format: FORMAT.into(),
            version: VERSION,
            head: RecordingHead {
                id: date_id(second),
                note: "is \"head\":{} odd?".into(),
                ..RecordingHead::default()
            },
            events: vec![Event { at_ms: 0, kind: EventKind::Trigger, what }],
            ..Recording::default()
        }
    }

    fn ids(shelf: &Shelf) -> Vec<String> {
        shelf.list().into_iter().map(|head| head.id).collect()
    }

    #[test]
    fn in_memory_the_oldest_goes_for_the_newest() {
        let shelf = Shelf::new(10_000, None);
        for second in 0..20 {
            shelf.put(&recording(second, 2000));
            assert!(shelf.bytes() <= 10_000);
        }
        assert_eq!(ids(&shelf), [date_id(19), date_id(18), date_id(17)]);
        shelf.put(&recording(20, 10_000));
        assert_eq!(ids(&shelf)[0], date_id(19), "what does not fit takes nobody's place");
        assert!(shelf.find(&date_id(18)).unwrap().is_some());
        assert!(shelf.find(&date_id(1)).unwrap().is_none());
    }

    #[test]
    fn on_the_disk_they_outlive_the_guard_and_the_oldest_goes() {
        let scratch = Scratch::new("disk");
        let folder = || Some((scratch.0.clone(), 10_000));
        let shelf = Shelf::new(2000, folder());
        fs::write(scratch.0.join("recording-20220627-130030.json.new"), "{").unwrap();
        fs::write(scratch.0.join("notes.txt"), "not ours").unwrap();
        for second in 0..20 {
            shelf.put(&recording(second, 2000));
        }
        let names = [17, 18, 19].map(|second| format!("recording-{}.json", date_id(second)));
        assert_eq!(scratch.files(), [&["notes.txt".to_owned()], &names[..]].concat());
        let next = Shelf::new(2000, folder());
        assert_eq!(ids(&next), [date_id(19), date_id(18), date_id(17)]);
        assert_eq!(next.list()[0], recording(19, 0).head);
        let json = next.find(&date_id(18)).unwrap().unwrap();
        assert_eq!(serde_json::from_slice::<Recording>(&json).unwrap(), recording(18, 2000));
    }

    #[test]
    fn an_id_is_no_path_and_a_folder_that_is_gone_costs_only_the_file() {
        let scratch = Scratch::new("gone");
        let shelf = Shelf::new(100_000, Some((scratch.0.join("gone"), 10_000)));
        shelf.put(&recording(7, 100));
        assert_eq!(ids(&shelf), [date_id(7)]);
        for id in ["../../etc/passwd", "", "recording-7", "19700101-00000a"] {
            assert!(shelf.find(id).unwrap().is_none(), "{id}");
        }
        assert!(shelf.find(&date_id(8)).unwrap().is_none());
    }

    #[test]
    fn what_is_no_recording_is_not_listed() {
        let scratch = Scratch::new("damaged");
        let shelf = Shelf::new(100_000, Some((scratch.0.clone(), 100_000)));
        for (second, text) in
            [(1, ""), (2, "{\"head\":"), (3, "{\"head\":{\"id\":\"x\"}}"), (4, "[]")]
        {
            fs::write(scratch.0.join(format!("recording-{}.json", date_id(second))), text).unwrap();
        }
        assert_eq!(ids(&shelf), [""; 0]);
    }
}
