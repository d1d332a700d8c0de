//! The unit tests of the alerts, as `promtool test rules` reads them.
//!
//! All scenes of a group happen side by side, each to a job of its own: alerts tell databases apart by it, and
//! promtool needs a tenth of a second for each world that it makes. Whether an alert fires is asked of the
//! series `ALERTS` that Prometheus keeps, so that annotations do not have to be repeated.

use std::fmt::Write as _;

use crate::File;
use crate::alert::{Alert, Group, Scene};
use crate::yaml::{put, quoted};

/// One file for each group, which is evaluated as often as its values come.
pub(crate) fn files(alerts: &[Alert]) -> impl Iterator<Item = File> {
    Group::ALL.into_iter().map(|group| {
        let of_group = alerts.iter().filter(|alert| alert.group == group);
        let scenes = of_group.flat_map(|alert| (1..).zip(&alert.proof).map(move |(n, s)| (alert, n, s)));
        let (mut series, mut asked) = (String::new(), String::new());
        for (alert, number, scene) in scenes {
            let about = format!("      # {} {number}: {}\n", alert.name, scene.about);
            let job = format!("{}-{number}", alert.name);
            series.push_str(&about);
            asked.push_str(&about);
            put_series(&mut series, &job, scene);
            put_question(&mut asked, alert, &job, scene);
        }
        let (name, every) = (group.name(), group.every());
        let text = format!(
            "# Made by tidegate; what is changed here is lost. promtool test rules {name}.yaml\n\
             rule_files:\n  - ../tidegate-recording.yaml\n  - ../tidegate-{name}.yaml\n\
             evaluation_interval: {every}\ntests:\n  - interval: {every}\n    input_series:\n{series}    \
             promql_expr_test:\n{asked}",
        );
        File::new(format!("prometheus/tests/{name}.yaml"), text)
    })
}

/// What happens, to this job instead of the scene's own.
fn put_series(text: &mut String, job: &str, scene: &Scene) {
    for (series, values) in &scene.series {
        let series = series.replace("job=\"", &format!("job=\"{job}-"));
        let _infallible = writeln!(text, "      - series: {}", quoted(&series));
        put(text, 8, "values", values);
    }
}

/// How many fire then; without a sample, none.
fn put_question(text: &mut String, alert: &Alert, job: &str, scene: &Scene) {
    let name = alert.name;
    let fires =
        format!("count(ALERTS{{alertname=\"{name}\",alertstate=\"firing\",job=~\"{job}-.+\"}})");
    let _infallible =
        writeln!(text, "      - expr: {}\n        eval_time: {}", quoted(&fires), scene.at);
    if scene.fires > 0 {
        let _infallible = writeln!(
            text,
            "        exp_samples:\n          - labels: \"{{}}\"\n            value: {}",
            scene.fires
        );
    }
}
