//! What a session has changed about its connection, and what a connection is labelled with.
//!
//! A connection may change hands when its label equals what the next session expects; that costs
//! no SQL. Otherwise the difference is replayed (`upstream::handover`). The values come from the
//! server's own session trackers, never from reading `SET` statements: a tracker also sees what a
//! procedure or a trigger changed.
//!
//! The tracker names a variable in the text form of `SHOW VARIABLES`; [`Settings::put_assignments`]
//! turns it back into an expression that `SET` accepts.

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};

/// The most variables one session may have changed. A session that passes it is pinned instead.
pub const VARIABLES_MAX: usize = 64;

/// The most bytes of one variable's value that are kept for replay.
pub const VALUE_LEN_MAX: usize = 4096;

/// The replayable state of a session: default schema, multi-statement option, changed variables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The default schema; `None` when no database is selected.
    pub schema: Option<Box<[u8]>>,
    /// What `COM_SET_OPTION` or the handshake chose for multi-statements.
    pub multi_statements: bool,
    /// Whether it begins with a reset and not with a login; see `upstream::chosen`.
    pub is_reset: bool,
    /// Session variables that differ from what a fresh login has, in name order, so that
    /// `character_set_*` is replayed before `collation_*`.
    variables: BTreeMap<Box<[u8]>, Box<[u8]>>,
    /// The collation of `SET NAMES … COLLATE …`. Columns of results are described with it, and no
    /// variable shows it: `character_set_results` names its character set alone.
    names_collation: Option<Box<[u8]>>,
}

/// What the guard does about one reported variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// Its value can be set again on another connection.
    Value,
    /// It works once, or means something else elsewhere: the session stays where it is.
    Pins,
    /// The guard keeps its value by other means.
    Elsewhere,
}

impl Settings {
    /// Fresh settings of a login.
    pub fn new(schema: Option<&[u8]>, multi_statements: bool) -> Self {
        Self { schema: schema.map(Into::into), multi_statements, ..Self::default() }
    }

    /// Notes what the server reported: `name` is now `value`. Returns whether it can be replayed.
    pub fn set_variable(&mut self, name: &[u8], value: &[u8]) -> Replay {
        let replay = replay_of(name);
        if replay != Replay::Value {
            return replay;
        }
        if value.len() > VALUE_LEN_MAX || self.variables.len() >= VARIABLES_MAX {
            return Replay::Pins;
        }
        if name == b"character_set_results" {
            self.names_collation = None;
        }
        if name == b"character_set_connection" {
            // A new character set brings its default collation: an older choice is gone. A
            // collation chosen in the same statement is reported after it, or asked for.
            self.variables.remove(&b"collation_connection"[..]);
        }
        self.variables.insert(name.into(), value.into());
        Replay::Value
    }

