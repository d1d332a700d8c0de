//! How long the disk takes to make a write durable, which every commit waits for.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use anyhow::Result;
use drill::home::Scratch;

use crate::statistics::median;

/// Writes that are timed, each over the one before.
const WRITES: usize = 50;

/// Milliseconds of the median, where private servers have their data.
pub(super) fn sync_ms() -> Result<f64> {
    let folder = Scratch::new()?;
    let file = File::create(folder.path().join("sync"))?;
    let mut took = Vec::with_capacity(WRITES);
    for number in 0..WRITES {
        let began = Instant::now();
        file.write_all_at(&[number as u8; 8192], 0)?;
        file.sync_data()?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(took))
}
