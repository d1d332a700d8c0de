//! How answers look in a terminal.

use std::io::{self, Write as _};

use guard::control::civil;
pub(crate) use guard::glance::{plain, time};

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// An aligned table. Columns whose header begins with `>` are aligned to the right.
pub(crate) struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headers: &[&'static str]) -> Self {
        Self { headers: headers.into(), rows: Vec::new() }
    }

    /// Adds a row; one cell for each header.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The lines of the table, or `empty` when it has no rows.
    pub(crate) fn show(&self, empty: &str) -> String {
        if self.rows.is_empty() {
            return format!("{empty}\n");
        }
        let names = self.headers.iter().map(|header| header.trim_start_matches('>').to_owned());
        let lines: Vec<Vec<String>> =
            std::iter::once(names.collect()).chain(self.rows.iter().cloned()).collect();
        let widths: Vec<usize> = (0..self.headers.len())
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
            .collect();
        lines.iter().map(|line| self.line(line, &widths)).collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), header) in cells.iter().zip(widths).zip(&self.headers) {
            match header.starts_with('>') {
                true => line.push_str(&format!("{cell:>width$}  ")),
                false => line.push_str(&format!("{cell:<width$}  ")),
            }
        }
        format!("{}\n", line.trim_end())
    }
}

/// A moment in UTC, by the milliseconds since 1970: `2022-06-27 13:00:30 UTC`.
pub(crate) fn moment(unix_ms: u64) -> String {
    let [year, month, day, hour, minute, second] = civil(unix_ms / 1000);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_in_utc() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_656_334_830, "2022-06-27 13:00:30 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(moment(seconds * 1000 + 999), expected);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["class", ">queued", "mode"]);
        table.row(["default".into(), "3".into(), "enforce".into()]);
        table.row(["b".into(), "1200".into(), "off".into()]);
        assert_eq!(
            table.show("none"),
            "class    queued  mode\ndefault       3  enforce\nb          1200  off\n"
        );
        assert_eq!(Table::new(&["class"]).show("none"), "none\n");
    }
}
