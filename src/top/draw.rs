//! Draws the screen: a function of what is on it and the time, and of nothing else.

use std::time::Instant;

use guard::glance::{self, Figure, time};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline, Wrap};

use super::screen::{Pane, Picture, Screen};
use super::text::{self, bold, faint, tone};

/// Draws all of it. What is scrolled beyond its end is scrolled back.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen, now: Instant) {
    let rows = [
        Constraint::Length(1),
        Constraint::Length(2),
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Length(if frame.area().height >= 36 { 5 } else { 3 }),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [head, headline, figures, _, charts, tabs, pane, foot] =
        Layout::vertical(rows).areas(frame.area());
    frame.render_widget(Paragraph::new(text::header(&screen.seen)), head);
    let words = Paragraph::new(text::headline(&screen.seen.told)).wrap(Wrap { trim: true });
    frame.render_widget(words, headline);
    draw_figures(frame, screen, figures);
    draw_charts(frame, screen, charts);
    frame.render_widget(Paragraph::new(self::tabs(screen.pane)), tabs);
    draw_pane(frame, screen, pane);
    frame.render_widget(Paragraph::new(self::foot(screen, now)), foot);
}

/// Four figures in each of two rows.
fn draw_figures(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let figures = glance::figures(&screen.seen);
    let rows = Layout::vertical([Constraint::Length(1); 2]).areas::<2>(area);
    for (row, figures) in rows.into_iter().zip(figures.chunks(4)) {
        let places = Layout::horizontal([Constraint::Fill(1); 4]).areas::<4>(row);
        for (place, figure) in places.into_iter().zip(figures) {
            frame.render_widget(Paragraph::new(self::figure(figure)), place);
        }
    }
}

fn figure(figure: &Figure) -> Line<'static> {
    // A quarter of 80 columns.
    let name = match figure.name {
        "statements a second" => "statements/s",
        "transactions in flight" => "in flight",
        "wait for a turn" => "want a turn",
        "wait for a lock" => "want a lock",
        "refused a second" => "refused/s",
        other => other,
    };
    Line::from(vec![
        Span::styled(figure.value.clone(), tone(figure.tone)),
        Span::raw(format!(" {name}")),
    ])
}

fn draw_charts(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let places = Layout::horizontal([Constraint::Fill(1); 3]).spacing(2).areas::<3>(area);
    let [throughput, in_flight, waiting] = places;
    let of = |get: fn(&guard::control::Sample) -> f64| -> Vec<u64> {
        screen.past.iter().map(|sample| get(sample).round().max(0.0) as u64).collect()
    };
    chart(frame, throughput, "statements/s", of(|s| s.rates.statements), Color::Blue);
    chart(frame, in_flight, "in flight", of(|s| s.in_flight.into()), Color::Green);
    chart(
        frame,
        waiting,
        "want a turn or a lock",
        of(|s| (s.queued + s.blocked).into()),
        Color::Red,
    );
}

/// The newest seconds, as many as there are columns.
fn chart(frame: &mut Frame<'_>, area: Rect, name: &str, values: Vec<u64>, colour: Color) {
    let [title, bars] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let shown = &values[values.len().saturating_sub(usize::from(bars.width))..];
    let most = shown.iter().max().copied().unwrap_or_default();
    let title_text =
        Line::from(vec![Span::raw(name.to_owned()), Span::styled(format!(", to {most}"), faint())]);
    frame.render_widget(Paragraph::new(title_text), title);
    let sparkline =
        Sparkline::default().data(shown).max(most.max(1)).style(Style::new().fg(colour));
    frame.render_widget(sparkline, bars);
}

fn tabs(chosen: Pane) -> Line<'static> {
    let tab = |(at, pane): (usize, Pane)| {
        let style = if pane == chosen {
            bold().add_modifier(ratatui::style::Modifier::REVERSED)
        } else {
            faint()
        };
        [Span::styled(format!(" {} {} ", at + 1, pane.name()), style), Span::raw(" ")]
    };
    Line::from(Pane::all().enumerate().flat_map(tab).collect::<Vec<_>>())
}

fn draw_pane(frame: &mut Frame<'_>, screen: &mut Screen, area: Rect) {
    let lines = text::pane(&screen.seen, screen.pane);
    let is_words = screen.pane == Pane::State;
    let widest = lines.iter().map(Line::width).max().unwrap_or_default();
    let beyond = |all: usize, room: u16| {
        u16::try_from(all.saturating_sub(usize::from(room))).unwrap_or(u16::MAX)
    };
    // A sentence takes two lines at most in 80 columns.
    let height = if is_words { lines.len() * 2 } else { lines.len() };
    screen.scroll.0 = screen.scroll.0.min(beyond(height, area.height));
    screen.scroll.1 = if is_words { 0 } else { screen.scroll.1.min(beyond(widest, area.width)) };
    let paragraph = Paragraph::new(lines).scroll(screen.scroll);
    let paragraph = if is_words { paragraph.wrap(Wrap { trim: false }) } else { paragraph };
    frame.render_widget(paragraph, area);
}

fn foot(screen: &Screen, now: Instant) -> Line<'static> {
    let alarm = tone(glance::Tone::Alarm);
    if let Some(silent) = screen.silent(now) {
        let silent = time(guard::control::whole_ms(silent));
        let why = screen.trouble.as_deref().unwrap_or_default();
        let text = format!("no answer for {silent}; this is old. {why}");
        return Line::styled(glance::plain(&text, 300), alarm);
    }
    let mut parts =
        vec![Span::styled("1-6 Tab pane · ↑↓←→ scroll · Space hold still · q leave", faint())];
    if screen.picture == Picture::Still {
        parts.insert(0, Span::styled("HELD STILL  ", alarm));
    }
    Line::from(parts)
}

#[cfg(test)]
mod tests;
