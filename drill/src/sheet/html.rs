//! Sheets as a page that needs nothing else: to be sent to those who were not there.

use maud::{DOCTYPE, Markup, html};

use super::plot::draw;
use super::{Sheet, Table};

/// Light and dark, and the colours of plots.
const STYLE: &str = include_str!("page.css");

/// A page of these sheets, each with what stands above it where there are several. `command` is what measured them.
#[must_use]
pub fn page(title: &str, command: &str, sheets: &[(String, Sheet)]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (title) }
                    @for (name, one) in sheets {
                        section {
                            @if sheets.len() > 1 { h2 { (name) } }
                            (sheet(one))
                        }
                    }
                    footer {
                        "Measured by " code { (command) } " of Tidegate " (env!("CARGO_PKG_VERSION"))
                        ". One run on one machine, which servers, guard and clients shared."
                    }
                }
            }
        }
    };
    page.into_string()
}

fn sheet(sheet: &Sheet) -> Markup {
    html! {
        p { (sheet.about) }
        p.scene { (sheet.scene) }
        p.verdict.kept[sheet.is_kept].broken[!sheet.is_kept] {
            strong { (sheet.verdict()) }
        }
        @for plot in &sheet.plots { (draw(plot)) }
        @for one in &sheet.tables { (table(one)) }
        @if !sheet.notes.is_empty() {
            ul { @for note in &sheet.notes { li { (note) } } }
        }
    }
}

fn table(table: &Table) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { @for (column, name) in table.head.iter().enumerate() {
                    th scope="col" .name[column < table.names] { (name) }
                } } }
                tbody { @for line in &table.lines { tr {
                    @for (column, cell) in line.iter().enumerate() {
                        @if column < table.names { th.name scope="row" { (cell) } } @else { td { (cell) } }
                    }
                } } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::{Plot, Series, Tone};

    #[test]
    fn a_page_has_all_of_a_sheet_and_needs_nothing_from_elsewhere() {
        let sheet = Sheet {
            name: "herd",
            about: "All come back at once.",
            scene: "400 clients on <MariaDB>".into(),
            promise: "service is back",
            is_kept: false,
            tables: vec![Table::listing(
                1,
                &["way", "good/s"],
                vec![vec!["direct".into(), "7".into()]],
            )],
            notes: vec!["a note".into()],
            plots: vec![Plot {
                title: "good/s".into(),
                series: vec![Series::by_second("direct", Tone::Direct, &[1, 2, 3])],
                ..Plot::default()
            }],
        };
        let page = page("Drill: herd", "tidegate drill herd", &[("herd".into(), sheet)]);
        for part in
            ["&lt;MariaDB&gt;", "did NOT do", "a note", "<polyline class=\"direct\"", "<td>7</td>"]
        {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("http") && !page.contains("<script"), "{page}");
    }
}
