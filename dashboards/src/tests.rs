mod lint;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use self::lint::{Lint, Place};
use super::*;
use crate::alert::Severity;
use crate::board::Board;
use crate::inhibition::QUIET;
use crate::recording::WINDOWS;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn boards() -> Vec<Board> {
    boards::all(&Objectives::default())
}

/// `{{a}} and {{b}}`: `a`, `b`; of `{{ $labels.a }}` as well.
fn placeholders(text: &str) -> Vec<&str> {
    let inner = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    inner.map(|inner| inner.trim().trim_start_matches("$labels.")).collect()
}

#[test]
fn every_query_of_a_board_names_what_there_is() {
    let lint = Lint::new(&recording::rules(&Objectives::default()));
    for board in boards() {
        for panel in board.panels() {
            for query in &panel.queries {
                let about = format!("{} / {}", board.title, panel.title);
                let left = lint.check(&query.expr, Place::Board).unwrap_or_else(|why| {
                    panic!("{about}: {why}\n{}", query.expr);
                });
                for label in placeholders(query.legend) {
                    let is_there = left.contains(label) || label == "le";
                    assert!(is_there, "{about}: {{{{{label}}}}} is none of {left:?}");
                }
                check_choices(&board, &query.expr);
            }
        }
    }
    for query in Board::events() {
        lint.check(&query, Place::Board).unwrap_or_else(|why| panic!("{why}\n{query}"));
    }
}

/// What a query is restricted to can be chosen at the top of its board.
fn check_choices(board: &Board, expr: &str) {
    let known: BTreeSet<&str> = board.choices.iter().map(|choice| choice.name()).collect();
    for rest in expr.split('$').skip(1) {
        let name =
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        assert!(name == "__rate_interval" || known.contains(name), "{}: ${name}", board.title);
    }
    assert!(expr.contains("job=~\"$job\""), "{}: whose? {expr}", board.title);
}

#[test]
fn what_can_be_chosen_exists() {
    let known = catalogue::all();
    for choice in boards().iter().flat_map(|board| board.choices) {
        let query = choice.query().strip_prefix("label_values(").unwrap();
        let name = query.split(['{', ',']).next().unwrap();
        assert!(known.iter().any(|metric| metric.name == name), "{query}");
    }
}

#[test]
fn every_rule_and_every_alert_names_what_there_is() {
    for objectives in
        [Objectives::default(), Objectives { available: 99.95, fast: 95.0, within: 1.0 }]
    {
        let rules = recording::rules(&objectives);
        let lint = Lint::new(&rules);
        for rule in &rules {
            let left = lint.check(&rule.expr, Place::Rule);
            let left = left.unwrap_or_else(|why| panic!("{}: {why}\n{}", rule.name, rule.expr));
            assert_eq!(
                left,
                rule.labels.iter().map(|label| (*label).into()).collect(),
                "{}",
                rule.name
            );
        }
        for alert in alerts::all(&objectives) {
            let left = lint.check(&alert.expr, Place::Rule);
            let left = left.unwrap_or_else(|why| panic!("{}: {why}\n{}", alert.name, alert.expr));
            assert!(left.contains("job"), "{}: whose?", alert.name);
            for label in placeholders(alert.summary) {
                let is_there = label.starts_with("$value") || left.contains(label);
                assert!(is_there, "{}: {label} is none of {left:?}", alert.name);
            }
        }
    }
}

#[test]
fn the_lint_finds_what_published_boards_have_wrong() {
    let lint = Lint::new(&recording::rules(&Objectives::default()));
    let wrong = |expr: &str| lint.check(expr, Place::Rule).unwrap_err();
    for (expr, why) in [
        ("rate(guard_sheds[1m])", "guard_sheds: no such metric"),
        ("guard_in_flight{pool=\"a\"}", "guard_in_flight has no label pool"),
        (
            "guard_database_transactions{activity=\"Waits\"}",
            "activity of guard_database_transactions is never Waits",
        ),
        ("guard_database_transactions{activity=~\"waits|stuck\"}", "is never stuck"),
        ("rate(guard_in_flight[1m])", "guard_in_flight is no counter"),
        ("guard_panics_total > 0", "guard_panics_total is a counter"),
        ("sum by (user) (guard_in_flight)", "user is none of"),
        ("guard_in_flight / guard_limit", "never the same labels"),
        (
            "histogram_quantile(0.9, sum by (class) (rate(guard_service_seconds_bucket[1m])))",
            "no le",
        ),
        ("guard_service_seconds > 1", "guard_service_seconds: no such metric"),
        ("rate(guard_service_seconds_bucket{le=\"0.3\"}[1m])", "no bound at 0.3"),
        ("sum(", "unclosed left parenthesis"),
    ] {
        assert!(wrong(expr).contains(why), "{expr}: {}", wrong(expr));
    }
}

