//! Schedulers: what is due must go out, once, and in time.

use crate::alert::{Alert, Group, Scene, Severity};

pub(super) fn alerts() -> Vec<Alert> {
    let parts = [schedulers(), batches(), items()];
    parts.into_iter().flatten().collect()
}

/// A ticket; whoever makes one says the rest.
fn ticket(name: &'static str, hold: &'static str, expr: &str) -> Alert {
    Alert {
        name,
        group: Group::Scheduler,
        severity: Severity::Ticket,
        hold,
        keep: "",
        expr: expr.into(),
        summary: "",
        meaning: "",
        steps: &[],
        board: "scheduler",
        proof: Vec::new(),
    }
}

fn schedulers() -> Vec<Alert> {
    const UP: &str = r#"up{job="shop",instance="s1"}"#;
    const BUILD: &str = r#"scheduler_build_info{job="shop",instance="s1",version="1"}"#;
    const BUILD_TOO: &str = r#"scheduler_build_info{job="shop",instance="s2",version="1"}"#;
    const READY: &str = r#"scheduler_ready{job="shop",instance="s1"}"#;
    const PRESSURE: &str = r#"scheduler_pressure{job="shop",instance="s1"}"#;
    vec![
        Alert {
            severity: Severity::Page,
            summary: "no scheduler of {{ $labels.job }} is left",
            meaning: "None of the schedulers that were there an hour ago tells anything: nothing that is due goes out.",
            steps: &[
                "Look at one of the hosts: does the process run, and what did it log last?",
                "Nothing is lost: what was due is in the ledger, and is spread anew when one starts.",
            ],
            proof: vec![
                Scene::fires(
                    "the only one is gone",
                    "10m",
                    &[(UP, "1x20 0x40"), (BUILD, "1x20 stale")],
                ),
                Scene::quiet(
                    "one of two is gone",
                    "10m",
                    &[(BUILD, "1x20 stale"), (BUILD_TOO, "1x60")],
                ),
            ],
            ..ticket(
                "TidegateSchedulersGone",
                "2m",
                "count by (job) (last_over_time(scheduler_build_info[1h]))\n\
                 unless on (job) count by (job) (scheduler_build_info)",
            )
        },
        Alert {
            summary: "scheduler {{ $labels.instance }} of {{ $labels.job }} is down",
            meaning: "Prometheus does not reach a scheduler that it has reached within the last hour. Others take over its chunks when \
                      their leases are over.",
            steps: &["Look at its host: does the process run, and what did it log last?"],
            proof: vec![
                Scene::fires("it is down", "10m", &[(UP, "1x20 0x40"), (BUILD, "1x20 stale")]),
                Scene::quiet("it is up", "10m", &[(UP, "1x60"), (BUILD, "1x60")]),
            ],
            ..ticket(
                "TidegateSchedulerDown",
                "2m",
                "up == 0 and on (job, instance) last_over_time(scheduler_build_info[1h])",
            )
        },
        Alert {
            severity: Severity::Page,
            summary: "the ledger of {{ $labels.job }} does not answer",
            meaning: "No scheduler reaches its ledger: nothing is claimed and nothing is sent.",
            steps: &[
                "Is the database of the ledger there, and does it let the scheduler's account in? Its log has the error.",
                "What is under way when it fails may come twice: `tidegate batch report NAME --items ambiguous` lists it.",
            ],
            proof: vec![
                Scene::fires("for two minutes", "3m", &[(READY, "1x2 0x20")]),
                Scene::quiet("for half a minute", "3m", &[(READY, "1x2 0x2 1x20")]),
            ],
            ..ticket("TidegateLedgerLost", "1m", "max by (job) (scheduler_ready) == 0")
        },
        Alert {
            summary: "schedulers of {{ $labels.job }} do not hear the guard any more",
            meaning: "The pressure of the database was known within six hours and is not now. Without a signal batches go slowly.",
            steps: &[
                "Does the guard that `scheduler.guard` names run, and answer `GET /api/v1/pressure`?",
            ],
            proof: vec![
                Scene::fires("it was lost", "30m", &[(PRESSURE, "0.2x40 -1x100")]),
                Scene::quiet("there never was one", "30m", &[(PRESSURE, "-1x140")]),
                Scene::quiet("it is there", "30m", &[(PRESSURE, "0.2x140")]),
            ],
            ..ticket(
                "TidegateNoSignal",
                "5m",
                "max by (job) (scheduler_pressure) == -1\n\
                 and max by (job) (max_over_time(scheduler_pressure[6h])) >= 0",
            )
        },
    ]
}

