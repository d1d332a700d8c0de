//! Single steps of the policy: judging a text, choosing its class, admitting and finishing.
//!
//! Every bench also counts its allocations: on the fast path there shall be none.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::{AllocProfiler, Bencher, black_box};
use policy::admission::{About, Admission, Arrival, Event, Outcome, Verdict};
use policy::class::{Class, ClassId, Limits, Mode, Policy, Rate, TimeLimits};
use policy::limit;
use policy::rule::{Facts, Match, Pattern, Rule, RuleSet};
use policy::sql::{Dialect, Scratch, Statements};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Texts as sysbench and applications send them, and what to call them in the table.
const TEXTS: &[Text] = &[
    Text { name: "point select", sql: "SELECT c FROM sbtest3 WHERE id=12471" },
    Text {
        name: "tagged select",
        sql: "SELECT c FROM sbtest3 WHERE id=12471 \
              /*action='show',controller='orders',job='report%20daily',traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'*/",
    },
    Text {
        name: "insert",
        sql: "INSERT INTO sbtest1 (id, k, c, pad) VALUES (5011, 4988, \
              '68487932199-96439406143-93774651418-41631865787-96406072701-20604855487-25459966574-28203206787-41238978918-19503783441', \
              '22195207048-70116052123-74140395089-76317954521-98694025897')",
    },
    Text { name: "begin", sql: "BEGIN" },
];

