//! Questions to MySQL and MariaDB.
//!
//! | question | MariaDB | MySQL |
//! |---|---|---|
//! | counters | `SHOW GLOBAL STATUS` | the same; both sum over all threads and touch no latch of InnoDB |
//! | transactions | `INNODB_TRX` with the list of threads | the same |
//! | graph | `INNODB_LOCKS` | `performance_schema.data_lock_waits`, from 8.0.40, 8.4.3 and 9.1 on |
//! | DDL | the list of threads, and what stands in their statements | `metadata_locks`, from 8.0 on |
//!
//! Before those versions MySQL looks through all locks under one exclusive latch to list waits
//! (bug 112035): there it is never asked, and a graph has no edges. `data_locks` is only ever read by
//! the ids of locks that somebody waits for. Metadata locks are not InnoDB's: who waits for one is
//! seen by the state of its thread, and on MySQL the holders by `metadata_locks`. MariaDB tells holders
//! where the plugin METADATA_LOCK_INFO is installed, but not what is waited for: whoever holds a table
//! that the waiting statement names is taken for a holder.
//!
//! An edge leads to who *holds* the lock. Who merely stands before in the queue is asked for the
//! same lock himself, and is left out: with n waiters on one row there are n edges, not n²/2.

use std::borrow::Cow;
use std::time::Duration;

use crate::counters::Counters;
use crate::rows::Row;
use crate::server::{More, Question, Told, Version};
use crate::{Rows, Unreadable, rows};

/// Questions end by themselves, and none waits long for a metadata lock.
pub(crate) const SETUP_MARIADB: &str = "SET SESSION max_statement_time=1,lock_wait_timeout=1";
/// As [`SETUP_MARIADB`].
pub(crate) const SETUP_MYSQL: &str = "SET SESSION max_execution_time=1000,lock_wait_timeout=1";

const COUNTERS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected',\
    'Threads_running','Innodb_row_lock_current_waits','Innodb_row_lock_waits','Innodb_row_lock_time',\
    'Innodb_deadlocks','Innodb_history_list_length','Com_commit','Com_rollback',\
    'Connection_errors_max_connections','Uptime')";

const ROLE: &str = "SELECT IF(@@GLOBAL.read_only,1,0)";

