//! A table as a value: what stands where, and what stands out.

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// A word that tells it from the others, fit for an address.
    pub name: &'static str,
    /// What is written above it.
    pub title: &'static str,
    /// A sentence below the title; may be empty.
    pub note: String,
    /// What is written above its columns.
    pub heads: Vec<&'static str>,
    /// Its rows, with as many cells as there are columns.
    pub rows: Vec<Row>,
    /// What is said in place of rows.
    pub none: &'static str,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// Its cells.
    pub cells: Vec<Cell>,
    /// Whether it stands out.
    pub tone: Tone,
    /// How far it is indented: what is below another row in a tree.
    pub depth: usize,
    /// The target of a switch by which it can be turned off, or on again, as `class batch`.
    pub target: Option<String>,
}

/// What stands in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Words, aligned to the left.
    Text(String),
    /// A statement or a name of the database's.
    Code(String),
    /// A figure, aligned to the right.
    Figure(String),
}

/// Whether something stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tone {
    /// It does not.
    #[default]
    Plain,
    /// Worth a look.
    Warn,
    /// What is wrong.
    Alarm,
}

impl Cell {
    /// What is written.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Code(text) | Self::Figure(text) => text,
        }
    }

    /// A count.
    pub fn count(number: impl std::fmt::Display) -> Self {
        Self::Figure(number.to_string())
    }

    /// A figure that may be missing.
    pub fn maybe(figure: Option<String>) -> Self {
        Self::Figure(figure.unwrap_or_else(|| "–".into()))
    }
}
