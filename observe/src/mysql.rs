//! Questions to MySQL and MariaDB.
//!
//! | question | MariaDB | MySQL |
//! |---|---|---|
//! | counters | `SHOW GLOBAL STATUS` | the same; both sum over all threads and touch no latch of InnoDB |
//! | transactions | `INNODB_TRX` with the list of threads | the same |
//! | graph | `INNODB_LOCK_WAITS` | `performance_schema.data_lock_waits`, from 8.0.40, 8.4.3 and 9.1 on |
//!
//! Before those versions MySQL looks through all locks under one exclusive latch to list waits
//! (bug 112035): there it is never asked, and a graph has no edges. `data_locks` is only ever read by
//! the ids of locks that somebody waits for. Metadata locks are not InnoDB's: who waits for one is
//! seen by the state of its thread, and on MySQL the holders by `metadata_locks`.
//!
//! An edge leads to who *holds* the lock. Who merely stands before in the queue is asked for the
//! same lock himself, and is left out: with n waiters on one row there are n edges, not n²/2.

use std::borrow::Cow;
use std::time::Duration;

use crate::counters::Counters;
use crate::rows::Row;
use crate::server::{Question, Told, Version};
use crate::{Rows, Unreadable, rows};

/// Questions end by themselves, and none waits long for a metadata lock.
pub(crate) const SETUP_MARIADB: &str = "SET SESSION max_statement_time=1,lock_wait_timeout=1";
/// As [`SETUP_MARIADB`].
pub(crate) const SETUP_MYSQL: &str = "SET SESSION max_execution_time=1000,lock_wait_timeout=1";

const COUNTERS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected',\
    'Threads_running','Innodb_row_lock_current_waits','Innodb_row_lock_waits','Innodb_row_lock_time',\
    'Innodb_deadlocks','Innodb_history_list_length','Com_commit','Com_rollback',\
    'Connection_errors_max_connections')";

/// Both forks: what InnoDB has open, with what its thread does; then who waits for a metadata lock
/// without having begun anything. One more than is read tells that there are more.
macro_rules! transactions {
    ($threads:literal, $busy_for:literal) => {
        concat!(
            "SELECT t.trx_mysql_thread_id,0,CASE WHEN t.trx_state='LOCK WAIT' THEN 'w' \
             WHEN t.trx_state='ROLLING BACK' THEN 'u' WHEN t.trx_state='COMMITTING' THEN 'c' \
             WHEN t.trx_mysql_thread_id=0 THEN 'p' WHEN p.STATE LIKE 'Waiting for % lock' THEN 'w' \
             WHEN p.COMMAND='Sleep' THEN 'i' ELSE 'r' END,\
             TIMESTAMPDIFF(MICROSECOND,t.trx_started,NOW(6)),\
             COALESCE(TIMESTAMPDIFF(MICROSECOND,t.trx_wait_started,NOW(6)),",
            $busy_for,
            "),t.trx_rows_locked,t.trx_rows_modified,p.USER,p.DB,LEFT(COALESCE(t.trx_query,p.INFO),256) \
             FROM information_schema.INNODB_TRX t LEFT JOIN ",
            $threads,
            " p ON p.ID=t.trx_mysql_thread_id WHERE t.trx_mysql_thread_id<>CONNECTION_ID() \
             UNION ALL SELECT p.ID,0,'w',",
            $busy_for,
            ",",
            $busy_for,
            ",0,0,p.USER,p.DB,LEFT(p.INFO,256) FROM ",
            $threads,
            " p WHERE p.STATE LIKE 'Waiting for % lock' AND NOT EXISTS (SELECT 1 FROM \
             information_schema.INNODB_TRX t WHERE t.trx_mysql_thread_id=p.ID) LIMIT 2001"
        )
    };
}

const TRANSACTIONS_MARIADB: &str =
    transactions!("information_schema.PROCESSLIST", "p.TIME_MS*1000");
/// The list of threads of `performance_schema` is read without the lock that guards the other one.
const TRANSACTIONS_MYSQL: &str = transactions!("performance_schema.processlist", "p.TIME*1000000");
/// Before 8.0.22 there is only the other one.
const TRANSACTIONS_MYSQL_OLD: &str =
    transactions!("information_schema.PROCESSLIST", "p.TIME*1000000");

const WAITS_MARIADB: &str = "SELECT r.trx_mysql_thread_id,b.trx_mysql_thread_id,'row',l.lock_table,\
    l.lock_index,l.lock_data FROM information_schema.INNODB_LOCK_WAITS w \
    JOIN information_schema.INNODB_TRX r ON r.trx_id=w.requesting_trx_id \
    JOIN information_schema.INNODB_TRX b ON b.trx_id=w.blocking_trx_id \
    JOIN information_schema.INNODB_LOCKS l ON l.lock_id=w.requested_lock_id \
    WHERE COALESCE(b.trx_requested_lock_id,'')<>w.blocking_lock_id LIMIT 2001";

