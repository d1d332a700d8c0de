//! What tools that write in bulk are told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[pressure]`: what tools that write in bulk are told (`GET /check/APP/TYPE/STORE`, as of freno).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pressure {
    /// The name by which tools know this database.
    pub store: String,
    /// From this pressure on, in percent of what is just borne, they are told not to write.
    pub threshold: u32,
}

impl Default for Pressure {
    fn default() -> Self {
        Self { store: "main".into(), threshold: 75 }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;

    fn parse(more: &str) -> Result<(String, u32), String> {
        let text = "[upstream]\naddress = \"127.0.0.1:3306\"\n\
                    [control]\nuser = \"tidegate\"\npassword = \"secret\"\n";
        let loaded = Config::parse(Path::new("t.toml"), &format!("{text}{more}"), &|_| None);
        let loaded = loaded.map_err(|errors| errors.to_string())?;
        Ok((loaded.config.pressure.store, loaded.config.pressure.threshold))
    }

    #[test]
    fn there_is_a_store_and_a_threshold() {
        assert_eq!(parse(""), Ok(("main".into(), 75)));
        let own = "[pressure]\nstore = \"orders\"\nthreshold = 50\n";
        assert_eq!(parse(own), Ok(("orders".into(), 50)));
        for (wrong, key) in [
            ("threshold = 0", "pressure.threshold"),
            ("threshold = 101", "pressure.threshold"),
            ("store = \"\"", "pressure.store"),
            ("store = \"a/b\"", "pressure.store"),
        ] {
            let error = parse(&format!("[pressure]\n{wrong}\n")).unwrap_err();
            assert!(error.contains(key), "{wrong}: {error}");
        }
    }
}
