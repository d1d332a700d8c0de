//! What a client sees of the changes of its session.
//!
//! The guard asks servers to track more than any client does; in the OK packets that it passes on,
//! only what the client's own trackers would have told is left.

use wire::mysql::{capability::Capabilities, response::StateChange};

/// The trackers of a client, as they are by default or as it set them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// `SESSION_TRACK` was negotiated; nothing is told otherwise.
    is_negotiated: bool,
    /// `session_track_schema`.
    schema: bool,
    /// `session_track_system_variables`.
    variables: Variables,
    /// `session_track_state_change`.
    any_change: bool,
    /// `session_track_transaction_info`.
    transaction: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Variables {
    Default,
    All,
    /// Names with commas between them.
    Listed(Box<[u8]>),
}

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
        Self {
            is_negotiated: capabilities.contains(Capabilities::SESSION_TRACK),
            schema: true,
            variables: Variables::Default,
            any_change: false,
            transaction: false,
        }
    }

    /// Takes over a tracker that the client set itself: variable `name` is now `value`.
    pub fn steer(&mut self, name: &[u8], value: &[u8]) {
        let is_on = !value.eq_ignore_ascii_case(b"OFF");
        match name {
            b"session_track_schema" => self.schema = is_on,
            b"session_track_state_change" => self.any_change = is_on,
            b"session_track_transaction_info" => self.transaction = is_on,
            b"session_track_system_variables" if value == b"*" => self.variables = Variables::All,
            b"session_track_system_variables" => self.variables = Variables::Listed(value.into()),
            _ => {}
        }
    }

    /// Whether the client is told of `change`.
    pub fn shows(&self, change: &StateChange<'_>) -> bool {
        self.is_negotiated
            && match change {
                StateChange::Schema(_) => self.schema,
                StateChange::SystemVariable { name, .. } => self.variables.has(name),
                StateChange::Changed(_) => self.any_change,
                StateChange::TransactionCharacteristics(_) | StateChange::TransactionState(_) => {
                    self.transaction
                }
                StateChange::Gtids(_) | StateChange::Other { .. } => false,
            }
    }
}

impl Variables {
    fn has(&self, name: &[u8]) -> bool {
        match self {
            Self::Default => TRACKED_BY_DEFAULT.contains(&name),
            Self::All => true,
            Self::Listed(names) => {
                names.split(|&b| b == b',').any(|n| n.trim_ascii().eq_ignore_ascii_case(name))
            }
        }
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
        view.steer(b"session_track_system_variables", b"autocommit, SQL_MODE");
        view.steer(b"session_track_state_change", b"ON");
        view.steer(b"session_track_schema", b"OFF");
        assert!(view.shows(&sql_mode) && view.shows(&changed));
        assert!(!view.shows(&time_zone) && !view.shows(&StateChange::Schema(b"a")));
        assert!(!View::new(Capabilities::default()).shows(&time_zone));
    }
}
