//! Right before items go: which of them still hold?
//!
//! Between the reading of a batch and the sending of its last item there are minutes, in which reminders are
//! cancelled and users leave. A query of the operator's gets the ids of items that are about to go, and what it
//! returns still holds; the others are dropped, counted and listed. It travels with its batch, in the policy, so
//! any scheduler that has the source can ask it.
//!
//! It is asked of a replica that has what the primary had when it was asked, so an item that was cancelled
//! before then is not sent. Where no replica is fit in time the source's `otherwise` decides: the primary is
//! asked, or the items wait. Nothing goes unchecked.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::SourceError;
use super::fleet::Fleet;
use super::origin::{Origin, Otherwise};
use super::session::Session;
use super::sql::select;
use crate::ledger::Item;
use crate::sink::sql::Dialect;
use crate::sink::sql::place::{Place, places};

/// A replica is waited for no longer, whatever the source says: items are due.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    source: String,
    query: String,
    /// The field of an item's JSON that is its id; the recipient where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// The part of a batch's policy that is read here.
#[derive(Deserialize)]
struct Policy {
    check: Option<Check>,
}

impl Check {
    /// A query that gets ids in the place of `:ids` and returns, first, those that hold; of the source of this
    /// name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(source: String, query: &str, by: Option<String>) -> Result<Self, String> {
        let query = select("check", query, &["ids"])?;
        if places(&query).unwrap_or_default().is_empty() {
            return Err("check: :ids is missing; expected … WHERE id IN (:ids)".into());
        }
        Ok(Self { source, query, by })
    }

    /// That of a batch, by its policy, if it has one.
    ///
    /// # Errors
    /// Why the policy cannot be read. It may ask for a check, so nothing of that batch may go.
    pub fn of(policy: &str) -> Result<Option<Self>, String> {
        if policy.is_empty() {
            return Ok(None);
        }
        let policy = serde_json::from_str::<Policy>(policy).map_err(|error| error.to_string())?;
        Ok(policy.check)
    }

    /// The `[source.NAME]` that is asked.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// By which id it asks for an item.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn id(&self, item: &Item) -> Result<String, String> {
        let Some(by) = &self.by else {
            let recipient = str::from_utf8(&item.recipient).map(str::to_owned);
            return recipient.map_err(|_| "its recipient is no text to check by".into());
        };
        let fields: Option<BTreeMap<String, serde_json::Value>> =
            serde_json::from_slice(&item.payload).ok();
        match fields.and_then(|mut fields| fields.remove(by)) {
            Some(serde_json::Value::String(id)) => Ok(id),
            Some(serde_json::Value::Number(id)) => Ok(id.to_string()),
            _ => Err(format!("what is sent has no field {by:?} to check by")),
        }
    }

    /// The statement for these ids. `job` tells the database, and a guard on the way, who asks.
    fn sql(&self, dialect: Dialect, ids: &[String], job: &str) -> String {
        let ids: Vec<String> = ids.iter().map(|id| literal(dialect, id)).collect();
        let ids = ids.join(", ");
        let mut sql = self.query.clone();
        for (range, place) in places(&self.query).unwrap_or_default().into_iter().rev() {
            if place == Place::Name("ids") {
                sql.replace_range(range, &ids);
            }
        }
        sql + " /*job='" + job + "'*/"
    }
}

/// A text that the database compares with a column of whatever type. What is odd is written by its bytes, which
/// no setting reads otherwise.
fn literal(dialect: Dialect, id: &str) -> String {
    if !id.contains(['\'', '\\', '\0']) && !id.chars().any(char::is_control) {
        return format!("'{id}'");
    }
    let mut bytes = String::with_capacity(id.len() * 2);
    for byte in id.bytes() {
        // Writing to a text does not fail.
        let _infallible = write!(bytes, "{byte:02x}");
    }
    match dialect {
        // There no text has a zero byte.
        Dialect::Postgres if id.contains('\0') => "NULL".into(),
        Dialect::Postgres => format!("convert_from(decode('{bytes}', 'hex'), 'UTF8')"),
        Dialect::MySql => format!("_utf8mb4 x'{bytes}'"),
    }
}

/// Asks a source. For many tasks, one after the other.
#[derive(Debug)]
pub struct Checker {
    origin: Arc<Origin>,
    sessions: Mutex<Sessions>,
}

#[derive(Debug)]
struct Sessions {
    fleet: Fleet,
    /// To the source's URL.
    direct: Option<Session>,
}

impl Checker {
    /// One that has not connected.
    #[must_use]
    pub fn new(origin: Arc<Origin>) -> Self {
        let sessions = Sessions { fleet: Fleet::new(Arc::clone(&origin)), direct: None };
        Self { origin, sessions: Mutex::new(sessions) }
    }

