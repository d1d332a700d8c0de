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
    match threads(workers) {
        1 => Builder::new_current_thread().enable_all().build(),
        _ => work_stealing(workers),
    }
}

/// The work-stealing runtime with so many worker threads, also where that is one: to measure what the
/// choice gives.
///
/// # Errors
/// As [`build`].
pub fn work_stealing(workers: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(threads(workers)).enable_all().build()
}

fn threads(workers: usize) -> usize {
    match workers {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        workers => workers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::RuntimeFlavor;

    #[test]
    fn one_worker_is_served_by_the_thread_itself_unless_it_is_asked_otherwise() {
        let check = |runtime: io::Result<Runtime>, flavour: RuntimeFlavor, workers| {
            let runtime = runtime.unwrap();
            assert_eq!(runtime.handle().runtime_flavor(), flavour);
            assert_eq!(runtime.metrics().num_workers(), workers);
        };
        check(build(1), RuntimeFlavor::CurrentThread, 1);
        check(build(2), RuntimeFlavor::MultiThread, 2);
        check(work_stealing(1), RuntimeFlavor::MultiThread, 1);
    }
}