fn batches() -> Vec<Alert> {
    const OVERDUE: &str =
        r#"scheduler_overdue_seconds{job="shop",instance="s1",schedule="hourly"}"#;
    const BEHIND: &str = r#"scheduler_behind_seconds{job="shop",instance="s1"}"#;
    const MISSED: &str = r#"scheduler_passed_over_total{job="shop",instance="s1",schedule="hourly",reason="missed"}"#;
    const OVERLAP: &str = r#"scheduler_passed_over_total{job="shop",instance="s1",schedule="hourly",reason="overlap"}"#;
    vec![
        Alert {
            severity: Severity::Page,
            summary: "schedule {{ $labels.schedule }} of {{ $labels.job }} is {{ $value | humanizeDuration }} overdue",
            meaning: "A batch should have been submitted more than five minutes ago and has not: its recipients cannot be read, or nobody does it.",
            steps: &[
                "`tidegate schedule list` says what it waits for.",
                "The scheduler's log has the error of the source. With `replica` as the reason: no replica has what it needs.",
            ],
            proof: vec![
                Scene::fires("eight minutes", "10m", &[(OVERDUE, "0+15x60")]),
                Scene::quiet("a minute", "10m", &[(OVERDUE, "60x60")]),
            ],
            ..ticket(
                "TidegateScheduleOverdue",
                "1m",
                "min by (job, schedule) (scheduler_overdue_seconds) > 300",
            )
        },
        Alert {
            summary: "a batch of {{ $labels.job }} is {{ $value | humanizeDuration }} behind its plan",
            meaning: "A batch is more than five minutes behind: pressure slows it down, or its sink is slow.",
            steps: &[
                "The board shows which: a multiplier below 1 is pressure, retries are the sink.",
                "Pressure is no fault of the scheduler's: see the board of tip-over for what presses.",
                "If it may end later, give it a longer window next time; it is spread over what is left.",
            ],
            proof: vec![
                Scene::fires("ten minutes", "10m", &[(BEHIND, "600x60")]),
                Scene::quiet("a minute", "10m", &[(BEHIND, "60x60")]),
            ],
            ..ticket("TidegateBatchBehind", "5m", "max by (job) (scheduler_behind_seconds) > 300")
        },
        Alert {
            summary: "runs of schedule {{ $labels.schedule }} of {{ $labels.job }} were passed over: {{ $labels.reason }}",
            meaning: "Runs were not submitted because nobody was there in time (missed), or no replica could be read (replica).",
            steps: &[
                "`tidegate schedule list` shows the last one that was. What `missed` does about it is the schedule's own key.",
            ],
            proof: vec![
                Scene::fires("one was missed", "5m", &[(MISSED, "0x5 1x30")]),
                Scene::quiet(
                    "one was still open, so the next was left out",
                    "5m",
                    &[(OVERLAP, "0x5 1x30")],
                ),
            ],
            ..ticket(
                "TidegateRunsMissed",
                "",
                "sum by (job, schedule, reason) (increase(scheduler_passed_over_total{reason=~\"missed|replica\"}[15m])) > 0",
            )
        },
    ]
}

