//! Which statement belongs to which class, and which switches are on from the start.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use policy::rule::Pattern;
use policy::sql::{Digest, Kind};
use policy::switch::Target;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// `[[rule]]`: a statement that fits every key given here belongs to `class`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, in messages and logs.
    pub name: String,
    /// The class it gives: one of `[class.NAME]`, or `default`.
    pub class: String,
    /// It is one of these kinds. Of several statements in one text, the most dangerous counts.
    #[serde(default)]
    pub kind: Vec<KindName>,
    /// It has this digest: 16 hexadecimal digits, as logs show it.
    #[serde(default)]
    pub digest: Option<DigestText>,
    /// It names one of these tables: `orders`, `shop.orders`; `*` stands for any characters.
    #[serde(default)]
    pub table: Vec<String>,
    /// It has all of these tags, in an SQL comment or as query attributes: key to value; `*` in a
    /// value stands for any characters.
    #[serde(default)]
    pub tag: BTreeMap<String, String>,
    /// The client logged in as this user; `*` stands for any characters.
    #[serde(default)]
    pub user: Option<String>,
    /// The client's current database is this one; `*` stands for any characters.
    #[serde(default)]
    pub database: Option<String>,
    /// The client's address is in one of these networks: `10.1.0.0/16`, `::1/128`.
    #[serde(default)]
    pub network: Vec<Network>,
}

/// `[[switch]]`: turns some traffic off or down.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Which traffic: `class NAME`, `tag KEY=VALUE`, `user NAME`, `table NAME`, `digest DIGEST` or
    /// `kind KIND`. `*` stands for any characters in a value, user or table.
    pub target: TargetText,
    /// The share that may still pass, from 0 (nothing) to 1 (everything).
    #[serde(default)]
    pub keep_ratio: f64,
    /// Why. Clients read it in the refusal.
    #[serde(default)]
    pub reason: String,
}

/// A kind of statement, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindName(pub Kind);

/// A digest, as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestText(pub Digest);

/// A network, as address and prefix length; an address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub IpNet);

/// What a switch turns down, in the words of the command line: `class batch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetText(pub Target);

impl FromStr for TargetText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, value) = text.split_once(' ').unwrap_or((text, ""));
        let value = value.trim();
        if value.is_empty() {
            return Err(TARGET_FORM.into());
        }
        Ok(Self(match word {
            "class" => Target::Class(value.into()),
            "tag" => match value.split_once('=') {
                Some((key, value)) if !key.is_empty() => {
                    Target::Tag(key.into(), Pattern::new(value))
                }
                _ => {
                    return Err(
                        "not a tag; expected \"tag KEY=VALUE\", such as \"tag job=reminders\""
                            .into(),
                    );
                }
            },
            "user" => Target::User(Pattern::new(value)),
            "table" => Target::Table(Pattern::new(value)),
            "digest" => Target::Digest(value.parse().map_err(|_| DIGEST_FORM)?),
            "kind" => {
                let kind = value.parse();
                Target::Kind(
                    kind.map_err(|_| {
                        format!("no such kind; expected one of {}", KINDS.join(", "))
                    })?,
                )
            }
            _ => return Err(TARGET_FORM.into()),
        }))
    }
}

impl fmt::Display for TargetText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const TARGET_FORM: &str = "not a target; expected \"class NAME\", \"tag KEY=VALUE\", \"user NAME\", \
                           \"table NAME\", \"digest DIGEST\" or \"kind KIND\"";
const DIGEST_FORM: &str =
    "not a digest; expected 16 hexadecimal digits, such as \"00c0ffee00c0ffee\"";
const NETWORK_FORM: &str =
    "not a network; expected address and prefix length, such as \"10.1.0.0/16\"";

/// The names of all kinds.
const KINDS: [&str; Kind::ALL.len()] = {
    let mut names = [""; Kind::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Kind::ALL[at].as_str();
        at += 1;
    }
    names
};

// === serde and schema ===

impl<'de> Deserialize<'de> for KindName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(from)?;
        name.parse().map(Self).map_err(|_| de::Error::unknown_variant(&name, &KINDS))
    }
}

impl<'de> Deserialize<'de> for DigestText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        text.parse().map(Self).map_err(|_| de::Error::custom(DIGEST_FORM))
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let network = text.parse().ok();
        let network = network.or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)));
        network.map(Self).ok_or_else(|| de::Error::custom(format!("\"{text}\" is {NETWORK_FORM}")))
    }
}

impl<'de> Deserialize<'de> for TargetText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

macro_rules! shown_as_text {
    ($($type:ident: $schema:tt;)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(&self.0)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

shown_as_text! {
    KindName: { "enum": KINDS.to_vec() };
    DigestText: { "type": "string", "pattern": "^[0-9A-Fa-f]{16}$" };
    Network: { "type": "string" };
    TargetText: { "type": "string", "pattern": "^(class|tag|user|table|digest|kind) .+$" };
}
