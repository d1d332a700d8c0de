//! The text of a configuration file: which line a key is on, what stands there, and the environment
//! put into it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Finding};

/// A file that is TOML, with the environment put in.
pub(super) struct Source<'t> {
    file: PathBuf,
    text: &'t str,
    tree: Spanned<DeTable<'t>>,
}

/// The path of a key. Shown as `rule[2].class`; items of a list are counted from 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Key(Vec<Step>);

#[derive(Debug, Clone)]
enum Step {
    Field(String),
    Item(usize),
}

// === impl Key ===

impl Key {
    pub(super) fn of(field: &str) -> Self {
        Self::default().field(field)
    }

    pub(super) fn field(&self, field: &str) -> Self {
        self.with(Step::Field(field.into()))
    }

    /// The item at `index`, which counts from 0 as everywhere in code.
    pub(super) fn item(&self, index: usize) -> Self {
        self.with(Step::Item(index))
    }

    fn with(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    fn is_secret(&self) -> bool {
        const SECRETS: [&str; 5] = ["password", "token", "secrets", "url", "ledger"];
        self.0.iter().any(|step| matches!(step, Step::Field(name) if SECRETS.contains(&&**name)))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(index) => write!(f, "[{}]", index + 1)?,
            }
        }
        Ok(())
    }
}

// === impl Source ===

impl<'t> Source<'t> {
    /// Parses `text` and replaces `${env:NAME}` in its string values.
    pub(super) fn parse(
        file: &Path,
        text: &'t str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let empty = Spanned::new(0..0, DeTable::default());
        let mut source = Self { file: file.into(), text, tree: empty };
        let mut tree = DeTable::parse(text).map_err(|error| source.malformed(&error))?;
        let mut faults = Vec::new();
        for (name, value) in tree.get_mut().iter_mut() {
            expand(value, &Key::of(name.get_ref()), env, &mut faults);
        }
        source.tree = tree;
        match faults.into_iter().next() {
            Some((key, why)) => Err(source.finding(&key, why).into()),
            None => Ok(source),
        }
    }

    /// Whether there is such a table.
    pub(super) fn has(&self, table: &str) -> bool {
        entry(self.tree.get_ref(), table).is_some()
    }

    /// Turns the tree into typed values, but for these tables.
    pub(super) fn read_without<T: DeserializeOwned>(
        &self,
        tables: &[&str],
    ) -> Result<T, ConfigError> {
        self.read(|name| !tables.contains(&name))
    }

    /// Turns these tables into typed values.
    pub(super) fn read_only<T: DeserializeOwned>(&self, tables: &[&str]) -> Result<T, ConfigError> {
        self.read(|name| tables.contains(&name))
    }

    fn read<T: DeserializeOwned>(&self, keep: impl Fn(&str) -> bool) -> Result<T, ConfigError> {
        let mut tree = self.tree.clone();
        let all = std::mem::take(tree.get_mut()).into_iter();
        *tree.get_mut() = all.filter(|(name, _)| keep(name.get_ref())).collect();
        T::deserialize(toml::de::Deserializer::from(tree))
            .map_err(|error| self.mistyped(&error).into())
    }

    /// A finding about a key, whether the file has it or not.
    pub(super) fn finding(&self, key: &Key, why: impl Into<String>) -> Finding {
        let (span, value) = self.find(key);
        Finding {
            file: self.file.clone(),
            line: self.line(span.start),
            key: key.to_string(),
            value: value.filter(|_| !key.is_secret()).and_then(|span| self.excerpt(span)),
            why: why.into(),
        }
    }

    /// Whether a key is there and holds a plain value.
    pub(super) fn is_given(&self, key: &Key) -> bool {
        self.find(key).1.is_some()
    }

    /// Whether a key is there and holds a list.
    pub(super) fn is_list(&self, key: &Key) -> bool {
        let [Step::Field(name)] = key.0.as_slice() else { return false };
        let found = entry(self.tree.get_ref(), name);
        found.is_some_and(|(_, value)| matches!(value.get_ref(), DeValue::Array(_)))
    }

    /// Where a key is, and its value if it is there; else where the nearest parent is.
    fn find(&self, key: &Key) -> (Range<usize>, Option<Range<usize>>) {
        let mut at = 0..0;
        let mut steps = key.0.iter();
        let Some(Step::Field(first)) = steps.next() else { return (at, None) };
        let Some((name, mut value)) = entry(self.tree.get_ref(), first) else { return (at, None) };
        at = name.span();
        for step in steps {
            let next = match (step, value.get_ref()) {
                (Step::Field(field), DeValue::Table(table)) => entry(table, field),
                (Step::Item(index), DeValue::Array(items)) => {
                    items.get(*index).map(|item| (name, item))
                }
                _ => None,
            };
            let Some((name, found)) = next else { return (at, None) };
            at = if matches!(step, Step::Item(_)) { found.span() } else { name.span() };
            value = found;
        }
        (at, is_plain(value.get_ref()).then(|| value.span()))
    }

    /// A fault of syntax. The parser's message holds no value, so no secret either.
    fn malformed(&self, error: &toml::de::Error) -> ConfigError {
        let start = error.span().map_or(0, |span| span.start);
        Finding {
            file: self.file.clone(),
            line: self.line(start),
            key: String::new(),
            value: None,
            why: format!("not TOML: {}", error.message()),
        }
        .into()
    }

