//! Job tables of Solid Queue, Oban and River, made here from their documented columns, are filled,
//! and emptied by what their workers look for.

use std::collections::BTreeSet;

use harness::{Engine, Server};
use scheduler::sink::sql::ready::Job;
use scheduler::sink::sql::{Dialect, Statement, put};
use scheduler::sink::{Fate, Slice};
use serde_json::{Value, json};
use sqlx::{MySqlConnection, PgConnection};

use crate::sql::Client;
use crate::{chunk, done, items};

const COUNT: u32 = 1_000;

/// Starts a server with these tables, and puts a thousand items through a statement, and one whose
/// body is none.
async fn filled<C: Client>(
    engine: Engine,
    tables: &str,
    statement: &Statement,
    body: fn(u32) -> String,
) -> Option<(Server, C)> {
    if !engine.available() {
        return None;
    }
    let server = Server::start(engine).await.unwrap();
    let mut client = C::login(&server).await;
    client.do_all(tables).await;
    let mut items = items(COUNT + 2, body);
    items[COUNT as usize].body = "7".into();
    items[COUNT as usize + 1].body = format!("{},", body(0)).into();
    client.do_all("BEGIN").await;
    let slice = Slice { chunk: chunk("reminders@13:00", 1), items: &items };
    let fates = put(&mut client, statement, slice).await.unwrap();
    client.do_all("COMMIT").await;
    assert_eq!(done(&fates), COUNT as usize, "{engine}: {:?}", fates.last());
    assert!(fates[COUNT as usize..].iter().all(|fate| matches!(fate, Fate::Dead(_))), "{fates:?}");
    Some((server, client))
}

fn ids() -> BTreeSet<String> {
    (0..COUNT).map(|n| chunk("reminders@13:00", 1).id(n).to_string()).collect()
}

fn text(row: &[Option<String>], column: usize) -> &str {
    row[column].as_deref().unwrap()
}

// --- Solid Queue -------------------------------------------------------------------------------

