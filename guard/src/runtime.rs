//! Which runtime serves.
//!
//! With one worker everything runs on one thread: nothing is stolen, and no other thread has to be
//! told of anything. With more, tokio's work-stealing runtime runs them, because sessions share few
//! connections: a connection that was opened on one core is used from all of them, and on a runtime
//! of each core's own every reply would have to be handed over. `docs/performance.md` has the figures
//! behind the choice.

use std::{io, num::NonZero, thread};

use tokio::runtime::{Builder, Runtime};

/// A runtime of so many worker threads; 0 is one for each core.
///
/// # Errors
/// When threads, or the kernel's means to wait for sockets, cannot be had.
pub fn build(workers: usize) -> io::Result<Runtime> {
    let workers = match workers {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        workers => workers,
    };
    let mut builder = match workers {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(workers).enable_all().build()
}
