//! Tables that read the same on a terminal and in a Markdown file.

use std::fmt;

/// Rows of cells under a heading.
pub(crate) struct Table {
    /// How many columns, from the left, hold words.
    labels: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(labels: usize, heading: &[&str]) -> Self {
        Self { labels, rows: vec![heading.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    fn width(&self, column: usize) -> usize {
        self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    }
}

/// Markdown, padded so that it is aligned as plain text too: words left, numbers right.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, row) in self.rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                let width = self.width(column);
                if column < self.labels {
                    write!(f, "| {cell:<width$} ")?;
                } else {
                    write!(f, "| {cell:>width$} ")?;
                }
            }
            writeln!(f, "|")?;
            if index == 0 {
                for column in 0..row.len() {
                    let end = if column < self.labels { '-' } else { ':' };
                    write!(f, "|-{}{end}", "-".repeat(self.width(column)))?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// A number with `digits` behind the point, or a dash when there is none.
pub(crate) fn number(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { "–".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_is_markdown() {
        let mut table = Table::new(1, &["who", "µs"]);
        table.push(vec!["forwarder".into(), number(31.25, 1)]);
        table.push(vec!["direct".into(), number(f64::NAN, 1)]);
        assert_eq!(
            table.to_string(),
            "| who       |   µs |\n|-----------|-----:|\n| forwarder | 31.2 |\n| direct    |    – |\n"
        );
    }
}
