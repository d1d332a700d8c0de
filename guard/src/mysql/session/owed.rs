//! What a client has not been told yet of its own session.
//!
//! MySQL tells all changes in its next OK, those of a statement that failed among them. Where the
//! guard has asked for that OK, it owes the client what was in it: with the next one, the server's or
//! the guard's own.

use bytes::BytesMut;
use wire::mysql::response::{SessionState, StateChange};

use super::view::View;

/// Changes of session state, as they stand in an OK packet.
#[derive(Debug, Default)]
pub struct Owed(BytesMut);

impl Owed {
    /// Whether there is nothing to tell.
    pub fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes what the guard was told, as far as the client is to see it.
    pub fn add(&mut self, told: SessionState<'_>, view: &View) {
        let mut shown = BytesMut::new();
        told.put_some(&mut shown, |change| view.shows(change));
        self.0 = self.pay(SessionState::new(&shown));
    }

    /// What an OK with these changes is to tell: what is owed before its own. Nothing is owed any more.
    pub fn pay(&mut self, own: SessionState<'_>) -> BytesMut {
        let owed = std::mem::take(&mut self.0);
        let mut all = BytesMut::new();
        SessionState::new(&owed).put_some(&mut all, |old| {
            !own.filter_map(Result::ok).any(|new| is_about_the_same(old, &new))
        });
        all.extend_from_slice(own.as_bytes());
        all
    }

    /// Nothing is owed: the session was reset.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Whether a newer change says all that an older one did.
fn is_about_the_same(old: &StateChange<'_>, new: &StateChange<'_>) -> bool {
    match (old, new) {
        (
            StateChange::SystemVariable { name: old, .. },
            StateChange::SystemVariable { name: new, .. },
        ) => old == new,
        _ => std::mem::discriminant(old) == std::mem::discriminant(new),
    }
}

#[cfg(test)]
mod tests {
    use wire::mysql::Capabilities;

    use super::*;

    const TIME_ZONE: &[u8] = b"\x00\x0f\x09time_zone\x04SYST";
    const OTHER_TIME_ZONE: &[u8] = b"\x00\x0f\x09time_zone\x04+01:";
    const SQL_MODE: &[u8] = b"\x00\x0a\x08sql_mode\x00";
    const SCHEMA: &[u8] = b"\x01\x02\x01a";

    fn owed(told: &[&[u8]]) -> Owed {
        let mut owed = Owed::default();
        let view = View::new(Capabilities::SESSION_TRACK);
        for told in told {
            owed.add(SessionState::new(told), &view);
        }
        owed
    }

    #[test]
    fn what_is_owed_is_told_once_and_before_what_is_new() {
        let mut owed = owed(&[TIME_ZONE]);
        assert_eq!(owed.pay(SessionState::new(SCHEMA)), [TIME_ZONE, SCHEMA].concat());
        assert!(owed.is_nothing());
        assert_eq!(owed.pay(SessionState::new(SCHEMA)), SCHEMA);
    }

    #[test]
    fn the_newest_value_alone_is_told() {
        let mut twice = owed(&[TIME_ZONE, OTHER_TIME_ZONE]);
        assert_eq!(twice.pay(SessionState::default()), OTHER_TIME_ZONE);
        let mut owed = owed(&[TIME_ZONE]);
        assert_eq!(owed.pay(SessionState::new(OTHER_TIME_ZONE)), OTHER_TIME_ZONE);
    }

    #[test]
    fn what_a_client_does_not_see_is_not_owed() {
        assert!(owed(&[SQL_MODE]).is_nothing());
    }
}