    /// Which of these ids still hold, as of a moment after the question. Dropped, it closes no connection, but
    /// the next question does.
    ///
    /// # Errors
    /// When nobody who has what the primary has could be asked.
    pub async fn holding(
        &self,
        check: &Check,
        ids: &[String],
        job: &str,
    ) -> Result<HashSet<String>, SourceError> {
        let sql = check.sql(self.origin.dialect, ids, job);
        let sessions = &mut *self.sessions.lock().await;
        // Whoever is dropped amid an answer leaves a connection that would give it to the next.
        let mut asked = Asked { direct: sessions.direct.take(), fleet: &mut sessions.fleet };
        let rows = asked.ask(&self.origin, sql).await?;
        sessions.direct = asked.direct;
        let first = rows.into_iter().filter_map(|row| row.into_iter().next().flatten());
        Ok(first.collect())
    }
}

/// A question under way.
struct Asked<'s> {
    direct: Option<Session>,
    fleet: &'s mut Fleet,
}

impl Asked<'_> {
    async fn ask(
        &mut self,
        origin: &Origin,
        sql: String,
    ) -> Result<Vec<Vec<Option<String>>>, SourceError> {
        let mut direct = match self.direct.take() {
            Some(session) => session,
            None => Session::open(&origin.url).await?,
        };
        if !origin.replicas.is_empty() {
            let position = direct.mark().await?.position.ok_or(SourceError::NoPosition)?;
            match self.fleet.fit(&position, origin.wait.min(WAIT_MAX)).await {
                Ok(index) => {
                    self.direct = Some(direct);
                    return self.ask_replica(index, sql).await;
                }
                Err(error) if origin.otherwise != Otherwise::Primary => return Err(error),
                Err(_) => {}
            }
        }
        let rows = direct.texts(sql).await?;
        self.direct = Some(direct);
        Ok(rows)
    }

    async fn ask_replica(
        &mut self,
        index: usize,
        sql: String,
    ) -> Result<Vec<Vec<Option<String>>>, SourceError> {
        let Some(mut session) = self.fleet.take(index) else {
            return Err(SourceError::Silent("no connection", Duration::ZERO));
        };
        let rows = session.texts(sql).await?;
        self.fleet.give(index, session);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(recipient: &str, payload: &str) -> Item {
        Item { recipient: recipient.into(), payload: payload.into() }
    }

    #[test]
    fn ids_are_put_where_they_are_named() {
        let query = "SELECT id FROM reminders WHERE id IN (:ids) AND state = ':ids';";
        let check = Check::new("app".into(), query, None).unwrap();
        assert_eq!(
            check.sql(Dialect::Postgres, &["1".into(), "a-b".into()], "hourly"),
            "SELECT id FROM reminders WHERE id IN ('1', 'a-b') AND state = ':ids' /*job='hourly'*/"
        );
        for (wrong, told) in [
            ("DELETE FROM a WHERE id IN (:ids)", "expected a SELECT"),
            ("SELECT 1", ":ids is missing"),
            ("SELECT :id", ":id is unknown; expected :ids"),
        ] {
            let error = Check::new("app".into(), wrong, None).unwrap_err();
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }

    #[test]
    fn an_odd_id_is_written_by_its_bytes() {
        assert_eq!(literal(Dialect::MySql, "a'); --"), "_utf8mb4 x'6127293b202d2d'");
        assert_eq!(
            literal(Dialect::Postgres, "\\'"),
            "convert_from(decode('5c27', 'hex'), 'UTF8')"
        );
        assert_eq!(literal(Dialect::MySql, "zoë"), "'zoë'");
    }

    #[test]
    fn an_item_is_asked_for_by_its_recipient_or_by_a_field() {
        let query = "SELECT id FROM a WHERE id IN (:ids)";
        let check = Check::new("app".into(), query, None).unwrap();
        assert_eq!(check.id(&item("7", "")).unwrap(), "7");
        let by = Check::new("app".into(), query, Some("id".into())).unwrap();
        assert_eq!(by.id(&item("7", r#"{"id": 12, "to": "x"}"#)).unwrap(), "12");
        assert_eq!(by.id(&item("7", r#"{"id": "ü"}"#)).unwrap(), "ü");
        for wrong in ["", "{}", r#"{"id": null}"#, "[1]"] {
            assert!(by.id(&item("7", wrong)).unwrap_err().contains("no field \"id\""), "{wrong}");
        }
    }

    #[test]
    fn a_check_travels_with_its_batch() {
        let check = Check::new("app".into(), "SELECT id FROM a WHERE id IN (:ids)", None).unwrap();
        let policy = serde_json::json!({ "family": "a", "check": check }).to_string();
        assert_eq!(Check::of(&policy), Ok(Some(check)));
        for none in ["", "{}", "{\"family\": \"a\"}"] {
            assert_eq!(Check::of(none), Ok(None));
        }
        for unreadable in ["{\"check\": {\"source\": 1}}", "{\"check\"", "a"] {
            assert!(Check::of(unreadable).is_err(), "{unreadable} may ask for one");
        }
    }
}
