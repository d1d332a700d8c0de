//! Reading the rows of an answer.

use std::time::Duration;

use bytes::Bytes;
use policy::ddl::{Access, Want};
use policy::locks::{Activity, Locks, Object, ROWS_MAX, Transaction, Wait};
use policy::sql::Table;
use thiserror::Error;

/// An answer in text: a value for each column, `None` for NULL.
pub type Rows = Vec<Vec<Option<Bytes>>>;

/// An answer is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// A row is too short, or a value is no number.
    #[error("column {column} of the answer to {question} is {found:?}, which is not a number")]
    Number {
        /// What was asked.
        question: &'static str,
        /// Which column, from 0.
        column: usize,
        /// What stood there, at most 64 bytes of it.
        found: String,
    },
    /// There is no answer to one of the statements.
    #[error("{question} has no answer")]
    Missing {
        /// What was asked.
        question: &'static str,
    },
}

/// One row, read from left to right.
pub(crate) struct Row<'a> {
    question: &'static str,
    values: &'a [Option<Bytes>],
    column: usize,
}

impl<'a> Row<'a> {
    pub(crate) fn new(question: &'static str, values: &'a [Option<Bytes>]) -> Self {
        Self { question, values, column: 0 }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let value = self.values.get(self.column).and_then(Option::as_deref);
        self.column += 1;
        value
    }

    /// Text; empty for NULL. What is no UTF-8 is shown as such.
    pub(crate) fn text(&mut self) -> String {
        self.next().map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }

    /// A number that is not below 0; 0 for NULL. Fractions are dropped.
    pub(crate) fn number(&mut self) -> Result<u64, Unreadable> {
        let Some(value) = self.next() else { return Ok(0) };
        let text = str::from_utf8(value).unwrap_or_default();
        let whole = text.split('.').next().unwrap_or_default();
        match whole.strip_prefix('-').unwrap_or(whole).parse() {
            // Clocks of servers step back, and differences come out below 0.
            Ok(_) if whole.starts_with('-') => Ok(0),
            Ok(number) => Ok(number),
            Err(_) => Err(Unreadable::Number {
                question: self.question,
                column: self.column - 1,
                found: text.chars().take(64).collect(),
            }),
        }
    }

    /// A backend's id; 0 for NULL, and for what is none.
    pub(crate) fn backend(&mut self) -> Result<u32, Unreadable> {
        Ok(u32::try_from(self.number()?).unwrap_or(0))
    }

    /// Microseconds.
    pub(crate) fn micros(&mut self) -> Result<Duration, Unreadable> {
        Ok(Duration::from_micros(self.number()?))
    }
}

/// A look: the first answer lists transactions, all others waits.
///
/// All servers' statements have the same columns: backend, since, id, a letter for what it does, age
/// and time of that in microseconds, rows locked and modified, user, database, statement.
pub(crate) fn locks(question: &'static str, answers: &[Rows]) -> Result<Locks, Unreadable> {
    let (transactions, waits) = answers.split_first().ok_or(Unreadable::Missing { question })?;
    let transactions = transactions.iter().take(ROWS_MAX);
    let waits_read = waits.iter().flatten().take(ROWS_MAX);
    Ok(Locks {
        transactions: transactions
            .map(|row| transaction(question, row))
            .collect::<Result<_, _>>()?,
        waits: waits_read.map(|row| wait(question, row)).collect::<Result<_, _>>()?,
        has_waits: !waits.is_empty(),
        is_cut_short: answers.iter().any(|rows| rows.len() > ROWS_MAX),
    })
}

fn transaction(
    question: &'static str,
    values: &[Option<Bytes>],
) -> Result<Transaction, Unreadable> {
    let mut row = Row::new(question, values);
    Ok(Transaction {
        backend: row.backend()?,
        since: row.number()?,
        id: row.number()?,
        activity: activity(&row.text()),
        age: row.micros()?,
        for_time: row.micros()?,
        rows_locked: row.number()?,
        rows_modified: row.number()?,
        user: row.text(),
        database: row.text(),
        statement: row.text(),
    })
}