struct Text {
    name: &'static str,
    sql: &'static str,
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A text whose digest is known, which is nearly every text.
#[divan::bench(args = TEXTS)]
fn judge(bencher: Bencher<'_, '_>, text: &Text) {
    let statements = Statements::new(1024);
    let mut scratch = Scratch::default();
    statements.judge(text.sql.as_bytes(), Dialect::default(), &mut scratch);
    bencher.bench_local(|| {
        statements.judge(black_box(text.sql.as_bytes()), Dialect::default(), &mut scratch)
    });
}

/// Four rules that do not match and one that does, as in the configuration of the other benches.
#[divan::bench(args = TEXTS)]
fn classify(bencher: Bencher<'_, '_>, text: &Text) {
    let policy = policy();
    let mut scratch = Scratch::default();
    let sql = text.sql.as_bytes();
    let shape = Statements::new(1024).judge(sql, Dialect::default(), &mut scratch);
    let facts = Facts {
        shape: &shape,
        sql,
        scratch: &scratch,
        attributes: &[],
        user: "app",
        database: "app",
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    bencher.bench_local(|| policy.classify(black_box(&facts)));
}

/// A transaction that comes, is admitted at once and ends, with 32 others in flight.
#[divan::bench]
fn arrive_and_finish(bencher: Bencher<'_, '_>) {
    let now = Instant::now();
    let mut admission = Admission::new(now, Arc::new(policy()));
    let arrival = Arrival {
        class: ClassId(1),
        database: None,
        needs_connection: true,
        may_hold_locks: false,
        about: About::default(),
    };
    let others: Vec<Verdict> = (0..32).map(|_| admission.arrive(now, arrival)).collect();
    bencher.bench_local(|| {
        if let Verdict::Admit(admitted) = admission.arrive(now, black_box(arrival)) {
            admission.finish(now, admitted, Outcome::Success, Duration::from_micros(200));
        }
        admission.poll()
    });
    drop(others);
}

/// A transaction that is refused because its class is full and has no queue.
#[divan::bench]
fn shed(bencher: Bencher<'_, '_>) {
    let now = Instant::now();
    let mut admission = Admission::new(now, Arc::new(policy()));
    let arrival = Arrival {
        class: ClassId(2),
        database: None,
        needs_connection: true,
        may_hold_locks: false,
        about: About::default(),
    };
    let holder = admission.arrive(now, arrival);
    bencher.bench_local(|| admission.arrive(now, black_box(arrival)));
    drop(holder);
}

/// A transaction that is refused at once because the queue before the adaptive limit stands, with
/// two hundred in it: as nearly all are in a storm.
#[divan::bench]
fn shed_at_the_door(bencher: Bencher<'_, '_>) {
    let (mut admission, now, arrival) = crowded();
    bencher.bench_local(|| admission.arrive(now, black_box(arrival)));
}

/// One that waits until its time is over, with two hundred others: in, and out again.
#[divan::bench]
fn wait_and_be_shed(bencher: Bencher<'_, '_>) {
    let (mut admission, mut now, arrival) = crowded();
    let arrival = Arrival { class: ClassId(0), ..arrival };
    bencher.bench_local(|| {
        now += Duration::from_millis(1);
        admission.handle_timeout(now);
        let verdict = admission.arrive(now, black_box(arrival));
        (verdict, admission.poll())
    });
}

/// The adaptive limit is reached, and its queue has stood for a second, served every 10 ms.
fn crowded() -> (Admission, Instant, Arrival) {
    let mut now = Instant::now();
    let limits = Limits {
        queue_length: 1000,
        queue_time: Duration::from_millis(200),
        queue_target: Duration::from_millis(20),
        ..Limits::default()
    };
    let patient = Limits { queue_time: Duration::from_secs(3600), ..limits };
    let class = |name: &str, limits| Class { name: name.to_owned(), limits, ..Class::unlimited() };
    let policy = Policy {
        classes: vec![class("default", limits), class("patient", patient)],
        overall: Limits { in_flight: Some(2), ..patient },
        limit: limit::Config { mode: Mode::Enforce, start: 2, ..limit::Config::default() },
        ..Policy::default()
    };
    let mut admission = Admission::new(now, Arc::new(policy));
    let arrival = Arrival {
        class: ClassId(1),
        database: None,
        needs_connection: true,
        may_hold_locks: false,
        about: About::default(),
    };
    let mut running: Vec<_> = Vec::new();
    for _ in 0..300 {
        if let Verdict::Admit(admitted) = admission.arrive(now, arrival) {
            running.push(admitted);
        }
    }
    for _ in 0..100 {
        now += Duration::from_millis(10);
        let outcome = Outcome::Success;
        admission.finish(now, running.remove(0), outcome, Duration::from_millis(10));
        while let Some(event) = admission.poll() {
            if let Event::Admitted(_, admitted) = event {
                running.push(admitted);
            }
        }
    }
    // What runs goes on: it is never given back.
    running.into_iter().for_each(std::mem::forget);
    (admission, now, arrival)
}

fn policy() -> Policy {
    let wide = Limits {
        in_flight: Some(40),
        connections: Some(40),
        rate: NonZeroU32::new(1_000_000).map(|rate| Rate { per_second: rate, burst: rate }),
        queue_length: 4096,
        queue_time: Duration::from_secs(30),
        ..Limits::default()
    };
    let full = Limits { in_flight: Some(1), queue_length: 0, ..wide };
    let class = |name: &str, limits| Class {
        name: name.to_owned(),
        limits,
        times: TimeLimits { statement: Some(Duration::from_secs(10)), ..TimeLimits::default() },
        ..Class::unlimited()
    };
    let rule = |name: &str, matcher, class| Rule { name: name.to_owned(), matcher, class };
    let pattern = Pattern::new;
    let tag = |key: &str, value| vec![(key.to_owned(), pattern(value))];
    let rules = vec![
        rule("limited", Match { tag: tag("feature", "limited"), ..Match::default() }, ClassId(2)),
        rule("by tag", Match { tag: tag("job", "export*"), ..Match::default() }, ClassId(2)),
        rule("by user", Match { user: Some(pattern("report*")), ..Match::default() }, ClassId(2)),
        rule(
            "by table",
            Match { table: vec![pattern("report_*"), pattern("archive.*")], ..Match::default() },
            ClassId(2),
        ),
        rule("oltp", Match { table: vec![pattern("sbtest*")], ..Match::default() }, ClassId(1)),
    ];
    Policy {
        classes: vec![Class::unlimited(), class("oltp", wide), class("limited", full)],
        overall: wide,
        rules: RuleSet::new(rules),
        ..Policy::default()
    }
}