const WAITS_MYSQL: &str = "SELECT r.trx_mysql_thread_id,b.trx_mysql_thread_id,'row',\
    CONCAT(l.OBJECT_SCHEMA,'.',l.OBJECT_NAME),l.INDEX_NAME,l.LOCK_DATA \
    FROM performance_schema.data_lock_waits w \
    JOIN information_schema.INNODB_TRX r ON r.trx_id=w.REQUESTING_ENGINE_TRANSACTION_ID \
    JOIN information_schema.INNODB_TRX b ON b.trx_id=w.BLOCKING_ENGINE_TRANSACTION_ID \
    JOIN performance_schema.data_locks l ON l.ENGINE_LOCK_ID=w.REQUESTING_ENGINE_LOCK_ID \
    AND l.ENGINE=w.ENGINE \
    WHERE COALESCE(b.trx_requested_lock_id,'')<>w.BLOCKING_ENGINE_LOCK_ID LIMIT 2001";

const METADATA_MYSQL: &str = "SELECT r.PROCESSLIST_ID,b.PROCESSLIST_ID,'metadata',\
    CONCAT(p.OBJECT_SCHEMA,'.',p.OBJECT_NAME),NULL,NULL \
    FROM performance_schema.metadata_locks p \
    JOIN performance_schema.metadata_locks g ON g.OBJECT_TYPE=p.OBJECT_TYPE \
    AND g.OBJECT_SCHEMA=p.OBJECT_SCHEMA AND g.OBJECT_NAME=p.OBJECT_NAME \
    AND g.LOCK_STATUS='GRANTED' AND g.OWNER_THREAD_ID<>p.OWNER_THREAD_ID \
    JOIN performance_schema.threads r ON r.THREAD_ID=p.OWNER_THREAD_ID \
    JOIN performance_schema.threads b ON b.THREAD_ID=g.OWNER_THREAD_ID \
    WHERE p.LOCK_STATUS='PENDING' LIMIT 2001";

pub(crate) fn sql_mariadb(question: Question) -> Vec<Cow<'static, str>> {
    match question {
        Question::Counters => vec![COUNTERS.into()],
        Question::Transactions => vec![TRANSACTIONS_MARIADB.into()],
        Question::Graph => vec![TRANSACTIONS_MARIADB.into(), WAITS_MARIADB.into()],
    }
}

pub(crate) fn sql_mysql(version: Version, question: Question) -> Vec<Cow<'static, str>> {
    let transactions = match version >= Version(8, 0, 22) {
        true => TRANSACTIONS_MYSQL,
        false => TRANSACTIONS_MYSQL_OLD,
    };
    match question {
        Question::Counters => vec![COUNTERS.into()],
        Question::Graph if lists_waits_gently(version) => {
            vec![transactions.into(), WAITS_MYSQL.into(), METADATA_MYSQL.into()]
        }
        Question::Transactions | Question::Graph => vec![transactions.into()],
    }
}

/// Whether listing waits leaves the others running.
fn lists_waits_gently(version: Version) -> bool {
    match version {
        Version(8, 0, patch) => patch >= 40,
        Version(8, 4, patch) => patch >= 3,
        Version(8, ..) => false,
        newer => newer >= Version(9, 1, 0),
    }
}

pub(crate) fn read(question: Question, answers: &[Rows]) -> Result<Told, Unreadable> {
    match question {
        Question::Counters => counters(answers).map(Told::Counters),
        _ => rows::locks(question.name(), answers).map(Told::Locks),
    }
}

fn counters(answers: &[Rows]) -> Result<Counters, Unreadable> {
    let rows = answers.first().ok_or(Unreadable::Missing { question: "counters" })?;
    let mut counters = Counters::default();
    for values in rows {
        let mut row = Row::new("counters", values);
        let (name, value) = (row.text(), row.number()?);
        match name.as_str() {
            "Threads_connected" => counters.connected = value,
            "Threads_running" => counters.running = value,
            "Innodb_row_lock_current_waits" => counters.waiting = value,
            "Innodb_row_lock_waits" => counters.lock_waits_total = Some(value),
            "Innodb_row_lock_time" => {
                counters.lock_wait_time_total = Some(Duration::from_millis(value));
            }
            "Innodb_deadlocks" => counters.deadlocks_total = Some(value),
            "Innodb_history_list_length" => counters.history_length = Some(value),
            "Com_commit" => counters.commits_total = Some(value),
            "Com_rollback" => counters.rollbacks_total = Some(value),
            "Connection_errors_max_connections" => {
                counters.refused_connections_total = Some(value);
            }
            _ => {}
        }
    }
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_listed_only_where_that_is_harmless() {
        let statements = |a, b, c| sql_mysql(Version(a, b, c), Question::Graph).len();
        for gentle in [(8, 0, 40), (8, 0, 43), (8, 4, 3), (9, 1, 0), (9, 7, 4)] {
            assert_eq!(statements(gentle.0, gentle.1, gentle.2), 3, "{gentle:?}");
        }
        for harsh in [(5, 7, 44), (8, 0, 39), (8, 1, 0), (8, 4, 2), (9, 0, 1)] {
            assert_eq!(statements(harsh.0, harsh.1, harsh.2), 1, "{harsh:?}");
        }
    }
}
