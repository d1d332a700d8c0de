//! What a client sees of the changes of its session.
//!
//! The guard asks servers to track more than any client does; in the OK packets that it passes on,
//! only what the client's own trackers would have told is left. A client that sets the trackers
//! itself gets them: from then on they are the client's, its session is pinned until it is reset,
//! and the guard passes on what the server tells.

use wire::mysql::{capability::Capabilities, response::StateChange};

/// The trackers of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// `SESSION_TRACK` was negotiated; nothing is told otherwise.
    is_negotiated: bool,
    /// The trackers on the connection are as the client set them.
    is_own: bool,
}

/// The statement that makes the trackers of a connection what a client finds after a login.
pub const TRACKERS_OF_A_LOGIN: &[u8] = b"SET session_track_system_variables=DEFAULT,\
    session_track_schema=DEFAULT,session_track_state_change=DEFAULT,\
    session_track_transaction_info=DEFAULT";

/// The variables that a server reports without being asked, MySQL 5.7–9.x and MariaDB 10.3–12.x.
const TRACKED_BY_DEFAULT: [&[u8]; 6] = [
    b"autocommit",
    b"character_set_client",
    b"character_set_connection",
    b"character_set_results",
    b"time_zone",
    b"redirect_url",
];

impl View {
    /// What a client sees that has set no tracker.
    pub fn new(capabilities: Capabilities) -> Self {
        Self { is_negotiated: capabilities.contains(Capabilities::SESSION_TRACK), is_own: false }
    }

    /// The client sets its trackers itself from here on.
    pub fn give(&mut self) {
        self.is_own = true;
    }

    /// Whether the client has set trackers itself. The guard then learns no more than it does.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// Whether the client is told of `change`.
    pub fn shows(&self, change: &StateChange<'_>) -> bool {
        let is_default = match change {
            StateChange::Schema(_) => true,
            StateChange::SystemVariable { name, .. } => TRACKED_BY_DEFAULT.contains(name),
            _ => false,
        };
        self.is_negotiated && (self.is_own || is_default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sees_what_its_own_trackers_tell() {
        let time_zone = StateChange::SystemVariable { name: b"time_zone", value: b"+01:00" };
        let sql_mode = StateChange::SystemVariable { name: b"sql_mode", value: b"" };
        let changed = StateChange::Changed(true);
        let mut view = View::new(Capabilities::SESSION_TRACK);
        assert!(view.shows(&time_zone) && view.shows(&StateChange::Schema(b"a")));
        assert!(!view.shows(&sql_mode) && !view.shows(&changed));
        view.give();
        assert!(view.shows(&sql_mode) && view.shows(&changed));
        assert!(!View::new(Capabilities::default()).shows(&time_zone));
    }
}
