//! Recipients in a database: a query, read in pages by a key.
//!
//! ```sql
//! SELECT key, payload, order FROM (QUERY) AS item WHERE order > LAST ORDER BY order LIMIT SO_MANY
//! ```
//!
//! Each page is a statement and a snapshot of its own: no statement is long, none keeps a replica from
//! replaying, and no transaction is open in between. What becomes due or is gone while the pages are read is
//! seen or not, as its key is before or behind the page. Page sizes adapt to [`PAGE_TIME`]. Sessions are read
//! only, in UTC, and a statement that takes 10 s is ended by the server. Only a page's rows are in memory.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::mysql::{MySqlConnectOptions, MySqlRow};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Executor as _, MySqlConnection, PgConnection,
    Row as _, TypeInfo as _,
};
use tokio::time::timeout;

use super::SourceError;
use crate::sink::sql::Dialect;
use crate::sink::sql::place::{Place, places};

/// What a page should take at most.
pub const PAGE_TIME: Duration = Duration::from_millis(100);
/// Rows of a page, at least and at most, and of the first.
const PAGE_ROWS: (u64, u64) = (100, 10_000);
const FIRST_ROWS: u64 = 1_000;
/// The server ends a statement after so long.
const STATEMENT_TIME: Duration = Duration::from_secs(10);
/// A connection is waited for so long, and an answer.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const ANSWER_TIME: Duration = Duration::from_secs(15);

/// A query for recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    text: String,
    key: String,
    payload: Option<String>,
    order: String,
}

/// What `:nominal` and `:previous` stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moments {
    /// When the batch is due.
    pub nominal: Timestamp,
    /// When the one before it was.
    pub previous: Timestamp,
}

/// Where the next page begins: behind this key, of this type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Behind {
    key: String,
    kind: String,
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
        let text = text.trim().trim_end_matches(';').to_owned();
        let found = places(&text).map_err(|error| format!("query: {error}"))?;
        for (_, place) in found {
            match place {
                Place::Name("nominal" | "previous") => {}
                Place::Name(other) => {
                    return Err(format!(
                        "query: :{other} is unknown; expected :nominal or :previous"
                    ));
                }
                Place::Items => return Err("query: {items} is for sinks".into()),
            }
        }
        let is_select = text.get(..6).is_some_and(|head| {
            head.eq_ignore_ascii_case("select") || text[..4].eq_ignore_ascii_case("with")
        });
        if !is_select {
            return Err("query: expected a SELECT".into());
        }
        for column in [&key, &order].into_iter().chain(&payload) {
            if column.is_empty() || column.contains(['"', '`', '\0', '?']) {
                return Err(format!("{column:?} is no name of a column"));
            }
        }
        Ok(Self { text, key, payload, order })
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
        let behind = behind.map_or(String::new(), |behind| {
            let parameter = match dialect {
                Dialect::Postgres => format!("CAST($1 AS {})", behind.kind),
                Dialect::MySql => "?".to_owned(),
            };
            format!(" WHERE {order} > {parameter}")
        });
        format!(
            "SELECT {key}, {payload}, {order_text}, {order} FROM ({query}) AS item{behind} \
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

/// A row: recipient, payload, key of the page.
type Found = (Option<String>, Option<String>, Option<String>);

/// Rows of a page, and the type of the key.
struct Page {
    rows: Vec<Found>,
    kind: String,
}

/// A connection to a source. Dropped, it is closed.
#[derive(Debug)]
enum Session {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

/// Reads all that a query finds, and hands it on row by row. `job` tells the database, and a guard on the way,
/// who asks. Dropping it closes the connection.
///
/// # Errors
/// When the database does not answer, refuses, or returns what cannot be taken: a key that is NULL, there
/// twice, or of a type that cannot be paged by; and what `take` fails with.
pub async fn each(
    url: &str,
    query: &Query,
    (moments, job): (Moments, &str),
    mut take: impl FnMut(&str, &str) -> Result<(), SourceError> + Send,
) -> Result<u64, SourceError> {
    let mut session = Session::open(url).await?;
    let dialect = session.dialect();
    let (mut behind, mut rows, mut count): (Option<Behind>, _, _) = (None, FIRST_ROWS, 0);
    loop {
        let sql = query.page(dialect, moments, behind.as_ref(), rows, job);
        let asked = Instant::now();
        let answer = timeout(ANSWER_TIME, session.read(sql, behind.as_ref())).await;
        let page = answer.map_err(|_| SourceError::Query("no answer in 15 s".into()))??;
        let took = asked.elapsed();
        let keys = query.keys(&page)?;
        let whole = page.rows.len() as u64 > rows;
        let kept = page.rows.len().min(usize::try_from(rows).unwrap_or(usize::MAX));
        for (recipient, payload, _) in &page.rows[..kept] {
            let recipient = recipient.as_deref().filter(|recipient| !recipient.is_empty());
            let recipient = recipient
                .ok_or_else(|| SourceError::Query(format!("{} is NULL or empty", query.key)))?;
            take(recipient, payload.as_deref().unwrap_or_default())?;
            count += 1;
        }
        if !whole {
            return Ok(count);
        }
        let key = keys.get(kept - 1).map_or_else(String::new, |key| (*key).to_owned());
        behind = Some(Behind { key, kind: page.kind });
        rows = resized(rows, took);
    }
}

impl Query {
    /// The keys of a page: none NULL, none twice. The row behind a page is in it, so that a key that is
    /// there twice is seen wherever it is.
    fn keys<'p>(&self, page: &'p Page) -> Result<Vec<&'p str>, SourceError> {
        let wrong = |why: &str| {
            let expected = "order = a column that is unique and never NULL";
            SourceError::Query(format!("{} {why}; expected {expected}", self.order))
        };
        let keys = page.rows.iter().map(|(_, _, key)| key.as_deref());
        let keys: Vec<&str> = keys.collect::<Option<_>>().ok_or_else(|| wrong("is NULL"))?;
        match keys.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Err(wrong("has a value twice")),
            false => Ok(keys),
        }
    }
}

