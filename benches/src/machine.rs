//! What this machine offers, and which core each party gets.

use std::{fmt, fs};

use serde::Serialize;

/// Where each party runs.
///
/// The server has one core and the proxy the other; the load generator floats over both. Direct
/// access so has both cores, and a proxy's cost shows as lost throughput as well as in its own
/// CPU time. Where proxies with several workers take part, proxies have as many cores, and the server all others.
#[derive(Clone, Copy)]
pub(crate) enum Core {
    Server,
    Proxy,
}

/// Cores for each of several workers, so that they and nobody else are what holds up the load: a select that
/// takes a proxy 10 µs takes the server 24 and pgbench 10 (two cores of an AMD EPYC).
const CORES_PER_WORKER: usize = 4;

impl Core {
    /// The cores as `taskset` takes them, where proxies have this many workers at most; `None` on a machine with
    /// only one.
    pub(crate) fn list(self, workers: usize) -> Option<String> {
        self.list_of(workers, cores())
    }

    fn list_of(self, workers: usize, cores: usize) -> Option<String> {
        match (self, workers) {
            _ if cores < 2 => None,
            (Self::Server, 0 | 1) => Some("0".to_owned()),
            (Self::Proxy, 0 | 1) => Some("1".to_owned()),
            (Self::Server, _) => Some(format!("{workers}-{}", cores - 1)),
            (Self::Proxy, _) => Some(format!("0-{}", workers - 1)),
        }
    }
}

/// Why so many workers cannot be measured here, if they cannot.
pub(crate) fn too_small_for(workers: usize) -> Option<String> {
    let (needed, cores) = (workers * CORES_PER_WORKER, cores());
    (workers > 1 && cores < needed).then(|| {
        format!("{workers} workers are not measured: with server and load they take {needed} cores, and there are {cores}")
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_proxies_share_no_core() {
        let check = |workers, cores, server: Option<&str>, proxy: Option<&str>| {
            assert_eq!(Core::Server.list_of(workers, cores).as_deref(), server);
            assert_eq!(Core::Proxy.list_of(workers, cores).as_deref(), proxy);
        };
        check(1, 1, None, None);
        check(1, 2, Some("0"), Some("1"));
        check(1, 16, Some("0"), Some("1"));
        check(2, 8, Some("2-7"), Some("0-1"));
    }
}
