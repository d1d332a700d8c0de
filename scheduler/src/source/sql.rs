//! Recipients in a database: a query, read in pages by a key.
//!
//! ```sql
//! SELECT key, payload, order, zone FROM (QUERY) AS item WHERE order > LAST ORDER BY order LIMIT SO_MANY
//! ```
//!
//! Each page is a statement and a snapshot of its own: no statement is long, none keeps a replica from
//! replaying, and no transaction is open in between. What becomes due or is gone while the pages are read is
//! seen or not, as its key is before or behind the page; a second query can be asked for that afterwards
//! ([`Delta`]). Page sizes adapt to [`PAGE_TIME`]. Only a page's rows are in memory. Whom they are read from is
//! the [`Reader`]'s affair.

use std::time::Duration;

use jiff::Timestamp;

use super::SourceError;
use super::reader::{Reader, Whom};
use super::session::{Behind, Page, Texts};
use crate::sink::sql::Dialect;
use crate::sink::sql::place::{Place, places};

/// What a page should take at most.
pub const PAGE_TIME: Duration = Duration::from_millis(100);
/// Rows of a page, at least and at most, and of the first.
const PAGE_ROWS: (u64, u64) = (100, 10_000);
const FIRST_ROWS: u64 = 1_000;

/// A query for recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    text: String,
    key: String,
    payload: Option<String>,
    order: String,
    zone: Option<String>,
}

/// A second query, for what has changed since the first was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// As the first, with `:since` besides.
    pub query: Query,
    /// `:since` is so long before the watermark: as long as a transaction may be open that notes when it began.
    pub overlap: Duration,
    /// It is asked so long before the batch is due; at once where that is over.
    pub lead: Duration,
}

/// What `:nominal`, `:previous` and `:since` stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moments {
    /// When the batch is due.
    pub nominal: Timestamp,
    /// When the one before it was.
    pub previous: Timestamp,
    /// What has changed since then is asked for; of a [`Delta`] only.
    pub since: Timestamp,
}

/// A row that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'p> {
    /// Who it is for.
    pub recipient: &'p str,
    /// What is sent.
    pub payload: &'p str,
    /// What it was read in order of: it names the row.
    pub key: &'p str,
    /// The recipient's own zone; empty where none is named.
    pub zone: &'p str,
}

impl Query {
    /// A query, and its columns: of the recipient, of what is sent, and that by which it is read in pages.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(
        text: &str,
        key: String,
        payload: Option<String>,
        order: String,
    ) -> Result<Self, String> {
        let text = select("query", text, &["nominal", "previous"])?;
        [&key, &order].into_iter().chain(&payload).try_for_each(|column| check_column(column))?;
        Ok(Self { text, key, payload, order, zone: None })
    }

    /// The same, of which another column names each recipient's own zone.
    ///
    /// # Errors
    /// When that is no name of a column.
    pub fn with_zone(self, zone: Option<String>) -> Result<Self, String> {
        zone.iter().try_for_each(|column| check_column(column))?;
        Ok(Self { zone, ..self })
    }

    /// Another query for the same columns, which may name `:since`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn since(&self, text: &str) -> Result<Self, String> {
        let text = select("delta", text, &["nominal", "previous", "since"])?;
        Ok(Self { text, ..self.clone() })
    }

    /// Whether it can be asked of a database of this kind.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, dialect: Dialect) -> Result<(), String> {
        // MySQL would take it for a parameter.
        let has_mark = places(&self.text).is_ok() && self.text.contains('?');
        match dialect == Dialect::MySql && has_mark {
            true => Err("query: it has a question mark, which MySQL takes for a parameter".into()),
            false => Ok(()),
        }
    }

    /// The statement of a page of so many rows and one more.
    fn page(
        &self,
        dialect: Dialect,
        moments: Moments,
        behind: Option<&Behind>,
        rows: u64,
        job: &str,
    ) -> String {
        let column = |name: &str| match dialect {
            Dialect::Postgres => format!("item.\"{name}\""),
            Dialect::MySql => format!("item.`{name}`"),
        };
        let text = |name: &str| match dialect {
            Dialect::Postgres => format!("{}::text", column(name)),
            Dialect::MySql => format!("CAST({} AS CHAR)", column(name)),
        };
        let order = column(&self.order);
        let payload = self.payload.as_deref().map_or("''".to_owned(), text);
        let zone = self.zone.as_deref().map_or("''".to_owned(), text);
        let behind = behind.map_or(String::new(), |behind| {
            let parameter = match dialect {
                Dialect::Postgres => format!("CAST($1 AS {})", behind.kind),
                Dialect::MySql => "?".to_owned(),
            };
            format!(" WHERE {order} > {parameter}")
        });
        format!(
            "SELECT {key}, {payload}, {order_text}, {zone}, {order} FROM ({query}) AS item{behind} \
             ORDER BY {order} LIMIT {limit} /*job='{job}'*/",
            key = text(&self.key),
            order_text = text(&self.order),
            query = self.with(dialect, moments),
            limit = rows + 1,
        )
    }

    /// The query with its moments put in, as literals that only we have written.
    fn with(&self, dialect: Dialect, moments: Moments) -> String {
        let mut text = self.text.clone();
        for (range, place) in places(&self.text).unwrap_or_default().into_iter().rev() {
            let moment = match place {
                Place::Name("previous") => moments.previous,
                Place::Name("since") => moments.since,
                _ => moments.nominal,
            };
            let literal = match dialect {
                Dialect::Postgres => format!("TIMESTAMPTZ '{moment}'"),
                Dialect::MySql => {
                    format!("TIMESTAMP '{}'", moment.strftime("%Y-%m-%d %H:%M:%S%.6f"))
                }
            };
            text.replace_range(range, &literal);
        }
        text
    }
}

