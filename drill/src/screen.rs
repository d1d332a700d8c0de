//! Where a drill tells what happens: line by line on the error output, since the result alone goes
//! to the output. Colours only on a terminal.

use std::io::{IsTerminal, stderr};

/// A way to emphasise text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Bold,
    Dim,
    Red,
    Green,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "31",
            Self::Green => "32",
        }
    }
}

/// The error output, or nothing.
#[derive(Debug)]
pub struct Screen {
    colour: bool,
    quiet: bool,
}

impl Screen {
    /// Colourful on a terminal, plain elsewhere; respects `NO_COLOR`.
    #[must_use]
    pub fn new() -> Self {
        let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour, quiet: false }
    }

    /// Says nothing.
    #[must_use]
    pub fn quiet() -> Self {
        Self { colour: false, quiet: true }
    }

    pub(crate) fn line(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// What comes next, while nothing else is told.
    pub(crate) fn step(&self, what: &str) {
        self.line(&self.paint(Paint::Dim, what));
    }

    /// A part of the drill begins.
    pub(crate) fn title(&self, what: &str) {
        self.line("");
        self.line(&self.paint(Paint::Bold, what));
    }

    pub(crate) fn paint(&self, paint: Paint, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", paint.code()) } else { text.to_owned() }
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

/// A bar of so many columns, of which as many are filled as `value` has of `full`; with any at all, one.
pub(crate) fn bar(value: u64, full: u64, columns: u64) -> String {
    let filled = (value.saturating_mul(columns)).div_ceil(full.max(1)).min(columns);
    (0..columns).map(|column| if column < filled { '█' } else { ' ' }).collect()
}
