//! What came of a drill, as anybody may show it: sentences, tables and plots. The terminal gets the text of
//! it, plots as rows of blocks, and [`html`] makes a page.

mod bars;
pub mod html;
pub mod plot;
pub mod table;

use serde::Serialize;

pub use self::plot::{Plot, Series, Tone};
pub use self::table::Table;

/// All that is told of a drill.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// What was played: a drill, as in `tidegate drill NAME`, or an act of the demo.
    pub name: &'static str,
    /// What happens in it, in a sentence or two.
    pub about: &'static str,
    /// On which server, and how many clients.
    pub scene: String,
    /// What the guard has to do.
    pub promise: &'static str,
    /// Whether it did.
    pub is_kept: bool,
    /// Figures.
    pub tables: Vec<Table>,
    /// What follows from them, a sentence each.
    pub notes: Vec<String>,
    /// What a page shows beside.
    pub plots: Vec<Plot>,
}

/// What was measured in a drill.
pub trait Report: Serialize {
    /// What is told of it.
    fn sheet(&self) -> Sheet;
}

impl Sheet {
    /// Tables, notes, plots and the verdict as plain text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut parts: Vec<String> = self.tables.iter().map(Table::text).collect();
        if !self.notes.is_empty() {
            parts.push(self.notes.join("\n") + "\n");
        }
        parts.extend(self.plots.iter().map(bars::text));
        parts.push(self.verdict() + "\n");
        parts.join("\n")
    }

    /// Whether the guard did what it had to, as a sentence.
    #[must_use]
    pub fn verdict(&self) -> String {
        let verdict = match self.is_kept {
            true => "The guard did what it is there for",
            false => "The guard did NOT do what it is there for",
        };
        format!("{verdict}: {}.", self.promise)
    }
}

/// Milliseconds as seconds with a tenth.
pub(crate) fn seconds(ms: Option<u64>) -> String {
    ms.map_or("never".to_owned(), |ms| format!("{:.1}", ms as f64 / 1000.0))
}

/// As many digits as tell something; a dash for nothing.
pub(crate) fn figure(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value < 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}