fn items() -> Vec<Alert> {
    const SENT: &str = r#"scheduler_sent_total{job="shop",instance="s1",sink="mail"}"#;
    const RETRIES: &str = r#"scheduler_retries_total{job="shop",instance="s1",sink="mail"}"#;
    const DEAD: &str = r#"scheduler_dead_total{job="shop",instance="s1",sink="mail"}"#;
    const AMBIGUOUS: &str = r#"scheduler_ambiguous_total{job="shop",instance="s1",sink="mail"}"#;
    const CHECKS: &str = r#"scheduler_check_failures_total{job="shop",instance="s1",sink="mail"}"#;
    const LATE: &str = r#"scheduler_lateness_seconds_count{job="shop",instance="s1",sink="mail"}"#;
    const IN_TIME: &str =
        r#"scheduler_lateness_seconds_bucket{job="shop",instance="s1",sink="mail",le="0.005"}"#;
    vec![
        Alert {
            summary: "{{ $value | humanizePercentage }} of what {{ $labels.sink }} of {{ $labels.job }} sends is past its deadline",
            meaning: "More than one of a hundred items went out after the deadline of their batch.",
            steps: &[
                "As TidegateBatchBehind; then a longer window, or a deadline that can be kept: `tidegate batch plan` says which.",
            ],
            proof: vec![
                Scene::fires("a tenth", "20m", &[(LATE, "0+100x100"), (IN_TIME, "0+90x100")]),
                Scene::quiet("none", "20m", &[(LATE, "0+100x100"), (IN_TIME, "0+100x100")]),
            ],
            ..ticket(
                "TidegateItemsLate",
                "5m",
                "1 - sum by (job, sink) (rate(scheduler_lateness_seconds_bucket{le=\"0.005\"}[5m]))\n  \
                 / sum by (job, sink) (rate(scheduler_lateness_seconds_count[5m])) > 0.01",
            )
        },
        Alert {
            summary: "sink {{ $labels.sink }} of {{ $labels.job }} fails more than it takes",
            meaning: "More attempts fail than succeed. What fails is tried again, later and later.",
            steps: &[
                "The scheduler's log has the answers of the sink.",
                "Until it is well again: `curl -X POST -H \"X-Tidegate: 1\" http://127.0.0.1:9308/api/v1/sinks/NAME/off` at each scheduler saves attempts.",
            ],
            proof: vec![
                Scene::fires("nine of ten", "15m", &[(SENT, "0+15x80"), (RETRIES, "0+135x80")]),
                Scene::quiet("one of ten", "15m", &[(SENT, "0+135x80"), (RETRIES, "0+15x80")]),
                Scene::quiet("nothing is sent", "15m", &[(SENT, "0x80"), (RETRIES, "0x80")]),
            ],
            ..ticket(
                "TidegateSinkFails",
                "5m",
                "sum by (job, sink) (rate(scheduler_retries_total[5m])) > 0.1\n\
                 and sum by (job, sink) (rate(scheduler_retries_total[5m])) > sum by (job, sink) (rate(scheduler_sent_total[5m]))",
            )
        },
        Alert {
            summary: "{{ $value | humanize }} items of sink {{ $labels.sink }} of {{ $labels.job }} were given up",
            meaning: "Items were refused for good, or tried as often as may be. Nobody tries them any more.",
            steps: &[
                "`tidegate batch report NAME --items dead` lists them with their errors; `tidegate batch retry NAME` tries them again.",
            ],
            proof: vec![
                Scene::fires("three", "5m", &[(DEAD, "0x5 3x30")]),
                Scene::quiet("none", "5m", &[(DEAD, "0x40")]),
            ],
            ..ticket(
                "TidegateItemsGivenUp",
                "",
                "sum by (job, sink) (increase(scheduler_dead_total[15m])) > 0",
            )
        },
        Alert {
            summary: "{{ $value | humanize }} items of sink {{ $labels.sink }} of {{ $labels.job }} may come twice",
            meaning: "A sink did not answer, or a scheduler died before it could note the answer: whether these items arrived nobody knows.",
            steps: &[
                "`tidegate batch report NAME --items ambiguous` lists them. A receiver that keeps the idempotency key takes each once.",
            ],
            proof: vec![
                Scene::fires("three", "5m", &[(AMBIGUOUS, "0x5 3x30")]),
                Scene::quiet("none", "5m", &[(AMBIGUOUS, "0x40")]),
            ],
            ..ticket(
                "TidegateItemsAmbiguous",
                "",
                "sum by (job, sink) (increase(scheduler_ambiguous_total[15m])) > 0",
            )
        },
        Alert {
            summary: "items of sink {{ $labels.sink }} of {{ $labels.job }} cannot be checked before they are sent",
            meaning: "The database that is asked whether items still hold does not answer, so they wait.",
            steps: &[
                "The scheduler's log has the error. Is the source there, and is the query right?",
            ],
            proof: vec![
                Scene::fires("one a second", "10m", &[(CHECKS, "0+15x60")]),
                Scene::quiet("none", "10m", &[(CHECKS, "0x60")]),
            ],
            ..ticket(
                "TidegateChecksFail",
                "2m",
                "sum by (job, sink) (rate(scheduler_check_failures_total[2m])) > 0",
            )
        },
    ]
}
