//! What is on the screen: which pane, how far it is scrolled, and what the guard said last.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use guard::control::{Sample, Snapshot};
use guard::glance::Group;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Samples that are kept: more columns than a terminal has.
const SAMPLES_MAX: usize = 600;
/// A guard that has said nothing for so long is silent.
const SILENT: Duration = Duration::from_secs(3);
/// Lines that a page key scrolls, and columns that an arrow does.
const PAGE: u16 = 10;
const COLUMNS: u16 = 8;

/// What is on the screen.
#[derive(Debug)]
pub(super) struct Screen {
    /// What the guard said last.
    pub(super) seen: Snapshot,
    /// The seconds before, the oldest first.
    pub(super) past: VecDeque<Sample>,
    /// Which pane is shown.
    pub(super) pane: Pane,
    /// Lines and columns that are scrolled away.
    pub(super) scroll: (u16, u16),
    /// Whether the picture is held still.
    pub(super) picture: Picture,
    /// Why there was no answer to the last question.
    pub(super) trouble: Option<String>,
    heard: Instant,
}

/// Whether the picture moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Picture {
    Moving,
    Still,
}

/// One pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    /// The state in words.
    State,
    /// Some tables.
    Tables(Group),
}

/// What comes after a happening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Draw,
    Leave,
}

impl Pane {
    /// In the order of their keys.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::State).chain(Group::ALL.map(Self::Tables))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Tables(group) => group.name(),
        }
    }
}

impl Screen {
    pub(super) fn new(now: Instant, seen: Snapshot, past: Vec<Sample>) -> Self {
        Self {
            seen,
            past: past.into(),
            pane: Pane::State,
            scroll: (0, 0),
            picture: Picture::Moving,
            trouble: None,
            heard: now,
        }
    }

    /// The guard has answered, or not. While the picture is still, answers are only noted.
    pub(super) fn told(&mut self, now: Instant, answer: Result<Snapshot, String>) -> Next {
        match answer {
            Err(why) => self.trouble = Some(why),
            Ok(seen) => {
                self.trouble = None;
                self.heard = now;
                self.note(seen.now);
                if self.picture == Picture::Moving {
                    self.seen = seen;
                }
            }
        }
        Next::Draw
    }

    fn note(&mut self, sample: Sample) {
        if self.past.back().is_some_and(|last| last.unix_ms >= sample.unix_ms) {
            return;
        }
        if self.past.len() == SAMPLES_MAX {
            self.past.pop_front();
        }
        self.past.push_back(sample);
    }

    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent) -> Next {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if is_control => return Next::Leave,
            KeyCode::Char('q') | KeyCode::Esc => return Next::Leave,
            KeyCode::Char(' ') => self.picture = self.picture.other(),
            KeyCode::Char(digit @ '1'..='9') => self.choose(usize::from(digit as u8 - b'1')),
            KeyCode::Tab => self.step(1),
            KeyCode::BackTab => self.step(Pane::all().count() - 1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll.0 = self.scroll.0.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll.0 = self.scroll.0.saturating_add(1),
            KeyCode::PageUp => self.scroll.0 = self.scroll.0.saturating_sub(PAGE),
            KeyCode::PageDown => self.scroll.0 = self.scroll.0.saturating_add(PAGE),
            KeyCode::Left => self.scroll.1 = self.scroll.1.saturating_sub(COLUMNS),
            KeyCode::Right => self.scroll.1 = self.scroll.1.saturating_add(COLUMNS),
            KeyCode::Home => self.scroll = (0, 0),
            _ => {}
        }
        Next::Draw
    }

    fn choose(&mut self, index: usize) {
        if let Some(pane) = Pane::all().nth(index) {
            self.pane = pane;
            self.scroll = (0, 0);
        }
    }

    fn step(&mut self, by: usize) {
        let at = Pane::all().position(|pane| pane == self.pane).unwrap_or_default();
        self.choose((at + by) % Pane::all().count());
    }

    /// For how long the guard has been silent; none while it answers.
    pub(super) fn silent(&self, now: Instant) -> Option<Duration> {
        let silent = now.saturating_duration_since(self.heard);
        (silent > SILENT).then_some(silent)
    }
}

impl Picture {
    const fn other(self) -> Self {
        match self {
            Self::Moving => Self::Still,
            Self::Still => Self::Moving,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> Screen {
        Screen::new(Instant::now(), Snapshot::default(), Vec::new())
    }

    fn press(screen: &mut Screen, code: KeyCode) -> Next {
        screen.key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn keys_choose_panes_and_scroll_them() {
        let mut screen = screen();
        press(&mut screen, KeyCode::Char('2'));
        press(&mut screen, KeyCode::Down);
        press(&mut screen, KeyCode::Right);
        assert_eq!((screen.pane, screen.scroll), (Pane::Tables(Group::Locks), (1, 8)));
        press(&mut screen, KeyCode::Tab);
        assert_eq!((screen.pane, screen.scroll), (Pane::Tables(Group::Classes), (0, 0)));
        press(&mut screen, KeyCode::BackTab);
        press(&mut screen, KeyCode::BackTab);
        press(&mut screen, KeyCode::BackTab);
        assert_eq!(screen.pane, Pane::Tables(Group::Past), "it goes around");
        press(&mut screen, KeyCode::Char('9'));
        assert_eq!(screen.pane, Pane::Tables(Group::Past), "there is no ninth");
    }

    #[test]
    fn q_escape_and_control_c_leave() {
        for code in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(press(&mut screen(), code), Next::Leave);
        }
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(screen().key(control), Next::Leave);
        assert_eq!(press(&mut screen(), KeyCode::Char('c')), Next::Draw);
    }

    #[test]
    fn a_still_picture_stays_while_answers_come() {
        let mut screen = screen();
        let now = Instant::now();
        let answer = |unix_ms| Snapshot {
            now: Sample { unix_ms, ..Sample::default() },
            ..Snapshot::default()
        };
        screen.told(now, Ok(answer(1_000)));
        press(&mut screen, KeyCode::Char(' '));
        screen.told(now, Ok(answer(2_000)));
        screen.told(now, Ok(answer(2_000)));
        assert_eq!((screen.seen.now.unix_ms, screen.past.len()), (1_000, 2));
        press(&mut screen, KeyCode::Char(' '));
        screen.told(now, Ok(answer(3_000)));
        assert_eq!(screen.seen.now.unix_ms, 3_000);
    }

    #[test]
    fn a_guard_that_says_nothing_is_silent() {
        let mut screen = screen();
        let start = Instant::now();
        screen.told(start, Ok(Snapshot::default()));
        let later = start + Duration::from_secs(9);
        screen.told(later, Err("no guard answers".into()));
        assert_eq!(screen.silent(later), Some(Duration::from_secs(9)));
        assert_eq!(screen.trouble.as_deref(), Some("no guard answers"));
        screen.told(later, Ok(Snapshot::default()));
        assert_eq!((screen.silent(later), screen.trouble), (None, None));
    }
}
