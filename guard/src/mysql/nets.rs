//! What a connection is set up with.

use std::{sync::Arc, time::Duration};

use super::Upstream;
use crate::config::NativeLimits;

impl Upstream {
    /// The statement that sets a fresh or reset connection up.
    pub fn setup(&self, mariadb: bool) -> Arc<[u8]> {
        let nets = self.nets();
        Arc::clone(if mariadb { &nets.mariadb } else { &nets.mysql })
    }

    /// The server's own limit for statements, as [`Self::setup`] sets it.
    pub fn statement_net(&self) -> Option<Duration> {
        self.nets().statement
    }
}

/// The statements that set a connection up: session trackers on, and the server's own time limits
/// as a net below the guard's.
#[derive(Debug, Clone)]
pub struct Nets {
    /// The limit for statements, where there is one.
    statement: Option<Duration>,
    mariadb: Arc<[u8]>,
    mysql: Arc<[u8]>,
}

/// The trackers that tell when a connection is clean. That of transactions stays off: the flags of
/// each reply tell whether one is open, and with it on every reply would carry its state.
const TRACKERS: &str = "SET session_track_system_variables='*',session_track_schema=ON,\
                        session_track_state_change=ON";

/// The same for MariaDB. Of variables that are told under one name (see `shadows`) that is the one tracked
/// first, and a client is to be told those that it would be told directly.
const TRACKERS_OF_MARIADB: &str = "SET session_track_system_variables=\
    'autocommit,character_set_client,character_set_connection,character_set_results,time_zone,*',\
    session_track_schema=ON,session_track_state_change=ON";

impl Nets {
    /// Trackers, and these limits. MySQL has none for writes: `max_execution_time` holds for reads.
    pub fn new(limits: &NativeLimits) -> Self {
        let mut mariadb = TRACKERS_OF_MARIADB.to_owned();
        let mut mysql = TRACKERS.to_owned();
        if let Some(statement) = limits.statement {
            mariadb.push_str(&format!(",max_statement_time={:.3}", statement.as_secs_f64()));
            mysql.push_str(&format!(",max_execution_time={}", statement.as_millis()));
        }
        if let Some(lock_wait) = limits.lock_wait {
            let seconds = whole_seconds(lock_wait);
            let both = format!(",innodb_lock_wait_timeout={seconds},lock_wait_timeout={seconds}");
            mariadb.push_str(&both);
            mysql.push_str(&both);
        }
        let statement = limits.statement;
        Self { statement, mariadb: mariadb.into_bytes().into(), mysql: mysql.into_bytes().into() }
    }
}

/// A lock wait limit as the servers take it: whole seconds, at least one.
pub fn whole_seconds(limit: Duration) -> u64 {
    let seconds = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
    seconds.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_up_statement_carries_the_nets() {
        let limits = NativeLimits {
            statement: Some(Duration::from_millis(2500)),
            lock_wait: Some(Duration::from_millis(2100)),
        };
        let nets = Nets::new(&limits);
        let lock_wait = "innodb_lock_wait_timeout=3,lock_wait_timeout=3";
        let text = String::from_utf8_lossy(&nets.mariadb);
        assert_eq!(text, format!("{TRACKERS_OF_MARIADB},max_statement_time=2.500,{lock_wait}"));
        let text = String::from_utf8_lossy(&nets.mysql);
        assert_eq!(text, format!("{TRACKERS},max_execution_time=2500,{lock_wait}"));
    }

    #[test]
    fn without_limits_the_server_is_left_alone() {
        let nets = Nets::new(&NativeLimits::default());
        assert_eq!(&*nets.mariadb, TRACKERS_OF_MARIADB.as_bytes());
        assert_eq!(&*nets.mysql, TRACKERS.as_bytes());
    }
}