impl Session {
    async fn open(url: &str) -> Result<Self, SourceError> {
        let millis = STATEMENT_TIME.as_millis().to_string();
        let opened = async {
            match url.split(':').next() {
                Some("postgres" | "postgresql") => {
                    let options: PgConnectOptions = url.parse()?;
                    let options = options.application_name("tidegate schedule").options([
                        ("statement_timeout", millis.as_str()),
                        ("default_transaction_read_only", "on"),
                        ("timezone", "UTC"),
                    ]);
                    Ok(Self::Postgres(options.connect().await?))
                }
                _ => {
                    let options: MySqlConnectOptions = url.parse()?;
                    let mut connection = options.connect().await?;
                    // The first comment is read by MariaDB only, the second by MySQL only.
                    let settings = format!(
                        "SET SESSION TRANSACTION READ ONLY; SET SESSION time_zone = '+00:00' \
                         /*M!100101 , max_statement_time = {} */ /*!50708 , max_execution_time = {millis} */",
                        STATEMENT_TIME.as_secs(),
                    );
                    connection.execute(sqlx::raw_sql(AssertSqlSafe(settings))).await?;
                    Ok(Self::MySql(connection))
                }
            }
        };
        match timeout(CONNECT_TIME, opened).await {
            Ok(opened) => opened.map_err(SourceError::Database),
            Err(_) => Err(SourceError::Query("no connection in 5 s".into())),
        }
    }

    const fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::MySql(_) => Dialect::MySql,
        }
    }

    async fn read(&mut self, sql: String, behind: Option<&Behind>) -> Result<Page, SourceError> {
        match self {
            Self::Postgres(connection) => {
                let mut query = sqlx::query(AssertSqlSafe(sql));
                if let Some(behind) = behind {
                    query = query.bind(behind.key.as_str());
                }
                page(
                    &connection.fetch_all(query).await?,
                    |row: &PgRow| row.column(3).type_info().name().to_owned(),
                    &["INT2", "INT4", "INT8", "TEXT", "VARCHAR", "UUID"],
                )
            }
            Self::MySql(connection) => {
                let mut query = sqlx::query(AssertSqlSafe(sql));
                if let Some(behind) = behind {
                    // As a number where it is one: compared as texts, 10 would be before 9.
                    query = match (
                        behind.kind.contains("INT"),
                        behind.key.parse::<i64>(),
                        behind.key.parse::<u64>(),
                    ) {
                        (true, Ok(number), _) => query.bind(number),
                        (true, Err(_), Ok(number)) => query.bind(number),
                        _ => query.bind(behind.key.as_str()),
                    };
                }
                page(
                    &connection.fetch_all(query).await?,
                    |row: &MySqlRow| row.column(3).type_info().name().to_owned(),
                    &["INT", "CHAR", "TEXT"],
                )
            }
        }
    }
}

/// The rows of a page, of a key whose type's name has one of `kinds` in it.
fn page<R>(rows: &[R], kind: impl Fn(&R) -> String, kinds: &[&str]) -> Result<Page, SourceError>
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    for<'r> Option<String>: sqlx::Decode<'r, R::Database>,
{
    let kind = rows.first().map(kind).unwrap_or_default();
    if !rows.is_empty() && !kinds.iter().any(|known| kind.contains(known)) {
        let why = format!(
            "order is a column of type {kind}; expected a whole number, a text or, on PostgreSQL, a UUID"
        );
        return Err(SourceError::Query(why));
    }
    let found = |row: &R| {
        let text = |column: usize| row.try_get_unchecked::<Option<String>, _>(column);
        Ok((text(0)?, text(1)?, text(2)?))
    };
    let rows = rows.iter().map(found).collect::<Result<_, sqlx::Error>>()?;
    Ok(Page { rows, kind })
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
        };
        let due =
            query("SELECT id, body FROM due WHERE at > :previous AND at <= :nominal;").unwrap();
        let behind = Behind { key: "7".into(), kind: "INT8".into() };
        assert_eq!(
            due.page(Dialect::Postgres, moments, Some(&behind), 10, "hourly"),
            "SELECT item.\"id\"::text, item.\"body\"::text, item.\"id\"::text, item.\"id\" FROM (SELECT id, body \
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
        let row = |key: Option<&str>| (None, None, key.map(str::to_owned));
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
