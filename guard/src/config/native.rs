//! The net below our own time limits: the server's.

use std::time::Duration;

use super::Config;

/// Time limits for the server to keep, in case the guard cannot. `None` leaves the server's own.
///
/// Connections are shared by classes, so a net must be wider than the widest class: one class
/// without a limit takes it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NativeLimits {
    /// For `max_statement_time` (MariaDB, seconds) and `max_execution_time` (MySQL, milliseconds).
    pub statement: Option<Duration>,
    /// For `innodb_lock_wait_timeout` and `lock_wait_timeout`, in whole seconds, at least 1.
    pub lock_wait: Option<Duration>,
}

/// How much wider the net for statements is: time for the guard's own cancel to be seen.
const MARGIN: Duration = Duration::from_secs(1);

impl Config {
    /// The net that these classes allow, or none when `upstream.native_limits` is off.
    pub fn native_limits(&self) -> NativeLimits {
        if !self.upstream.native_limits {
            return NativeLimits::default();
        }
        let classes = || self.classes.values();
        NativeLimits {
            statement: widest(classes().map(|class| class.statement_time))
                .map(|limit| limit + limit / 4 + MARGIN),
            // This one is the limit itself, not a net: the server ends the wait without a cancel.
            lock_wait: widest(classes().map(|class| class.lock_wait_time)).map(whole_seconds),
        }
    }
}

/// The largest, or `None` when any of them is absent.
fn widest(limits: impl Iterator<Item = Option<Duration>>) -> Option<Duration> {
    limits.collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn whole_seconds(limit: Duration) -> Duration {
    Duration::from_secs(limit.as_millis().div_ceil(1000).max(1) as u64)
}
