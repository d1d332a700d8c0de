//! A statement with places for items: read once, then rendered for each slice.
//!
//! Two forms, told apart by whether `{items}` stands in it:
//!
//! ```sql
//! INSERT INTO reminder_jobs (key, user_id, payload)
//! SELECT item.id, item.recipient::bigint, item.body::jsonb FROM {items}      -- once for each slice
//!
//! UPDATE users SET reminded_at = now() WHERE id = :recipient::bigint         -- once for each item
//! ```
//!
//! `{items}` stands where a table does and is called `item`; it has the columns `id`, `recipient`,
//! `body`, `attempt` and `batch`. It is one parameter, a JSON array, so that the text of a statement
//! is the same for any number of items and is prepared once. All fields are text but `attempt`.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::place::{Place, places};
use crate::sink::{Chunk, Item, Reason};

/// How a database writes parameters and reads JSON as rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL from 8.0, MariaDB from 10.6.
    MySql,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// What is to be run: the text, and its parameters in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// In the words of the database; its parameters are counted as that does.
    pub sql: Arc<str>,
    /// The parameters.
    pub values: Vec<Value>,
}

/// What the body of an item must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text.
    Text,
    /// A JSON object.
    Object,
    /// A JSON array.
    Array,
}

/// What is done with items: one statement, or some that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    parts: Vec<Part>,
    shape: Shape,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    sql: Arc<str>,
    parameters: Vec<Parameter>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Parameter {
    Items,
    Field(Field),
    Fixed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Id,
    Recipient,
    Body,
    Attempt,
    Batch,
}

/// Why a text is no statement.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StatementError {
    /// It names a parameter that there is not.
    #[error(
        "there is no parameter :{0}; an item has :id, :recipient, :body, :attempt and :batch, \
         behind {{items}} they are columns: item.id"
    )]
    Unknown(String),
    /// It has both forms.
    #[error(
        ":{0} is of one item, but {{items}} are all of a slice: write item.{0} behind {{items}}"
    )]
    Mixed(String),
    /// A string, a quoted name or a comment in it does not end.
    #[error("what begins at byte {0} does not end")]
    Endless(usize),
    /// It names no item at all.
    #[error("it names nothing of an item: it would do the same for each of them")]
    Constant,
}

impl Statement {
    /// Reads a statement of the operator's.
    ///
    /// # Errors
    /// When it names what there is not, or nothing of an item.
    pub fn parse(dialect: Dialect, sql: &str) -> Result<Self, StatementError> {
        Self::of(dialect, &[sql], &[], Shape::Text)
    }

    /// Reads statements that are run one after the other, with parameters that are the same for all
    /// items.
    pub(super) fn of(
        dialect: Dialect,
        texts: &[&str],
        fixed: &[(&str, &str)],
        shape: Shape,
    ) -> Result<Self, StatementError> {
        let parts = texts.iter().map(|sql| Part::parse(dialect, sql, fixed));
        Ok(Self { parts: parts.collect::<Result<_, _>>()?, shape })
    }

    /// What is to be run for these items.
    #[must_use]
    pub fn rendered(&self, chunk: Chunk<'_>, items: &[&Item]) -> Vec<Rendered> {
        self.parts.iter().flat_map(|part| part.rendered(chunk, items)).collect()
    }

    /// Whether an item can be put at all.
    ///
    /// # Errors
    /// Why not: it is no text, or its body is not what the table needs.
    pub fn fits(&self, item: &Item) -> Result<(), Reason> {
        let (recipient, body) = item.text()?;
        // PostgreSQL's text and jsonb have no U+0000.
        if recipient.contains('\0') || body.contains('\0') {
            return Err(Reason::Unfit("text without U+0000"));
        }
        // Not left to the database: MariaDB makes NULL of what is no JSON, with a warning.
        let is = |open| {
            serde_json::from_str::<&RawValue>(body).is_ok_and(|json| json.get().starts_with(open))
        };
        match self.shape {
            Shape::Object if !is('{') => {
                Err(Reason::Unfit("a JSON object: the job's arguments by name"))
            }
            Shape::Array if !is('[') => {
                Err(Reason::Unfit("a JSON array: the job's arguments in order"))
            }
            Shape::Text | Shape::Object | Shape::Array => Ok(()),
        }
    }
}

