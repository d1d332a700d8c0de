//! The page as HTML. Whatever is written into it is escaped by `maud`; nothing here is marked as safe.

use maud::{DOCTYPE, Markup, html};

use crate::control::Snapshot;
use crate::glance::{self, Cell, Figure, Group, Row, Table, Tone, plain, time};

/// The whole page.
pub(super) fn page(seen: &Snapshot) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-level=(seen.told.level.as_str()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Tidegate" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/page/uplot.css";
                link rel="stylesheet" href="/page/page.css";
                noscript { meta http-equiv="refresh" content="5"; }
                script defer src="/page/uplot.js" {}
                script type="module" src="/page/page.js" {}
            }
            body {
                a.skip href="#state" { "To the state" }
                header {
                    h1 { "Tidegate" }
                    p.server { (glance::server(&seen.status.upstream)) }
                    p #link { noscript { "refreshed every 5 seconds" } }
                }
                p #announce.unseen role="status" {}
                main {
                    div #glance { (glance(seen)) }
                    (charts())
                    div #tables { (tables(seen)) }
                }
                footer {
                    p {
                        "The same in a terminal: " code { "tidegate top" }
                        ". As JSON: " a href="/api/v1/snapshot" { "/api/v1/snapshot" }
                        ". Metrics: " a href="/metrics" { "/metrics" } "."
                    }
                }
                (dialogs())
            }
        }
    }
}

/// What stands above the charts: the state in words, and the figures.
pub(super) fn glance(seen: &Snapshot) -> Markup {
    let told = &seen.told;
    html! {
        section #state class={ "state " (told.level.as_str()) } aria-labelledby="headline" tabindex="-1" {
            p.level { (told.level.as_str()) }
            h2 #headline { (told.headline) }
            div.words {
                @if told.wrong.len() > 1 {
                    div {
                        h3 { "What else is wrong" }
                        ul { @for sentence in told.wrong.iter().skip(1) { li { (sentence) } } }
                    }
                }
                @if !told.doing.is_empty() {
                    div {
                        h3 { "What the guard does" }
                        ul { @for sentence in &told.doing { li { (sentence) } } }
                    }
                }
                @if !told.advice.is_empty() {
                    div {
                        h3 { "What you can do" }
                        ul {
                            @for advice in &told.advice {
                                li {
                                    (advice.text)
                                    @if let Some(command) = &advice.command { " " code { (command) } }
                                }
                            }
                        }
                    }
                }
            }
        }
        dl #figures {
            @for figure in &glance::figures(seen) { (self::figure(figure)) }
        }
        p.about {
            "guard " (plain(&seen.status.version, 20)) ", mode " (plain(&seen.status.mode, 12))
            ", up for " (time(seen.status.uptime_ms))
        }
    }
}

fn figure(figure: &Figure) -> Markup {
    html! {
        div class=(tone(figure.tone)) {
            dt { (figure.name) }
            dd.value { (figure.value) }
            dd.note { (figure.note) }
        }
    }
}

/// Where the script draws. Without it there is nothing to see here.
fn charts() -> Markup {
    let charts = [
        ("throughput", "Throughput, a second"),
        ("inflight", "In flight, against the limit"),
        ("latency", "What statements take, in milliseconds"),
        ("waiting", "Waiting"),
        ("knee", "Throughput against in flight"),
        ("pressure", "Pressure"),
    ];
    html! {
        section #charts hidden aria-label="The last ten minutes" {
            @for (name, title) in charts {
                figure id={ "chart-" (name) } {
                    figcaption { span.title { (title) } " " span.said {} }
                    div.plot aria-hidden="true" {}
                }
            }
        }
    }
}

/// What stands below the charts.
pub(super) fn tables(seen: &Snapshot) -> Markup {
    html! {
        @for group in Group::ALL {
            @for one in &glance::tables(seen, group) { (table(one)) }
        }
    }
}