/// What a transaction does, by the letter that all statements use for it.
fn activity(letter: &str) -> Activity {
    match letter {
        "w" => Activity::Waits,
        "i" => Activity::Idle,
        "u" => Activity::RollsBack,
        "c" => Activity::Commits,
        "p" => Activity::Prepared,
        _ => Activity::Runs,
    }
}

/// A wait: waiter, blocker, kind, table, index and key.
fn wait(question: &'static str, values: &[Option<Bytes>]) -> Result<Wait, Unreadable> {
    let mut row = Row::new(question, values);
    Ok(Wait {
        waiter: row.backend()?,
        blocker: row.backend()?,
        object: Object {
            kind: row.text(),
            table: row.text().replace('`', ""),
            index: row.text(),
            key: row.text(),
        },
    })
}

/// Who wants tables for himself. Of a server that is not asked there is no answer.
///
/// All servers' statements have the same columns: backend, whether it waits, time of its statement in
/// microseconds, kind of lock, where it works, schema and name of the table, statement.
pub(crate) fn wants(question: &'static str, answers: &[Rows]) -> Result<Vec<Want>, Unreadable> {
    answers.iter().flatten().take(ROWS_MAX).map(|row| want(question, row)).collect()
}

fn want(question: &'static str, values: &[Option<Bytes>]) -> Result<Want, Unreadable> {
    let mut row = Row::new(question, values);
    let (backend, is_waiting, for_time) = (row.backend()?, row.number()? != 0, row.micros()?);
    let from = shut_out_from(&row.text());
    let (home, schema, name) = (row.text(), row.text(), row.text());
    let schema = (!schema.is_empty()).then(|| schema.into());
    let table = (!name.is_empty()).then(|| Table { schema, name: name.into() });
    Ok(Want { backend, is_waiting, for_time, from, home, table, statement: row.text() })
}

/// From which access on others wait for who has, or waits for, this kind of lock: PostgreSQL's table of
/// conflicts, and that of `sql/mdl.cc`.
fn shut_out_from(kind: &str) -> Access {
    match kind {
        "ShareLock" | "ShareRowExclusiveLock" => Access::Write,
        "ExclusiveLock" | "SHARED_NO_WRITE" => Access::Lock,
        _ => Access::Read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_order_and_wrong_ones_named() {
        let value = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
        let row = [value("12"), None, value("-3"), value("1500000.25"), value("much"), None];
        let mut row = Row::new("a question", &row);
        assert_eq!(row.number(), Ok(12));
        assert_eq!(row.number(), Ok(0));
        assert_eq!(row.number(), Ok(0));
        assert_eq!(row.micros(), Ok(Duration::from_millis(1500)));
        let wrong = row.number().unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "column 4 of the answer to a question is \"much\", which is not a number"
        );
        assert_eq!(row.text(), "");
        assert_eq!(row.text(), "", "beyond the row");
    }

    #[test]
    fn who_wants_a_table_is_read_with_what_it_shuts_out() {
        let value = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
        let row = |kind: &str| {
            ["7", "1", "1500000", kind, "shop", "public", "account", "LOCK"].map(value).to_vec()
        };
        let [want] = &wants("ddl", &[vec![row("ShareLock")]]).unwrap()[..] else { panic!() };
        let table = Table { schema: Some("public".into()), name: "account".into() };
        let expect = Want {
            backend: 7,
            is_waiting: true,
            for_time: Duration::from_millis(1500),
            from: Access::Write,
            home: "shop".into(),
            table: Some(table),
            statement: "LOCK".into(),
        };
        assert_eq!(*want, expect);
        assert_eq!(shut_out_from("SHARED_NO_WRITE"), Access::Lock);
        assert_eq!(shut_out_from("EXCLUSIVE"), Access::Read);
        assert_eq!(shut_out_from(""), Access::Read, "who does not tell");
        let bare = [value("7"), None, None, None, None, None, None, None].to_vec();
        let wants = wants("ddl", &[vec![bare]]).unwrap();
        assert!(!wants[0].is_waiting && wants[0].table.is_none());
        assert_eq!(super::wants("ddl", &[]), Ok(Vec::new()), "who is not asked");
    }
}
