use std::time::Duration;

use guard::control::{
    ClassNow, ClassStatus, LockHolder, LocksStatus, Rates, Sample, Snapshot, State,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;

/// A guard in a pile-up, with a hostile name in it.
fn pile_up() -> Snapshot {
    let waiter = |id| LockHolder {
        backend: id,
        activity: "waits".into(),
        for_ms: 2_300,
        user: "web\u{1b}[2J".into(),
        statement: "update account set n = n + ? where id = ?".into(),
        waits_for: Some("row shop.account PRIMARY".into()),
        ..LockHolder::default()
    };
    let root = LockHolder {
        activity: "idle".into(),
        for_ms: 4_000,
        behind: 12,
        waiters: (1..13).map(waiter).collect(),
        ..waiter(88)
    };
    let class = |name: &str| ClassNow {
        status: ClassStatus { name: name.into(), mode: "enforce".into(), ..ClassStatus::default() },
        ..ClassNow::default()
    };
    let now = Sample {
        unix_ms: 1_000_000,
        in_flight: 14,
        limit: Some(38),
        rates: Rates { statements: 1204.0, ..Rates::default() },
        ..Sample::default()
    };
    let mut seen = Snapshot {
        version: 1,
        now,
        locks: LocksStatus {
            blocked: 12,
            open: 14,
            oldest_wait_ms: 2_300,
            seen_ms_ago: Some(100),
            roots: vec![root],
            ..LocksStatus::default()
        },
        classes: vec![class("default"), class("jobs")],
        ..Snapshot::default()
    };
    seen.status.version = "0.1.0".into();
    seen.status.mode = "enforce".into();
    seen.status.state = State::Ready;
    seen.status.in_flight = 14;
    seen.status.upstream.address = "db:3306".into();
    seen.status.upstream.control = 2;
    seen.told = glance::tell(&seen);
    seen
}

fn screen() -> Screen {
    let sample = |second: u64| Sample {
        unix_ms: second * 1000,
        in_flight: second as u32 % 17,
        rates: Rates { statements: second as f64, ..Rates::default() },
        ..Sample::default()
    };
    Screen::new(Instant::now(), pile_up(), (1..=900).map(sample).collect())
}

/// What a terminal of that size shows.
fn shown(screen: &mut Screen, now: Instant, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, screen, now)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| format!("{}\n", row(y).trim_end())).collect()
}

const SMALL: (u16, u16) = (80, 24);

#[test]
fn the_state_fits_on_eighty_columns_and_twenty_four_lines() {
    let mut screen = screen();
    let shown = shown(&mut screen, Instant::now(), SMALL);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 24);
    assert_eq!(lines[0], "tidegate 0.1.0 · db:3306 · not reached yet · mode enforce · up 0ms");
    assert_eq!(
        lines[1],
        "WATCH  12 of 14 open transactions wait for a lock, the longest for 2.3s."
    );
    assert_eq!(
        lines[3],
        "1,204 statements/s  14 of 38 in flight  0 want a turn       12 want a lock"
    );
    assert!(lines[6].starts_with("statements/s, to 900"), "{shown}");
    assert!(lines[9].starts_with(" 1 state"), "{shown}");
    assert!(lines[9].contains(" 6 pile-ups, pins"), "{shown}");
    assert_eq!(lines[10], "What else is wrong");
    assert!(
        lines[11].starts_with("  Transaction 88 (web [2J, not through this guard) holds 12 up")
    );
    assert!(lines[23].ends_with("q leave"), "{shown}");
}

#[test]
fn each_pane_shows_its_tables() {
    for (key, title, part) in [
        ('2', "Who holds whom up", "└ 12 that wait"),
        ('3', "Classes", "jobs"),
        ('4', "Rows that many want", "Nobody fights for a row."),
        ('5', "Replicas", "No replica is configured"),
        ('6', "Pile-ups of waits for locks", "None since the guard started."),
    ] {
        let mut screen = screen();
        screen.key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
        let shown = shown(&mut screen, Instant::now(), SMALL);
        assert_eq!(shown.lines().nth(10), Some(title), "{shown}");
        assert!(shown.contains(part), "{shown}");
    }
}

#[test]
fn no_size_makes_it_fail_and_scrolling_ends_at_the_end() {
    for size in [(1, 1), (10, 3), (20, 8), (80, 24), (200, 60), (300, 10)] {
        for pane in Pane::all() {
            let mut screen = screen();
            screen.pane = pane;
            screen.scroll = (u16::MAX, u16::MAX);
            shown(&mut screen, Instant::now(), size);
            assert!(screen.scroll.0 < 100 && screen.scroll.1 < 400, "{:?}", screen.scroll);
        }
    }
}

#[test]
fn what_is_old_and_what_is_held_still_is_said() {
    let mut screen = screen();
    let later = Instant::now() + Duration::from_secs(12);
    screen.told(Instant::now(), Err("no guard answers at http://127.0.0.1:9307".into()));
    let old = shown(&mut screen, later, SMALL);
    assert!(old.lines().last().unwrap().starts_with("no answer for 1"), "{old}");
    assert!(old.contains("this is old. no guard answers"), "{old}");
    screen.key(KeyEvent::new(KeyCode::Char(' '), KeyModifiers::NONE));
    let still = shown(&mut screen, Instant::now(), SMALL);
    assert!(still.lines().last().unwrap().starts_with("HELD STILL"), "{still}");
}

#[test]
fn once_prints_everything_as_plain_text() {
    let text = text::whole(&pile_up());
    assert!(text.starts_with("tidegate 0.1.0 · db:3306"), "{text}");
    for part in [
        "WATCH  12 of 14",
        "wait for a lock",
        "Who holds whom up",
        "└ 12 that wait",
        "Switches that are set",
    ] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert!(!text.contains('\u{1b}'), "no escape reaches the terminal: {text}");
    assert!(text.contains(&format!(
        "\n{:<24}{:>12}  {}\n",
        "pressure", "0.00", "0 is idle, 1 is just borne"
    )));
}