const SOLID_QUEUE_POSTGRES: &str = "
CREATE TABLE solid_queue_jobs (id bigserial PRIMARY KEY, queue_name varchar NOT NULL,
    class_name varchar NOT NULL, arguments text, priority int NOT NULL DEFAULT 0,
    active_job_id varchar, scheduled_at timestamp(6), finished_at timestamp(6),
    concurrency_key varchar, created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
CREATE INDEX ON solid_queue_jobs (active_job_id);
CREATE TABLE solid_queue_ready_executions (id bigserial PRIMARY KEY,
    job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs ON DELETE CASCADE,
    queue_name varchar NOT NULL, priority int NOT NULL DEFAULT 0, created_at timestamp(6) NOT NULL);
CREATE INDEX ON solid_queue_ready_executions (queue_name, priority, job_id)";

const SOLID_QUEUE_MYSQL: &str = "
CREATE TABLE solid_queue_jobs (id bigint PRIMARY KEY AUTO_INCREMENT, queue_name varchar(255) NOT NULL,
    class_name varchar(255) NOT NULL, arguments text, priority int NOT NULL DEFAULT 0,
    active_job_id varchar(255), scheduled_at datetime(6), finished_at datetime(6),
    concurrency_key varchar(255), created_at datetime(6) NOT NULL, updated_at datetime(6) NOT NULL,
    KEY (active_job_id)) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_520_ci;
CREATE TABLE solid_queue_ready_executions (id bigint PRIMARY KEY AUTO_INCREMENT,
    job_id bigint NOT NULL UNIQUE, queue_name varchar(255) NOT NULL, priority int NOT NULL DEFAULT 0,
    created_at datetime(6) NOT NULL, KEY (queue_name, priority, job_id),
    FOREIGN KEY (job_id) REFERENCES solid_queue_jobs (id) ON DELETE CASCADE)
    DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_520_ci";

async fn solid_queue<C: Client>(engine: Engine, tables: &str) {
    let mut job = Job::new("reminders", "RemindJob");
    job.priority = 5;
    let body = |n| format!("[{n}, {{\"words\": \"it's \\\"ü\\\"\"}}]");
    let statement = job.solid_queue(C::DIALECT);
    let Some((_server, mut client)) = filled::<C>(engine, tables, &statement, body).await else {
        return;
    };
    let (text_of, window) = match C::DIALECT {
        Dialect::Postgres => ("text", "timezone('UTC', now()) - interval '1 hour'"),
        Dialect::MySql => ("char", "utc_timestamp(6) - INTERVAL 1 HOUR"),
    };
    // What a worker looks for (solid_queue:app/models/solid_queue/ready_execution.rb), with its job.
    let sql = format!(
        "SELECT job.active_job_id, job.arguments, job.class_name, CAST(job.scheduled_at AS {text_of}) \
         FROM solid_queue_ready_executions ready JOIN solid_queue_jobs job ON job.id = ready.job_id \
         WHERE ready.queue_name = 'reminders' AND ready.priority = 5 AND job.priority = 5 \
         AND job.queue_name = 'reminders' AND job.finished_at IS NULL AND job.created_at > {window} \
         AND ready.created_at > {window} AND job.created_at = job.updated_at \
         ORDER BY ready.priority, ready.job_id FOR UPDATE SKIP LOCKED"
    );
    let rows = client.rows(&sql).await;
    assert_eq!(rows.len(), COUNT as usize, "{engine}");
    for (n, row) in rows.iter().enumerate() {
        let job: Value = serde_json::from_str(text(row, 1)).unwrap();
        assert_eq!(job["arguments"], json!([n, { "words": "it's \"ü\"" }]), "{engine}: {job}");
        assert_eq!(job["job_id"], text(row, 0));
        assert_eq!((&job["job_class"], text(row, 2)), (&json!("RemindJob"), "RemindJob"));
        assert_eq!((&job["executions"], &job["exception_executions"]), (&json!(0), &json!({})));
        assert_eq!((&job["queue_name"], &job["priority"]), (&json!("reminders"), &json!(5)));
        let enqueued = job["enqueued_at"].as_str().unwrap();
        enqueued.parse::<jiff::Timestamp>().unwrap_or_else(|_| panic!("{engine}: {enqueued}"));
    }
    let found: BTreeSet<_> = rows.iter().map(|row| text(row, 0).to_owned()).collect();
    assert_eq!(found, ids(), "{engine}");
}

#[tokio::test]
async fn solid_queue_on_postgres() {
    solid_queue::<PgConnection>(Engine::Postgres, SOLID_QUEUE_POSTGRES).await;
}

#[tokio::test]
async fn solid_queue_on_mariadb() {
    solid_queue::<MySqlConnection>(Engine::MariaDb, SOLID_QUEUE_MYSQL).await;
}

#[tokio::test]
async fn solid_queue_on_mysql() {
    solid_queue::<MySqlConnection>(Engine::MySql, SOLID_QUEUE_MYSQL).await;
}

// --- Oban --------------------------------------------------------------------------------------

const OBAN: &str = "
CREATE TYPE oban_job_state AS ENUM ('available', 'suspended', 'scheduled', 'executing', 'retryable',
    'completed', 'discarded', 'cancelled');
CREATE TABLE oban_jobs (id bigserial PRIMARY KEY, state oban_job_state NOT NULL DEFAULT 'available',
    queue text NOT NULL DEFAULT 'default', worker text NOT NULL, args jsonb NOT NULL DEFAULT '{}',
    errors jsonb[] NOT NULL DEFAULT '{}', attempt int NOT NULL DEFAULT 0,
    max_attempts int NOT NULL DEFAULT 20,
    inserted_at timestamp NOT NULL DEFAULT timezone('UTC', now()),
    scheduled_at timestamp NOT NULL DEFAULT timezone('UTC', now()), attempted_at timestamp,
    completed_at timestamp, attempted_by text[], discarded_at timestamp,
    priority int NOT NULL DEFAULT 0, tags text[] DEFAULT '{}', meta jsonb DEFAULT '{}',
    cancelled_at timestamp,
    CHECK (char_length(worker) BETWEEN 1 AND 127), CHECK (char_length(queue) BETWEEN 1 AND 127),
    CHECK (priority >= 0), CHECK (max_attempts > 0), CHECK (attempt BETWEEN 0 AND max_attempts));
CREATE INDEX ON oban_jobs (state, queue, priority, scheduled_at, id)";

#[tokio::test]
async fn oban_finds_its_jobs() {
    let statement = Job::new("reminders", "App.Remind").oban();
    let body = |n| format!("{{\"user_id\": {n}}}");
    let filled = filled::<PgConnection>(Engine::Postgres, OBAN, &statement, body).await;
    let Some((_server, mut client)) = filled else { return };
    // As the queue's producer does (oban:lib/oban/engines/basic.ex, fetch_jobs).
    let sql = "UPDATE oban_jobs SET state = 'executing', attempt = attempt + 1, \
               attempted_at = timezone('UTC', now()) WHERE id IN (SELECT id FROM oban_jobs \
               WHERE state = 'available' AND queue = 'reminders' AND attempt < max_attempts \
               AND scheduled_at <= timezone('UTC', now()) ORDER BY priority, scheduled_at, id \
               FOR UPDATE SKIP LOCKED) \
               RETURNING meta->>'tidegate_id', args::text, worker, max_attempts::text";
    let rows = client.rows(sql).await;
    assert_eq!(rows.iter().map(|row| text(row, 0).to_owned()).collect::<BTreeSet<_>>(), ids());
    let users: BTreeSet<u64> = rows
        .iter()
        .map(|row| {
            serde_json::from_str::<Value>(text(row, 1)).unwrap()["user_id"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(users, (0..u64::from(COUNT)).collect());
    assert_eq!((text(&rows[0], 2), text(&rows[0], 3)), ("App.Remind", "20"));
}

// --- River -------------------------------------------------------------------------------------

const RIVER: &str = "
CREATE TYPE river_job_state AS ENUM ('available', 'cancelled', 'completed', 'discarded', 'pending',
    'retryable', 'running', 'scheduled');
CREATE TABLE river_job (id bigserial PRIMARY KEY, state river_job_state NOT NULL DEFAULT 'available',
    attempt smallint NOT NULL DEFAULT 0, max_attempts smallint NOT NULL DEFAULT 25,
    attempted_at timestamptz, created_at timestamptz NOT NULL DEFAULT now(), finalized_at timestamptz,
    scheduled_at timestamptz NOT NULL DEFAULT now(), priority smallint NOT NULL DEFAULT 1,
    args jsonb NOT NULL, attempted_by text[], errors jsonb[], kind text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}', queue text NOT NULL DEFAULT 'default',
    tags varchar(255)[] NOT NULL DEFAULT '{}', unique_key bytea, unique_states bit(8),
    CHECK (max_attempts > 0), CHECK (priority BETWEEN 1 AND 4),
    CHECK (char_length(queue) BETWEEN 1 AND 127), CHECK (char_length(kind) BETWEEN 1 AND 127),
    CHECK ((finalized_at IS NULL) = (state NOT IN ('cancelled', 'completed', 'discarded'))));
CREATE INDEX ON river_job (state, queue, priority, scheduled_at, id)";

#[tokio::test]
async fn river_finds_its_jobs() {
    let mut job = Job::new("reminders", "remind");
    job.attempts_max = 7;
    let body = |n| format!("{{\"user_id\": {n}}}");
    let filled = filled::<PgConnection>(Engine::Postgres, RIVER, &job.river(), body).await;
    let Some((_server, mut client)) = filled else { return };
    // As a client does (river:riverdriver, JobGetAvailable).
    let sql = "WITH locked AS (SELECT id FROM river_job WHERE state = 'available' \
               AND queue = 'reminders' AND scheduled_at <= now() \
               ORDER BY priority, scheduled_at, id FOR UPDATE SKIP LOCKED) \
               UPDATE river_job SET state = 'running', attempt = attempt + 1, attempted_at = now() \
               FROM locked WHERE river_job.id = locked.id \
               RETURNING metadata->>'tidegate_id', args->>'user_id', kind, max_attempts::text";
    let rows = client.rows(sql).await;
    assert_eq!(rows.iter().map(|row| text(row, 0).to_owned()).collect::<BTreeSet<_>>(), ids());
    let users: BTreeSet<_> = rows.iter().map(|row| text(row, 1).parse::<u32>().unwrap()).collect();
    assert_eq!(users, (0..COUNT).collect());
    assert_eq!((text(&rows[0], 2), text(&rows[0], 3)), ("remind", "7"));
}

/// What a queue does not take is refused by its own constraints, and its own words are told.
#[tokio::test]
async fn a_queue_that_does_not_take_a_priority_says_so() {
    let mut job = Job::new("reminders", "remind");
    job.priority = 9;
    if !Engine::Postgres.available() {
        return;
    }
    let server = Server::start(Engine::Postgres).await.unwrap();
    let mut client = PgConnection::login(&server).await;
    client.do_all(RIVER).await;
    client.do_all("BEGIN").await;
    let items = items(3, |_| "{}".into());
    let slice = Slice { chunk: chunk("b", 1), items: &items };
    let fates = put(&mut client, &job.river(), slice).await.unwrap();
    assert!(fates.iter().all(|fate| format!("{fate:?}").contains("check constraint")), "{fates:?}");
}
