//! `docs/configuration.md`, made of the schema, which is made of the field docs.

use std::fmt::Write as _;

use serde_json::Value;

/// Sections in the order of the manual: key, name in the schema, how the section is written.
const SECTIONS: [Section; 24] = [
    ("upstream", "Upstream", "[upstream]"),
    ("replica", "Replica", "[replica.NAME]"),
    ("routing", "Routing", "[routing]"),
    ("control", "Control", "[control]"),
    ("observe", "Observe", "[observe]"),
    ("listener", "Listener", "[[listener]]"),
    ("auth", "Auth", "[auth]"),
    ("user", "User", "[[user]]"),
    ("overall", "Limits", "[overall]"),
    ("limit", "Limit", "[limit]"),
    ("melt", "Melt", "[melt]"),
    ("hot", "Hot", "[hot]"),
    ("ddl", "Ddl", "[ddl]"),
    ("tenants", "Tenants", "[tenants]"),
    ("retries", "Retries", "[retries]"),
    ("class", "Class", "[class.NAME]"),
    ("database", "Limits", "[database.NAME]"),
    ("rule", "Rule", "[[rule]]"),
    ("switch", "Switch", "[[switch]]"),
    ("pressure", "Pressure", "[pressure]"),
    ("recorder", "Recorder", "[recorder]"),
    ("guard", "Guard", "[guard]"),
    ("admin", "Admin", "[admin]"),
    ("log", "Log", "[log]"),
];

const INTRODUCTION: &str = "\
# Configuration

One TOML file, given as `tidegate guard -c tidegate.toml` or `tidegate scheduler -c tidegate.toml`; both may read the
same. This page is made of the field docs in `guard/src/config` and `scheduler/src/config`; `tidegate docs
configuration` prints it. For completion and checks in an editor,
put this line on top of the file (`schema/tidegate.schema.json` is the schema):

```toml
#:schema https://example.invalid/tidegate/schema/tidegate.schema.json
```

The smallest file that works is `examples/minimal.toml`; `examples/tidegate.toml` shows more.

`tidegate check -c tidegate.toml` reads a file as the guard would and tells everything that is wrong
with it: file, line, key, value and the accepted form. Warnings tell what is allowed and probably not
meant.

- **Durations** are a whole number and a unit: `\"250ms\"`, `\"10s\"`, `\"5m\"`, `\"2h\"`.
- **Time limits** are durations, or `\"off\"`.
- **Sizes** are a whole number and a unit: `\"64KiB\"`, `\"16MiB\"`, `\"1GiB\"`, `\"512B\"`.
- **The environment** can stand in any text: `\"${env:NAME}\"`. A plain `${` is written `$${`.
- **Secrets** are given as text, from the environment, or by file with `password_file`. They are never
  shown.
- **Patterns** compare whole names; `*` stands for any characters.

A reload (`SIGHUP`, or `POST /api/v1/reload`) reads the file anew. When it is wrong the old
configuration stays in force. `[class.NAME]`, `[overall]`, `[database.NAME]`, `[limit]`,
`[melt]`, `[hot]`, `[ddl]`, `[tenants]`, `[retries]`, `[routing]`, `[[rule]]` and `guard.mode` change at once, for transactions that begin afterwards; everything
else needs a restart. The scheduler reads its tables, from `[scheduler]` on, when it starts.
";

/// A section: the key it has in the file, its name in the schema, how it is written.
pub type Section = (&'static str, &'static str, &'static str);

/// The page, by the schema of the whole file, with the sections of other parts after the guard's.
pub fn page(schema: &Value, others: &[Section]) -> String {
    let mut page = String::from(INTRODUCTION);
    for (key, name, header) in SECTIONS.iter().chain(others) {
        let section = &schema["$defs"][name];
        let about = match &schema["properties"][key]["description"] {
            Value::Null => text(&section["description"]),
            about => text(about),
        };
        let _ = write!(page, "\n## `{header}`\n\n{about}\n\n");
        page.push_str("| key | form | default | meaning |\n|---|---|---|---|\n");
        let required = section["required"].as_array();
        for (key, property) in section["properties"].as_object().into_iter().flatten() {
            let is_required = required.is_some_and(|all| all.iter().any(|name| name == key));
            let default = match &property["default"] {
                _ if is_required => "required".into(),
                Value::Null => String::new(),
                default => format!("`{default}`"),
            };
            let (form, meaning) = (form(schema, property), text(&property["description"]));
            let _ = writeln!(page, "| `{key}` | {form} | {default} | {meaning} |");
            choices(schema, property, &mut page);
        }
    }
    page
}

/// A row for each value that has a meaning of its own.
fn choices(schema: &Value, property: &Value, page: &mut String) {
    let choices = resolve(schema, property)["oneOf"].as_array();
    for choice in choices.into_iter().flatten().filter(|choice| choice["const"].is_string()) {
        let _ = writeln!(page, "| | `{}` | | {} |", choice["const"], text(&choice["description"]));
    }
}

/// How a value is written.
fn form(schema: &Value, property: &Value) -> String {
    let own = resolve(schema, property);
    if own["oneOf"].is_array() || own["enum"].is_array() {
        return "one of a set".into();
    }
    if let Some(name) = reference(property) {
        return match name {
            "Duration" => "duration",
            "TimeLimit" => "time limit",
            "Size" => "size",
            "Secret" => "secret",
            "Recipients" => "table",
            _ => "text",
        }
        .into();
    }
    let kinds = property["type"].as_array().and_then(|kinds| kinds.first());
    match kinds.unwrap_or(&property["type"]).as_str().unwrap_or_default() {
        "integer" => "whole number".into(),
        "number" => "number".into(),
        "boolean" => "true or false".into(),
        "array" => "list".into(),
        "object" => "table of texts".into(),
        _ => "text".into(),
    }
}

/// The name of the definition that a property refers to, directly or as an optional value.
fn reference(property: &Value) -> Option<&str> {
    let direct = property["$ref"].as_str();
    direct.or_else(|| property["anyOf"][0]["$ref"].as_str())?.strip_prefix("#/$defs/")
}

fn resolve<'s>(schema: &'s Value, property: &'s Value) -> &'s Value {
    reference(property).map_or(property, |name| &schema["$defs"][name])
}

/// A doc comment on one line, fit for a table.
fn text(description: &Value) -> String {
    description.as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

/// The root of the repository.
#[cfg(test)]
pub(crate) fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