    /// Notes what the server was asked for: the character set of results, `None` for NULL, and the
    /// variables of the scene, in their order.
    pub fn set_scene<'a>(
        &mut self,
        results: Option<&'a [u8]>,
        scene: impl Iterator<Item = Option<&'a [u8]>>,
    ) {
        let results = (&b"character_set_results"[..], results.unwrap_or_default());
        let scene = SCENE.into_iter().zip(scene.map(Option::unwrap_or_default));
        for (name, value) in [results].into_iter().chain(scene) {
            if self.variable(name) != Some(value) {
                self.set_variable(name, value);
            }
        }
    }

    /// Notes the collation that `SET NAMES … COLLATE …` chose.
    pub fn set_names_collation(&mut self, collation: &[u8]) {
        self.set_variable(b"collation_connection", collation);
        self.names_collation = Some(collation.into());
    }

    /// Whether a report of `name`, even with the value it had, ends a choice that went with it.
    pub fn forgets_with(&self, name: &[u8]) -> bool {
        match name {
            b"character_set_connection" => self.variable(b"collation_connection").is_some(),
            b"character_set_results" => self.names_collation.is_some(),
            _ => false,
        }
    }

    /// Forgets all variables: the server has reset them.
    pub fn clear_variables(&mut self) {
        self.variables.clear();
        self.names_collation = None;
    }

    /// The value last reported for `name`, if the session changed it.
    pub fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        self.variables.get(name).map(AsRef::as_ref)
    }

    /// Whether a text means the same under both: the schema, what decides how it is parsed, and what is read when it
    /// is prepared.
    pub fn is_same_scene(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.is_reset == other.is_reset
            && SCENE
                .iter()
                .chain(&AT_PREPARE)
                .all(|name| self.variable(name) == other.variable(name))
    }

    /// Whether every variable this label carries is also set by `wanted`, on top of the same
    /// beginning: if not, only a reset brings the connection back.
    pub fn is_covered_by(&self, wanted: &Self) -> bool {
        self.is_reset == wanted.is_reset
            && self.variables.keys().all(|name| wanted.variables.contains_key(name))
    }

    /// Appends `NAMES … COLLATE …` where the session chose a collation so. Returns whether it did.
    pub fn put_names(&self, out: &mut BytesMut) -> bool {
        let charset = self.variable(b"character_set_results");
        let (Some(charset), Some(collation)) = (charset, &self.names_collation) else {
            return false;
        };
        out.put_slice(b"NAMES ");
        put_value(b"names", charset, out);
        out.put_slice(b" COLLATE ");
        put_value(b"names", collation, out);
        true
    }

    /// Whether `NAMES … COLLATE …` has set this variable, with a collation that setting it by its
    /// name would lose.
    pub fn is_of_names(&self, name: &[u8]) -> bool {
        self.names_collation.is_some()
            && match name {
                b"character_set_results" => true,
                b"character_set_client" => {
                    self.variable(name) == self.variable(b"character_set_results")
                }
                _ => false,
            }
    }

    /// Appends `a=1,b='x'` for every variable in which `self` differs from `current`.
    /// Returns how many were written.
    pub fn put_assignments(&self, current: &Self, out: &mut BytesMut) -> usize {
        let mut written = 0;
        // SET NAMES sets them all, and a character set brings a collation with it.
        let sets_charsets =
            CHARSETS.iter().any(|name| self.variable(name) != current.variable(name))
                || self.names_collation != current.names_collation;
        if sets_charsets && self.put_names(out) {
            written += 1;
        }
        for (name, value) in &self.variables {
            let is_charset = sets_charsets && CHARSETS.contains(&&**name);
            if self.is_of_names(name) || (current.variables.get(name) == Some(value) && !is_charset)
            {
                continue;
            }
            if written > 0 {
                out.put_u8(b',');
            }
            out.put_slice(name);
            out.put_u8(b'=');
            put_value(name, value, out);
            written += 1;
        }
        written
    }
}

/// The variables that decide how a text is parsed, in an order in which they can be set.
const SCENE: [&[u8]; 4] =
    [b"character_set_client", b"character_set_connection", b"collation_connection", b"sql_mode"];

/// The variables that MySQL reads when it prepares a statement, and not when it executes it: of how many digits a
/// quotient is, how long the results of GROUP_CONCAT and of names of days are. MariaDB reads them each time.
pub const AT_PREPARE: [&[u8]; 3] =
    [b"div_precision_increment", b"group_concat_max_len", b"lc_time_names"];

/// The variables that go together: where one is set, all that the session chose are set again.
const CHARSETS: [&[u8]; 4] = [
    b"character_set_client",
    b"character_set_connection",
    b"character_set_results",
    b"collation_connection",
];

/// Sorts variables by whether their value can move. Names are those of MySQL and MariaDB.
pub fn replay_of(name: &[u8]) -> Replay {
    match name {
        b"insert_id" | b"rand_seed1" | b"rand_seed2" | b"pseudo_thread_id" | b"gtid_next" => {
            Replay::Pins
        }
        _ if name.starts_with(b"session_track_") => Replay::Pins,
        b"last_insert_id" | b"identity" => Replay::Elsewhere,
        // `SET ROLE` has no variable; these report what cannot be assigned.
        // MySQL reports the number of each statement.
        b"warning_count" | b"error_count" | b"last_gtid" | b"statement_id" => Replay::Elsewhere,
        _ => Replay::Value,
    }
}

/// Writes a value as `SET` wants it: numbers bare (a quoted number is error 1232), all else quoted.
pub fn put_value(name: &[u8], value: &[u8], out: &mut BytesMut) {
    if name == b"character_set_results" && value.is_empty() {
        // The tracker reports NULL as the empty string.
        out.put_slice(b"NULL");
    } else if is_number(value) {
        out.put_slice(value);
    } else {
        out.put_u8(b'\'');
        for &byte in value {
            // Doubling a quote works in every sql_mode. A backslash does not survive all modes,
            // and no variable that is tracked carries one except paths, which are not settable.
            if byte == b'\'' {
                out.put_u8(b'\'');
            }
            out.put_u8(byte);
        }
        out.put_u8(b'\'');
    }
}

