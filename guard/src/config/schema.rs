//! The JSON schema of the file, for editors and for the manual.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Config;

impl Config {
    /// The JSON schema (draft 2020-12) of what the guard reads of the file.
    pub fn schema() -> Value {
        let generator = SchemaSettings::draft2020_12().into_generator();
        generator.into_root_schema_for::<Self>().to_value()
    }

    /// The same with the tables of another part, by the schema of its own. A file is one of the guard, of
    /// that part, or of both. `schema/tidegate.schema.json` is a copy.
    ///
    /// # Panics
    /// When both have a definition of one name and mean two things by it.
    pub fn schema_with(other: &Value) -> Value {
        let mut schema = Self::schema();
        for (name, definition) in other["$defs"].as_object().into_iter().flatten() {
            let known = &mut schema["$defs"][name];
            assert!(known.is_null() || known == definition, "two definitions are called {name}");
            *known = definition.clone();
        }
        for (table, property) in other["properties"].as_object().into_iter().flatten() {
            schema["properties"][table] = property.clone();
        }
        let needs = |part: &Value| json!({ "required": part["required"] });
        schema["anyOf"] = json!([needs(&schema), needs(other)]);
        if let Some(root) = schema.as_object_mut() {
            root.remove("required");
        }
        schema
    }
}
