//! A recording in a terminal: what it is about, its curves, and what happened.

use std::fmt::Write as _;

use guard::control::{LockLook, Recording};

use super::facts::{Curve, curves, roots, worst_look};
use super::spark::{WIDTH, column, line};
use super::story::{amount, offset, tell};
use super::why;
use crate::show::{moment, plain, time};

/// Lines of the story; those beyond are counted.
const LINES_MAX: usize = 200;
/// Those behind a root that are shown.
const WAITERS_MAX: usize = 5;

/// The whole of it.
pub(super) fn show(recording: &Recording) -> String {
    let head = &recording.head;
    let mut text = String::new();
    let goes_on = if head.is_over { "" } else { " · goes on" };
    let note =
        if head.note.is_empty() { String::new() } else { format!(": {}", plain(&head.note, 200)) };
    let _infallible = writeln!(
        text,
        "recording {} · {}{note} · {}{goes_on}\n   {} before {} at {} with {} connections, mode {}",
        head.id,
        why(&head.cause),
        moment(head.triggered_unix_ms),
        format_args!("tidegate {}", head.guard),
        head.server.as_deref().unwrap_or("a database"),
        plain(&head.address, 80),
        head.connections,
        head.mode,
    );
    put_curves(&mut text, recording);
    text.push('\n');
    let moments = tell(recording);
    for moment in moments.iter().take(LINES_MAX) {
        let mut lines = moment.what.lines().map(str::trim);
        let first = plain(lines.next().unwrap_or_default(), 300);
        let _infallible = writeln!(text, "   {:>7}  {first}", offset(moment.at_ms));
        for more in lines {
            let _infallible = writeln!(text, "            {}", plain(more, 300));
        }
    }
    if moments.len() > LINES_MAX {
        let more = moments.len() - LINES_MAX;
        let _infallible = writeln!(text, "   and {more} more; see them with --json");
    }
    if let Some(look) = worst_look(recording) {
        put_look(&mut text, recording, look);
    }
    text
}

fn put_curves(text: &mut String, recording: &Recording) {
    let (from, to) = (recording.head.from_ms, recording.head.to_ms);
    let zero = column(0, from, to);
    let end = offset(to);
    let axis =
        format!("{:<zero$}|{:>rest$}", offset(from), end, rest = WIDTH.saturating_sub(zero + 1));
    let _infallible = writeln!(text, "\n{:<22}{axis}", "");
    for curve in curves(recording).iter().filter(|curve| curve.most().1 > 0.0) {
        let _infallible =
            writeln!(text, "   {:<19}{}  {}", curve.name, line(curve, from, to), measure(curve));
    }
}

/// What is usual, and the worst of it.
fn measure(curve: &Curve) -> String {
    let usual = curve.usual().map(|usual| format!("usually {}, ", amount(usual, "")));
    let usual = usual.unwrap_or_default();
    let (name, (at, value)) = match curve.least_after().filter(|_| curve.falls) {
        Some(least) => ("least", least),
        None => ("most", curve.most()),
    };
    format!("{usual}{name} {} at {}", amount(value, curve.unit), offset(at))
}

fn put_look(text: &mut String, recording: &Recording, look: &LockLook) {
    let _infallible = writeln!(
        text,
        "\n   when most waited, at {}: {} of {} open transactions, the longest for {}",
        offset(look.at_ms),
        look.blocked,
        look.open,
        time(look.oldest_wait_ms.into()),
    );
    for root in roots(look) {
        let _infallible = writeln!(text, "   {}", plain(&holder(recording, root), 300));
        let statement = recording.text(root.statement);
        if !statement.is_empty() {
            let _infallible = writeln!(text, "      {}", plain(statement, 120));
        }
        let behind = look.transactions.iter().filter(|one| one.waits_for == root.backend);
        for one in behind.clone().take(WAITERS_MAX) {
            let _infallible = writeln!(
                text,
                "      └─ {} waits {} for {}{}: {}",
                one.backend,
                time(one.for_ms.into()),
                plain(recording.text(one.on), 80),
                match one.behind {
                    0 => String::new(),
                    behind => format!(", {behind} behind it"),
                },
                plain(recording.text(one.statement), 100),
            );
        }
        let more = behind.count().saturating_sub(WAITERS_MAX);
        if more > 0 {
            let _infallible = writeln!(text, "      └─ and {more} more");
        }
    }
}

/// Who held others up, in a sentence.
pub(super) fn holder(recording: &Recording, one: &guard::control::LockTransaction) -> String {
    let told = |id| recording.text(id);
    let whose = match (told(one.user), told(one.client)) {
        ("", "") => "nobody knows whose".to_owned(),
        (user, "") => format!("{user}, not through this guard"),
        (user, client) => format!("{user} of {client} in class {}", told(one.class)),
    };
    let rows = match one.rows_modified {
        0 => String::new(),
        1 => ", 1 row to undo".into(),
        rows => format!(", {rows} rows to undo"),
    };
    format!(
        "{} held up {}: {} for {}, open {}{rows}, {whose}",
        one.backend,
        one.behind,
        told(one.activity),
        time(one.for_ms.into()),
        time(one.age_ms.into()),
    )
}
