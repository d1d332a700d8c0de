//! Recipients in a file: one a line, as CSV with a header, or as NDJSON.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::Value;

use super::SourceError;

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

/// Which columns or fields are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Columns {
    /// That which names the recipient. Default: the first column, or the field `recipient`.
    pub key: Option<String>,
    /// That which is sent. Default: the whole object where there are objects, and nothing elsewhere.
    pub payload: Option<String>,
}

/// Hands on each recipient of a file with what it is sent. Empty lines are passed over.
///
/// # Errors
/// With file and line, when something names no recipient, or there is no such column or field; and what `take`
/// has failed with.
pub fn each(
    path: &Path,
    columns: &Columns,
    mut take: impl FnMut(&str, &str) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let (key, payload) = (columns.key.as_deref(), columns.payload.as_deref());
    let name = path.display();
    let whole = |why: String| SourceError::File { at: name.to_string(), why };
    let file = File::open(path).map_err(|error| whole(format!("cannot be read: {error}")))?;
    let mut lines = BufReader::new(file).lines().enumerate();
    let form = Form::of(path);
    let mut places = (0, None);
    if form == Form::Csv {
        let header = lines.next().map(|(_, line)| line).transpose();
        let at = |why: String| SourceError::File { at: format!("{name}:1"), why };
        let header = header.map_err(|error| at(error.to_string()))?.unwrap_or_default();
        let found = |key| place(&header, key).map_err(at);
        places = (found(key)?, payload.map(|payload| found(Some(payload))).transpose()?);
    } else if form == Form::Lines && payload.is_some() {
        return Err(whole("only .csv and .ndjson have columns or fields to send".into()));
    }
    for (index, line) in lines {
        let at = |why: String| SourceError::File { at: format!("{name}:{}", index + 1), why };
        let line = line.map_err(|error| at(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let found = match form {
            Form::Csv => csv_line(&line, places),
            Form::Json => json_line(&line, columns),
            Form::Lines => Ok((line.trim().to_owned(), String::new())),
        };
        let (recipient, sent) = found.map_err(at)?;
        if recipient.is_empty() {
            return Err(at("the recipient is empty".into()));
        }
        take(&recipient, &sent)?;
    }
    Ok(())
}

/// Recipient and what it is sent, of a line of CSV, by the places of their columns.
fn csv_line(
    line: &str,
    (recipient, payload): (usize, Option<usize>),
) -> Result<(String, String), String> {
    let sent = payload.map_or(Ok(String::new()), |payload| cell(line, payload))?;
    Ok((cell(line, recipient)?, sent))
}

/// Recipient and what it is sent, of a line of JSON.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn json_line(line: &str, columns: &Columns) -> Result<(String, String), String> {
    let recipient = field(line, columns.key.as_deref().unwrap_or("recipient"))?;
    let sent = match &columns.payload {
        Some(payload) => value(line, payload)?,
        None => line.trim().to_owned(),
    };
    Ok((recipient, sent))
}

/// What a field is, as text; what is no text is written as JSON.
fn value(line: &str, key: &str) -> Result<String, String> {
    match object(line)?.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
        None => Err(format!("there is no field {key}; payload names another")),
    }
}

fn field(line: &str, key: &str) -> Result<String, String> {
    match object(line)?.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(other) => Err(format!("{key} is {other}: it has to be a text or a number")),
        None => Err(format!("there is no field {key}; key names another")),
    }
}

fn object(line: &str) -> Result<Value, String> {
    serde_json::from_str(line).map_err(|error| format!("not a line of JSON: {error}"))
}

/// Which column of a header is meant: the first where none is named.
fn place(header: &str, key: Option<&str>) -> Result<usize, String> {
    let columns = cells(header)?;
    if columns.iter().all(String::is_empty) {
        return Err("a CSV file begins with a header".into());
    }
    let Some(key) = key else { return Ok(0) };
    let found = columns.iter().position(|column| column == key);
    found.ok_or_else(|| format!("there is no column {key}: there are {}", columns.join(", ")))
}

fn cell(line: &str, column: usize) -> Result<String, String> {
    let mut cells = cells(line)?;
    if column >= cells.len() {
        return Err(format!("there are {} columns, not {}", cells.len(), column + 1));
    }
    Ok(cells.swap_remove(column))
}

/// The cells of a line of CSV. A cell within quotes may hold commas and doubled quotes, no line
/// breaks.
fn cells(line: &str) -> Result<Vec<String>, String> {
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
        return Err("a quote is not closed on this line".into());
    }
    cells.push(cell.trim().to_owned());
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_read_with_its_quotes() {
        assert_eq!(cells("a, b,\"c,\"\"d\"\"\"\r").unwrap(), ["a", "b", "c,\"d\""]);
        assert!(cells("a,\"b").unwrap_err().contains("not closed"));
        assert_eq!(place("id,user", Some("user")).unwrap(), 1);
        let missing = place("id,user", Some("who")).unwrap_err();
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