fn check_column(column: &str) -> Result<(), String> {
    match column.is_empty() || column.contains(['"', '`', '\0', '?']) {
        true => Err(format!("{column:?} is no name of a column")),
        false => Ok(()),
    }
}

/// A SELECT without what ends it, in which nothing but these names stands for something.
///
/// # Errors
/// What is wrong with it; `what` is its key in the file.
pub(super) fn select(what: &str, text: &str, names: &[&str]) -> Result<String, String> {
    let text = text.trim().trim_end_matches(';').to_owned();
    for (_, place) in places(&text).map_err(|error| format!("{what}: {error}"))? {
        match place {
            Place::Name(name) if names.contains(&name) => {}
            Place::Name(other) => {
                let known = names.join(" or :");
                return Err(format!("{what}: :{other} is unknown; expected :{known}"));
            }
            Place::Items => return Err(format!("{what}: {{items}} is for sinks")),
        }
    }
    let is_select = text.get(..6).is_some_and(|head| {
        head.eq_ignore_ascii_case("select") || text[..4].eq_ignore_ascii_case("with")
    });
    if is_select { Ok(text) } else { Err(format!("{what}: expected a SELECT")) }
}

/// How many rows the next page has, after one of `rows` that took so long.
fn resized(rows: u64, took: Duration) -> u64 {
    let (least, most) = PAGE_ROWS;
    let rows = if took > PAGE_TIME {
        rows / 2
    } else if took < PAGE_TIME / 2 {
        rows * 2
    } else {
        rows
    };
    rows.clamp(least, most)
}

