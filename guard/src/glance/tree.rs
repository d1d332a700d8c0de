//! The tree of lock waits as lines that fit on a screen.
//!
//! In a pile-up hundreds wait behind one in the same way. So waiters of one holder that run the same statement and
//! wait for the same are one line, with their number; what waits behind any of them stands below it.

use std::collections::BTreeMap;

use super::{Cell, Row, Table, Tone, many, plain, time};
use crate::control::{LockHolder, LocksStatus};

/// Lines that are shown; the rest is a number.
const LINES_MAX: usize = 40;
/// Deeper than this, lines are not indented further.
const DEPTH_MAX: usize = 8;
/// Characters of a statement.
const STATEMENT: usize = 160;

/// One line: a transaction that holds others up, or some that wait alike.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// 0 for a root, else how many are between it and its root, and one.
    pub depth: usize,
    /// How many transactions it stands for.
    pub count: usize,
    /// What serves the first of them in the database.
    pub backend: u32,
    /// What they do, as the database says: `idle`, `waits`.
    pub activity: String,
    /// For how long the one that has for the shortest, in milliseconds.
    pub for_ms_min: u64,
    /// For how long the one that has for the longest, in milliseconds.
    pub for_ms_max: u64,
    /// How many wait behind them.
    pub behind: usize,
    /// Rows that a rollback of the first would undo.
    pub rows_modified: u64,
    /// Whose the first is.
    pub whose: String,
    /// What they wait for.
    pub waits_for: String,
    /// Their statement, normalised.
    pub statement: String,
}

/// The lines, roots first, each followed by those behind it; and how many transactions are on none.
pub fn lines(locks: &LocksStatus) -> (Vec<Line>, usize) {
    let mut lines = Vec::new();
    let roots: Vec<&LockHolder> = locks.roots.iter().collect();
    // A root is a root of its own, however alike two are.
    for root in roots {
        add(&mut lines, &[root], 0);
    }
    let all: usize = locks.roots.iter().map(|root| root.behind + 1).sum();
    lines.truncate(LINES_MAX);
    let shown: usize = lines.iter().map(|line| line.count).sum();
    (lines, all.saturating_sub(shown))
}

fn add(lines: &mut Vec<Line>, alike: &[&LockHolder], depth: usize) {
    let Some(first) = alike.first() else { return };
    let times = alike.iter().map(|one| one.for_ms);
    lines.push(Line {
        depth,
        count: alike.len(),
        backend: first.backend,
        activity: plain(&first.activity, 20),
        for_ms_min: times.clone().min().unwrap_or_default(),
        for_ms_max: times.max().unwrap_or_default(),
        behind: alike.iter().map(|one| one.behind).sum(),
        rows_modified: first.rows_modified,
        whose: whose(first),
        waits_for: plain(first.waits_for.as_deref().unwrap_or_default(), 80),
        statement: plain(&first.statement, STATEMENT),
    });
    let mut groups: BTreeMap<(&str, &str), Vec<&LockHolder>> = BTreeMap::new();
    for one in alike.iter().flat_map(|one| &one.waiters) {
        let key = (&*one.statement, one.waits_for.as_deref().unwrap_or_default());
        groups.entry(key).or_default().push(one);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| {
        let weight: usize = group.iter().map(|one| one.behind + 1).sum();
        std::cmp::Reverse(weight)
    });
    groups.iter().for_each(|group| add(lines, group, depth + 1));
}

/// Whose a transaction is: `web of 10.0.0.7:5123 in class checkout`.
pub(super) fn whose(one: &LockHolder) -> String {
    let user = plain(&one.user, 40);
    match &one.client {
        Some(client) => {
            let class = plain(&client.class, 40);
            format!("{user} of {} in class {class}", plain(&client.address, 60))
        }
        None if user.is_empty() => "nobody known".into(),
        None => format!("{user}, not through this guard"),
    }
}

/// The lines as a table.
pub(super) fn table(locks: &LocksStatus) -> Table {
    let (lines, left) = lines(locks);
    let mut rows: Vec<Row> = lines.iter().map(row).collect();
    if left > 0 {
        let mut cells = vec![Cell::Text(format!("and {} more", many(left as u64, "transaction")))];
        cells.resize_with(HEADS.len(), || Cell::Text(String::new()));
        rows.push(Row { cells, depth: 1, ..Row::default() });
    }
    Table {
        name: "locks",
        title: "Who holds whom up",
        note: note(locks),
        heads: HEADS.into(),
        rows,
        none: match locks.blocked {
            0 => "Nobody waits for a lock in the database.",
            _ => "Who holds them up has not been seen.",
        },
    }
}

const HEADS: [&str; 6] = ["transaction", "for", "behind it", "whose", "waits for", "statement"];

