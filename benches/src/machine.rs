//! What this machine offers, and which core each party gets.

use std::{fmt, fs};

use serde::Serialize;

/// Where each party runs.
///
/// The server has one core and the proxy the other; the load generator floats over both. Direct
/// access so has both cores, and a proxy's cost shows as lost throughput as well as in its own
/// CPU time.
#[derive(Clone, Copy)]
pub(crate) enum Core {
    Server,
    Proxy,
}

impl Core {
    /// The number of the core, or `None` on a machine with only one.
    pub(crate) fn number(self) -> Option<usize> {
        (cores() >= 2).then_some(match self {
            Self::Server => 0,
            Self::Proxy => 1,
        })
    }
}

/// What a reader must know to judge the numbers.
#[derive(Serialize)]
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    /// One-minute load average when the run began: what else was running.
    load_before: f64,
}

impl Machine {
    pub(crate) fn describe() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or_else(|| "unknown".into(), |(_, name)| name.to_owned());
        let load_before = read("/proc/loadavg").split(' ').next().and_then(|l| l.parse().ok());
        Self {
            cores: cores(),
            processor,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: load_before.unwrap_or(f64::NAN),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, kernel, load_before } = self;
        write!(f, "{cores} cores of {processor}, Linux {kernel}, load {load_before} at the start.")
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Files that a process needs besides its connections.
const OTHER_FILES: usize = 400;

/// How many connections a process may hold under the limit of open files, which children inherit.
pub(crate) fn connections_max() -> usize {
    let limit = fs::read_to_string("/proc/self/limits").ok().and_then(|limits| {
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        line.split_whitespace().next()?.parse::<usize>().ok()
    });
    limit.unwrap_or(1024).saturating_sub(OTHER_FILES)
}
