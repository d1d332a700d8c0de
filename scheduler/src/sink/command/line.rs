//! The lines that are exchanged with a command.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sink::{Chunk, Fate, Item, Reason, excerpt};

/// An answer may have so many bytes.
pub(super) const ANSWER_MAX: usize = 16 * 1024;

#[derive(Serialize)]
struct Line<'a> {
    id: String,
    recipient: &'a str,
    body: &'a str,
    attempt: u32,
    batch: &'a str,
}

/// An answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// Of which item.
    pub(super) id: String,
    ok: bool,
    #[serde(default)]
    dead: bool,
    #[serde(default)]
    retry_after: Option<u64>,
    #[serde(default)]
    error: String,
}

/// The line of an item, with its end.
pub(super) fn told(chunk: Chunk<'_>, item: &Item) -> Result<Vec<u8>, Reason> {
    let (recipient, body) = item.text()?;
    let id = chunk.id(item.position).to_string();
    let line = Line { id, recipient, body, attempt: item.attempt, batch: chunk.batch };
    let mut line = serde_json::to_vec(&line).expect("strings and numbers are JSON");
    line.push(b'\n');
    Ok(line)
}

impl Answer {
    /// An answer, as it was written; what is no answer says why.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| {
            let line = String::from_utf8_lossy(line);
            format!("{:?} is no answer: {error}", excerpt(&line))
        })
    }

    pub(super) fn fate(&self) -> Fate {
        let why = Reason::Refused(excerpt(&self.error).into_owned());
        match (self.ok, self.dead) {
            (true, _) => Fate::Done,
            (false, true) => Fate::Dead(why),
            (false, false) => Fate::Retry { asked: self.retry_after.map(Duration::from_secs), why },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_strictly() {
        let fate = |line: &str| Answer::parse(line.as_bytes()).map(|answer| answer.fate());
        let why = || Reason::Refused("full".into());
        assert_eq!(fate(r#"{"id":"a","ok":true}"#), Ok(Fate::Done));
        assert_eq!(
            fate(r#"{"id":"a","ok":false,"retry_after":60,"error":"full"}"#),
            Ok(Fate::Retry { asked: Some(Duration::from_secs(60)), why: why() })
        );
        assert_eq!(
            fate(r#"{"id":"a","ok":false,"dead":true,"error":"full"}"#),
            Ok(Fate::Dead(why()))
        );
        for line in ["", "ok", r#"{"id":"a"}"#, r#"{"id":"a","ok":1}"#, r#"{"ok":true}"#] {
            assert!(fate(line).is_err(), "{line}");
        }
    }
}
