//! Whether what is to be recorded has bounds, and a place to go to.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::Config;
use super::super::value::{Bytes, show_duration};
use super::{Findings, Key};

const BEFORE: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(600);
const AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);
const MEMORY: RangeInclusive<Bytes> = Bytes(2 << 20)..=Bytes(256 << 20);
const FOLDER: RangeInclusive<Bytes> = Bytes(1 << 20)..=Bytes(64 << 30);

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let recorder = &config.recorder;
    let key = |name: &str| Key::of("recorder").field(name);
    for (name, value, range) in
        [("before", recorder.before, BEFORE), ("after", recorder.after, AFTER)]
    {
        if !range.contains(&value) {
            let (least, most) = (show_duration(*range.start()), show_duration(*range.end()));
            findings.error(&key(name), format!("out of range; expected {least} to {most}"));
        }
    }
    for (name, value, range) in
        [("memory", recorder.memory, MEMORY), ("folder_max", recorder.folder_max, FOLDER)]
    {
        if !range.contains(&value) {
            let (least, most) = range.into_inner();
            findings.error(&key(name), format!("out of range; expected {least} to {most}"));
        }
    }
    if let Some(folder) = &recorder.folder
        && !folder.is_dir()
    {
        let why = "not a folder; expected one that exists and that the guard may write to";
        findings.error(&key("folder"), why);
    }
}
