//! Words, figures and tables as lines of text.

use guard::control::Snapshot;
use guard::glance::{self, Cell, Figure, Group, Level, Row, Table, Told, Tone, plain, time};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::screen::Pane;

/// Columns between two cells.
const GAP: usize = 2;
/// A cell is no wider than this; the text goes on behind it only in the last column.
const CELL_MAX: usize = 48;

/// Everything, as `--once` prints it.
pub(super) fn whole(seen: &Snapshot) -> String {
    let mut lines = vec![header(seen), Line::from(""), headline(&seen.told)];
    lines.extend(words(&seen.told));
    lines.push(Line::from(""));
    lines.extend(glance::figures(seen).iter().map(|one| {
        let Figure { name, value, note, .. } = one;
        Line::from(format!("{name:<24}{value:>12}  {note}"))
    }));
    for group in Group::ALL {
        lines.push(Line::from(""));
        lines.extend(pane(seen, Pane::Tables(group)));
    }
    lines.iter().map(|line| format!("{}\n", line.to_string().trim_end())).collect()
}

/// One line that says whose guard this is.
pub(super) fn header(seen: &Snapshot) -> Line<'static> {
    let status = &seen.status;
    Line::from(format!(
        "tidegate {} · {} · mode {} · up {}",
        status.version,
        plain(&glance::server(&status.upstream), 44),
        status.mode,
        time(status.uptime_ms),
    ))
}

/// How bad it is, and one sentence for all.
pub(super) fn headline(told: &Told) -> Line<'static> {
    let style = level(told.level).add_modifier(Modifier::BOLD);
    let name = told.level.as_str().to_uppercase();
    Line::from(vec![
        Span::styled(format!("{name}  "), style),
        Span::styled(told.headline.clone(), bold()),
    ])
}

/// The lines of a pane.
pub(super) fn pane(seen: &Snapshot, pane: Pane) -> Vec<Line<'static>> {
    match pane {
        Pane::State => words(&seen.told),
        Pane::Tables(group) => {
            let tables = glance::tables(seen, group);
            let mut lines: Vec<_> = tables.iter().flat_map(table).collect();
            lines.pop();
            lines
        }
    }
}

fn words(told: &Told) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut part = |title: &'static str, sentences: Vec<Line<'static>>| {
        if !sentences.is_empty() {
            lines.push(Line::styled(title, faint()));
            lines.extend(sentences);
        }
    };
    let sentence = |text: &String| Line::from(format!("  {text}"));
    part("What else is wrong", told.wrong.iter().skip(1).map(sentence).collect());
    part("What the guard does", told.doing.iter().map(sentence).collect());
    let advice = told.advice.iter().flat_map(|advice| {
        let command =
            advice.command.as_ref().map(|command| Line::styled(format!("    {command}"), bold()));
        std::iter::once(sentence(&advice.text)).chain(command)
    });
    part("What you can do", advice.collect());
    lines
}

/// A table, with an empty line behind it.
fn table(table: &Table) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled(table.title, bold())];
    if !table.note.is_empty() {
        lines.push(Line::styled(table.note.clone(), faint()));
    }
    if table.rows.is_empty() {
        lines.push(Line::styled(table.none, faint()));
    } else {
        let widths = widths(table);
        let heads = table.heads.iter().zip(&table.rows[0].cells).zip(&widths);
        let heads = heads.map(|((head, cell), width)| padded(head, cell, *width));
        lines.push(Line::styled(heads.collect::<String>(), faint()));
        lines.extend(table.rows.iter().map(|row| self::row(row, &widths)));
    }
    lines.push(Line::from(""));
    lines
}

fn row(row: &Row, widths: &[usize]) -> Line<'static> {
    let cells = row.cells.iter().zip(widths).enumerate().map(|(at, (cell, width))| {
        let is_last = at + 1 == row.cells.len();
        let text = match at {
            0 => first(row),
            _ if is_last => cell.text().to_owned(),
            _ => plain(cell.text(), CELL_MAX),
        };
        let style = if at == 0 { tone(row.tone) } else { Style::default() };
        Span::styled(padded(&text, cell, *width), style)
    });
    Line::from(cells.collect::<Vec<_>>())
}

/// The first cell of a row, indented.
fn first(row: &Row) -> String {
    let text = row.cells.first().map_or("", Cell::text);
    match row.depth {
        0 => text.to_owned(),
        depth => format!("{}└ {text}", "  ".repeat(depth - 1)),
    }
}

fn widths(table: &Table) -> Vec<usize> {
    let column = |at: usize| {
        let cells = table.rows.iter().map(|row| match at {
            0 => Span::raw(first(row)).width(),
            _ => Span::raw(row.cells[at].text()).width().min(CELL_MAX + 1),
        });
        cells.chain([table.heads[at].len()]).max().unwrap_or_default()
    };
    (0..table.heads.len()).map(column).collect()
}

fn padded(text: &str, cell: &Cell, width: usize) -> String {
    let space = " ".repeat(width.saturating_sub(Span::raw(text).width()));
    let gap = " ".repeat(GAP);
    match cell {
        Cell::Figure(_) => format!("{space}{text}{gap}"),
        Cell::Text(_) | Cell::Code(_) => format!("{text}{space}{gap}"),
    }
}

/// The sixteen colours that everybody's terminal has made legible on its own ground.
pub(super) fn tone(tone: Tone) -> Style {
    match tone {
        Tone::Plain => bold(),
        Tone::Warn => Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD),
        Tone::Alarm => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

fn level(level: Level) -> Style {
    match level {
        Level::Calm => Style::new().fg(Color::Green),
        Level::Watch => Style::new().fg(Color::Yellow),
        Level::Trouble | Level::Lost => Style::new().fg(Color::Red),
    }
}

pub(super) const fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

pub(super) const fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}