// === impl Part ===

impl Part {
    fn parse(dialect: Dialect, sql: &str, fixed: &[(&str, &str)]) -> Result<Self, StatementError> {
        let places = places(sql)?;
        let is_set = places.iter().any(|(_, place)| *place == Place::Items);
        let (mut text, mut parameters, mut from) = (String::new(), Vec::new(), 0);
        for (range, place) in places {
            text.push_str(&sql[from..range.start]);
            from = range.end;
            let parameter = match place {
                Place::Items => Parameter::Items,
                Place::Name(name) => match fixed.iter().find(|(known, _)| *known == name) {
                    Some((_, value)) => Parameter::Fixed((*value).to_owned()),
                    None => Parameter::Field(Field::named(name, is_set)?),
                },
            };
            parameters.push(parameter);
            let number = match dialect {
                Dialect::Postgres => format!("${}", parameters.len()),
                Dialect::MySql => "?".to_owned(),
            };
            match place {
                Place::Items => text.push_str(&dialect.rows(&number)),
                Place::Name(_) => text.push_str(&number),
            }
        }
        text.push_str(&sql[from..]);
        if parameters.iter().all(|parameter| matches!(parameter, Parameter::Fixed(_))) {
            return Err(StatementError::Constant);
        }
        Ok(Self { sql: text.into(), parameters })
    }

    fn rendered(&self, chunk: Chunk<'_>, items: &[&Item]) -> Vec<Rendered> {
        let values = |item: Option<&Item>| {
            let value = |parameter: &Parameter| match (parameter, item) {
                (Parameter::Items, _) => Value::Text(rows(chunk, items)),
                (Parameter::Fixed(value), _) => Value::Text(value.clone()),
                (Parameter::Field(field), Some(item)) => field.value(chunk, item),
                (Parameter::Field(_), None) => {
                    unreachable!("fields stand in no statement with items")
                }
            };
            Rendered {
                sql: Arc::clone(&self.sql),
                values: self.parameters.iter().map(value).collect(),
            }
        };
        match self.parameters.contains(&Parameter::Items) {
            true => vec![values(None)],
            false => items.iter().map(|item| values(Some(item))).collect(),
        }
    }
}

/// An item as a row of JSON.
#[derive(Serialize)]
struct Row<'a> {
    id: String,
    recipient: &'a str,
    body: &'a str,
    attempt: u32,
    batch: &'a str,
}

fn row<'a>(chunk: Chunk<'a>, item: &'a Item) -> Row<'a> {
    let (recipient, body) = item.text().unwrap_or_default();
    let id = chunk.id(item.position).to_string();
    Row { id, recipient, body, attempt: item.attempt, batch: chunk.batch }
}

fn rows(chunk: Chunk<'_>, items: &[&Item]) -> String {
    let rows: Vec<_> = items.iter().map(|item| row(chunk, item)).collect();
    serde_json::to_string(&rows).expect("strings and numbers are JSON")
}

// === impl Field ===

impl Field {
    fn named(name: &str, is_set: bool) -> Result<Self, StatementError> {
        let field = match name {
            "id" => Self::Id,
            "recipient" => Self::Recipient,
            "body" => Self::Body,
            "attempt" => Self::Attempt,
            "batch" => Self::Batch,
            _ => return Err(StatementError::Unknown(name.to_owned())),
        };
        match is_set {
            true => Err(StatementError::Mixed(name.to_owned())),
            false => Ok(field),
        }
    }

    fn value(self, chunk: Chunk<'_>, item: &Item) -> Value {
        let (recipient, body) = item.text().unwrap_or_default();
        Value::Text(match self {
            Self::Id => chunk.id(item.position).to_string(),
            Self::Recipient => recipient.to_owned(),
            Self::Body => body.to_owned(),
            Self::Batch => chunk.batch.to_owned(),
            Self::Attempt => return Value::Int(item.attempt.into()),
        })
    }
}

// === impl Dialect ===

