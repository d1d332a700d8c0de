//! The form of our file, as it grows.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use zeroize::Zeroizing;

use super::Note;
use crate::config::value::show_duration;

/// How wide a comment may be.
const COLUMNS: usize = 100;

/// A text in TOML. Written into memory, which cannot fail.
pub(super) struct Draft(Zeroizing<String>);

impl Draft {
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(String::new()))
    }

    /// Begins a section: `[upstream]`.
    pub(super) fn section(&mut self, header: &str) {
        let _ = writeln!(self.0, "\n{header}");
    }

    /// A key that is given in `from`.
    pub(super) fn set(&mut self, key: &str, value: impl Display, from: &str) {
        let _ = writeln!(self.0, "{key} = {value}  # {}", on_one_line(from));
    }

    /// A comment, cut into lines.
    pub(super) fn comment(&mut self, text: &str) {
        self.paragraph("#", "#", text);
    }

    /// The list of what has no equivalent.
    pub(super) fn notes(&mut self, notes: &[Note]) {
        if notes.is_empty() {
            return;
        }
        self.0.push('\n');
        self.comment("What has no equivalent here, and what to do instead:");
        for note in notes {
            self.paragraph("# -", "#  ", &note.to_string());
        }
    }

    pub(super) fn finish(self) -> Zeroizing<String> {
        self.0
    }

    fn paragraph(&mut self, first: &str, next: &str, text: &str) {
        let mut line = first.to_owned();
        for word in text.split_whitespace() {
            if line.len() + word.len() >= COLUMNS && line.len() > next.len() {
                let _ = writeln!(self.0, "{line}");
                next.clone_into(&mut line);
            }
            line.push(' ');
            line.push_str(word);
        }
        let _ = writeln!(self.0, "{line}");
    }
}

/// A text as a value: quoted, and with nothing that would be taken from the environment.
pub(super) fn text(text: &str) -> Zeroizing<String> {
    let escaped = Zeroizing::new(text.replace("${", "$${"));
    Zeroizing::new(toml::Value::from(escaped.as_str()).to_string())
}

/// A list of texts.
pub(super) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let all: Vec<_> = texts.into_iter().map(|one| text(one).to_string()).collect();
    format!("[{}]", all.join(", "))
}

/// A duration as a value.
pub(super) fn duration(duration: Duration) -> String {
    format!("\"{}\"", show_duration(duration))
}

/// A time limit as a value; zero is none.
pub(super) fn limit(limit: Duration) -> String {
    if limit.is_zero() { "\"off\"".into() } else { duration(limit) }
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
