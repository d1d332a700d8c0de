//! `tidegate batch plan` and its answers to bad input, as a person meets them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use harness::*;
use serde_json::Value;

/// Runs the command in `folder`; words are separated by spaces.
fn plan(folder: &Path, words: &str) -> Output {
    let mut command = Command::new(program().unwrap());
    command.current_dir(folder).args(["batch", "plan"]).args(words.split_whitespace());
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn shown(output: &Output) -> String {
    assert!(output.status.success(), "{}", told(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_million_becomes_a_line() {
    let folder = Scratch::new().unwrap();
    let surge = (0..900).map(|second: i32| {
        let load = 1200 + (1100 - (second - 240).abs() * 8).max(0);
        format!("{second},{load}\n")
    });
    fs::write(folder.path().join("load.csv"), surge.collect::<String>()).unwrap();
    let words = "--count 1000000 --at 13:00 --forecast load.csv --capacity 2600 --svg plan.svg";
    let picture = shown(&plan(folder.path(), words));
    assert!(picture.contains("1,000,000 items at 13:00:00"), "{picture}");
    assert!(picture.contains("13:15:00") && picture.contains('█') && picture.contains('░'));
    let svg = fs::read_to_string(folder.path().join("plan.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("capacity 2.6k"));
    let json: Value =
        serde_json::from_str(&shown(&plan(folder.path(), &format!("{words} --json")))).unwrap();
    let number = |name: &str| json.pointer(name).and_then(Value::as_f64).unwrap();
    assert!(number("/total_peak_to_mean") <= 1.001, "{json}");
    assert_eq!(number("/wall_peak_to_mean"), 900.0);
    assert_eq!(number("/late_seconds/max"), 0.0);
    assert!(number("/offset_seconds/max") < 900.0);
    // Without a forecast the items themselves are flat.
    let flat: Value =
        serde_json::from_str(&shown(&plan(folder.path(), "--count 1000000 --json"))).unwrap();
    assert!(flat["peak_to_mean"].as_f64().unwrap() <= 1.01, "{flat}");
}

#[test]
fn what_cannot_be_done_in_time_is_refused_with_a_window_that_would_do() {
    let folder = Scratch::new().unwrap();
    fs::write(folder.path().join("load.csv"), "0,2000\n1800,2000\n").unwrap();
    let words = "--count 1000000 --forecast load.csv --capacity 2500";
    let refused = plan(folder.path(), words);
    assert_eq!(refused.status.code(), Some(1));
    assert!(told(&refused).contains("450,000 of 1,000,000 items can be done within 15m"));
    assert!(told(&refused).contains("--spread 2000s"), "{}", told(&refused));
    let json = plan(folder.path(), &format!("{words} --json"));
    assert_eq!(json.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["nearest_window_seconds"], 2000.0);
    // What it says is so, and what is a second shorter is not.
    for (spread, code) in [(2000, 0), (1999, 1)] {
        let output = plan(folder.path(), &format!("{words} --spread {spread}s"));
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
    }
    let widened = shown(&plan(folder.path(), &format!("{words} --deadline 1h")));
    assert!(widened.contains("33m20s, more than --spread"), "{widened}");
}

#[test]
fn each_recipient_has_one_moment_and_keeps_it() {
    let folder = Scratch::new().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let lines = |of: fn(usize) -> String| (0..1000).map(of).collect::<String>();
    file("who.txt", &lines(|user| format!("user-{user}\n")));
    file("who.ndjson", &lines(|user| format!("{{\"user\": \"user-{}\"}}\n", 999 - user)));
    let rows = lines(|user| format!("{user},\"user-{user}\"\n"));
    file("who.csv", &format!("id,user\n{rows}"));
    let slots = |words: &str| {
        shown(&plan(folder.path(), &format!("{words} --slots slots.csv")));
        fs::read_to_string(folder.path().join("slots.csv")).unwrap()
    };
    let slots = ["who.txt", "who.ndjson --key user", "who.csv --key user"].map(slots);
    assert_eq!(slots[0], slots[1]);
    assert_eq!(slots[0], slots[2]);
    let mut named: Vec<&str> =
        slots[0].lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    named.sort_unstable();
    named.dedup();
    assert_eq!(named.len(), 1000);
}

#[test]
fn bad_input_is_told_what_is_wrong_with_it() {
    let folder = Scratch::new().unwrap();
    let file = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
    file("empty.txt", b"\n\n");
    file("bytes.txt", b"user-1\n\xff\xfe\n");
    file("who.csv", b"id,user\n1,a\n2\n");
    file("hole.csv", b"user,id\n,2\n");
    file("who.ndjson", b"{\"user\": 1}\n{\"recipient\"\n");
    file("load.csv", b"second,load\n0,100\n1,-5\n");
    for (words, code, why) in [
        ("", 2, "<RECIPIENTS>"),
        ("--count 0", 2, "a batch has an item"),
        ("--count many", 2, "invalid digit"),
        ("--count 5 --spread 0s", 2, "--spread: a window has a length"),
        ("--count 5 --spread soon", 2, "--spread"),
        ("--count 5 --spread 10m --deadline 5m", 2, "--deadline: it is before"),
        ("--count 5 --at 25:00", 2, "a time of day like 13:00"),
        ("--count 5 --cost=-1", 2, "a number above 0"),
        ("--count 5 --capacity NaN", 2, "a number above 0"),
        ("--count 5 --forecast load.csv", 1, "load.csv:3: the load is -5"),
        ("--count 5 --forecast missing.csv", 1, "cannot read missing.csv"),
        ("--count 5 --svg none/plan.svg", 1, "cannot write none/plan.svg"),
        ("missing.txt", 1, "missing.txt: cannot be read"),
        ("empty.txt", 1, "empty.txt names no recipient"),
        ("bytes.txt", 1, "bytes.txt:2"),
        ("who.csv --key user", 1, "who.csv:3: there are 1 columns, not 2"),
        ("who.csv --key name", 1, "who.csv:1: there is no column name: there are id, user"),
        ("hole.csv", 1, "hole.csv:2: the recipient is empty"),
        ("who.ndjson", 1, "who.ndjson:1: there is no field recipient; key names another"),
        ("who.ndjson --key user", 1, "who.ndjson:2: not a line of JSON"),
    ] {
        let output = plan(folder.path(), words);
        assert_eq!(output.status.code(), Some(code), "{words}: {}", told(&output));
        assert!(told(&output).contains(why), "{words}: {}", told(&output));
    }
}