fn is_number(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let dots = digits.iter().filter(|&&byte| byte == b'.').count();
    !digits.is_empty()
        && dots <= 1
        && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && digits[0] != b'.'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignments(wanted: &Settings, current: &Settings) -> String {
        let mut out = BytesMut::new();
        wanted.put_assignments(current, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn only_what_differs_is_replayed() {
        let mut wanted = Settings::default();
        wanted.set_variable(b"sql_mode", b"ANSI_QUOTES");
        wanted.set_variable(b"time_zone", b"+02:00");
        let mut current = Settings::default();
        current.set_variable(b"time_zone", b"+02:00");
        assert_eq!(assignments(&wanted, &current), "sql_mode='ANSI_QUOTES'");
        assert!(current.is_covered_by(&wanted));
        assert!(!wanted.is_covered_by(&current));
    }

    #[test]
    fn numbers_are_bare_and_null_results_stay_null() {
        let mut wanted = Settings::default();
        wanted.set_variable(b"max_statement_time", b"1.500000");
        wanted.set_variable(b"character_set_results", b"");
        wanted.set_variable(b"sql_mode", b"it's");
        assert_eq!(
            assignments(&wanted, &Settings::default()),
            "character_set_results=NULL,max_statement_time=1.500000,sql_mode='it''s'"
        );
    }

    #[test]
    fn set_names_with_a_collation_is_replayed_as_such() {
        let mut wanted = Settings::default();
        for name in &CHARSETS[..3] {
            wanted.set_variable(name, b"utf8mb4");
        }
        let plain = wanted.clone();
        wanted.set_names_collation(b"utf8mb4_bin");
        assert_eq!(
            assignments(&wanted, &plain),
            "NAMES 'utf8mb4' COLLATE 'utf8mb4_bin',\
             character_set_connection='utf8mb4',collation_connection='utf8mb4_bin'"
        );
        assert_eq!(assignments(&wanted, &wanted.clone()), "");
        assert!(assignments(&plain, &wanted).contains("character_set_results='utf8mb4'"));
        assert!(wanted.forgets_with(b"character_set_results"));
    }

    #[test]
    fn a_scene_is_what_decides_how_a_text_is_parsed() {
        let mut wanted = Settings::new(Some(b"a"), false);
        wanted.set_variable(b"time_zone", b"+01:00");
        let mut current = Settings::new(Some(b"a"), true);
        assert!(wanted.is_same_scene(&current));
        current.set_variable(b"div_precision_increment", b"6");
        assert!(!wanted.is_same_scene(&current));
        wanted.set_variable(b"div_precision_increment", b"6");
        assert!(wanted.is_same_scene(&current));
        current.set_variable(b"sql_mode", b"ANSI_QUOTES");
        assert!(!wanted.is_same_scene(&current));
    }

    #[test]
    fn a_new_character_set_drops_the_old_collation() {
        let mut settings = Settings::default();
        settings.set_variable(b"collation_connection", b"utf8mb4_bin");
        settings.set_variable(b"character_set_connection", b"latin1");
        assert_eq!(settings.variable(b"collation_connection"), None);
    }

    #[test]
    fn a_scene_that_was_asked_for_is_the_sessions() {
        let mut settings = Settings::default();
        settings.set_variable(b"collation_connection", b"latin1_bin");
        let scene = [&b"utf8mb4"[..], b"latin1", b"latin1_bin", b"ANSI_QUOTES"];
        settings.set_scene(None, scene.into_iter().map(Some));
        assert_eq!(settings.variable(b"character_set_results"), Some(&b""[..]));
        for (name, value) in SCENE.into_iter().zip(scene) {
            assert_eq!(settings.variable(name), Some(value));
        }
    }

    #[test]
    fn variables_that_work_once_pin() {
        let mut settings = Settings::default();
        assert_eq!(settings.set_variable(b"insert_id", b"7"), Replay::Pins);
        assert_eq!(settings.set_variable(b"session_track_schema", b"OFF"), Replay::Pins);
        assert_eq!(settings.set_variable(b"last_insert_id", b"7"), Replay::Elsewhere);
        assert_eq!(settings.set_variable(b"statement_id", b"7"), Replay::Elsewhere);
        assert_eq!(settings, Settings::default());
    }
}
