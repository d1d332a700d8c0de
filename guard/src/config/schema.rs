//! The JSON schema of the file, for editors and for the manual.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;

impl Config {
    /// The JSON schema (draft 2020-12) of the file. `schema/tidegate.schema.json` is a copy.
    pub fn schema() -> Value {
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Self>().to_value()
    }
}
