//! Who waits at the gate, and who is turned away.

use super::ticket;
use crate::alert::{Alert, Scene};

const STATEMENTS: &str =
    r#"guard_statements_total{job="shop",instance="a",class="web",outcome="ok"}"#;
const FULL: &str = r#"guard_sheds_total{job="shop",instance="a",class="web",reason="queue_full"}"#;
const SWITCHED: &str = r#"guard_sheds_total{job="shop",instance="a",class="web",reason="switch"}"#;
const QUEUED: &str = r#"guard_queued{job="shop",instance="a",class="web"}"#;
const QUEUED_LIMIT: &str = r#"guard_queued_limit{job="shop",instance="a",class="web"}"#;
const ARRIVALS: &str =
    r#"guard_client_connections_total{job="shop",instance="a",outcome="accepted"}"#;

pub(super) fn alerts() -> Vec<Alert> {
    vec![
        shedding(),
        queue_full(),
        limit_cut(),
        connect_storm(),
        upstream_connects_fail(),
        paused_long(),
    ]
}

fn of(name: &'static str, hold: &'static str, expr: &str) -> Alert {
    Alert { board: "admission", ..ticket(name, hold, expr) }
}

fn shedding() -> Alert {
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
            Scene::quiet("one of a hundred", "3m", &[(STATEMENTS, "0+1485x20"), (FULL, "0+15x20")]),
        ],
        ..of(
            "TidegateShedding",
            "1m",
            "sum by (job, class) (rate(guard_sheds_total{reason!~\"switch|paused\"}[1m]))\n\
                 / sum by (job, class) (rate(guard_statements_total[1m])) > 0.05",
        )
    }
}

fn queue_full() -> Alert {
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
                    (r#"guard_queue_oldest_seconds{job="shop",instance="a",class="web"}"#, "9x20"),
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
    }
}

fn limit_cut() -> Alert {
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
    }
}

fn connect_storm() -> Alert {
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
    }
}

fn upstream_connects_fail() -> Alert {
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
    }
}

fn paused_long() -> Alert {
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
    }
}