#[test]
fn every_panel_can_be_read() {
    const IN_A_ROW_MAX: usize = 12;
    let mut uids = BTreeSet::new();
    for board in boards() {
        assert!(uids.insert(board.uid()), "{} is there twice", board.uid());
        assert!(board.description.ends_with('.'), "{}", board.title);
        for row in &board.rows {
            assert!(
                (1..=IN_A_ROW_MAX).contains(&row.panels.len()),
                "{} / {}",
                board.title,
                row.title
            );
        }
        for panel in board.panels() {
            let about = format!("{} / {}", board.title, panel.title);
            assert!(!panel.title.is_empty() && !panel.queries.is_empty(), "{about}");
            assert!(panel.description.ends_with('.') && panel.description.len() >= 25, "{about}");
        }
        check_grid(&board);
    }
}

/// No panel lies over another, or beyond the edge, and every one has an id of its own.
fn check_grid(board: &Board) {
    let made: serde_json::Value = serde_json::from_str(&board.text()).unwrap();
    let (mut taken, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for panel in made["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies over another", panel["title"]);
            }
        }
    }
}

#[test]
fn every_metric_is_on_a_board() {
    let boards = boards();
    let queries = boards.iter().flat_map(Board::panels).flat_map(|panel| &panel.queries);
    let rules = recording::rules(&Objectives::default());
    let shown: Vec<&str> = queries
        .map(|query| query.expr.as_str())
        .chain(rules.iter().map(|rule| rule.expr.as_str()))
        .collect();
    for metric in catalogue::all() {
        let named = |text: &&&str| lint::names(text).any(|name| lint::base(name) == metric.name);
        assert!(shown.iter().any(|text| named(&text)), "{} is on no board", metric.name);
    }
}

#[test]
fn every_alert_says_what_to_do_and_is_proved() {
    let boards: Vec<&str> = boards().iter().map(|board| board.slug).collect();
    let alerts = alerts::all(&Objectives::default());
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.name).collect();
    assert_eq!(names.len(), alerts.len(), "a name is there twice");
    for alert in &alerts {
        let name = alert.name;
        assert!(name.starts_with("Tidegate"), "{name}");
        assert!(!alert.steps.is_empty(), "{name}: what is to be done?");
        assert!(alert.meaning.ends_with('.') && !alert.summary.is_empty(), "{name}");
        assert!(boards.contains(&alert.board), "{name}: {}", alert.board);
        let fires = |wanted: bool| alert.proof.iter().any(|scene| (scene.fires > 0) == wanted);
        assert!(
            fires(true) && fires(false),
            "{name}: both must be shown, when it fires and when not"
        );
        if alert.severity == Severity::Page {
            let is_told = QUIET.iter().any(|(source, ..)| matches(source, name));
            let is_quieted = QUIET.iter().any(|(_, targets, _)| matches(targets, name));
            assert!(is_told || is_quieted, "{name}: which pages go together with it?");
        }
    }
}

/// Whether one of `Tidegate(A|B.+)` is this name.
fn matches(pattern: &str, name: &str) -> bool {
    alternatives(pattern).iter().any(|one| match one.strip_suffix(".+") {
        Some(start) => name.starts_with(start),
        None => name == one,
    })
}

fn alternatives(pattern: &str) -> Vec<String> {
    let Some((head, rest)) = pattern.split_once('(') else { return vec![pattern.into()] };
    let (middle, tail) = rest.split_once(')').unwrap();
    middle.split('|').map(|one| format!("{head}{one}{tail}")).collect()
}

#[test]
fn what_is_kept_quiet_exists() {
    let alerts = alerts::all(&Objectives::default());
    for (source, targets, _) in QUIET {
        for one in alternatives(source).iter().chain(&alternatives(targets)) {
            let exists = alerts.iter().any(|alert| matches(one, alert.name));
            assert!(exists, "there is no alert {one}");
        }
        let itself =
            alerts.iter().find(|one| matches(source, one.name) && matches(targets, one.name));
        assert!(itself.is_none(), "{source} keeps itself quiet");
    }
}

#[test]
fn the_windows_of_the_alerts_are_computed() {
    let text = alerts::all(&Objectives::default())
        .iter()
        .map(|alert| alert.expr.clone())
        .collect::<String>();
    for window in WINDOWS {
        assert!(text.contains(&format!("ratio_rate{window} ")), "{window} is computed for nobody");
    }
}

/// Fails when a file of this folder is not what is made of the code, or is there besides. With
/// `TIDEGATE_BLESS=1` in the environment all are written instead.
#[test]
fn the_files_are_what_is_made() {
    let is_blessed = std::env::var_os("TIDEGATE_BLESS").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = files(&Objectives::default());
    let page = (root().join("docs/alerts.md"), runbook());
    let all = made.iter().map(|file| (folder.join(&file.path), file.text.clone())).chain([page]);
    for (path, text) in all {
        if is_blessed {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == text,
            "{} is stale; run the tests once with TIDEGATE_BLESS=1",
            path.display()
        );
    }
    let kept: BTreeSet<PathBuf> = ["grafana", "prometheus", "alertmanager", "provisioning"]
        .iter()
        .flat_map(|sub| below(&folder.join(sub)))
        .collect();
    let made: BTreeSet<PathBuf> = made.iter().map(|file| folder.join(&file.path)).collect();
    assert_eq!(kept, made, "files that nothing makes");
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}
