//! How answers look in a terminal.

use std::io::{self, Write as _};

use guard::control::civil;

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

/// Milliseconds as a person says them: `250ms`, `1.5s`, `3m20s`, `2h05m`, `4d02h`.
pub(crate) fn time(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{}.{}s", seconds, ms % 1000 / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A moment in UTC, by the milliseconds since 1970: `2022-06-27 13:00:30 UTC`.
pub(crate) fn moment(unix_ms: u64) -> String {
    let [year, month, day, hour, minute, second] = civil(unix_ms / 1000);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// What others wrote, on one line and without control characters, so that it cannot steer the
/// terminal; cut after `width` characters.
pub(crate) fn plain(text: &str, width: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match clean.char_indices().nth(width) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
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

    #[test]
    fn times_are_short() {
        for (ms, expected) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_550, "1.5s"),
            (200_000, "3m20s"),
            (7_500_000, "2h05m"),
            (352_800_000, "4d02h"),
        ] {
            assert_eq!(time(ms), expected);
        }
    }

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[31m\nb", 80), "a [31m b");
        assert_eq!(plain("übergroß", 4), "über…");
    }
}
