//! `tidegate drill report`: what drills measured, told again from files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use drill::herd::{self, Outcome, Trigger};
use drill::record::Record;
use drill::way::Way;
use harness::*;

/// A run of `herd` in which service came back so soon behind the guard.
fn herd(back_after_ms: u64) -> Record {
    let outcome = |way| Outcome {
        way,
        trigger: Trigger::Cut,
        before_per_second: 200.0,
        after_per_second: 190.0,
        lost_ms: 4000,
        down_ms: 0,
        back_after_ms: Some(back_after_ms),
        logins: 17,
        logins_per_second_max: 17,
        connections_max: 20,
        client_logins: 400,
        refused: 0,
        hung_up: 0,
        lost: 0,
        good_by_second: vec![200, 200, 200, 200, 0, 190, 200],
    };
    let outcomes = Way::ALL.map(outcome).into();
    herd::Report { engine: Engine::MariaDb, clients: 400, pool: 16, outcomes }.into()
}

struct Scene(Scratch);

impl Scene {
    /// With a file for each run.
    fn of(runs: &[(&str, &str)]) -> Self {
        let folder = Scratch::new().unwrap();
        for (name, text) in runs {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    /// What the command says, and its exit code.
    fn report(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(program().unwrap());
        command.current_dir(self.0.path()).args(["drill", "report"]).args(arguments);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn json(record: &Record) -> String {
    serde_json::to_string_pretty(record).unwrap()
}

#[test]
fn runs_are_told_again_side_by_side_as_text_and_as_one_page() {
    let (before, after) = (json(&herd(300)), json(&herd(700)));
    let scene = Scene::of(&[("before.json", &before), ("after.json", &after)]);
    let all = ["before.json", "after.json", "--html", "page.html"];
    let (code, told, trouble) = scene.report(&all);
    assert_eq!((code, trouble.as_str()), (Some(0), ""), "{told}");
    for part in [
        "herd: before.json\n",
        "herd: after.json\n",
        "400 clients, on a private MariaDB",
        "service was back after that (s)",
        "  guarded  ",
        "^ connections are lost",
        "The guard did what it is there for: service is back",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let page = fs::read_to_string(scene.file("page.html")).unwrap();
    for part in ["<h2>herd: before.json</h2>", "<h2>herd: after.json</h2>", "<polyline"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (code, told, _) = scene.report(&["before.json", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (code, &told[0]["drill"], &told[0]["kept"]),
        (Some(0), &"herd".into(), &true.into())
    );
}

#[test]
fn a_run_in_which_the_guard_failed_fails_the_report() {
    let (good, bad) = (json(&herd(300)), json(&herd(9000)));
    let scene = Scene::of(&[("good.json", &good), ("bad.json", &bad)]);
    let (code, told, trouble) = scene.report(&["good.json", "bad.json"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("did NOT do what it is there for"), "{told}");
    assert!(trouble.contains("in: bad.json") && !trouble.contains("good"), "{trouble}");
}

#[test]
fn what_is_no_run_is_said_so_and_costs_no_page() {
    let herd = json(&herd(300));
    let other = herd.replace("\"herd\"", "\"flood\"");
    let half = &herd[..herd.len() / 2];
    let runs = [("other", other.as_str()), ("half", half), ("text", "good/s 7"), ("page", "mine")];
    let scene = Scene::of(&runs);
    for (file, why) in
        [("other", "flood"), ("half", "EOF"), ("text", "line 1"), ("absent", "cannot read absent")]
    {
        let (code, told, trouble) = scene.report(&[file, "--html", "page"]);
        assert_eq!((code, told.as_str()), (Some(1), ""), "{file}");
        assert!(trouble.contains(file) && trouble.contains(why), "{trouble}");
        assert!(trouble.contains("--json") || file == "absent", "{trouble}");
    }
    assert_eq!(fs::read_to_string(scene.file("page")).unwrap(), "mine");
    assert_eq!(scene.report(&[]).0, Some(2), "at least one file");
}
