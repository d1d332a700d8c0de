//! Variables that a server tells under the name of another.
//!
//! MariaDB 11.8 looks up which variable was set by the place of its value, and some share one: all that
//! are a bit of the same word, all that have no place of their own. Told is then the name that was
//! tracked first, with its own value: `SET foreign_key_checks=0` tells `autocommit=ON`. Believed, the
//! setting would stay behind on the connection for the next client. (10.5 and 10.11 do not; seen with
//! `session_track_system_variables='*'`, by the tests of `same_bytes`.)
//!
//! So the first connection of a pool to a server that runs anew is asked. One assignment tells whether the
//! server is of that kind; if so, each variable is set to what it is, and what is told for several is a
//! group. Whenever one of a group is told, any of them may have changed: see `session::shadowed`.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use wire::mysql::response::{OkPacket, StateChange};

use super::{
    connection::{Answer, Connection, Lost},
    session::settings::{Replay, replay_of},
};

/// A variable that has its bit in a word with others, wherever they share one.
const ONE_OF_MANY: &str = "sql_notes";

/// All that a session may set, but for the trackers that are to tell of it.
const SETTABLE: &[u8] = b"SELECT LOWER(VARIABLE_NAME) FROM information_schema.SYSTEM_VARIABLES \
    WHERE VARIABLE_SCOPE LIKE 'SESSION%' AND READ_ONLY='NO' \
    AND VARIABLE_NAME NOT LIKE 'SESSION\\_TRACK\\_%'";

/// The groups of a server. Most servers have none.
#[derive(Debug, Default)]
pub struct Shadows {
    groups: Vec<Group>,
}

/// Variables of which any may have changed when one is told.
#[derive(Debug)]
pub struct Group {
    /// In alphabetical order: `character_set_connection` before `collation_connection`.
    pub names: Vec<Box<[u8]>>,
    /// Asks for the values of all, in the order of `names`.
    pub question: Box<[u8]>,
    /// Whether all of them can be set again on another connection.
    pub can_move: bool,
}

/// Groups, by their numbers, of which one was told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Told(u64);

impl Shadows {
    /// Notes in `told` the group of a variable. Returns whether it is in one.
    pub fn note(&self, name: &[u8], told: &mut Told) -> bool {
        let is_in = |group: &Group| group.names.iter().any(|other| **other == *name);
        let found = self.groups.iter().position(is_in);
        if let Some(number) = found {
            told.0 |= 1 << number.min(LAST);
        }
        found.is_some()
    }

    /// The groups of which one was told.
    pub fn told(&self, told: Told) -> impl Iterator<Item = &Group> {
        let is_told = move |number: usize| told.0 & (1 << number.min(LAST)) != 0;
        self.groups.iter().enumerate().filter(move |(number, _)| is_told(*number)).map(|(_, g)| g)
    }

    /// Asks over a fresh connection, which cannot be used any more then unless there are no groups.
    ///
    /// # Errors
    /// [`Lost`]. Not cancel-safe.
    async fn find(connection: &mut Connection) -> Result<Self, Lost> {
        let seen = told_for(connection, ONE_OF_MANY).await?;
        if seen.is_none_or(|told| told == ONE_OF_MANY) {
            return Ok(Self::default());
        }
        let rows = connection.query(SETTABLE).await?.unwrap_or_default();
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in rows.into_iter().flatten().flatten() {
            let name = String::from_utf8_lossy(&name).into_owned();
            if let Some(told) = told_for(connection, &name).await? {
                groups.entry(told).or_default().push(name);
            }
        }
        Ok(groups.into_iter().collect())
    }
}

/// The last bit of [`Told`] is for all groups that have none of their own.
const LAST: usize = u64::BITS as usize - 1;

impl Told {
    /// Whether none was.
    pub fn is_nothing(self) -> bool {
        self.0 == 0
    }
}

