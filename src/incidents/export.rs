//! A recording as a file: for people as a draft of a post-mortem, for machines as JSON.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use guard::control::Recording;

use super::find::Which;
use super::html;
use super::report::{Block, report};
use super::spark;
use crate::client::Client;
use crate::exit::Failure;
use crate::show::print;

/// Which recording, and how it is written.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    which: Which,
    /// `html` with plots, or `md`: the draft of a post-mortem. `json`: all that was recorded.
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// Where it is written. Absent: standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Html,
    Md,
    Json,
}

impl Export {
    pub(super) fn run(&self, client: &Client) -> Result<(), Failure> {
        let recording = self.which.find(client)?;
        let text = match self.format {
            Format::Html => html::page(&report(&recording)),
            Format::Md => markdown(&report(&recording)),
            Format::Json => json(&recording)?,
        };
        match &self.output {
            None => print(&text)?,
            Some(path) => std::fs::write(path, text)
                .with_context(|| format!("{} cannot be written", path.display()))?,
        }
        Ok(())
    }
}

/// One line: as the guard writes it, so that it can be put into `recorder.folder` again.
fn json(recording: &Recording) -> anyhow::Result<String> {
    Ok(serde_json::to_string(recording).context("no JSON")? + "\n")
}

/// The report as Markdown; curves as lines of bars.
fn markdown(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        let _infallible = match block {
            Block::Title(title) => writeln!(text, "# {}\n", safe(title)),
            Block::Heading(heading) => writeln!(text, "## {heading}\n"),
            Block::Text(words) => writeln!(text, "{}\n", safe(words)),
            Block::List(lines) => {
                let items = lines.iter().map(|line| format!("- {}\n", safe(line)));
                writeln!(text, "{}", items.collect::<String>())
            }
            Block::Table { head, rows } => {
                let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
                let head = row(head.iter().map(|name| (*name).into()).collect())
                    + &row(head.iter().map(|_| "---".into()).collect());
                let rows =
                    rows.iter().map(|cells| row(cells.iter().map(|cell| safe(cell)).collect()));
                writeln!(text, "{head}{}", rows.collect::<String>())
            }
            Block::Plot(plot) => {
                let line = |curve| spark::line(curve, plot.span.0, plot.span.1);
                let lines =
                    plot.curves.iter().map(|curve| format!("{:<20}{}\n", curve.name, line(curve)));
                writeln!(text, "```text\n{}```\n", lines.collect::<String>())
            }
        };
    }
    text
}

/// A text that stands for itself: on one line, without what Markdown or HTML would take for theirs.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '|' | '<' | '>' | '[' | ']' | '#' | '&') {
            safe.push('\\');
        }
        safe.push(if c.is_control() { ' ' } else { c });
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::tests::recording;
    use super::*;

    #[test]
    fn markdown_has_every_part_of_a_post_mortem_and_no_markup_of_others() {
        let text = markdown(&report(&recording()));
        for part in [
            "# Incident of 2022-06-27 13:00:30 UTC: pile-up",
            "## Impact",
            "## Timeline",
            "## What held whom",
            "## What the guard did",
            "## Open questions",
            "88 held up 2: idle for 4.0s, open 4.2s, 3 rows to undo, web of 10.0.0.7:5123 in class checkout",
            "Why did the client of 88 keep its transaction open for 4.0s without a statement?",
            "| +0ms | new transactions that write are held up",
            "throughput          ",
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
        assert!(text.contains("select \\<script\\> from t"), "{text}");
        assert!(!text.replace("\\<", "").contains('<'), "{text}");
        assert!(text.lines().filter(|line| line.starts_with('|')).all(|line| line.ends_with('|')));
    }

    #[test]
    fn html_is_one_whole_page_that_loads_nothing() {
        let page = html::page(&report(&recording()));
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        for name in ["table", "tr", "td", "th", "ul", "li", "svg", "h1", "h2", "p", "text", "main"]
        {
            let opened = page.matches(&format!("<{name}>")).count()
                + page.matches(&format!("<{name} ")).count();
            assert_eq!(opened, page.matches(&format!("</{name}>")).count(), "{name}");
        }
        assert!(page.matches("<svg").count() >= 5, "{}", page.matches("<svg").count());
        assert!(page.contains("class=\"pile-up\"") && page.contains("&lt;script&gt;"));
        for wrong in ["<script", "http://", "https://", "NaN", "inf\"", " on"] {
            let body = page.split("</style>").nth(1).unwrap();
            assert!(wrong == " on" || !body.contains(wrong), "{wrong}");
        }
        assert!(!page.contains("onload") && !page.contains("href"));
    }

    #[test]
    fn a_recording_of_which_little_is_known_is_told_all_the_same() {
        let empty = Recording::default();
        for text in [
            markdown(&report(&empty)),
            html::page(&report(&empty)),
            super::super::show::show(&empty),
        ] {
            assert!(!text.contains("NaN"), "{text}");
        }
    }
}
