//! The cheap signs: one row or a few, no lock of the lock manager.

use std::time::Duration;

/// What a server counts. What it does not tell is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections of clients.
    pub connected: u64,
    /// Connections that work on a statement, or wait for a lock within one.
    pub running: u64,
    /// Connections that wait for a lock now. MySQL's and MariaDB's count of this is known to drift:
    /// take it for a hint.
    pub waiting: u64,
    /// Connections whose client leaves a transaction open and asks nothing.
    pub idle_in_transaction: Option<u64>,
    /// Waits for row locks since the start.
    pub lock_waits_total: Option<u64>,
    /// Time waited for row locks since the start.
    pub lock_wait_time_total: Option<Duration>,
    /// Deadlocks since the start.
    pub deadlocks_total: Option<u64>,
    /// Commits since the start.
    pub commits_total: Option<u64>,
    /// Rollbacks since the start.
    pub rollbacks_total: Option<u64>,
    /// Old versions that wait to be purged (InnoDB's history list), in transactions.
    pub history_length: Option<u64>,
    /// Clients that the server refused for want of connections, since the start.
    pub refused_connections_total: Option<u64>,
    /// Which server it is, and what it is for.
    pub role: Role,
}

/// Which server it is, as far as its counters tell: one that was restarted, or that takes writes now,
/// is not what it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Role {
    /// For how long it has run, in seconds.
    pub uptime: Option<u64>,
    /// Whether it refuses writes: a replica, or a primary that is being replaced.
    pub is_read_only: Option<bool>,
}

/// What has become of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was restarted, or another one has taken its place.
    Restarted,
    /// It takes writes now.
    TakesWrites,
    /// It refuses writes now.
    RefusesWrites,
}

impl Role {
    /// Clocks of servers step back by a little.
    const STEP_BACK: u64 = 2;

    /// What has become of it since then; none where it is as it was, or one side is not known.
    #[must_use]
    pub fn change_since(self, before: Self) -> Option<Change> {
        if let (Some(then), Some(now)) = (before.uptime, self.uptime)
            && now + Self::STEP_BACK < then
        {
            return Some(Change::Restarted);
        }
        match (before.is_read_only?, self.is_read_only?) {
            (true, false) => Some(Change::TakesWrites),
            (false, true) => Some(Change::RefusesWrites),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_and_a_flip_of_read_only_are_changes_and_the_passing_of_time_is_none() {
        let role = |uptime, is_read_only| Role { uptime, is_read_only };
        let before = role(Some(1000), Some(true));
        for (now, expect) in [
            (before, None),
            (role(Some(1001), Some(true)), None),
            (role(Some(9000), Some(true)), None),
            (role(Some(998), None), None),
            (role(None, None), None),
            (role(Some(3), Some(true)), Some(Change::Restarted)),
            (role(Some(3), Some(false)), Some(Change::Restarted)),
            (role(Some(1001), Some(false)), Some(Change::TakesWrites)),
        ] {
            assert_eq!(now.change_since(before), expect, "{now:?}");
        }
        let writable = role(None, Some(false));
        assert_eq!(before.change_since(writable), Some(Change::RefusesWrites));
        assert_eq!(before.change_since(Role::default()), None, "the first look");
    }
}
