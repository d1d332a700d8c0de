//! The flight recorder.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{self, Bytes};

/// `[recorder]`: the guard always records what it does and sees, in memory. When a pile-up begins, the pressure stays
/// high, the limit collapses or the database is lost, and when somebody asks (`tidegate incidents record`), the time
/// before and after is kept for whoever looks into it. No literal of a statement is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Recorder {
    /// Whether anything is recorded.
    pub enabled: bool,
    /// How long before a trigger a recording begins: 5 seconds to 10 minutes.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub before: Duration,
    /// How long after it the recording ends: a second to 10 minutes.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub after: Duration,
    /// The memory that is recorded in, and that recordings are kept in: 2MiB to 256MiB. Two fifths are for what is
    /// always recorded; what does not fit goes, the oldest first.
    pub memory: Bytes,
    /// A folder into which every recording is written as a file, and from which those of earlier runs are shown. It
    /// has to exist. Absent: recordings end with the guard.
    pub folder: Option<PathBuf>,
    /// What the files in that folder may take, 1MiB to 64GiB; the oldest goes first.
    pub folder_max: Bytes,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            enabled: true,
            before: Duration::from_secs(120),
            after: Duration::from_secs(120),
            memory: Bytes(16 << 20),
            folder: None,
            folder_max: Bytes(256 << 20),
        }
    }
}

impl Recorder {
    /// What [`Recorder::memory`] has for what is always recorded.
    pub fn tape_bytes(&self) -> usize {
        self.memory_bytes() / 5 * 2
    }

    /// What [`Recorder::memory`] has for recordings.
    pub fn kept_bytes(&self) -> usize {
        self.memory_bytes() - self.tape_bytes()
    }

    fn memory_bytes(&self) -> usize {
        usize::try_from(self.memory.0).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;
    use super::*;

    fn parse(more: &str) -> Result<Recorder, String> {
        let text = "[upstream]\naddress = \"127.0.0.1:3306\"\n\
                    [control]\nuser = \"tidegate\"\npassword = \"secret\"\n";
        let text = format!("{text}[recorder]\n{more}\n");
        let loaded = Config::parse(Path::new("t.toml"), &text, &|_| None);
        loaded.map(|loaded| loaded.config.recorder).map_err(|errors| errors.to_string())
    }

    #[test]
    fn what_is_out_of_bounds_is_told_with_its_key() {
        assert_eq!(parse(""), Ok(Recorder::default()));
        let own = parse("before = \"30s\"\nafter = \"1s\"\nmemory = \"2MiB\"").unwrap();
        assert_eq!((own.before.as_secs(), own.after.as_secs()), (30, 1));
        assert!(own.tape_bytes() + own.kept_bytes() <= 2 << 20);
        for (wrong, expected) in [
            ("before = \"4s\"", "recorder.before = \"4s\": out of range; expected 5s to 10m"),
            ("before = \"11m\"", "recorder.before"),
            ("after = \"0s\"", "recorder.after = \"0s\": out of range; expected 1s to 10m"),
            (
                "memory = \"1MiB\"",
                "recorder.memory = \"1MiB\": out of range; expected 2MiB to 256MiB",
            ),
            ("folder_max = \"1KiB\"", "recorder.folder_max"),
            ("folder = \"/no/such/folder\"", "recorder.folder = \"/no/such/folder\": not a folder"),
            ("keep = 3", "recorder.keep: unknown key; expected one of enabled, before"),
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains(expected), "{wrong}: {error}");
        }
    }
}
