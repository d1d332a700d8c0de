//! `tidegate schedule`: files of schedules and crontabs, as a person meets them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use harness::*;
use serde_json::Value;

const BOOK: &str = "[[schedule]]\nname = \"reminders\"\ncron = \"30 2 * * *\"\nzone = \"Europe/Paris\"\n\n\
                    [[schedule]]\nname = \"digest\"\ncron = \"0 13 * * *\"\nspread = \"15m\"\n";
const CRONTAB: &str =
    "MAILTO=ops\n0 * * * * one\n@hourly two\n0 13 * * * three\n*/7 * * * * poll\n";

fn schedule(folder: &Path, words: &str) -> Output {
    let mut command = Command::new(program().unwrap());
    command.current_dir(folder).arg("schedule").args(words.split_whitespace());
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(output)))
}

fn files() -> Scratch {
    let folder = Scratch::new().unwrap();
    fs::write(folder.path().join("book.toml"), BOOK).unwrap();
    fs::write(folder.path().join("crontab"), CRONTAB).unwrap();
    folder
}

#[test]
fn each_schedule_is_listed_with_its_next_moment() {
    let folder = files();
    let listed =
        json(&schedule(folder.path(), "list book.toml --from 2026-03-29T00:00:00Z --json"));
    // Paris has no half past two on that day.
    assert_eq!(listed[0]["next"], "2026-03-29T01:00:00Z");
    assert_eq!(listed[0]["zone"], "Europe/Paris");
    assert_eq!(listed[1]["spread_seconds"], 900);
    let table = schedule(folder.path(), "list book.toml --from 2026-03-29T00:00:00Z");
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("2026-03-29 03:00:00 +02:00"), "{table}");
    let poll = json(&schedule(folder.path(), "list crontab --json"));
    assert_eq!(poll.as_array().unwrap().len(), 4);
}

#[test]
fn a_preview_goes_on_across_a_change_of_the_clock() {
    let folder = files();
    let words = "preview book.toml --from 2026-10-24T00:00:00Z --for 48h --json";
    let moments = json(&schedule(folder.path(), words));
    let at: Vec<&str> =
        moments.as_array().unwrap().iter().map(|moment| moment["at"].as_str().unwrap()).collect();
    let expected = [
        "2026-10-24T00:30:00Z",
        "2026-10-24T13:00:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T13:00:00Z",
    ];
    assert_eq!(at, expected);
    let most = schedule(folder.path(), "preview crontab --most 3");
    assert!(told(&most).contains("there are more"));
    assert_eq!(String::from_utf8(most.stdout).unwrap().lines().count(), 4);
}

#[test]
fn what_begins_with_the_hour_is_found() {
    let folder = files();
    let words = "lint crontab --from 2026-11-21T12:30:00Z --for 1h";
    let found = schedule(folder.path(), words);
    assert_eq!(found.status.code(), Some(1), "{}", told(&found));
    let report = String::from_utf8(found.stdout.clone()).unwrap();
    assert!(report.contains("4 begin at 2026-11-21T13:00:00Z"), "{report}");
    assert!(report.contains("line 3: @hourly -> 5 * * * *"), "{report}");
    let found = json(&schedule(folder.path(), &format!("{words} --json")));
    assert_eq!(found["collisions"][0]["lines"], serde_json::json!([2, 3, 4, 5]));
    assert_eq!(found["proposals"][1]["cron"], "10 13 * * *");
    // With what it proposes, there is nothing left to find.
    let mended = "0 * * * * one\n5 * * * * two\n10 13 * * * three\n*/7 * * * * poll\n";
    fs::write(folder.path().join("crontab"), mended).unwrap();
    let mended = schedule(folder.path(), words);
    assert!(mended.status.success(), "{}", told(&mended));
    // What is spread does not go at once.
    let spread = schedule(folder.path(), "lint book.toml --least 2");
    assert!(spread.status.success(), "{}", told(&spread));
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_line() {
    let folder = Scratch::new().unwrap();
    for (name, text, why) in [
        (
            "a.toml",
            "[[schedule]]\nname = \"a\"\ncron = \"61 * * * *\"\n",
            "a.toml: line 1: cron: minute",
        ),
        ("b.toml", "[[schedules]]\n", "b.toml: line 1: unknown field"),
        ("c", "0 13 * * *\n", "c: line 1: five fields and a command"),
        ("d", "TZ=Nowhere\n0 13 * * * send\n", "d: line 1: there is no zone \"Nowhere\""),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
        let output = schedule(folder.path(), &format!("list {name}"));
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains(why), "{}", told(&output));
    }
    for (words, why) in [
        ("list missing.toml", "cannot read missing.toml"),
        ("list d --from tomorrow", "a time like 2026-03-29T00:00:00Z"),
        ("lint d --least 1", "--least"),
    ] {
        let output = schedule(folder.path(), words);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains(why), "{}", told(&output));
    }
}
