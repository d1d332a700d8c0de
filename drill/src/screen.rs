//! Where a drill tells what happens: line by line on the error output, since the result alone goes
//! to the output. Colours only on a terminal. And how it prints a table that has a column for each way.

use std::fmt::Write as _;
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

/// A line of [`columns`]: what it tells, and how it is read off an outcome.
pub(crate) type Row<'a, O> = (&'a str, fn(&O) -> String);

/// A table of plain text with a column for each of `outcomes`, which come with their names; `title`
/// stands above the names of the lines, which are `width` wide.
pub(crate) fn columns<O>(
    (title, width): (&str, usize),
    outcomes: &[(&str, &O)],
    rows: &[Row<'_, O>],
) -> String {
    let mut text = format!("{title:<width$}");
    for (name, _) in outcomes {
        let _infallible = write!(text, "{name:>12}");
    }
    text.push('\n');
    for (what, value) in rows {
        let _infallible = write!(text, "{what:<width$}");
        for (_, outcome) in outcomes {
            let _infallible = write!(text, "{:>12}", value(outcome));
        }
        text.push('\n');
    }
    text
}
