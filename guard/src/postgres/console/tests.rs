use super::command::{Act, Command, Topic};
use super::*;

#[test]
fn commands_are_read_in_any_case() {
    for (text, expected) in [
        ("", None),
        (" \n ", None),
        ("show pools", Some(Command::Show(Topic::Pools))),
        ("SHOW\tVersion", Some(Command::Show(Topic::Version))),
        ("SHOW HELP", Some(Command::Help)),
        ("SHOW", Some(Command::Help)),
        ("reload", Some(Command::Act(Act::Reload))),
        ("KILL 1073741824", Some(Command::Act(Act::Kill(1 << 30)))),
        ("kill_client 7", Some(Command::Act(Act::Kill(7)))),
        ("PAUSE", Some(Command::Act(Act::Pause(None)))),
        ("pause App", Some(Command::Act(Act::Pause(Some("App".into()))))),
        ("RESUME", Some(Command::Act(Act::Resume(None)))),
        ("RESUME \"My_app\"", Some(Command::Act(Act::Resume(Some("My_app".into()))))),
        ("KILL app", Some(Command::Act(Act::KillDatabase("app".into())))),
        ("begin", Some(Command::Nothing("BEGIN"))),
        ("SET extra_float_digits = 3", Some(Command::Nothing("SET"))),
    ] {
        assert_eq!(Command::parse(text), Ok(expected), "{text}");
    }
    for text in
        ["SHOW NOTHING", "SELECT 1", "KILL", "KILL_CLIENT app", "RELOAD now", "PAUSE app now"]
    {
        assert_eq!(Command::parse(text).unwrap_err().code, *b"42601", "{text}");
    }
}

#[test]
fn help_names_all_that_can_be_shown() {
    let help = command::help();
    let line = help.lines().find(|line| line.contains("SHOW")).unwrap();
    for word in line.trim().trim_start_matches("SHOW ").split('|') {
        assert!(Command::parse(&format!("SHOW {word}")).is_ok(), "{word}");
    }
}

#[test]
fn without_lists_there_is_no_console_and_else_only_for_those_on_them() {
    assert!(matches!(Console::default().visit("boss"), Visit::Database));
    let console = Console::new(vec!["boss".into()], Vec::new());
    assert!(matches!(console.visit("app"), Visit::Stranger));
    assert!(matches!(console.visit("boss"), Visit::Stranger), "nobody answers any more");
}
