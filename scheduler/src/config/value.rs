//! Values with a form of their own, as the guard's file has them.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer, de};

/// Stands for a duration in the schema, under the name that the guard's has.
#[derive(Debug)]
pub struct DurationText;

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^(\$\{.+\}|\d+ ?(ms|s|m|h))$" })
    }
}

/// A duration above nothing, as `"250ms"`, `"10s"`, `"5m"` or `"2h"`.
pub(crate) mod duration {
    use super::{Deserialize, Deserializer, Duration, Serializer, de, show};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        let parsed = text.parse::<jiff::SignedDuration>().ok();
        let positive = parsed.filter(|length| length.is_positive());
        positive.and_then(|length| Duration::try_from(length).ok()).ok_or_else(|| {
            de::Error::custom(
                "not a duration; expected a number and a unit, such as \"250ms\" or \"10s\"",
            )
        })
    }

    /// As the defaults of the manual show it.
    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&show(*value))
    }
}

/// As [`duration`], of a key that may be absent.
pub(crate) mod maybe {
    use super::{Deserializer, Duration, Serializer, duration, show};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        duration::deserialize(from).map(Some)
    }

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_some(&show(*value)),
            None => to.serialize_none(),
        }
    }
}

/// In the largest unit that leaves a whole number.
fn show(length: Duration) -> String {
    let ms = length.as_millis();
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms > 0 && ms.is_multiple_of(size) {
            return format!("{}{unit}", ms / size);
        }
    }
    format!("{ms}ms")
}
