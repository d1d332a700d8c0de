//! Ready-made statements for the job tables of Solid Queue, Oban and River.
//!
//! Each puts jobs that are due at once: when is Tidegate's business. The id of an item stands where
//! the queue shows it. Columns are those of Solid Queue 1 (`db/queue_schema.rb`), Oban 2 (migrations
//! 1 to 14) and River (migrations 2 to 7); who has renamed the tables, or wants unique keys, writes
//! a statement of their own.

use super::statement::{Dialect, Shape, Statement};

/// What a job is, for a queue that has numbers for priorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The queue.
    pub queue: String,
    /// What does it: the class of a Solid Queue job, the worker of an Oban job, the kind of a River
    /// job.
    pub kind: String,
    /// The priority, by the queue's own rules: the smaller, the sooner. River has 1 to 4, Oban 0 to 9;
    /// Solid Queue any number.
    pub priority: i16,
    /// How often the queue may try it. Solid Queue does not ask for it.
    pub attempts_max: u16,
}

impl Job {
    /// Jobs of this kind in this queue, with what the three have for defaults.
    #[must_use]
    pub fn new(queue: &str, kind: &str) -> Self {
        Self { queue: queue.to_owned(), kind: kind.to_owned(), priority: 1, attempts_max: 20 }
    }

    /// For Solid Queue: rows of `solid_queue_jobs` and of `solid_queue_ready_executions`, which is
    /// what workers look at. A body is the array of the arguments of `perform`. Jobs with a
    /// concurrency key cannot be made so: the key is computed by the class.
    #[must_use]
    pub fn solid_queue(&self, dialect: Dialect) -> Statement {
        match dialect {
            Dialect::Postgres => self.statement(dialect, &[SOLID_QUEUE_POSTGRES], Shape::Array),
            Dialect::MySql => {
                self.statement(dialect, &[SOLID_QUEUE_MYSQL, SOLID_QUEUE_MYSQL_READY], Shape::Array)
            }
        }
    }

    /// For Oban on PostgreSQL: rows of `oban_jobs`. A body is the object of the job's arguments. Oban
    /// finds them within its stage interval, a second by default.
    #[must_use]
    pub fn oban(&self) -> Statement {
        self.statement(Dialect::Postgres, &[OBAN], Shape::Object)
    }

    /// For River: rows of `river_job`. A body is the object of the job's arguments. Clients find them
    /// with their next poll, after a second by default.
    #[must_use]
    pub fn river(&self) -> Statement {
        self.statement(Dialect::Postgres, &[RIVER], Shape::Object)
    }

    fn statement(&self, dialect: Dialect, texts: &[&str], shape: Shape) -> Statement {
        let (priority, attempts) = (self.priority.to_string(), self.attempts_max.to_string());
        let fixed = [
            ("queue", self.queue.as_str()),
            ("kind", self.kind.as_str()),
            ("priority", priority.as_str()),
            ("attempts_max", attempts.as_str()),
        ];
        Statement::of(dialect, texts, &fixed, shape).expect("the texts below are statements")
    }
}

/// The text of `arguments` is what Active Job serializes (rails:activejob/lib/active_job/core.rb).
const SOLID_QUEUE_POSTGRES: &str = r#"
WITH job AS (
    INSERT INTO solid_queue_jobs (queue_name, class_name, arguments, priority, active_job_id,
        scheduled_at, created_at, updated_at)
    SELECT :queue, :kind, json_build_object('job_class', :kind::text, 'job_id', item.id,
            'provider_job_id', NULL, 'queue_name', :queue::text, 'priority', :priority::int,
            'arguments', item.body::json, 'executions', 0, 'exception_executions', '{}'::json,
            'locale', 'en', 'timezone', 'UTC', 'enqueued_at',
            to_char(timezone('UTC', now()), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'scheduled_at', NULL),
        :priority::int, item.id, timezone('UTC', now()), timezone('UTC', now()),
        timezone('UTC', now())
    FROM {items}
    RETURNING id, queue_name, priority, created_at
)
INSERT INTO solid_queue_ready_executions (job_id, queue_name, priority, created_at)
SELECT id, queue_name, priority, created_at FROM job"#;

const SOLID_QUEUE_MYSQL: &str = r#"
INSERT INTO solid_queue_jobs (queue_name, class_name, arguments, priority, active_job_id,
    scheduled_at, created_at, updated_at)
SELECT :queue, :kind, json_object('job_class', :kind, 'job_id', item.id, 'provider_job_id', NULL,
        'queue_name', :queue, 'priority', CAST(:priority AS signed),
        'arguments', json_extract(item.body, '$'), 'executions', 0,
        'exception_executions', json_object(), 'locale', 'en', 'timezone', 'UTC',
        'enqueued_at', date_format(utc_timestamp(6), '%Y-%m-%dT%H:%i:%s.%fZ'), 'scheduled_at', NULL),
    :priority, item.id, utc_timestamp(6), utc_timestamp(6), utc_timestamp(6)
FROM {items}"#;

const SOLID_QUEUE_MYSQL_READY: &str = r"
INSERT INTO solid_queue_ready_executions (job_id, queue_name, priority, created_at)
SELECT job.id, job.queue_name, job.priority, job.created_at
FROM {items} STRAIGHT_JOIN solid_queue_jobs AS job ON job.active_job_id = item.id";

/// Times are without a zone, and in UTC.
const OBAN: &str = "
INSERT INTO oban_jobs (state, queue, worker, args, meta, max_attempts, priority, inserted_at,
    scheduled_at)
SELECT 'available', :queue, :kind, item.body::jsonb,
    jsonb_build_object('tidegate_id', item.id, 'tidegate_batch', item.batch),
    :attempts_max::int, :priority::int, timezone('UTC', now()), timezone('UTC', now())
FROM {items}";

const RIVER: &str = "
INSERT INTO river_job (state, queue, kind, args, metadata, max_attempts, priority, scheduled_at)
SELECT 'available', :queue, :kind, item.body::jsonb,
    jsonb_build_object('tidegate_id', item.id, 'tidegate_batch', item.batch),
    :attempts_max::int::smallint, :priority::int::smallint, now()
FROM {items}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_are_statements() {
        let job = Job::new("default", "RemindJob");
        for statement in [
            job.solid_queue(Dialect::Postgres),
            job.solid_queue(Dialect::MySql),
            job.oban(),
            job.river(),
        ] {
            let chunk = crate::sink::Chunk { batch: "b", number: 0, first: 0, fence: 1 };
            assert!(!statement.rendered(chunk, &[]).is_empty());
        }
    }
}
