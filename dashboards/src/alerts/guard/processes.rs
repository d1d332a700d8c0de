//! Guards themselves: whether they are there, and well.

use super::ticket;
use crate::alert::{Alert, Scene, Severity};

const UP: &str = r#"up{job="shop",instance="a"}"#;
const UP_TOO: &str = r#"up{job="shop",instance="b"}"#;
const BUILD: &str = r#"guard_build_info{job="shop",instance="a",version="1"}"#;
const BUILD_TOO: &str = r#"guard_build_info{job="shop",instance="b",version="1"}"#;

pub(super) fn alerts() -> Vec<Alert> {
    vec![guards_gone(), guard_down(), panics(), reload_failed(), guard_busy(), descriptors()]
}

fn guards_gone() -> Alert {
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
                &[(UP, "1x60"), (UP_TOO, "1x20 0x40"), (BUILD, "1x60"), (BUILD_TOO, "1x20 stale")],
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
    }
}

fn guard_down() -> Alert {
    Alert {
        summary: "guard {{ $labels.instance }} of {{ $labels.job }} is down",
        meaning: "Prometheus does not reach a guard that it has reached within the last hour. The applications beside it have no \
                      database.",
        steps: &["Look at its host: does the process run, and what did it log last?"],
        proof: vec![
            Scene::fires("one of two is down", "10m", &[(UP, "1x20 0x40"), (BUILD, "1x20 stale")]),
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
    }
}

fn panics() -> Alert {
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
    }
}

fn reload_failed() -> Alert {
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
                &[(r#"guard_reloads_total{job="shop",instance="a",outcome="ok"}"#, "0x10 1x30")],
            ),
        ],
        ..ticket(
            "TidegateReloadFailed",
            "",
            "increase(guard_reloads_total{outcome=\"failed\"}[15m]) > 0",
        )
    }
}

fn guard_busy() -> Alert {
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
                    (r#"guard_runtime_busy_seconds_total{job="shop",instance="a"}"#, "0+28.5x60"),
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
    }
}

fn descriptors() -> Alert {
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
    }
}