/// Reads all that a query finds, and hands it on page by page, with whom a page came from. `job` tells the
/// database, and a guard on the way, who asks. Dropping it ends the reading.
///
/// # Errors
/// When the database does not answer, refuses, or returns what cannot be taken: a key that is NULL, there
/// twice, or of a type that cannot be paged by; and what `take` fails with.
pub async fn each(
    reader: &mut Reader,
    query: &Query,
    (moments, job): (Moments, &str),
    mut take: impl FnMut(Whom, &[Found<'_>]) -> Result<(), SourceError> + Send,
) -> Result<(), SourceError> {
    let dialect = reader.dialect();
    let (mut behind, mut rows): (Option<Behind>, _) = (None, FIRST_ROWS);
    loop {
        rows = rows.min(reader.rows_max());
        let sql = query.page(dialect, moments, behind.as_ref(), rows, job);
        let (page, took) = reader.page(&sql, behind.as_ref()).await?;
        let keys = query.keys(&page)?;
        let is_whole = page.rows.len() as u64 > rows;
        let kept = page.rows.len().min(usize::try_from(rows).unwrap_or(usize::MAX));
        let found = query.found(&page, &keys[..kept])?;
        take(reader.whom(), &found)?;
        if !is_whole {
            return Ok(());
        }
        reader.rest(kept, took).await;
        let key = keys.get(kept - 1).map_or_else(String::new, |key| (*key).to_owned());
        behind = Some(Behind { key, kind: page.kind });
        rows = resized(rows, took);
    }
}

impl Query {
    /// The rows of a page that have these keys, in their order.
    fn found<'p>(&self, page: &'p Page, keys: &[&'p str]) -> Result<Vec<Found<'p>>, SourceError> {
        let found = |((recipient, payload, _, zone), key): (&'p Texts, &&'p str)| {
            let recipient = recipient.as_deref().filter(|recipient| !recipient.is_empty());
            let null = || SourceError::Query(format!("{} is NULL or empty", self.key));
            let payload = payload.as_deref().unwrap_or_default();
            let zone = zone.as_deref().unwrap_or_default();
            Ok(Found { recipient: recipient.ok_or_else(null)?, payload, key, zone })
        };
        page.rows.iter().zip(keys).map(found).collect()
    }

    /// The keys of a page: none NULL, none twice. The row behind a page is in it, so that a key that is
    /// there twice is seen wherever it is.
    fn keys<'p>(&self, page: &'p Page) -> Result<Vec<&'p str>, SourceError> {
        let wrong = |why: &str| {
            let expected = "order = a column that is unique and never NULL";
            SourceError::Query(format!("{} {why}; expected {expected}", self.order))
        };
        let keys = page.rows.iter().map(|(_, _, key, _)| key.as_deref());
        let keys: Vec<&str> = keys.collect::<Option<_>>().ok_or_else(|| wrong("is NULL"))?;
        match keys.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Err(wrong("has a value twice")),
            false => Ok(keys),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, String> {
        Query::new(text, "id".into(), Some("body".into()), "id".into())
    }

    #[test]
    fn a_page_is_a_statement_of_its_own() {
        let moments = Moments {
            nominal: "2026-11-22T13:00:00Z".parse().unwrap(),
            previous: "2026-11-22T12:00:00Z".parse().unwrap(),
            since: "2026-11-22T12:59:00Z".parse().unwrap(),
        };
        let due =
            query("SELECT id, body FROM due WHERE at > :previous AND at <= :nominal;").unwrap();
        let behind = Behind { key: "7".into(), kind: "INT8".into() };
        assert_eq!(
            due.page(Dialect::Postgres, moments, Some(&behind), 10, "hourly"),
            "SELECT item.\"id\"::text, item.\"body\"::text, item.\"id\"::text, '', item.\"id\" FROM (SELECT id, body \
             FROM due WHERE at > TIMESTAMPTZ '2026-11-22T12:00:00Z' AND at <= TIMESTAMPTZ '2026-11-22T13:00:00Z') \
             AS item WHERE item.\"id\" > CAST($1 AS INT8) ORDER BY item.\"id\" LIMIT 11 /*job='hourly'*/"
        );
        let first = due.page(Dialect::MySql, moments, None, 10, "hourly");
        assert!(
            first.contains(
                "at <= TIMESTAMP '2026-11-22 13:00:00.000000') AS item ORDER BY item.`id` LIMIT 11"
            ),
            "{first}"
        );
        let changed = due.since("SELECT id, body FROM due WHERE changed > :since").unwrap();
        let changed = changed.page(Dialect::Postgres, moments, None, 10, "hourly");
        assert!(changed.contains("changed > TIMESTAMPTZ '2026-11-22T12:59:00Z'"), "{changed}");
    }

    #[test]
    fn what_is_no_query_is_told_why() {
        for (text, told) in [
            ("DELETE FROM due", "expected a SELECT"),
            ("", "expected a SELECT"),
            ("SELECT :id", ":id is unknown"),
            ("SELECT 'a", "query: "),
            ("SELECT {items}", "is for sinks"),
        ] {
            let error = query(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        assert!(query("with a AS (SELECT 1) SELECT * FROM a").is_ok());
        assert!(query("SELECT a ? b").unwrap().check(Dialect::MySql).is_err());
        assert!(Query::new("SELECT 1", "a\"b".into(), None, "a".into()).is_err());
    }

    #[test]
    fn pages_grow_while_they_are_quick_and_shrink_when_they_are_not() {
        let ms = Duration::from_millis;
        assert_eq!(resized(1_000, ms(10)), 2_000);
        assert_eq!(resized(1_000, ms(70)), 1_000);
        assert_eq!(resized(1_000, ms(101)), 500);
        assert_eq!(resized(100, ms(9_000)), 100);
        assert_eq!(resized(10_000, ms(1)), 10_000);
    }

    #[test]
    fn a_key_that_is_there_twice_or_null_is_told() {
        let row = |key: Option<&str>| (None, None, key.map(str::to_owned), None);
        let of = |keys: &[Option<&str>]| {
            let page =
                Page { rows: keys.iter().map(|key| row(*key)).collect(), kind: String::new() };
            query("SELECT 1")
                .unwrap()
                .keys(&page)
                .map(|keys| keys.len())
                .map_err(|error| error.to_string())
        };
        assert_eq!(of(&[Some("1"), Some("2")]), Ok(2));
        assert!(of(&[Some("1"), Some("1")]).unwrap_err().contains("twice"));
        assert!(of(&[None]).unwrap_err().contains("NULL"));
    }
}
