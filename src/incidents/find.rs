//! Where a recording comes from: a running guard, or a file.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use guard::control::{Recording, RecordingHead};

use crate::client::Client;
use crate::exit::Failure;

/// Where the guard tells of recordings.
pub(super) const PATH: &str = "/api/v1/recordings";
/// A longer file is no recording.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Stands for the newest recording.
const LAST: &str = "last";

/// Which recording.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// Its id, as `tidegate incidents list` tells, or `last`.
    id: Option<String>,
    /// A file that was exported with `--format json`, or one of `recorder.folder`. No guard is asked.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Which {
    /// Reads it.
    pub(super) fn find(&self, client: &Client) -> Result<Recording, Failure> {
        if let Some(file) = &self.file {
            return Ok(read(file)?);
        }
        let id = self.id.as_deref().unwrap_or(LAST);
        let id = if id == LAST { last(client)? } else { id.to_owned() };
        // It becomes part of a path.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(Failure::Usage(format!(
                "{id:?} is not the id of a recording; expected one such as 20220627-130030, which \
                 `tidegate incidents list` tells, or {LAST}"
            )));
        }
        let recording: Recording = client.fetch("GET", &format!("{PATH}/{id}"), None)?;
        recording.check().map_err(|why| anyhow!("recording {id}: {why}"))?;
        Ok(recording)
    }
}

fn last(client: &Client) -> Result<String, Failure> {
    let heads: Vec<RecordingHead> = client.fetch("GET", PATH, None)?;
    let newest = heads.into_iter().next();
    Ok(newest.map(|head| head.id).context("nothing was recorded yet")?)
}

fn read(path: &Path) -> anyhow::Result<Recording> {
    let shown = path.display();
    let mut json = Vec::new();
    let file = File::open(path).with_context(|| format!("{shown} cannot be read"))?;
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut json)
        .with_context(|| format!("{shown} cannot be read"))?;
    let expected = "expected a file that `tidegate incidents export --format json` wrote";
    let recording: Recording = serde_json::from_slice(&json)
        .map_err(|error| anyhow!("{shown} is not a recording: {error}; {expected}"))?;
    recording.check().map_err(|why| anyhow!("{shown}: {why}"))?;
    Ok(recording)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_recording_is_told_with_what_would_be_right() {
        let folder = std::env::temp_dir().join(format!("tidegate-find-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("recording.json");
        let good = serde_json::to_value(super::super::tests::recording()).unwrap();
        let with = |key: &str, value: serde_json::Value| {
            let mut wrong = good.clone();
            wrong[key] = value;
            wrong.to_string()
        };
        std::fs::write(&path, good.to_string()).unwrap();
        assert_eq!(read(&path).unwrap(), super::super::tests::recording());
        for (text, expected) in [
            (String::new(), "is not a recording: EOF"),
            ("{}".into(), "expected a file that `tidegate incidents export --format json` wrote"),
            (
                with("format", "har".into()),
                "its format is \"har\"; expected \"tidegate-recording\"",
            ),
            (with("version", 99.into()), "its version is 99; expected 1 to 1: a newer tidegate"),
            (with("samples", serde_json::json!({ "at_ms": [1] })), "not equally long"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let error = format!("{:#}", read(&path).unwrap_err());
            assert!(error.contains(expected), "{text:.60}: {error}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("recording.json cannot be read"), "{error}");
    }
}
