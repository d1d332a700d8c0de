//! Guards, and what they see of the database and of clients.

use crate::alert::{Alert, Group, Scene, Severity};

const UP: &str = r#"up{job="shop",instance="a"}"#;
const UP_TOO: &str = r#"up{job="shop",instance="b"}"#;
const BUILD: &str = r#"guard_build_info{job="shop",instance="a",version="1"}"#;
const BUILD_TOO: &str = r#"guard_build_info{job="shop",instance="b",version="1"}"#;

pub(super) fn alerts() -> Vec<Alert> {
    let parts = [guards(), admission(), database(), replicas()];
    parts.into_iter().flatten().collect()
}

/// A ticket; whoever makes one says the rest.
fn ticket(name: &'static str, hold: &'static str, expr: &str) -> Alert {
    Alert {
        name,
        group: Group::Guard,
        severity: Severity::Ticket,
        hold,
        keep: "",
        expr: expr.into(),
        summary: "",
        meaning: "",
        steps: &[],
        board: "internals",
        proof: Vec::new(),
    }
}

fn guards() -> Vec<Alert> {
    vec![
        Alert {
            severity: Severity::Page,
            summary: "most guards of {{ $labels.job }} are gone",
            meaning: "Prometheus reaches fewer than half of the guards of a database, or none of those that were there an hour ago: \
                      applications cannot reach it, or nobody sees what happens.",
            steps: &[
                "Look at one of the hosts: does the process run (`systemctl status tidegate`), and what did it log last?",
                "If they run and serve: Prometheus cannot reach them (`admin.metrics_address`, firewall, service discovery).",
                "If they do not start: `tidegate check -c FILE` names what is wrong with the configuration.",
            ],
            proof: vec![
                Scene::fires(
                    "both are down",
                    "10m",
                    &[
                        (UP, "1x20 0x40"),
                        (UP_TOO, "1x20 0x40"),
                        (BUILD, "1x20 stale"),
                        (BUILD_TOO, "1x20 stale"),
                    ],
                ),
                Scene::fires(
                    "nobody looks for them any more",
                    "10m",
                    &[(UP, "1x20 stale"), (BUILD, "1x20 stale")],
                ),
                Scene::quiet(
                    "one of two is down",
                    "10m",
                    &[
                        (UP, "1x60"),
                        (UP_TOO, "1x20 0x40"),
                        (BUILD, "1x60"),
                        (BUILD_TOO, "1x20 stale"),
                    ],
                ),
            ],
            ..ticket(
                "TidegateGuardsGone",
                "1m",
                "(\n  count by (job) (up == 0 and on (job, instance) last_over_time(guard_build_info[1h]))\n  \
                 / count by (job) (up and on (job, instance) last_over_time(guard_build_info[1h]))\n) > 0.5\n\
                 or (\n  count by (job) (last_over_time(guard_build_info[1h]))\n  \
                 unless on (job) count by (job) (guard_build_info)\n)",
            )
        },
        Alert {
            summary: "guard {{ $labels.instance }} of {{ $labels.job }} is down",
            meaning: "Prometheus does not reach a guard that it has reached within the last hour. The applications beside it have no \
                      database.",
            steps: &["Look at its host: does the process run, and what did it log last?"],
            proof: vec![
                Scene::fires(
                    "one of two is down",
                    "10m",
                    &[(UP, "1x20 0x40"), (BUILD, "1x20 stale")],
                ),
                Scene::quiet(
                    "another job's target is down",
                    "10m",
                    &[(r#"up{job="web",instance="a"}"#, "0x60")],
                ),
            ],
            ..ticket(
                "TidegateGuardDown",
                "2m",
                "up == 0 and on (job, instance) last_over_time(guard_build_info[1h])",
            )
        },
        Alert {
            summary: "a session of guard {{ $labels.instance }} panicked",
            meaning: "A session or a login ended by a panic. Only that client was hurt, but it is a bug.",
            steps: &[
                "The guard's log has the place. Please report it with the version, as SECURITY.md says if a client brought it about.",
            ],
            proof: vec![
                Scene::fires(
                    "one panic",
                    "5m",
                    &[(r#"guard_panics_total{job="shop",instance="a"}"#, "0x10 1x30")],
                ),
                Scene::quiet(
                    "none",
                    "5m",
                    &[(r#"guard_panics_total{job="shop",instance="a"}"#, "0x40")],
                ),
            ],
            ..ticket("TidegatePanics", "", "increase(guard_panics_total[10m]) > 0")
        },
        Alert {
            summary: "guard {{ $labels.instance }} of {{ $labels.job }} refused its new configuration",
            meaning: "A reload failed; the old configuration holds, and the next restart fails.",
            steps: &["`tidegate check -c FILE` names file, key, value and the accepted form."],
            proof: vec![
                Scene::fires(
                    "one failed",
                    "5m",
                    &[(
                        r#"guard_reloads_total{job="shop",instance="a",outcome="failed"}"#,
                        "0x10 1x30",
                    )],
                ),
                Scene::quiet(
                    "one succeeded",
                    "5m",
                    &[(
                        r#"guard_reloads_total{job="shop",instance="a",outcome="ok"}"#,
                        "0x10 1x30",
                    )],
                ),
            ],
            ..ticket(
                "TidegateReloadFailed",
                "",
                "increase(guard_reloads_total{outcome=\"failed\"}[15m]) > 0",
            )
        },
        Alert {
            summary: "guard {{ $labels.instance }} of {{ $labels.job }} is busy {{ $value | humanizePercentage }} of the time",
            meaning: "The threads that serve clients have no time left: the guard itself slows statements down.",
            steps: &[
                "Give it more threads (`guard.workers`) if the host has cores, or more guards.",
                "What it does for each statement grows with debug logs and with TLS on both sides.",
            ],
            proof: vec![
                Scene::fires(
                    "two threads at 95 %",
                    "10m",
                    &[
                        (
                            r#"guard_runtime_busy_seconds_total{job="shop",instance="a"}"#,
                            "0+28.5x60",
                        ),
                        (r#"guard_runtime_workers{job="shop",instance="a"}"#, "2x60"),
                    ],
                ),
                Scene::quiet(
                    "two threads at 50 %",
                    "10m",
                    &[
                        (r#"guard_runtime_busy_seconds_total{job="shop",instance="a"}"#, "0+15x60"),
                        (r#"guard_runtime_workers{job="shop",instance="a"}"#, "2x60"),
                    ],
                ),
            ],
            ..ticket(
                "TidegateGuardBusy",
                "5m",
                "rate(guard_runtime_busy_seconds_total[1m]) / guard_runtime_workers > 0.9",
            )
        },
        Alert {
            summary: "guard {{ $labels.instance }} of {{ $labels.job }} has {{ $value | humanizePercentage }} of its file descriptors open",
            meaning: "When there are none left, no client and no connection to the database can be opened.",
            steps: &[
                "Raise `LimitNOFILE=` of its unit, or lower `max_clients` of its listener.",
                "The board shows which clients there are; a pool in the application may have no bound.",
            ],
            proof: vec![
                Scene::fires(
                    "nine of ten",
                    "5m",
                    &[
                        (r#"process_open_fds{job="shop",instance="a"}"#, "900x40"),
                        (r#"process_max_fds{job="shop",instance="a"}"#, "1000x40"),
                        (BUILD, "1x40"),
                    ],
                ),
                Scene::quiet(
                    "another program's nine of ten",
                    "5m",
                    &[
                        (r#"process_open_fds{job="web",instance="a"}"#, "900x40"),
                        (r#"process_max_fds{job="web",instance="a"}"#, "1000x40"),
                    ],
                ),
            ],
            ..ticket(
                "TidegateDescriptors",
                "2m",
                "process_open_fds / process_max_fds > 0.8 and on (job, instance) guard_build_info",
            )
        },
    ]
}

fn admission() -> Vec<Alert> {
    const STATEMENTS: &str =
        r#"guard_statements_total{job="shop",instance="a",class="web",outcome="ok"}"#;
    const FULL: &str =
        r#"guard_sheds_total{job="shop",instance="a",class="web",reason="queue_full"}"#;
    const SWITCHED: &str =
        r#"guard_sheds_total{job="shop",instance="a",class="web",reason="switch"}"#;
    const QUEUED: &str = r#"guard_queued{job="shop",instance="a",class="web"}"#;
    const QUEUED_LIMIT: &str = r#"guard_queued_limit{job="shop",instance="a",class="web"}"#;
    const ARRIVALS: &str =
        r#"guard_client_connections_total{job="shop",instance="a",outcome="accepted"}"#;
    let of = |name, hold, expr| Alert { board: "admission", ..ticket(name, hold, expr) };
    vec![
        Alert {
            summary: "{{ $value | humanizePercentage }} of class {{ $labels.class }} of {{ $labels.job }} is refused",
            meaning: "More than a twentieth of what a class asks for is refused, and nobody has told the guard to: no switch, no pause.",
            steps: &[
                "The board shows the reason; the text of a refusal names the limit, what was measured, and the key that changes it.",
                "If the database has room (pressure below 1), a limit is too low. If not, less must be asked for: `tidegate classes` shows by whom.",
            ],
            proof: vec![
                Scene::fires(
                    "a tenth for two minutes",
                    "3m",
                    &[(STATEMENTS, "0+135x20"), (FULL, "0+15x20")],
                ),
                Scene::quiet(
                    "a switch refuses a tenth",
                    "3m",
                    &[(STATEMENTS, "0+135x20"), (SWITCHED, "0+15x20")],
                ),
                Scene::quiet(
                    "one of a hundred",
                    "3m",
                    &[(STATEMENTS, "0+1485x20"), (FULL, "0+15x20")],
                ),
            ],
            ..of(
                "TidegateShedding",
                "1m",
                "sum by (job, class) (rate(guard_sheds_total{reason!~\"switch|paused\"}[1m]))\n\
                 / sum by (job, class) (rate(guard_statements_total[1m])) > 0.05",
            )
        },
        Alert {
            summary: "the queue of class {{ $labels.class }} of guard {{ $labels.instance }} is nearly full",
            meaning: "More than four fifths of those that may wait do, or one has waited four fifths of what it may. The next are refused.",
            steps: &[
                "See what holds it up: the limit (board of admission), or locks (`tidegate locks`).",
                "A longer queue only makes everybody wait longer; less load or a higher limit makes it shorter.",
            ],
            proof: vec![
                Scene::fires("90 of 100", "3m", &[(QUEUED, "90x20"), (QUEUED_LIMIT, "100x20")]),
                Scene::fires(
                    "nine of ten seconds",
                    "3m",
                    &[
                        (
                            r#"guard_queue_oldest_seconds{job="shop",instance="a",class="web"}"#,
                            "9x20",
                        ),
                        (
                            r#"guard_queue_oldest_limit_seconds{job="shop",instance="a",class="web"}"#,
                            "10x20",
                        ),
                    ],
                ),
                Scene::quiet("10 of 100", "3m", &[(QUEUED, "10x20"), (QUEUED_LIMIT, "100x20")]),
                Scene::quiet(
                    "nobody may wait, and nobody does",
                    "3m",
                    &[(QUEUED, "0x20"), (QUEUED_LIMIT, "0x20")],
                ),
            ],
            ..of(
                "TidegateQueueFull",
                "1m",
                "guard_queued / (guard_queued_limit > 0) > 0.8\n\
                 or guard_queue_oldest_seconds / (guard_queue_oldest_limit_seconds > 0) > 0.8",
            )
        },
        Alert {
            summary: "the limit of guard {{ $labels.instance }} was cut {{ $value | humanize }} times in ten minutes",
            meaning: "The limit climbs and locks or failures cut it again and again: something that is asked for makes others wait or fail.",
            steps: &[
                "`tidegate hot` shows rows that many want, `tidegate locks` who waits for whom.",
                "The board of statements shows which class grew.",
            ],
            proof: vec![
                Scene::fires(
                    "a cut a minute",
                    "15m",
                    &[(r#"guard_limit_cuts_total{job="shop",instance="a"}"#, "0+0.25x80")],
                ),
                Scene::quiet(
                    "one cut",
                    "15m",
                    &[(r#"guard_limit_cuts_total{job="shop",instance="a"}"#, "0x10 1x80")],
                ),
            ],
            ..of("TidegateLimitCut", "2m", "increase(guard_limit_cuts_total[10m]) > 5")
        },
        Alert {
            summary: "{{ $value | humanize }} clients a second come to {{ $labels.job }}, ten times as many as usual",
            meaning: "Clients reconnect in a herd, after a restart or a failover perhaps. The guard lets them in at a pace; \
                      the database hardly notices.",
            steps: &[
                "If it goes on: a client logs in for each statement, or is refused and comes again at once. The board shows the outcomes.",
                "Applications: a pool with a bound, and growing pauses between attempts.",
            ],
            proof: vec![
                Scene::fires(
                    "100 a second after half an hour with one",
                    "32m",
                    &[(ARRIVALS, "0+15x120 3300+1500x20")],
                ),
                Scene::quiet("one a second, as ever", "32m", &[(ARRIVALS, "0+15x140")]),
            ],
            board: "internals",
            ..of(
                "TidegateConnectStorm",
                "30s",
                "job:guard_client_connections:rate1m > 20\n\
                 and job:guard_client_connections:rate1m > 10 * avg_over_time(job:guard_client_connections:rate1m[1d])",
            )
        },
        Alert {
            summary: "connections to the database of {{ $labels.job }} fail: {{ $labels.outcome }}",
            meaning: "The guard wants more connections to the database and does not get them, for a minute. What it has goes on.",
            steps: &[
                "`full`: `upstream.connections` of all guards together is more than the server's `max_connections` leaves.",
                "`denied`: the account's password or host has changed. `timeout`, `unreachable`: the network, or a server that has no time.",
            ],
            proof: vec![
                Scene::fires(
                    "one a second is refused",
                    "5m",
                    &[(
                        r#"guard_upstream_connects_total{job="shop",instance="a",outcome="full"}"#,
                        "0+15x40",
                    )],
                ),
                Scene::quiet(
                    "one a second succeeds",
                    "5m",
                    &[(
                        r#"guard_upstream_connects_total{job="shop",instance="a",outcome="ok"}"#,
                        "0+15x40",
                    )],
                ),
            ],
            board: "internals",
            ..of(
                "TidegateUpstreamConnectsFail",
                "1m",
                "sum by (job, outcome) (rate(guard_upstream_connects_total{outcome!=\"ok\"}[1m])) > 0.1",
            )
        },
        Alert {
            summary: "{{ $labels.job }} has been paused for ten minutes",
            meaning: "Clients have waited for ten minutes. Pauses end by themselves, so somebody pauses again and again, or for long.",
            steps: &["`tidegate resume`, if whoever paused it is done."],
            proof: vec![
                Scene::fires(
                    "a pause of twelve minutes",
                    "12m",
                    &[(r#"guard_paused{job="shop",instance="a"}"#, "1x60")],
                ),
                Scene::quiet(
                    "a pause of a minute",
                    "12m",
                    &[(r#"guard_paused{job="shop",instance="a"}"#, "1x4 0x60")],
                ),
            ],
            ..of("TidegatePausedLong", "10m", "max by (job) (guard_paused) == 1")
        },
    ]
}

fn database() -> Vec<Alert> {
    const LOOKS: &str = r#"guard_database_looks_total{job="shop",instance="a",outcome="ok"}"#;
    const FAILED: &str = r#"guard_database_looks_total{job="shop",instance="a",outcome="failed"}"#;
    const BLOCKED: &str = r#"guard_database_blocked_share{job="shop",instance="a"}"#;
    const ROLLS_BACK: &str =
        r#"guard_database_transactions{job="shop",instance="a",activity="rolls_back"}"#;
    let of = |name, hold, expr| Alert { board: "locks", ..ticket(name, hold, expr) };
    vec![
        Alert {
            summary: "guard {{ $labels.instance }} cannot see into the database of {{ $labels.job }}",
            meaning: "Most of the guard's questions to the database fail: it sees neither locks nor pile-ups, and the limit does not learn.",
            steps: &[
                "The guard's log says what is refused; mostly a grant is missing. docs/operations.md has the least grants for each server.",
                "If it does not want to look: `[observe] enabled = false`.",
            ],
            proof: vec![
                Scene::fires("all fail", "5m", &[(LOOKS, "0x40"), (FAILED, "0+3x40")]),
                Scene::quiet("a tenth fails", "5m", &[(LOOKS, "0+27x40"), (FAILED, "0+3x40")]),
                Scene::quiet("it does not look", "5m", &[(LOOKS, "0x40"), (FAILED, "0x40")]),
            ],
            ..of(
                "TidegateBlind",
                "1m",
                "sum by (job, instance) (rate(guard_database_looks_total{outcome=\"failed\"}[1m]))\n\
                 / sum by (job, instance) (rate(guard_database_looks_total[1m])) > 0.5",
            )
        },
        Alert {
            summary: "what guard {{ $labels.instance }} rolls back does not go away",
            meaning: "A transaction that was to be rolled back was still there two seconds later, or the database refused to end it.",
            steps: &[
                "`tidegate incidents` shows which. A rollback of many rows takes its time; a second kill does not help.",
                "`refused`: a grant is missing (docs/operations.md).",
            ],
            proof: vec![
                Scene::fires(
                    "one stays",
                    "5m",
                    &[(
                        r#"guard_melt_outcomes_total{job="shop",instance="a",outcome="stayed"}"#,
                        "0x10 1x30",
                    )],
                ),
                Scene::quiet(
                    "one goes",
                    "5m",
                    &[(
                        r#"guard_melt_outcomes_total{job="shop",instance="a",outcome="gone"}"#,
                        "0x10 1x30",
                    )],
                ),
            ],
            ..of(
                "TidegateMeltFails",
                "",
                "sum by (job, instance) (increase(guard_melt_outcomes_total{outcome=~\"stayed|refused\"}[10m])) > 0",
            )
        },
        Alert {
            summary: "a rollback in the database of {{ $labels.job }} holds others up",
            meaning: "A transaction has been rolled back for a minute while others wait for locks. Nothing makes it quicker.",
            steps: &[
                "Wait. Do not restart the database: the rollback begins again then, before anybody is served.",
                "`tidegate locks` shows how many rows it has still to undo, where the server tells.",
            ],
            proof: vec![
                Scene::fires(
                    "for two minutes, and others wait",
                    "3m",
                    &[(ROLLS_BACK, "1x20"), (BLOCKED, "0.3x20")],
                ),
                Scene::quiet("nobody waits", "3m", &[(ROLLS_BACK, "1x20"), (BLOCKED, "0x20")]),
            ],
            ..of(
                "TidegateRollback",
                "1m",
                "max by (job) (guard_database_transactions{activity=\"rolls_back\"}) > 0\n\
                 and max by (job) (guard_database_blocked_share) > 0",
            )
        },
        Alert {
            summary: "a transaction in the database of {{ $labels.job }} has been open for {{ $value | humanizeDuration }}, and others wait",
            meaning: "A transaction has been open for more than a minute while somebody waits for a lock.",
            steps: &[
                "`tidegate locks` shows whose it is.",
                "A limit on `transaction_time` of its class ends such transactions.",
            ],
            proof: vec![
                Scene::fires(
                    "two minutes old",
                    "3m",
                    &[(
                        r#"guard_database_oldest_transaction_seconds{job="shop",instance="a"}"#,
                        "120+15x20",
                    )],
                ),
                Scene::quiet(
                    "ten seconds old",
                    "3m",
                    &[(
                        r#"guard_database_oldest_transaction_seconds{job="shop",instance="a"}"#,
                        "10x20",
                    )],
                ),
            ],
            ..of(
                "TidegateLongTransaction",
                "1m",
                "max by (job) (guard_database_oldest_transaction_seconds) > 60",
            )
        },
        Alert {
            summary: "the history list of {{ $labels.job }} has {{ $value | humanize }} transactions",
            meaning: "InnoDB keeps the old versions of a million transactions, because one has been open since before them. Reads get slower.",
            steps: &[
                "Find the oldest transaction: `SELECT * FROM information_schema.INNODB_TRX ORDER BY trx_started LIMIT 1`. A backup, or a report?",
                "End it, or let it end; the list takes its time to shrink.",
            ],
            proof: vec![
                Scene::fires(
                    "two million",
                    "10m",
                    &[(r#"guard_database_history_length{job="shop",instance="a"}"#, "2000000x60")],
                ),
                Scene::quiet(
                    "two thousand",
                    "10m",
                    &[(r#"guard_database_history_length{job="shop",instance="a"}"#, "2000x60")],
                ),
            ],
            ..of("TidegateHistoryLong", "5m", "max by (job) (guard_database_history_length) > 1e6")
        },
        Alert {
            summary: "{{ $value | humanize }} deadlocks a second in the database of {{ $labels.job }}",
            meaning: "Transactions take the same locks in different order; the server ends one of each two.",
            steps: &[
                "`SHOW ENGINE INNODB STATUS`, or PostgreSQL's log, has the last one with both statements.",
                "Have all transactions take rows in one order, or fewer of them at a time.",
            ],
            proof: vec![
                Scene::fires(
                    "two a second",
                    "15m",
                    &[(r#"guard_database_deadlocks_total{job="shop",instance="a"}"#, "0+30x80")],
                ),
                Scene::quiet(
                    "one a minute",
                    "15m",
                    &[(r#"guard_database_deadlocks_total{job="shop",instance="a"}"#, "0+0.25x80")],
                ),
            ],
            ..of(
                "TidegateDeadlocks",
                "5m",
                "max by (job) (rate(guard_database_deadlocks_total[5m])) > 1",
            )
        },
        Alert {
            severity: Severity::Info,
            summary: "the database of {{ $labels.job }} was restarted, or has changed its role",
            meaning: "The observer found another server behind the address, a restart, or a change of read-only. The limit begins anew.",
            steps: &["Nothing, if somebody knows of it. Else see the database's log."],
            proof: vec![
                Scene::fires(
                    "one change",
                    "3m",
                    &[(
                        r#"guard_database_role_changes_total{job="shop",instance="a"}"#,
                        "0x5 1x30",
                    )],
                ),
                Scene::quiet(
                    "none",
                    "3m",
                    &[(r#"guard_database_role_changes_total{job="shop",instance="a"}"#, "0x40")],
                ),
            ],
            board: "replicas",
            ..of(
                "TidegateRoleChanged",
                "",
                "max by (job) (increase(guard_database_role_changes_total[5m])) > 0",
            )
        },
    ]
}

fn replicas() -> Vec<Alert> {
    const FIT: &str = r#"guard_replica_fit{job="shop",instance="a",replica="r1"}"#;
    const ROUTED: &str = r#"guard_routed_reads_total{job="shop",instance="a",outcome="replica"}"#;
    const PRIMARY: &str = r#"guard_routed_reads_total{job="shop",instance="a",outcome="primary"}"#;
    let of = |name, hold, expr| Alert { board: "replicas", ..ticket(name, hold, expr) };
    vec![
        Alert {
            summary: "replica {{ $labels.replica }} of {{ $labels.job }} is not read from",
            meaning: "A replica has been silent, stopped, behind or sick for two minutes in the eyes of a guard: it may well answer.",
            steps: &[
                "`tidegate status` says which of these it is.",
                "stopped: `SHOW REPLICA STATUS` on it has the error. behind: what writes so much? sick: it is slower than its siblings.",
            ],
            proof: vec![
                Scene::fires("for three minutes", "4m", &[(FIT, "1x2 0x20")]),
                Scene::quiet("for half a minute", "4m", &[(FIT, "1x2 0x2 1x20")]),
            ],
            ..of("TidegateReplicaUnfit", "2m", "min by (job, replica) (guard_replica_fit) == 0")
        },
        Alert {
            summary: "{{ $value | humanizePercentage }} of the reads of {{ $labels.job }} find no replica",
            meaning: "More than half of the reads that may go to a replica have gone to the primary, or were refused, for ten minutes.",
            steps: &[
                "Are replicas fit? If so, who reads has just written: `routing.max_lag`, and how far behind they are.",
            ],
            proof: vec![
                Scene::fires(
                    "three of four",
                    "20m",
                    &[(ROUTED, "0+15x100"), (PRIMARY, "0+45x100")],
                ),
                Scene::quiet("one of four", "20m", &[(ROUTED, "0+45x100"), (PRIMARY, "0+15x100")]),
            ],
            ..of(
                "TidegateReadsOnPrimary",
                "10m",
                "sum by (job) (rate(guard_routed_reads_total{outcome=~\"primary|refused\"}[5m]))\n\
                 / sum by (job) (rate(guard_routed_reads_total{outcome=~\"replica|primary|refused\"}[5m])) > 0.5",
            )
        },
    ]
}