    /// A value of the wrong type or form, a missing key, or one too many.
    fn mistyped(&self, error: &toml::de::Error) -> Finding {
        let span = error.span().unwrap_or(0..0);
        let mut key = Key::default();
        for (name, value) in self.tree.get_ref() {
            key = key_at(name, value, &span, &Key::of(name.get_ref())).unwrap_or(key);
        }
        let message = error.message();
        if let Some(field) = quoted(message, "missing field `") {
            return self.finding(&key.field(field), "required, and missing");
        }
        let mut finding = self.finding(&key, explain(message));
        if message.starts_with("unknown field") {
            finding.value = None;
        }
        finding
    }

    /// The text of a value, cut after 60 characters; none when it spans lines.
    fn excerpt(&self, span: Range<usize>) -> Option<String> {
        let text = self.text.get(span).filter(|text| !text.contains('\n'))?;
        match text.char_indices().nth(60) {
            Some((end, _)) => Some(format!("{}…", &text[..end])),
            None => Some(text.into()),
        }
    }

    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }
}

/// Whether a value is no section, and so can be shown.
fn is_plain(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => false,
        DeValue::Array(items) => items.iter().all(|item| is_plain(item.get_ref())),
        _ => true,
    }
}

type Entry<'a, 't> = (&'a Spanned<toml::de::DeString<'t>>, &'a Spanned<DeValue<'t>>);

fn entry<'a, 't>(table: &'a DeTable<'t>, name: &str) -> Option<Entry<'a, 't>> {
    table.iter().find(|(key, _)| key.get_ref() == name)
}

/// The path of the innermost key or value that stands exactly at `span`.
fn key_at(
    name: &Spanned<toml::de::DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
    span: &Range<usize>,
    key: &Key,
) -> Option<Key> {
    let deeper = match value.get_ref() {
        DeValue::Table(table) => table
            .iter()
            .find_map(|(name, value)| key_at(name, value, span, &key.field(name.get_ref()))),
        DeValue::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            key_at(&Spanned::new(0..0, "".into()), item, span, &key.item(index))
        }),
        _ => None,
    };
    let is_here = name.span() == *span || value.span() == *span;
    deeper.or_else(|| is_here.then(|| key.clone()))
}

// === the environment ===

fn expand(
    value: &mut Spanned<DeValue<'_>>,
    key: &Key,
    env: &dyn Fn(&str) -> Option<String>,
    faults: &mut Vec<(Key, String)>,
) {
    match value.get_mut() {
        DeValue::String(text) => match expanded(text, env) {
            Ok(Some(new)) => *text = new.into(),
            Ok(None) => {}
            Err(why) => faults.push((key.clone(), why)),
        },
        DeValue::Table(table) => {
            for (name, value) in table.iter_mut() {
                expand(value, &key.field(name.get_ref()), env, faults);
            }
        }
        DeValue::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand(item, &key.item(index), env, faults);
            }
        }
        _ => {}
    }
}

/// `text` with each `${env:NAME}` replaced and each `$${` made `${`; `None` when it has neither.
fn expanded(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, String> {
    let mut rest = text;
    let mut out = String::new();
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let (name, after) = rest[at..]
            .strip_prefix("${env:")
            .and_then(|inner| inner.split_once('}'))
            .ok_or("not understood; expected \"${env:NAME}\", or \"$${\" for a plain \"${\"")?;
        out.push_str(&env(name).ok_or_else(|| format!("the environment has no variable {name}"))?);
        rest = after;
    }
    if rest.len() == text.len() {
        return Ok(None);
    }
    out.push_str(rest);
    Ok(Some(out))
}

// === serde's words into ours ===

/// Turns a message of serde into `problem; expected form`, with a guess at what was meant.
fn explain(message: &str) -> String {
    if message.starts_with("unknown field") {
        let known = list(message);
        let name = quoted(message, "unknown field `").unwrap_or_default();
        return format!("unknown key{}; expected one of {}", guess(name, &known), known.join(", "));
    }
    if message.starts_with("unknown variant") {
        let known = list(message);
        let name = quoted(message, "unknown variant `").unwrap_or_default();
        return format!(
            "unknown value \"{name}\"{}; expected one of {}",
            guess(name, &known),
            quote_all(&known)
        );
    }
    if message.contains("socket address") {
        return "not an address; expected \"IP:port\", such as \"127.0.0.1:3307\" or \"[::1]:3307\"".into();
    }
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("wrong type; expected {}", form(expected)),
        None => message.into(),
    }
}

/// What serde calls a form, in words for those who do not read Rust.
fn form(expected: &str) -> &str {
    match expected {
        "u32" | "usize" | "u64" => "a whole number, 0 or more",
        "a nonzero u32" => "a whole number, 1 or more",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" => "text in quotes",
        "a sequence" => "a list: [ … ] for values, [[name]] for sections",
        "a map" => "a section: [name], or { key = value }",
        other if other.starts_with("struct ") => "a section: [name]",
        other => other,
    }
}

/// ` "did you mean"`, when one of `known` is near enough.
pub(super) fn guess<S: AsRef<str>>(name: &str, known: &[S]) -> String {
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known.as_ref()), known.as_ref()))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min()
        .map(|(_, known)| format!(", did you mean \"{known}\"?"))
        .unwrap_or_default()
}

fn quote_all(names: &[&str]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// The names in backticks after "expected".
fn list(message: &str) -> Vec<&str> {
    let (_, names) = message.split_once(", expected").unwrap_or_default();
    names.split('`').skip(1).step_by(2).collect()
}

fn quoted<'m>(message: &'m str, before: &str) -> Option<&'m str> {
    message.strip_prefix(before)?.split('`').next()
}
