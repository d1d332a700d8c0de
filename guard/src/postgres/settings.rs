//! What a session was set to, as the label of a connection.
//!
//! A label holds the parameters that differ from those of a fresh login, by the names and values that
//! the server itself tells (`pg_settings` where the source is the session), never by reading SET.
//! So it is right whatever set them: SET, `set_config`, a function, RESET, or a rollback that took
//! them back. Two connections with equal labels behave the same, and changing hands costs no SQL.

use std::{collections::BTreeMap, fmt::Write as _};

use super::connect::Parameter;

/// Parameters of one session, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<Box<str>, Box<str>>,
}

/// It is no parameter of the server's list, and RESET ALL leaves it.
const ROLE: &str = "role";

impl Settings {
    /// A parameter's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| &**value)
    }

    /// Sets a parameter.
    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.into(), value.into());
    }

    /// Whether nothing was set.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Adds those of `others` that are not set.
    pub fn fill_up(&mut self, others: &Self) {
        for (name, value) in &others.values {
            self.values.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    /// The SQL that makes a session of `from` one of these; `None` where nothing has to be done.
    ///
    /// No value is taken for SQL: it goes through `set_config`, schema-qualified, as a quoted string.
    ///
    /// `may_hide`: the session may have been set to what `from` does not tell, which is to go.
    pub fn change_from(&self, from: &Self, may_hide: bool) -> Option<String> {
        if self == from && !may_hide {
            return None;
        }
        let is_kept = |name: &str| self.values.contains_key(name);
        let must_reset =
            may_hide || from.values.keys().any(|name| &**name != ROLE && !is_kept(name.as_ref()));
        let mut sql = String::new();
        if must_reset {
            sql.push_str("RESET ALL;");
        }
        let no_role = (from.get(ROLE).is_some() && self.get(ROLE).is_none()).then_some("none");
        let mut separator = "SELECT ";
        let kept_role = self.get(ROLE).filter(|role| from.get(ROLE) != Some(role)).or(no_role);
        let parameters = self.iter().filter(|(name, _)| *name != ROLE);
        let changed =
            parameters.filter(|(name, value)| must_reset || from.get(name) != Some(value));
        // The role last: with it the session may no longer be allowed to set the others.
        for (name, value) in changed.chain(kept_role.map(|role| (ROLE, role))) {
            sql.push_str(separator);
            separator = ",";
            let _infallible =
                write!(sql, "pg_catalog.set_config({},{},false)", Quoted(name), Quoted(value));
        }
        Some(sql)
    }
}

/// A string as a literal, whatever `standard_conforming_strings` is.
pub struct Quoted<'a>(pub &'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("E'")?;
        for part in self.0.split_inclusive(['\'', '\\']) {
            match part.as_bytes().last() {
                Some(b'\'' | b'\\') => {
                    let (rest, last) = part.split_at(part.len() - 1);
                    write!(f, "{rest}\\{last}")?;
                }
                _ => f.write_str(part)?,
            }
        }
        f.write_str("'")
    }
}

/// The settings that a client's start-up packet asks for: its parameters, and those in `options`.
/// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS>
///
/// # Errors
/// The option that is none: a server refuses it, too.
pub fn of_startup(parameters: &[Parameter]) -> Result<Settings, String> {
    let mut settings = Settings::default();
    for (name, value) in parameters {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        match &*name {
            "user" | "database" | "replication" => {}
            name if name.starts_with("_pq_.") => {}
            "options" => read_options(&value, &mut settings)?,
            name => settings.set(&name.to_ascii_lowercase(), &value),
        }
    }
    Ok(settings)
}

/// Reads `-c name=value` and `--name=value`, words apart by space, a backslash taking the next
/// character as it is. (postgres:src/backend/utils/init/postinit.c `pg_split_opts`)
fn read_options(text: &str, settings: &mut Settings) -> Result<(), String> {
    let words = split_words(text);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let assignment = match word.strip_prefix("--") {
            Some(assignment) => Some(assignment),
            None => match word.strip_prefix("-c") {
                Some("") => words.next().map(String::as_str),
                attached => attached,
            },
        };
        let Some((name, value)) = assignment.and_then(|text| text.split_once('=')) else {
            return Err(word.clone());
        };
        settings.set(&name.replace('-', "_").to_ascii_lowercase(), value);
    }
    Ok(())
}

fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            space if space.is_ascii_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in pairs {
            settings.set(name, value);
        }
        settings
    }

    #[test]
    fn equal_labels_cost_no_sql() {
        let label = settings(&[("TimeZone", "UTC")]);
        assert_eq!(label.change_from(&label.clone(), false), None);
    }

    #[test]
    fn what_is_hidden_goes_though_the_labels_are_equal() {
        let label = settings(&[("TimeZone", "UTC")]);
        let sql = label.change_from(&label, true).unwrap();
        assert_eq!(sql, "RESET ALL;SELECT pg_catalog.set_config(E'TimeZone',E'UTC',false)");
    }

    #[test]
    fn what_differs_is_set_and_what_is_too_much_is_reset() {
        let (plain, utc) = (Settings::default(), settings(&[("TimeZone", "UTC")]));
        let set = "SELECT pg_catalog.set_config(E'TimeZone',E'UTC',false)";
        assert_eq!(utc.change_from(&plain, false).as_deref(), Some(set));
        assert_eq!(plain.change_from(&utc, false).as_deref(), Some("RESET ALL;"));
        let other = settings(&[("work_mem", "8192"), ("TimeZone", "UTC")]);
        let change = utc.change_from(&other, false).unwrap();
        assert_eq!(change, format!("RESET ALL;{set}"));
    }

    #[test]
    fn a_role_is_taken_last_and_given_up() {
        let role = settings(&[("role", "alice"), ("work_mem", "64")]);
        let sql = role.change_from(&Settings::default(), false).unwrap();
        assert!(sql.ends_with("pg_catalog.set_config(E'role',E'alice',false)"), "{sql}");
        let back = Settings::default().change_from(&role, false).unwrap();
        assert_eq!(back, "RESET ALL;SELECT pg_catalog.set_config(E'role',E'none',false)");
    }

    #[test]
    fn no_value_leaves_its_quotes() {
        assert_eq!(Quoted(r"a'b\c").to_string(), r"E'a\'b\\c'");
        assert_eq!(Quoted("").to_string(), "E''");
        assert_eq!(Quoted(r"'\").to_string(), r"E'\'\\'");
    }

    #[test]
    fn start_up_options_are_read_as_the_server_reads_them() {
        let parameters = |options: &str| {
            vec![
                (Box::from(*b"user"), Box::from(*b"u")),
                (Box::from(*b"DateStyle"), Box::from(*b"ISO")),
                (Box::from(*b"options"), Box::from(options.as_bytes())),
            ]
        };
        let read = of_startup(&parameters(r"-c a=b\ c -cD=e --statement-timeout=5s")).unwrap();
        let expect = [("a", "b c"), ("d", "e"), ("datestyle", "ISO"), ("statement_timeout", "5s")];
        assert_eq!(read, settings(&expect));
        assert_eq!(of_startup(&parameters("-z 1")), Err("-z".into()));
        assert_eq!(of_startup(&parameters("-c")), Err("-c".into()));
    }
}
