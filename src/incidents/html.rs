//! The report as one HTML page: nothing is loaded from anywhere, no script, dark and light, and it prints.

use std::fmt::Write as _;

use super::plot::draw;
use super::report::Block;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f23;--paper:#fff;--line:#d0d7de;--one:#0b5cad;--two:#a85b00;--alarm:#c0262d}\n\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--line:#3d444d;--one:#6cb6ff;--two:#f0a742;\
--alarm:#ff7b72}}\n\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:960px;margin:2rem auto;\
padding:0 1rem}\n\
table{border-collapse:collapse;width:100%;margin:1rem 0}\n\
td,th{border:1px solid var(--line);padding:.3rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}\n\
td:first-child{min-width:5rem}\n\
svg{display:block;width:100%;margin:1rem 0;font:12px system-ui,sans-serif}\n\
svg text{fill:var(--ink)}svg .name{font-weight:600}svg .right{text-anchor:end}svg .middle{text-anchor:middle}\n\
svg path,svg polyline{fill:none;stroke-width:1.5;stroke:var(--one)}svg .curve-1{stroke:var(--two);stroke-dasharray:5 3}\n\
svg .axis{stroke:var(--line)}svg .trigger{stroke:var(--alarm);stroke-dasharray:3 3}\
svg .pile-up{fill:var(--alarm);opacity:.15}\n";

/// The page.
pub(super) fn page(blocks: &[Block]) -> String {
    let title = blocks.iter().find_map(|block| match block {
        Block::Title(title) => Some(escape(title)),
        _ => None,
    });
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n",
        title.unwrap_or_default()
    );
    blocks.iter().for_each(|block| put(&mut page, block));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn put(page: &mut String, block: &Block) {
    let _infallible = match block {
        Block::Title(title) => writeln!(page, "<h1>{}</h1>", escape(title)),
        Block::Heading(heading) => writeln!(page, "<h2>{}</h2>", escape(heading)),
        Block::Text(text) => writeln!(page, "<p>{}</p>", escape(text)),
        Block::List(lines) => {
            let items = lines.iter().map(|line| format!("<li>{}</li>\n", escape(line)));
            writeln!(page, "<ul>\n{}</ul>", items.collect::<String>())
        }
        Block::Table { head, rows } => {
            let cells = |name: &str, cells: Vec<&str>| -> String {
                cells.iter().map(|cell| format!("<{name}>{}</{name}>", escape(cell))).collect()
            };
            // A header that says nothing is none.
            let named = head.iter().any(|name| !name.is_empty());
            let head = named.then(|| format!("<tr>{}</tr>\n", cells("th", head.clone())));
            let row = |row: &Vec<String>| {
                format!("<tr>{}</tr>\n", cells("td", row.iter().map(String::as_str).collect()))
            };
            let rows: String = rows.iter().map(row).collect();
            writeln!(page, "<table>\n{}{rows}</table>", head.unwrap_or_default())
        }
        Block::Plot(plot) => writeln!(page, "{}", draw(plot)),
    };
}

/// A text that stands for itself, in an element or an attribute in quotes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
