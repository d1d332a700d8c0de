//! A job as Sidekiq has it: what its clients push and its workers read
//! (sidekiq:lib/sidekiq/job_util.rb, client.rb).

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::sink::{Item, ItemId, Reason};

/// What jobs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The queue.
    pub queue: String,
    /// The class that performs them.
    pub class: String,
    /// Whether and how often Sidekiq tries again.
    pub retry: Retry,
    /// How times are written.
    pub times: Times,
}

/// Whether a job that fails is tried again, by Sidekiq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Retry {
    /// 25 times (`true`, Sidekiq's default), or not at all and not kept either (`false`).
    Usual(bool),
    /// So many times.
    Times(u32),
}

/// How Sidekiq writes times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Times {
    /// Whole milliseconds: from Sidekiq 8.0 on, which reads the other one too.
    #[default]
    Milliseconds,
    /// Seconds with a fraction: up to Sidekiq 7.
    Seconds,
}

#[derive(Serialize)]
struct Payload<'a> {
    class: &'a str,
    args: &'a RawValue,
    retry: Retry,
    queue: &'a str,
    jid: String,
    created_at: serde_json::Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    enqueued_at: Option<serde_json::Number>,
}

impl Job {
    /// The text of an item's job. Its body is the array of the arguments. What is scheduled is not
    /// enqueued yet.
    pub(super) fn payload(
        &self,
        id: ItemId,
        item: &Item,
        now: Timestamp,
        is_scheduled: bool,
    ) -> Result<String, Reason> {
        const WANTED: Reason = Reason::Unfit("a JSON array: the job's arguments in order");
        let (_, body) = item.text()?;
        let args: &RawValue = serde_json::from_str(body).map_err(|_| WANTED)?;
        if !args.get().starts_with('[') {
            return Err(WANTED);
        }
        let payload = Payload {
            class: &self.class,
            args,
            retry: self.retry,
            queue: &self.queue,
            jid: id.jid(),
            created_at: self.times.number(now),
            enqueued_at: (!is_scheduled).then(|| self.times.number(now)),
        };
        Ok(serde_json::to_string(&payload).expect("strings and numbers are JSON"))
    }
}

impl Times {
    fn number(self, moment: Timestamp) -> serde_json::Number {
        match self {
            Self::Milliseconds => moment.as_millisecond().into(),
            Self::Seconds => serde_json::Number::from_f64(moment.as_millisecond() as f64 / 1000.0)
                .expect("a number of milliseconds is finite"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sink::Chunk;

    fn payload(times: Times, body: &'static str) -> Result<serde_json::Value, Reason> {
        let job = Job {
            queue: "reminders".into(),
            class: "RemindJob".into(),
            retry: Retry::Times(5),
            times,
        };
        let body = Bytes::from_static(body.as_bytes());
        let item = Item {
            position: 0,
            recipient: Bytes::new(),
            body,
            attempt: 1,
            tenant: 0,
            deadline: None,
        };
        let id = Chunk { batch: "b", number: 0, first: 0, fence: 1 }.id(0);
        let now = "2026-11-22T13:00:00.5Z".parse().unwrap();
        Ok(serde_json::from_str(&job.payload(id, &item, now, false)?).unwrap())
    }

    #[test]
    fn a_job_has_the_fields_of_sidekiq() {
        let job = payload(Times::Milliseconds, "[ 7, {\"a\": null}]").unwrap();
        let expected = serde_json::json!({
            "class": "RemindJob", "args": [7, {"a": null}], "retry": 5, "queue": "reminders",
            "jid": Chunk { batch: "b", number: 0, first: 0, fence: 1 }.id(0).jid(),
            "created_at": 1_795_352_400_500_i64, "enqueued_at": 1_795_352_400_500_i64,
        });
        assert_eq!(job, expected);
        assert_eq!(payload(Times::Seconds, "[]").unwrap()["created_at"], 1_795_352_400.5);
    }

    #[test]
    fn what_is_no_array_is_no_job() {
        for body in ["", "{}", "[", "7", "[] []"] {
            assert!(matches!(payload(Times::default(), body), Err(Reason::Unfit(_))), "{body}");
        }
    }
}
