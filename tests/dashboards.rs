//! Boards, rules and alerts on a real Prometheus that scrapes a real guard and a real scheduler under load; the unit
//! tests of the alerts, by promtool; and on a real Alertmanager, that one incident is one page.

#[path = "scheduler/receiver.rs"]
#[expect(dead_code, reason = "only a part of it is needed here")]
mod receiver;
#[path = "dashboards/scene.rs"]
mod scene;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dashboards::{Objectives, boards};
use harness::*;
use scene::Scene;

/// Longest that anything is waited for.
const SOON: Duration = Duration::from_secs(60);
/// What a rate is taken over: four scrapes.
const RATE_INTERVAL: &str = "4s";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs promtool or amtool on files of this repository; it must be content.
fn run(program: &'static str, words: &[&str], files: &[PathBuf]) {
    let path = prometheus::program(program).unwrap();
    let output = Command::new(path).args(words).args(files).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&told));
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml")).collect()
}

#[test]
fn rules_are_right_and_each_alert_fires_when_it_should_and_only_then() {
    run(
        "promtool",
        &["check", "rules", "--lint=all", "--lint-fatal"],
        &files("dashboards/prometheus"),
    );
    run("promtool", &["test", "rules"], &files("dashboards/prometheus/tests"));
}

#[test]
fn the_examples_are_right() {
    let example = |name: &str| vec![root().join("examples/monitoring").join(name)];
    run("promtool", &["check", "config", "--syntax-only"], &example("prometheus.yml"));
    run("amtool", &["check-config"], &[root().join("dashboards/alertmanager/alertmanager.yaml")]);
    // What the containers are given is there.
    let compose = std::fs::read_to_string(&example("compose.yaml")[0]).unwrap();
    let mounts =
        compose.lines().filter_map(|line| line.trim().strip_prefix("- .")?.split(':').next());
    let mounts: Vec<&str> = mounts.collect();
    assert_eq!(mounts.len(), 5, "{mounts:?}");
    for mount in mounts {
        assert!(root().join(format!("examples/monitoring/.{mount}")).exists(), ".{mount}");
    }
}

#[tokio::test]
async fn what_an_incident_sets_off_is_kept_quiet() {
    let config = root().join("dashboards/alertmanager/alertmanager.yaml");
    let alertmanager = Alertmanager::start(&config).await.unwrap();
    let alert = |name: &'static str, severity: &'static str, job: &'static str| {
        let labels = [("alertname", name), ("severity", severity), ("job", job), ("class", "web")];
        BTreeMap::from(labels)
    };
    let sent = [
        alert("TidegateTippingOver", "page", "shop"),
        alert("TidegateErrorsFastBurn", "page", "shop"),
        alert("TidegateErrorsSlowBurn", "ticket", "shop"),
        alert("TidegateLatencyFastBurn", "page", "shop"),
        alert("TidegateShedding", "ticket", "shop"),
        alert("TidegateIdleBlocker", "ticket", "shop"),
        alert("TidegateScheduleOverdue", "page", "shop"),
        // Of another database, and about something else.
        alert("TidegateErrorsSlowBurn", "ticket", "mail"),
        alert("TidegateReloadFailed", "ticket", "shop"),
    ];
    alertmanager.send(&sent).await.unwrap();
    let (heard, quiet) = eventually("all alerts", SOON, async || {
        let (heard, quiet) = alertmanager.heard_and_quiet().await.ok()?;
        (heard.len() + quiet.len() == sent.len()).then_some((heard, quiet))
    })
    .await;
    assert_eq!(heard, ["TidegateErrorsSlowBurn", "TidegateReloadFailed", "TidegateTippingOver"]);
    assert_eq!(quiet.len(), 6, "{quiet:?}");
}

/// Every panel shows something under load; nobody is woken by it; the database tips over, and exactly one page
/// comes of it, with numbers and labels filled in.
#[tokio::test(flavor = "multi_thread")]
async fn every_panel_has_data_and_a_database_that_tips_over_is_one_page() {
    let scene = Scene::set().await;
    scene.load().await;
    assert_eq!(scene.pages().await, [] as [String; 0], "nothing has happened yet");

    let tipped = Instant::now();
    let holder = scene.tip().await;
    let page = eventually("a page", SOON, async || {
        let alerts = scene.prometheus.alerts().await.unwrap();
        alerts.into_iter().find(prometheus::Alert::pages)
    })
    .await;
    eprintln!("{} fired {:?} after everybody waited", page.name(), tipped.elapsed());
    assert_eq!(scene.pages().await, ["TidegateTippingOver"]);
    assert_eq!(page.annotations["summary"], "shop tips over: most of what is open waits for locks");
    for alert in scene.prometheus.alerts().await.unwrap() {
        let told = format!("{:?}", alert.annotations);
        assert!(!told.contains("error expanding") && !told.contains("no value"), "{told}");
    }
    drop(holder);
    check_panels(&scene).await;
}

async fn check_panels(scene: &Scene) {
    let mut empty = Vec::new();
    let (mut queries, mut slowest) = (0, Duration::ZERO);
    for board in boards::all(&Objectives::default()) {
        for panel in board.panels() {
            for query in &panel.queries {
                let asked = Instant::now();
                if !has_data(scene, &query.expr).await {
                    empty.push(format!("{} / {}: {}", board.title, panel.title, query.expr));
                }
                slowest = slowest.max(asked.elapsed());
                queries += 1;
            }
        }
    }
    eprintln!("{queries} queries, the slowest took {slowest:?}");
    // MariaDB tells a replica's lag in time alone.
    empty.retain(|panel| !panel.starts_with("Replicas & routing / Log that it misses"));
    assert!(empty.is_empty(), "without data:\n{}", empty.join("\n"));
}

/// Whether a query gives a number at any moment of the last minutes.
async fn has_data(scene: &Scene, query: &str) -> bool {
    let mut query = query.replace("$__rate_interval", RATE_INTERVAL);
    for (choice, value) in
        [("job", "shop"), ("instance", ".+"), ("class", ".+"), ("sink", ".+"), ("replica", ".+")]
    {
        query = query.replace(&format!("${choice}"), value);
    }
    let found = scene.prometheus.range(&query, Duration::from_secs(120)).await;
    let found = found.unwrap_or_else(|error| panic!("{query}: {error}"));
    found.iter().flat_map(|series| &series.values).any(|(_, value)| value != "NaN")
}