/// From what was told, and for which variables.
impl FromIterator<(String, Vec<String>)> for Shadows {
    fn from_iter<I: IntoIterator<Item = (String, Vec<String>)>>(told: I) -> Self {
        let groups = told.into_iter().filter_map(|(told, mut names)| {
            names.push(told);
            names.sort_unstable();
            names.dedup();
            (names.len() > 1).then(|| Group::new(&names))
        });
        Self { groups: groups.collect() }
    }
}

impl Group {
    fn new(names: &[String]) -> Self {
        let values: Vec<String> = names.iter().map(|name| format!("@@SESSION.{name}")).collect();
        let names: Vec<Box<[u8]>> = names.iter().map(|name| name.as_bytes().into()).collect();
        let can_move = names.iter().all(|name| replay_of(name) == Replay::Value);
        let question = format!("SELECT {}", values.join(",")).into_bytes().into();
        Self { names, question, can_move }
    }
}

/// Sets a variable to what it is. Returns which one the server tells of, if it can be set at all.
async fn told_for(connection: &mut Connection, name: &str) -> Result<Option<String>, Lost> {
    let sql = format!("SET SESSION {name}=@@SESSION.{name}");
    if let Answer::Err(_) = connection.execute(sql.as_bytes()).await? {
        return Ok(None);
    }
    let payload = std::mem::take(&mut connection.told);
    if payload.is_empty() {
        return Ok(None);
    }
    for change in OkPacket::parse(&payload, connection.capabilities)?.state {
        if let StateChange::SystemVariable { name, .. } = change? {
            return Ok(Some(String::from_utf8_lossy(name).into_owned()));
        }
    }
    Ok(None)
}

/// What the connections of a pool were found to be told. An account may set what another may not, so
/// each pool asks for itself.
#[derive(Debug, Default)]
pub struct Known(Mutex<Option<(u64, Arc<Shadows>)>>);

impl Known {
    /// Gives a fresh MariaDB connection its groups, so far as its server was asked since it has started.
    /// Returns whether it was.
    pub fn tell(&self, connection: &mut Connection) -> bool {
        let known = self.0.lock();
        let known = known.as_ref().filter(|(started, _)| *started == connection.server_started);
        if let Some((_, shadows)) = known {
            connection.shadows = Arc::clone(shadows);
        }
        known.is_some()
    }

    /// Asks over a fresh MariaDB connection. Returns whether it is still as fresh: where there are groups,
    /// everything has been set on it, and not all of that is undone by a reset (`RAND()` has new seeds).
    ///
    /// # Errors
    /// [`Lost`]. Not cancel-safe.
    pub async fn ask(&self, connection: &mut Connection) -> Result<bool, Lost> {
        let shadows = Shadows::find(connection).await?;
        let is_fresh = shadows.groups.is_empty();
        *self.0.lock() = Some((connection.server_started, Arc::new(shadows)));
        Ok(is_fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shadows() -> Shadows {
        let told = [
            ("autocommit", vec!["autocommit", "foreign_key_checks"]),
            ("timestamp", vec!["insert_id"]),
            ("time_zone", vec!["time_zone"]),
        ];
        let owned = |names: Vec<&str>| names.into_iter().map(String::from).collect();
        told.into_iter().map(|(told, names)| (told.into(), owned(names))).collect()
    }

    #[test]
    fn who_is_told_alone_has_no_group() {
        let shadows = shadows();
        let mut told = Told::default();
        assert!(!shadows.note(b"time_zone", &mut told) && told.is_nothing());
        assert!(shadows.note(b"foreign_key_checks", &mut told));
        let groups: Vec<_> = shadows.told(told).collect();
        assert_eq!(groups.len(), 1);
        assert_eq!(
            &*groups[0].question,
            b"SELECT @@SESSION.autocommit,@@SESSION.foreign_key_checks"
        );
        assert!(groups[0].can_move);
    }

    #[test]
    fn a_group_with_a_variable_that_works_once_cannot_move() {
        let shadows = shadows();
        let mut told = Told::default();
        assert!(shadows.note(b"timestamp", &mut told));
        assert!(!shadows.told(told).next().unwrap().can_move);
    }
}
