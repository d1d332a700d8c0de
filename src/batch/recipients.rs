//! Who the items of a batch are for: one a line, as CSV with a header, or as NDJSON.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::Value;

/// No file may name more; they are held in memory.
const RECIPIENTS_MAX: usize = 20_000_000;

/// How a file names recipients, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `.csv`: a header, and a column.
    Csv,
    /// `.ndjson`, `.jsonl`: an object a line, and a field.
    Json,
    /// Anything else: one a line.
    Lines,
}

impl Form {
    fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Self::Csv,
            Some("ndjson" | "jsonl") => Self::Json,
            _ => Self::Lines,
        }
    }
}

/// Reads the recipients of a file; `key` names the column or field. Empty lines are passed over.
///
/// # Errors
/// With file and line, when something names no recipient.
pub(super) fn read(path: &Path, key: Option<&str>) -> anyhow::Result<Vec<String>> {
    let mut recipients = Vec::new();
    each(path, (key, None), |recipient, _| recipients.push(recipient))?;
    Ok(recipients)
}

/// As [`read`], with what each is sent: the column or field that `payload` names; without one the whole
/// object where there are objects, and nothing elsewhere.
///
/// # Errors
/// As [`read`], and where there is no such column or field.
pub(super) fn read_items(
    path: &Path,
    key: Option<&str>,
    payload: Option<&str>,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut items = Vec::new();
    each(path, (key, payload), |recipient, payload| items.push((recipient, payload)))?;
    Ok(items)
}

/// Hands on each recipient of a file with what it is sent.
fn each(
    path: &Path,
    (key, payload): (Option<&str>, Option<&str>),
    mut take: impl FnMut(String, String),
) -> anyhow::Result<()> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let mut lines = BufReader::new(file).lines().enumerate();
    let form = Form::of(path);
    let mut columns = (0, None);
    if form == Form::Csv {
        let header = lines.next().map(|(_, line)| line).transpose();
        let header = header.with_context(|| format!("{name}:1"))?.unwrap_or_default();
        let found = |key| place(&header, key).with_context(|| format!("{name}:1"));
        columns = (found(key)?, payload.map(|payload| found(Some(payload))).transpose()?);
    } else if form == Form::Lines {
        ensure!(payload.is_none(), "{name}: only .csv and .ndjson have columns or fields to send");
    }
    let mut count = 0;
    for (index, line) in lines {
        let at = || format!("{name}:{}", index + 1);
        let line = line.with_context(at)?;
        if line.trim().is_empty() {
            continue;
        }
        let recipient = match form {
            Form::Csv => cell(&line, columns.0),
            Form::Json => field(&line, key.unwrap_or("recipient")),
            Form::Lines => Ok(line.trim().to_owned()),
        };
        let recipient = recipient.with_context(at)?;
        ensure!(!recipient.is_empty(), "{}: the recipient is empty", at());
        ensure!(count < RECIPIENTS_MAX, "{name}: more than {RECIPIENTS_MAX} recipients");
        count += 1;
        let sent = match (form, columns.1, payload) {
            (Form::Csv, Some(column), _) => cell(&line, column),
            (Form::Json, _, Some(payload)) => value(&line, payload),
            (Form::Json, _, None) => Ok(line.trim().to_owned()),
            _ => Ok(String::new()),
        };
        take(recipient, sent.with_context(at)?);
    }
    ensure!(count > 0, "{name} names no recipient");
    Ok(())
}

/// What a field is, as text; what is no text is written as JSON.
fn value(line: &str, key: &str) -> anyhow::Result<String> {
    let object: Value = serde_json::from_str(line).context("not a line of JSON")?;
    match object.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
        None => bail!("there is no field {key}; --payload names another"),
    }
}

/// Which column of a header is meant: the first where none is named.
fn place(header: &str, key: Option<&str>) -> anyhow::Result<usize> {
    let columns = cells(header)?;
    ensure!(columns.iter().any(|column| !column.is_empty()), "a CSV file begins with a header");
    let Some(key) = key else { return Ok(0) };
    let found = columns.iter().position(|column| column == key);
    found.ok_or_else(|| anyhow!("there is no column {key}: there are {}", columns.join(", ")))
}

fn cell(line: &str, column: usize) -> anyhow::Result<String> {
    let mut cells = cells(line)?;
    ensure!(column < cells.len(), "there are {} columns, not {}", cells.len(), column + 1);
    Ok(cells.swap_remove(column))
}

/// The cells of a line of CSV. A cell within quotes may hold commas and doubled quotes, no line
/// breaks.
fn cells(line: &str) -> anyhow::Result<Vec<String>> {
    let (mut cells, mut cell, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut rest = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if is_quoted && rest.peek() == Some(&'"') => {
                rest.next();
                cell.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(std::mem::take(&mut cell).trim().to_owned()),
            c => cell.push(c),
        }
    }
    if is_quoted {
        bail!("a quote is not closed on this line");
    }
    cells.push(cell.trim().to_owned());
    Ok(cells)
}

fn field(line: &str, key: &str) -> anyhow::Result<String> {
    let object: Value = serde_json::from_str(line).context("not a line of JSON")?;
    match object.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(other) => bail!("{key} is {other}: it has to be a text or a number"),
        None => bail!("there is no field {key}; --key names another"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_read_with_its_quotes() {
        assert_eq!(cells("a, b,\"c,\"\"d\"\"\"\r").unwrap(), ["a", "b", "c,\"d\""]);
        assert!(cells("a,\"b").unwrap_err().to_string().contains("not closed"));
        assert_eq!(place("id,user", Some("user")).unwrap(), 1);
        let missing = place("id,user", Some("who")).unwrap_err().to_string();
        assert_eq!(missing, "there is no column who: there are id, user");
        assert!(cell("a", 1).is_err());
    }

    #[test]
    fn a_field_is_a_text_or_a_number() {
        assert_eq!(field(r#"{"user": 42}"#, "user").unwrap(), "42");
        assert_eq!(field(r#"{"user": "ü"}"#, "user").unwrap(), "ü");
        for wrong in [r#"{"user": null}"#, r#"{"id": 1}"#, "[1]", "user"] {
            assert!(field(wrong, "user").is_err(), "{wrong}");
        }
    }
}