impl Dialect {
    /// A table `item` out of a parameter.
    fn rows(self, number: &str) -> String {
        match self {
            Self::Postgres => format!(
                "json_to_recordset({number}::text::json) AS item\
                 (id text, recipient text, body text, attempt int, batch text)"
            ),
            // An id in ASCII compares with a column of any collation, and its index is used.
            Self::MySql => format!(
                "json_table({number}, '$[*]' COLUMNS (\
                 id varchar(36) CHARACTER SET ascii PATH '$.id', \
                 recipient longtext PATH '$.recipient', body longtext PATH '$.body', \
                 attempt int PATH '$.attempt', batch varchar(255) PATH '$.batch')) AS item"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn item(position: u32, recipient: &str, body: &str) -> Item {
        let [recipient, body] =
            [recipient, body].map(|text| Bytes::copy_from_slice(text.as_bytes()));
        Item { position, recipient, body, attempt: 1, tenant: 0, deadline: None }
    }

    const CHUNK: Chunk<'_> = Chunk { batch: "b", number: 3, first: 0, fence: 1 };

    #[test]
    fn a_statement_for_all_has_one_parameter() {
        let sql = "INSERT INTO t SELECT item.id, item.body::jsonb FROM {items}";
        let statement = Statement::parse(Dialect::Postgres, sql).unwrap();
        let (one, two) = (item(0, "1", "a\"b"), item(1, "2", "ü"));
        let rendered = statement.rendered(CHUNK, &[&one, &two]);
        let [Rendered { sql, values }] = rendered.as_slice() else { panic!("{rendered:?}") };
        assert!(sql.starts_with("INSERT INTO t SELECT item.id, item.body::jsonb FROM json_to_rec"));
        let [Value::Text(json)] = values.as_slice() else { panic!("{values:?}") };
        let rows: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(rows[0]["id"], CHUNK.id(0).to_string());
        assert_eq!((&rows[0]["body"], &rows[1]["recipient"]), (&"a\"b".into(), &"2".into()));
    }

    #[test]
    fn a_statement_for_each_is_rendered_for_each() {
        let sql = "CALL remind(:recipient, ':no', :attempt) -- :not this";
        let items = [item(0, "1", ""), item(1, "2", "")];
        for (dialect, expected) in [
            (Dialect::Postgres, "CALL remind($1, ':no', $2) -- :not this"),
            (Dialect::MySql, "CALL remind(?, ':no', ?) -- :not this"),
        ] {
            let statement = Statement::parse(dialect, sql).unwrap();
            let rendered = statement.rendered(CHUNK, &[&items[0], &items[1]]);
            assert_eq!(rendered.len(), 2);
            assert_eq!(&*rendered[1].sql, expected);
            assert_eq!(rendered[1].values, [Value::Text("2".into()), Value::Int(1)]);
        }
    }

    #[test]
    fn what_is_no_statement_says_what_would_be_right() {
        let error = |sql| Statement::parse(Dialect::Postgres, sql).unwrap_err();
        assert_eq!(error("SELECT :user"), StatementError::Unknown("user".into()));
        assert_eq!(error("SELECT :id FROM {items}"), StatementError::Mixed("id".into()));
        assert_eq!(error("SELECT 1"), StatementError::Constant);
        assert_eq!(error("SELECT 'abc"), StatementError::Endless(7));
        assert!(error("SELECT :user").to_string().contains("item.id"));
    }

    #[test]
    fn what_a_table_cannot_hold_is_told_before_it_is_asked() {
        let statement =
            |shape| Statement::of(Dialect::Postgres, &["SELECT :body"], &[], shape).unwrap();
        assert!(statement(Shape::Object).fits(&item(0, "", " {}")).is_ok());
        assert!(statement(Shape::Object).fits(&item(0, "", "[]")).is_err());
        assert!(statement(Shape::Array).fits(&item(0, "", "")).is_err());
        assert!(statement(Shape::Text).fits(&item(0, "a\0", "")).is_err());
        let binary = Item { body: Bytes::from_static(&[0xff]), ..item(0, "", "") };
        assert!(statement(Shape::Text).fits(&binary).is_err());
    }
}
