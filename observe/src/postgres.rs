//! Questions to PostgreSQL 13 and later.
//!
//! | question | asks | costs the server |
//! |---|---|---|
//! | counters | `pg_stat_activity`, `pg_stat_database` | no lock of the lock manager |
//! | transactions | `pg_stat_activity` with an open transaction, `pg_prepared_xacts` | the same |
//! | graph | `pg_locks` not granted, `pg_blocking_pids()` of at most eight | all partitions of the lock manager, shared; for each of the eight once more |
//! | DDL | `pg_locks` on tables that shut others out | as the graph, without the last |
//!
//! `pg_blocking_pids()` for every waiter is quadratic: waiter k has all before it for blockers (25 ms at
//! 400 waiters, measured on 15). So it is asked once for each of the eight objects that have been
//! waited for longest, of the first in line: nobody stands before that one, so what it names are the holders, and they
//! hold up everybody else on that object as well. Who waits for another transaction to end is
//! found by that transaction's id, without asking.
//!
//! Tables have names in their own database alone: those of another than the connection's are told by
//! their OID and that database's name.

use std::borrow::Cow;

use crate::counters::{Counters, Role};
use crate::rows::Row;
use crate::server::{Question, Told, Version};
use crate::{Rows, Unreadable, rows};

/// Questions end by themselves, wait for no lock, and are not themselves taken for idle.
pub(crate) const SETUP: &str = "SET statement_timeout='1s'; SET lock_timeout='100ms'; SET search_path=pg_catalog; \
     SET idle_session_timeout=0";
/// `idle_session_timeout` came with 14.
pub(crate) const SETUP_13: &str =
    "SET statement_timeout='1s'; SET lock_timeout='100ms'; SET search_path=pg_catalog";

const COUNTERS: &str = "SELECT count(*),\
    count(*) FILTER (WHERE state='active'),\
    count(*) FILTER (WHERE wait_event_type='Lock'),\
    count(*) FILTER (WHERE state LIKE 'idle in transaction%'),\
    (SELECT sum(deadlocks) FROM pg_stat_database),\
    (SELECT sum(xact_commit) FROM pg_stat_database),\
    (SELECT sum(xact_rollback) FROM pg_stat_database),\
    extract(epoch FROM clock_timestamp()-pg_postmaster_start_time())::int8,pg_is_in_recovery()::int \
    FROM pg_stat_activity WHERE backend_type='client backend' AND pid<>pg_backend_pid()";

/// `backend_xid` is there once something was written; how much, the server does not tell, and an
/// abort costs next to nothing.
const TRANSACTIONS: &str = "SELECT pid,(extract(epoch FROM backend_start)*1000000)::int8,\
    (extract(epoch FROM xact_start)*1000000)::int8,\
    CASE WHEN state LIKE 'idle in transaction%' THEN 'i' WHEN wait_event_type='Lock' THEN 'w' ELSE 'r' END,\
    (extract(epoch FROM clock_timestamp()-xact_start)*1000000)::int8,\
    (extract(epoch FROM clock_timestamp()-CASE WHEN state='active' THEN query_start ELSE state_change END)*1000000)::int8,\
    0,(backend_xid IS NOT NULL)::int,usename,datname,left(query,256) FROM pg_stat_activity \
    WHERE xact_start IS NOT NULL AND backend_type='client backend' AND pid<>pg_backend_pid() \
    UNION ALL SELECT 0,0,0,'p',(extract(epoch FROM clock_timestamp()-prepared)*1000000)::int8,\
    (extract(epoch FROM clock_timestamp()-prepared)*1000000)::int8,0,1,owner,database,gid \
    FROM pg_prepared_xacts LIMIT 2001";