fn row(line: &Line) -> Row {
    let what = match (line.depth, line.count) {
        (0, _) => format!("{} {}", line.backend, line.activity),
        (_, 1) => format!("{} {}", line.backend, line.activity),
        (_, count) => format!("{count} that wait"),
    };
    let times = match line.for_ms_min == line.for_ms_max {
        true => time(line.for_ms_max),
        false => format!("{} – {}", time(line.for_ms_min), time(line.for_ms_max)),
    };
    let whose = match line.count {
        1 => line.whose.clone(),
        _ => format!("{} …", line.whose),
    };
    Row {
        cells: vec![
            Cell::Text(what),
            Cell::Figure(times),
            Cell::count(line.behind),
            Cell::Text(whose),
            Cell::Code(line.waits_for.clone()),
            Cell::Code(line.statement.clone()),
        ],
        tone: if line.depth == 0 { Tone::Alarm } else { Tone::Plain },
        depth: line.depth.min(DEPTH_MAX),
        target: None,
    }
}

fn note(locks: &LocksStatus) -> String {
    let mut parts = Vec::new();
    if locks.blocked > 0 {
        parts.push(format!(
            "{} of {} wait, the longest for {}.",
            locks.blocked,
            many(locks.open as u64, "open transaction"),
            time(locks.oldest_wait_ms)
        ));
    }
    if locks.rolling_back > 0 {
        parts.push(format!(
            "{} being undone: killing them again does not help.",
            many(locks.rolling_back as u64, "transaction")
        ));
    }
    if let (Some(ago @ 2_000..), false) = (locks.seen_ms_ago, locks.roots.is_empty()) {
        parts.push(format!("Seen {} ago.", time(ago)));
    }
    if let Some(trouble) = &locks.trouble {
        parts.push(format!("Not all can be seen: {}.", plain(trouble, 200)));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::LockClient;

    fn waiter(backend: u32, for_ms: u64, statement: &str, waiters: Vec<LockHolder>) -> LockHolder {
        LockHolder {
            backend,
            activity: "waits".into(),
            for_ms,
            user: "web".into(),
            statement: statement.into(),
            waits_for: Some("row shop.account PRIMARY".into()),
            client: Some(LockClient { address: "h:1".into(), ..LockClient::default() }),
            behind: waiters.iter().map(|one| one.behind + 1).sum(),
            waiters,
            ..LockHolder::default()
        }
    }

    fn pile_up() -> LocksStatus {
        let behind = vec![waiter(30, 100, "insert", vec![]), waiter(31, 300, "insert", vec![])];
        let mut waiters: Vec<_> =
            (10..28).map(|id| waiter(id, 200 + u64::from(id), "update", vec![])).collect();
        waiters.push(waiter(28, 6_800, "update", behind));
        waiters.push(waiter(29, 50, "select", vec![]));
        let root = LockHolder { activity: "idle".into(), ..waiter(88, 9_000, "update", waiters) };
        LocksStatus { blocked: 22, open: 24, roots: vec![root], ..LocksStatus::default() }
    }

    #[test]
    fn who_waits_alike_is_one_line() {
        let (lines, left) = lines(&pile_up());
        let brief: Vec<_> = lines
            .iter()
            .map(|line| (line.depth, line.count, line.behind, &*line.statement))
            .collect();
        assert_eq!(
            brief,
            [(0, 1, 22, "update"), (1, 19, 2, "update"), (2, 2, 0, "insert"), (1, 1, 0, "select")]
        );
        assert_eq!((lines[1].for_ms_min, lines[1].for_ms_max, left), (210, 6_800, 0));
    }

    #[test]
    fn what_does_not_fit_is_a_number() {
        let waiters = (0..60).map(|id| waiter(id, 1, &format!("select {id}"), vec![])).collect();
        let status =
            LocksStatus { roots: vec![waiter(88, 1, "x", waiters)], ..LocksStatus::default() };
        let (lines, left) = lines(&status);
        assert_eq!((lines.len(), left), (LINES_MAX, 21));
        let table = table(&status);
        assert_eq!(table.rows.last().unwrap().cells[0].text(), "and 21 transactions more");
        assert!(table.rows.iter().all(|row| row.cells.len() == table.heads.len()));
    }

    #[test]
    fn a_root_is_told_with_its_waiters() {
        let table = table(&pile_up());
        let first: Vec<_> = table.rows[0].cells.iter().map(Cell::text).collect();
        assert_eq!(first[..3], ["88 idle", "9.0s", "22"]);
        assert_eq!(table.rows[1].cells[0].text(), "19 that wait");
        assert_eq!(table.rows[1].cells[1].text(), "210ms – 6.8s");
        assert_eq!(table.note, "22 of 24 open transactions wait, the longest for 0ms.");
    }
}