fn table(table: &Table) -> Markup {
    let title = format!("{}-title", table.name);
    let can_switch = matches!(table.name, "classes" | "switches");
    html! {
        section id=(table.name) class=[table.rows.is_empty().then_some("empty")] {
            div.head {
                h2 id=(title) { (table.title) }
                @if table.name == "switches" {
                    button.flip type="button" data-flip="off" data-target="" { "Set a switch…" }
                }
            }
            @if !table.note.is_empty() { p.note { (table.note) } }
            @if table.rows.is_empty() {
                p.none { (table.none) }
            } @else {
                div.scroll tabindex="0" role="region" aria-labelledby=(title) {
                    table {
                        thead {
                            tr {
                                @for (head, cell) in table.heads.iter().zip(&table.rows[0].cells) {
                                    th scope="col" class=(kind(cell)) { (head) }
                                }
                                @if can_switch { th.flips scope="col" { span.unseen { "turn it" } } }
                            }
                        }
                        tbody {
                            @for row in &table.rows { (self::row(row, can_switch)) }
                        }
                    }
                }
            }
        }
    }
}

fn row(row: &Row, can_switch: bool) -> Markup {
    let class = format!("{} depth-{}", tone(row.tone), row.depth);
    html! {
        tr class=(class) data-key=[row.target.as_ref()] {
            @for (at, cell) in row.cells.iter().enumerate() {
                @if at == 0 {
                    th scope="row" class=(kind(cell)) { (words(cell)) }
                } @else {
                    td class=(kind(cell)) { (words(cell)) }
                }
            }
            @if can_switch { td.flips { (flip(row)) } }
        }
    }
}

/// The button that turns what a row is about off, or on again.
fn flip(row: &Row) -> Markup {
    let Some(target) = &row.target else { return html! {} };
    let is_off = row.cells.last().is_some_and(|cell| cell.text() != "on");
    let (flip, word) = if is_off { ("on", "Turn on…") } else { ("off", "Turn off…") };
    html! {
        button.flip type="button" data-flip=(flip) data-target=(target)
            aria-label={ (word.trim_end_matches('…')) " " (plain(target, 60)) } { (word) }
    }
}

fn words(cell: &Cell) -> Markup {
    match cell {
        Cell::Code(text) if !text.is_empty() => html! { code { (text) } },
        other => html! { (other.text()) },
    }
}

const fn kind(cell: &Cell) -> &'static str {
    match cell {
        Cell::Text(_) => "text",
        Cell::Code(_) => "code",
        Cell::Figure(_) => "figure",
    }
}

const fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Warn => "warn",
        Tone::Alarm => "alarm",
    }
}

/// What asks before anything is changed.
fn dialogs() -> Markup {
    html! {
        dialog #off aria-labelledby="off-title" {
            form method="dialog" {
                h2 #off-title { "Turn traffic off or down" }
                p #off-help {
                    "New transactions of the target are refused, with your reason; those that are open go on to \
                     their end. It works at once, also while the database is full."
                }
                label for="off-target" { "Target" }
                input #off-target name="target" required autocomplete="off" spellcheck="false"
                    placeholder="class batch" aria-describedby="off-forms";
                p.help #off-forms {
                    code { "class NAME" } ", " code { "tag KEY=VALUE" } ", " code { "user NAME" } ", "
                    code { "table NAME" } ", " code { "digest DIGEST" } " or " code { "kind KIND" }
                }
                label for="off-keep" { "How much may still pass" }
                select #off-keep name="keep" {
                    option value="0" selected { "nothing" }
                    option value="0.1" { "one in ten" }
                    option value="0.25" { "one in four" }
                    option value="0.5" { "one in two" }
                }
                label for="off-time" { "For how long" }
                select #off-time name="time" {
                    option value="300000" { "5 minutes" }
                    option value="600000" selected { "10 minutes" }
                    option value="3600000" { "1 hour" }
                    option value="" { "until somebody turns it on" }
                }
                label for="off-reason" { "Reason; clients read it in the refusal" }
                input #off-reason name="reason" required maxlength="200" autocomplete="off";
                label for="off-author" { "Your name" }
                input #off-author name="author" required maxlength="60" autocomplete="username";
                p.failed role="alert" {}
                div.buttons {
                    button type="button" data-close="" { "Cancel" }
                    button.sure type="submit" { "Turn off" }
                }
            }
        }
        dialog #on aria-labelledby="on-title" {
            form method="dialog" {
                h2 #on-title { "Turn on again" }
                p { "All traffic of " strong #on-target {} " may pass again, at once." }
                p.failed role="alert" {}
                div.buttons {
                    button type="button" data-close="" { "Cancel" }
                    button.sure type="submit" { "Turn on" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
