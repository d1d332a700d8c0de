//! A configuration as a list of keys and values, for people who ask what is in force.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Config, Engine};

/// The least that is a configuration, of each engine; all else in it is a default.
const fn least(engine: Engine) -> &'static str {
    match engine {
        Engine::Mysql => "[upstream]\naddress = \"db\"\n[control]\nuser = \"tidegate\"\n",
        Engine::Postgres => {
            "[upstream]\nengine = \"postgres\"\naddress = \"db\"\n[control]\nuser = \"tidegate\"\n"
        }
    }
}

/// Sections that a reload puts into force.
const RELOADED: [&str; 7] = ["overall", "limit", "melt", "class", "database", "routing", "rule"];

/// A key of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// Its section and name: `class.batch.in_flight`, `listener.1.address`, from 1.
    pub key: String,
    /// Its value; none where it is not set and has no default. Passwords are not shown.
    pub value: Option<String>,
    /// Its default; none where it has none, or must be given.
    pub default: Option<String>,
    /// Whether a reload changes it.
    pub is_reloaded: bool,
}

/// All keys, in the order of their names.
pub fn list(config: &Config) -> Vec<ListedKey> {
    let least = least(config.upstream.engine);
    let least = Config::parse(Path::new("defaults"), least, &|_| None);
    let mut defaults = least.map(|least| flat(&least.config)).unwrap_or_default();
    for key in ["upstream.address", "control.user"] {
        defaults.remove(key);
    }
    // What the least must say is no default.
    defaults.insert("upstream.engine".into(), Some("mysql".into()));
    let listed = flat(config).into_iter().map(|(key, value)| {
        let default = defaults.get(&default_of(&key)).cloned().flatten();
        let section = key.split('.').next().unwrap_or_default();
        let is_reloaded = RELOADED.contains(&section) || key == "guard.mode";
        ListedKey { key, value, default, is_reloaded }
    });
    listed.collect()
}

/// The key whose default is that of `key`: classes are alike, and so are listeners and databases.
fn default_of(key: &str) -> String {
    let parts: Vec<&str> = key.splitn(3, '.').collect();
    match parts[..] {
        ["listener", _, name] => format!("listener.1.{name}"),
        ["class", _, name] => format!("class.default.{name}"),
        ["database", _, name] => format!("overall.{name}"),
        _ => key.to_owned(),
    }
}

fn flat(config: &Config) -> BTreeMap<String, Option<String>> {
    let mut keys = BTreeMap::new();
    // Every value of it can be written, and is.
    if let Ok(value) = serde_json::to_value(config) {
        walk("", &value, &mut keys);
    }
    keys
}

fn walk(path: &str, value: &Value, keys: &mut BTreeMap<String, Option<String>>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| walk(&below(name), value, keys));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let numbered = (1_usize..).zip(items);
            numbered.for_each(|(number, item)| walk(&below(&number.to_string()), item, keys));
        }
        Value::Null => _ = keys.insert(path.into(), None),
        Value::String(text) => _ = keys.insert(path.into(), Some(text.clone())),
        other => _ = keys.insert(path.into(), Some(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_is_listed_with_its_default_and_no_secret() {
        let text = "[[listener]]\naddress = \"127.0.0.1:7\"\n[[listener]]\naddress = \"/run/s\"\n\
                    [upstream]\naddress = \"db\"\n[control]\nuser = \"c\"\npassword = \"hush\"\n\
                    [class.batch]\nin_flight = 3\n";
        let config = Config::parse(Path::new("t.toml"), text, &|_| None).unwrap().config;
        let keys = list(&config);
        let of = |key: &str| {
            let found = keys.iter().find(|listed| listed.key == key);
            let found = found.unwrap_or_else(|| panic!("{key} is not in {keys:?}"));
            (found.value.as_deref(), found.default.as_deref(), found.is_reloaded)
        };
        assert_eq!(of("listener.2.address"), (Some("/run/s"), Some("127.0.0.1:3307"), false));
        assert_eq!(of("upstream.address"), (Some("db:3306"), None, false));
        assert_eq!(of("upstream.connections"), (Some("32"), Some("32"), false));
        assert_eq!(of("class.batch.in_flight"), (Some("3"), None, true));
        assert_eq!(of("guard.mode"), (Some("enforce"), Some("enforce"), true));
        assert!(!format!("{keys:?}").contains("hush"));
    }
}
