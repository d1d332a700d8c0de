//! What the adaptive limit has learned, kept in a file across restarts.
//!
//! A guard that restarts at the busiest hour need not search for the tipping point from the bottom:
//! it begins at seven tenths of what it knew ([`limit::Memory::TRUST`]), and knows what statements cost
//! an idle database. What is older than a day, or of another server, is not believed. The file is
//! replaced as a whole, so that a crash leaves the old one or the new one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use policy::{limit, sql::Digest};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::{info, warn};

use crate::gate::Gate;

/// How often it is written while the guard runs.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// Past it, the database may be another one in all but name.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A longer file is not ours: it would hold 4096 kinds of statements in a twentieth of it.
const FILE_LEN_MAX: u64 = 4 << 20;

/// No limit is as high, and no statement takes so many seconds.
const NUMBER_MAX: f64 = 1e6;

/// The file as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// The guard that wrote it: digests of another one may mean other statements.
    version: String,
    /// Which database it is about.
    server: String,
    /// When, in seconds since 1970.
    written: u64,
    base: f64,
    /// Digests, and what their statements cost an idle database, in seconds.
    costs: Vec<(String, f64)>,
}

/// Why what was learned is not believed.
#[derive(Debug, Error)]
pub enum Forgotten {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is too long to be what a guard wrote.
    #[error("it is longer than {FILE_LEN_MAX} bytes")]
    TooLong,
    /// It is not what a guard wrote.
    #[error("it is not what a guard wrote: {0}")]
    Format(#[from] serde_json::Error),
    /// A number in it is none that a guard writes.
    #[error("{0} is no base of a limit, and no cost of a statement in seconds")]
    Number(f64),
    /// It is about another database.
    #[error("it is about another database: {0}")]
    OtherServer(String),
    /// It was written too long ago.
    #[error("it was written more than a day ago")]
    TooOld,
}

/// The file, and what it is about.
#[derive(Debug)]
pub struct MemoryFile {
    path: PathBuf,
    /// The identity of the database, as its control connections found it.
    server: Arc<str>,
}

impl MemoryFile {
    /// Nothing is read or written yet.
    pub fn new(path: PathBuf, server: Arc<str>) -> Self {
        Self { path, server }
    }

    /// What was learned before; `None` where there is no file.
    ///
    /// # Errors
    /// [`Forgotten`]: the limit begins where the configuration says.
    pub fn read(&self, now: SystemTime) -> Result<Option<limit::Memory>, Forgotten> {
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(about) if about.len() > FILE_LEN_MAX => return Err(Forgotten::TooLong),
            Ok(_) => {}
        }
        let record: Record = serde_json::from_slice(&fs::read(&self.path)?)?;
        if record.server != *self.server {
            return Err(Forgotten::OtherServer(record.server));
        }
        if seconds(now).saturating_sub(record.written) > AGE_MAX.as_secs() {
            return Err(Forgotten::TooOld);
        }
        let is_same = record.version == env!("CARGO_PKG_VERSION");
        let costs = record.costs.into_iter().filter(|_| is_same);
        let baselines = costs.filter_map(|(digest, cost)| Some((digest.parse().ok()?, cost)));
        let baselines: Vec<(Digest, f64)> = baselines.collect();
        let is_number = |number: &f64| number.is_finite() && (0.0..NUMBER_MAX).contains(number);
        let numbers = baselines.iter().map(|(_, cost)| *cost).chain([record.base]);
        if let Some(number) = numbers.into_iter().find(|number| !is_number(number)) {
            return Err(Forgotten::Number(number));
        }
        Ok(Some(limit::Memory { base: record.base, baselines }))
    }

    /// Replaces what the file says.
    ///
    /// # Errors
    /// When it cannot be written; the old one is there still.
    pub fn write(&self, now: SystemTime, memory: &limit::Memory) -> io::Result<()> {
        let costs = memory.baselines.iter().map(|(digest, cost)| (digest.to_string(), *cost));
        let record = Record {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            server: self.server.to_string(),
            written: seconds(now),
            base: memory.base,
            costs: costs.collect(),
        };
        let next = beside(&self.path);
        fs::write(&next, serde_json::to_vec(&record)?)?;
        fs::File::open(&next)?.sync_all()?;
        fs::rename(&next, &self.path)
    }

    /// Has the limit of `gate` begin with what was learned before.
    pub fn recall(&self, gate: &Gate) {
        match self.read(SystemTime::now()) {
            Ok(Some(memory)) => {
                info!(file = %self.path.display(), base = memory.base, statements = memory.baselines.len(),
                    "the limit begins with what it knew");
                gate.remember(memory);
            }
            Ok(None) => {}
            Err(error) => {
                warn!(file = %self.path.display(), %error, "what the limit knew is not used");
            }
        }
    }

    /// Writes what the limit of `gate` knows, now and then. Dropping the future ends that.
    pub async fn run(self: Arc<Self>, gate: Arc<Gate>) {
        loop {
            tokio::time::sleep(WRITE_EVERY).await;
            self.keep(&gate).await;
        }
    }

    /// Writes what the limit of `gate` knows, if it is on. Dropping the future does not end it.
    pub async fn keep(self: &Arc<Self>, gate: &Gate) {
        let Some(memory) = gate.memory() else { return };
        let file = Arc::clone(self);
        let write = tokio::task::spawn_blocking(move || file.write(SystemTime::now(), &memory));
        let written = write.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        if let Err(error) = written {
            warn!(file = %self.path.display(), %error, "what the limit knows is not kept");
        }
    }
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Where the next file is written: in the same folder, so that it can be renamed.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file in a folder of its own.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tidegate-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, server: &str) -> MemoryFile {
            MemoryFile::new(self.0.join("limit.json"), server.into())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn memory() -> limit::Memory {
        limit::Memory { base: 38.5, baselines: vec![(Digest(7), 0.001), (Digest(u64::MAX), 2.5)] }
    }

    #[test]
    fn what_is_written_is_read_for_a_day() {
        let folder = Folder::new("memory-day");
        let file = folder.file("a");
        assert!(file.read(at(0)).unwrap().is_none());
        file.write(at(1_000), &memory()).unwrap();
        assert_eq!(file.read(at(1_000 + 86_400)).unwrap(), Some(memory()));
        assert!(matches!(file.read(at(1_001 + 86_400)), Err(Forgotten::TooOld)));
        // A clock that was put back is no reason to forget.
        assert_eq!(file.read(at(0)).unwrap(), Some(memory()));
        assert!(matches!(folder.file("b").read(at(0)), Err(Forgotten::OtherServer(_))));
    }

    #[test]
    fn what_is_damaged_is_not_believed() {
        let folder = Folder::new("memory-damaged");
        let file = folder.file("a");
        file.write(at(0), &memory()).unwrap();
        let text = fs::read_to_string(&file.path).unwrap();
        for (damaged, expected) in [
            (text[..text.len() / 2].to_owned(), "not what a guard wrote"),
            (text.replace("38.5", "-1.0"), "-1 is no base"),
            (text.replace("2.5", "1e300"), "is no base"),
            (String::new(), "not what a guard wrote"),
        ] {
            fs::write(&file.path, damaged).unwrap();
            let error = file.read(at(0)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
