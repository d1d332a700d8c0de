//! `tidegate config`: what a file comes to.

use std::path::PathBuf;

use clap::Args;
use guard::config::{Config as Loading, ListedKey, list};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::show::{Table, plain, print};

/// The longest value that is shown whole in a table.
const VALUE_MAX: usize = 60;

/// Show every key that a guard would have in force with a file, and what differs from the defaults.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// The file.
    #[arg(short, long, value_name = "FILE", default_value = "tidegate.toml")]
    config: PathBuf,
    /// Only keys that differ from their defaults.
    #[arg(long)]
    changed: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Config {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut keys = list(&Loading::load(&self.config)?.config);
        keys.retain(|key| !self.changed || is_changed(key));
        let told = match self.json {
            true => format!("{:#}\n", Value::Array(keys.iter().map(as_json).collect())),
            false => show(&keys),
        };
        Ok(print(&told)?)
    }
}

fn is_changed(key: &ListedKey) -> bool {
    key.value != key.default
}

fn as_json(key: &ListedKey) -> Value {
    json!({ "key": key.key, "value": key.value, "default": key.default,
        "changed": is_changed(key), "reloaded": key.is_reloaded })
}

fn show(keys: &[ListedKey]) -> String {
    let mut table = Table::new(&["key", "value", "default", "changes with"]);
    for key in keys {
        let text = |value: &Option<String>| plain(value.as_deref().unwrap_or("-"), VALUE_MAX);
        let default = if is_changed(key) { text(&key.default) } else { "the same".to_owned() };
        let when = if key.is_reloaded { "a reload" } else { "a restart" };
        table.row([key.key.clone(), text(&key.value), default, when.to_owned()]);
    }
    table.show("nothing differs from the defaults")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str, value: &str, default: Option<&str>, is_reloaded: bool) -> ListedKey {
        let (value, default) = (Some(value.to_owned()), default.map(str::to_owned));
        ListedKey { key: key.to_owned(), value, default, is_reloaded }
    }

    #[test]
    fn it_looks_like_this() {
        let keys = [
            key("guard.mode", "observe", Some("enforce"), true),
            key("upstream.address", "db:3306", None, false),
            key("upstream.connections", "32", Some("32"), false),
        ];
        assert_eq!(
            show(&keys),
            "key                   value    default   changes with\n\
             guard.mode            observe  enforce   a reload\n\
             upstream.address      db:3306  -         a restart\n\
             upstream.connections  32       the same  a restart\n"
        );
        assert_eq!(keys.iter().filter(|key| is_changed(key)).count(), 2);
    }
}
