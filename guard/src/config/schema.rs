//! The JSON schema of the file, for editors and for the manual.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Config;
use super::part::OTHERS;

impl Config {
    /// The JSON schema (draft 2020-12) of the file. `schema/tidegate.schema.json` is a copy.
    pub fn schema() -> Value {
        let generator = SchemaSettings::draft2020_12().into_generator();
        let mut schema = generator.into_root_schema_for::<Self>().to_value();
        for (table, about) in OTHERS {
            let more = "see docs/scheduler.md. The guard passes it over.";
            let described = format!("{about}; {more}");
            let kind = if table == "schedule" { "array" } else { "object" };
            schema["properties"][table] = json!({ "type": kind, "description": described });
        }
        schema
    }
}
