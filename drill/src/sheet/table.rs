//! A table of text: names on the left, figures on the right.

use std::fmt::Write as _;

/// The least that a column of figures takes, so that those of small tables stand apart.
const COLUMN_MIN: usize = 10;
/// Between columns.
const GAP: usize = 2;

/// A line of a table that has a column for each outcome: what it tells, and how it is read off one.
pub(crate) type Row<'a, O> = (&'a str, fn(&O) -> String);

/// Head and lines; all lines have as many cells as the head.
#[derive(Debug, Clone)]
pub struct Table {
    /// So many columns from the left are names.
    pub names: usize,
    /// What stands above the columns.
    pub head: Vec<String>,
    /// The lines.
    pub lines: Vec<Vec<String>>,
}

impl Table {
    /// With a column for each of `outcomes`, which come with their names; `title` stands above the names of the
    /// lines.
    pub(crate) fn of<O>(title: &str, outcomes: &[(&str, &O)], rows: &[Row<'_, O>]) -> Self {
        let names = outcomes.iter().map(|(name, _)| (*name).to_owned());
        let line = |(what, value): &Row<'_, O>| {
            let values = outcomes.iter().map(|(_, outcome)| value(outcome));
            std::iter::once((*what).to_owned()).chain(values).collect()
        };
        Self {
            names: 1,
            head: std::iter::once(title.to_owned()).chain(names).collect(),
            lines: rows.iter().map(line).collect(),
        }
    }

    /// With a line for each of `lines`, and this head, of which so many are names.
    pub(crate) fn listing(names: usize, head: &[&str], lines: Vec<Vec<String>>) -> Self {
        Self { names, head: head.iter().map(|name| (*name).to_owned()).collect(), lines }
    }

    /// As plain text, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        let least = if self.head.len() > 6 { 0 } else { COLUMN_MIN };
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| {
                let cells = self.all().filter_map(|line| line.get(column));
                let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                longest.max(if column < self.names { 0 } else { least })
            })
            .collect();
        let mut text = String::new();
        for line in self.all() {
            let mut printed = String::new();
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let gap = if column == 0 { 0 } else { GAP };
                let _infallible = match column < self.names {
                    true => write!(printed, "{:gap$}{cell:<width$}", ""),
                    false => write!(printed, "{:gap$}{cell:>width$}", ""),
                };
            }
            text.push_str(printed.trim_end());
            text.push('\n');
        }
        text
    }

    fn all(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.head).chain(&self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_on_the_left_and_figures_on_the_right() {
        let rows: [Row<'_, u32>; 2] = [
            ("twice", |n| (2 * n).to_string()),
            ("  a thousand times", |n| (1_000 * n).to_string()),
        ];
        let table = Table::of("a number", &[("one", &1), ("a hundred", &100)], &rows);
        assert_eq!(
            table.text(),
            "a number                   one   a hundred\n\
             twice                        2         200\n  \
               a thousand times        1000      100000\n"
        );
    }
}