/// `{since}` is since when somebody waits.
const WAITS: &str = "WITH waits AS MATERIALIZED (\
      SELECT l.pid,l.locktype,l.database,l.relation,l.page,l.tuple,l.transactionid::text,\
        concat_ws(',',l.virtualxid,l.classid,l.objid,l.objsubid) AS other,l.mode,{since} AS since \
      FROM pg_locks l {join} WHERE NOT l.granted),\
    heads AS MATERIALIZED (\
      SELECT head.*,pg_blocking_pids(head.pid) AS holders FROM (\
        SELECT DISTINCT ON (locktype,database,relation,page,tuple,transactionid,other) * FROM waits \
        ORDER BY locktype,database,relation,page,tuple,transactionid,other,since) head \
      ORDER BY since LIMIT 8),\
    writers AS MATERIALIZED (\
      SELECT pid,backend_xid::text FROM pg_stat_activity WHERE backend_xid IS NOT NULL) \
    SELECT w.pid,b.pid,CASE w.locktype WHEN 'transactionid' THEN 'row' WHEN 'tuple' THEN 'row' \
      WHEN 'relation' THEN 'table' ELSE w.locktype END,\
      CASE WHEN c.oid IS NOT NULL THEN concat(n.nspname,'.',c.relname) \
        WHEN w.relation IS NOT NULL THEN concat('oid ',w.relation,' of ',d.datname) END,NULL,\
      CASE w.locktype WHEN 'tuple' THEN concat('(',w.page,',',w.tuple,')') \
        WHEN 'transactionid' THEN concat('transaction ',w.transactionid) \
        WHEN 'relation' THEN w.mode ELSE w.other END \
    FROM waits w LEFT JOIN heads h ON (w.locktype,w.database,w.relation,w.page,w.tuple,w.transactionid,w.other) \
      IS NOT DISTINCT FROM (h.locktype,h.database,h.relation,h.page,h.tuple,h.transactionid,h.other) \
    CROSS JOIN LATERAL (\
      SELECT unnest(h.holders) AS pid UNION \
      SELECT writers.pid FROM writers WHERE h.pid IS NULL AND writers.backend_xid=w.transactionid) b \
    LEFT JOIN pg_class c ON c.oid=w.relation AND w.database=(SELECT oid FROM pg_database WHERE datname=current_database()) \
    LEFT JOIN pg_namespace n ON n.oid=c.relnamespace LEFT JOIN pg_database d ON d.oid=w.database WHERE w.pid<>b.pid LIMIT 2001";

/// Who wants a table for himself or has it, and from which statements on others wait for that. What has no name yet
/// nobody else can want.
const DDL: &str = "SELECT l.pid,(NOT l.granted)::int,\
    (extract(epoch FROM clock_timestamp()-a.query_start)*1000000)::int8,l.mode,a.datname,n.nspname,c.relname,\
    left(a.query,1024) FROM pg_locks l JOIN pg_stat_activity a ON a.pid=l.pid \
    LEFT JOIN pg_class c ON c.oid=l.relation AND a.datname=current_database() \
    LEFT JOIN pg_namespace n ON n.oid=c.relnamespace \
    WHERE (c.oid IS NOT NULL OR a.datname<>current_database()) AND l.database<>0 AND l.locktype='relation' AND l.mode IN ('AccessExclusiveLock','ExclusiveLock','ShareRowExclusiveLock','ShareLock') \
    AND a.backend_type='client backend' AND l.pid<>pg_backend_pid() ORDER BY l.granted LIMIT 2001";

pub(crate) fn setup(version: Version) -> &'static str {
    if version.0 >= 14 { SETUP } else { SETUP_13 }
}

pub(crate) fn sql(version: Version, question: Question) -> Vec<Cow<'static, str>> {
    match question {
        Question::Counters => vec![COUNTERS.into()],
        Question::Transactions => vec![TRANSACTIONS.into()],
        Question::Graph => vec![TRANSACTIONS.into(), waits(version).into()],
        Question::Ddl => vec![DDL.into()],
    }
}

fn waits(version: Version) -> String {
    // When somebody began to wait for a lock is told from 14 on.
    let (since, join) = match version.0 >= 14 {
        true => ("l.waitstart", ""),
        false => ("a.query_start", "JOIN pg_stat_activity a ON a.pid=l.pid"),
    };
    WAITS.replace("{since}", since).replace("{join}", join)
}

pub(crate) fn read(question: Question, answers: &[Rows]) -> Result<Told, Unreadable> {
    match question {
        Question::Counters => counters(answers).map(Told::Counters),
        Question::Ddl => rows::wants(question.name(), answers).map(Told::Ddl),
        _ => rows::locks(question.name(), answers).map(Told::Locks),
    }
}

fn counters(answers: &[Rows]) -> Result<Counters, Unreadable> {
    let values = answers.first().and_then(|rows| rows.first());
    let values = values.ok_or(Unreadable::Missing { question: "counters" })?;
    let mut row = Row::new("counters", values);
    Ok(Counters {
        connected: row.number()?,
        running: row.number()?,
        waiting: row.number()?,
        idle_in_transaction: Some(row.number()?),
        deadlocks_total: Some(row.number()?),
        commits_total: Some(row.number()?),
        rollbacks_total: Some(row.number()?),
        role: Role { uptime: Some(row.number()?), is_read_only: Some(row.number()? != 0) },
        ..Counters::default()
    })
}