/// Both forks: what InnoDB has open, with what its thread does; then who waits for a metadata lock
/// without having begun anything. One more than is read tells that there are more.
macro_rules! transactions {
    ($threads:literal, $busy_for:literal) => {
        concat!(
            "SELECT t.trx_mysql_thread_id,0,t.trx_id,CASE WHEN t.trx_state='LOCK WAIT' THEN 'w' \
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
             UNION ALL SELECT p.ID,0,0,'w',",
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

/// Of each lock that is held and stands in somebody's way (the only ones listed), who asked for the same one: what
/// follows the transaction in a lock's id names the row. `INNODB_LOCK_WAITS` would pair each waiter with all
/// that are before it, n²/2 pairs: by hand, with 400 on MariaDB 10.11, joining them took more than five seconds, this 30 ms.
const WAITS_MARIADB: &str = "SELECT STRAIGHT_JOIN r.trx_mysql_thread_id,b.trx_mysql_thread_id,\
    'row',l.lock_table,l.lock_index,l.lock_data FROM information_schema.INNODB_LOCKS l \
    JOIN information_schema.INNODB_TRX b ON b.trx_id=l.lock_trx_id \
    JOIN information_schema.INNODB_TRX r ON r.trx_id<>b.trx_id \
    WHERE COALESCE(b.trx_requested_lock_id,'')<>l.lock_id \
    AND SUBSTR(r.trx_requested_lock_id,LOCATE(':',r.trx_requested_lock_id))\
    =SUBSTR(l.lock_id,LOCATE(':',l.lock_id)) LIMIT 2001";

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

/// Who wants a table for himself or has it, and from which statements on others wait for that. Before 8.0 the
/// instrument is off. The copy that an ALTER makes has a name that nobody else uses.
const DDL_MYSQL: &str = "SELECT t.PROCESSLIST_ID,m.LOCK_STATUS='PENDING',t.PROCESSLIST_TIME*1000000,m.LOCK_TYPE,\
    t.PROCESSLIST_DB,m.OBJECT_SCHEMA,m.OBJECT_NAME,LEFT(t.PROCESSLIST_INFO,1024) \
    FROM performance_schema.metadata_locks m \
    JOIN performance_schema.threads t ON t.THREAD_ID=m.OWNER_THREAD_ID \
    WHERE m.OBJECT_TYPE='TABLE' AND m.LOCK_TYPE IN ('EXCLUSIVE','SHARED_NO_READ_WRITE','SHARED_NO_WRITE') \
    AND t.PROCESSLIST_ID IS NOT NULL AND LEFT(m.OBJECT_NAME,4)<>'#sql' LIMIT 2001";

/// The plugin METADATA_LOCK_INFO tells of what is held, and `TRUNCATE`, `DROP` and `RENAME` hold nothing while they
/// wait (seen on 10.11). So the tables are those that the statement names: only of statements that want
/// all of them. One that has its locks is told as well, for as long as it works.
const DDL_MARIADB: &str = "SELECT p.ID,p.STATE='Waiting for table metadata lock',p.TIME_MS*1000,NULL,p.DB,NULL,NULL,\
    LEFT(p.INFO,1024) FROM information_schema.PROCESSLIST p WHERE p.COMMAND='Query' AND p.INFO REGEXP \
    '(?is)^(\\\\s|/[*].*?[*]/)*(ALTER|DROP|TRUNCATE|RENAME|OPTIMIZE|CREATE\\\\s[^(]*(INDEX|TRIGGER)|LOCK)\\\\s' \
    LIMIT 2001";

/// What a server may lack, and what to do about that.
pub(crate) const METADATA_MARIADB: More = More {
    sql: "SELECT p.ID,m.THREAD_ID,'metadata',CONCAT(m.TABLE_SCHEMA,'.',m.TABLE_NAME),NULL,m.LOCK_MODE \
        FROM information_schema.PROCESSLIST p JOIN information_schema.METADATA_LOCK_INFO m \
        ON m.THREAD_ID<>p.ID AND LOCATE(LOWER(m.TABLE_NAME),LOWER(p.INFO))>0 \
        WHERE p.STATE='Waiting for table metadata lock' AND m.LOCK_TYPE='Table metadata lock' LIMIT 2001",
    lacking: "MariaDB does not tell who holds a table's definition: INSTALL SONAME 'metadata_lock_info'",
};

pub(crate) fn sql_mariadb(question: Question) -> Vec<Cow<'static, str>> {
    match question {
        Question::Counters => vec![COUNTERS.into(), ROLE.into()],
        Question::Transactions => vec![TRANSACTIONS_MARIADB.into()],
        Question::Graph => vec![TRANSACTIONS_MARIADB.into(), WAITS_MARIADB.into()],
        Question::Ddl => vec![DDL_MARIADB.into()],
    }
}

pub(crate) fn sql_mysql(version: Version, question: Question) -> Vec<Cow<'static, str>> {
    let transactions = match version >= Version(8, 0, 22) {
        true => TRANSACTIONS_MYSQL,
        false => TRANSACTIONS_MYSQL_OLD,
    };
    match question {
        Question::Counters => vec![COUNTERS.into(), ROLE.into()],
        Question::Graph if lists_waits_gently(version) => {
            vec![transactions.into(), WAITS_MYSQL.into(), METADATA_MYSQL.into()]
        }
        Question::Transactions | Question::Graph => vec![transactions.into()],
        Question::Ddl if version >= Version(8, 0, 0) => vec![DDL_MYSQL.into()],
        Question::Ddl => Vec::new(),
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
        Question::Ddl => rows::wants(question.name(), answers).map(Told::Ddl),
        _ => rows::locks(question.name(), answers).map(Told::Locks),
    }
}

fn counters(answers: &[Rows]) -> Result<Counters, Unreadable> {
    let rows = answers.first().ok_or(Unreadable::Missing { question: "counters" })?;
    let role = answers.get(1).and_then(|rows| rows.first());
    let mut role = Row::new("counters", role.ok_or(Unreadable::Missing { question: "counters" })?);
    let mut counters = Counters::default();
    counters.role.is_read_only = Some(role.number()? != 0);
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
            "Uptime" => counters.role.uptime = Some(value),
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
