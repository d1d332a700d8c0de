//! The tables: classes, switches, rows and tables that are fought for, replicas, pile-ups, pinned clients.

use super::figures::{kept, more, since, took};
use super::{Cell, Row, Table, Tone, plain, rate, time, tree};
use crate::control::{
    ClassNow, DdlTable, HotKey, Incident, PinnedSession, ReplicaStatus, Snapshot, SwitchStatus,
};

/// Tables that belong together: a part of the page, a pane of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Who holds whom up.
    Locks,
    /// Rows and tables that are fought for.
    Hot,
    /// Classes, and switches.
    Classes,
    /// Replicas.
    Replicas,
    /// Pile-ups that were, and clients that keep a connection.
    Past,
}

impl Group {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Locks, Self::Classes, Self::Hot, Self::Replicas, Self::Past];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Locks => "locks",
            Self::Hot => "hot rows",
            Self::Classes => "classes",
            Self::Replicas => "replicas",
            Self::Past => "pile-ups, pins",
        }
    }
}

/// Rows of one table that are shown.
const ROWS_MAX: usize = 32;
/// Characters of a name, and of a statement.
const NAME: usize = 40;
const STATEMENT: usize = 120;

/// The tables of a group.
pub fn tables(seen: &Snapshot, group: Group) -> Vec<Table> {
    match group {
        Group::Locks => vec![tree::table(&seen.locks)],
        Group::Hot => vec![hot(seen), wanted(seen)],
        Group::Classes => vec![classes(seen), switches(seen)],
        Group::Replicas => vec![replicas(seen)],
        Group::Past => vec![incidents(seen), pins(seen)],
    }
}

fn classes(seen: &Snapshot) -> Table {
    Table {
        name: "classes",
        title: "Classes",
        note: String::new(),
        heads: vec![
            "class",
            "statements/s",
            "99 % within",
            "in flight",
            "limit",
            "waiting",
            "first for",
            "refused/s",
            "refused in all",
            "mode",
            "switch",
        ],
        rows: seen.classes.iter().map(|class| class_row(seen, class)).collect(),
        none: "There are no classes.",
    }
}

fn class_row(seen: &Snapshot, class: &ClassNow) -> Row {
    let ClassNow { status, rates } = class;
    let target = format!("class {}", status.name);
    let switch = seen.switches.iter().find(|switch| switch.target == target);
    let tone = match (status.queued, switch) {
        (_, Some(_)) => Tone::Alarm,
        (1.., _) => Tone::Warn,
        _ if rates.refused > 0.0 => Tone::Warn,
        _ => Tone::Plain,
    };
    Row {
        cells: vec![
            Cell::Text(plain(&status.name, NAME)),
            Cell::Figure(rate(rates.statements)),
            Cell::maybe(rates.service_p99_ms.map(took)),
            Cell::count(status.in_flight),
            Cell::maybe(status.limit.map(|limit| limit.to_string())),
            Cell::count(status.queued),
            Cell::maybe(since(status.queued, status.oldest_wait_ms)),
            Cell::Figure(rate(rates.refused)),
            Cell::count(status.shed),
            Cell::Text(plain(&status.mode, 12)),
            Cell::Text(switch.map_or_else(|| "on".into(), |switch| kept(switch.keep_ratio))),
        ],
        tone,
        depth: 0,
        target: Some(target),
    }
}

fn switches(seen: &Snapshot) -> Table {
    Table {
        name: "switches",
        title: "Switches that are set",
        note: String::new(),
        heads: vec!["target", "state", "ends in", "by", "reason"],
        rows: seen.switches.iter().map(switch_row).collect(),
        none: "No switch is set: nothing is turned off or down.",
    }
}

fn switch_row(switch: &SwitchStatus) -> Row {
    Row {
        cells: vec![
            Cell::Text(plain(&switch.target, 60)),
            Cell::Text(kept(switch.keep_ratio)),
            Cell::Figure(switch.ends_in_ms.map_or_else(|| "until cleared".into(), time)),
            Cell::Text(plain(&switch.author, NAME)),
            Cell::Text(plain(&switch.reason, STATEMENT)),
        ],
        tone: Tone::Warn,
        depth: 0,
        target: Some(switch.target.clone()),
    }
}

fn hot(seen: &Snapshot) -> Table {
    let hot = &seen.hot;
    let note = match &*hot.mode {
        "off" => "hot.mode is off: no row is looked for.",
        "observe" => "hot.mode is observe: nobody is made to wait for a row.",
        _ => "",
    };
    Table {
        name: "hot",
        title: "Rows that many want",
        note: note.into(),
        heads: vec![
            "row",
            "waiting in the database",
            "at work",
            "waiting here",
            "refused",
            "statement",
        ],
        rows: hot.rows.iter().take(ROWS_MAX).map(hot_row).collect(),
        none: "Nobody fights for a row.",
    }
}

fn hot_row(row: &HotKey) -> Row {
    let gated = |figure: u64| Cell::maybe(row.is_gated.then(|| figure.to_string()));
    Row {
        cells: vec![
            Cell::Code(format!("{}#{}", plain(&row.table, NAME), plain(&row.key, 16))),
            Cell::Figure(format!("{:.0}", row.waiters)),
            gated(row.inside.into()),
            gated(row.parked.into()),
            gated(row.counts.refused),
            Cell::Code(plain(&row.statement, STATEMENT)),
        ],
        tone: if row.is_gated { Tone::Warn } else { Tone::Plain },
        ..Row::default()
    }
}

fn wanted(seen: &Snapshot) -> Table {
    let ddl = &seen.hot.ddl;
    let note = match ddl.parked {
        0 => String::new(),
        parked => format!("{parked} wait in the guard for such a table."),
    };
    Table {
        name: "ddl",
        title: "Tables that somebody wants for himself",
        note,
        heads: vec!["table", "wanted for", "backend", "statement"],
        rows: ddl.tables.iter().take(ROWS_MAX).map(wanted_row).collect(),
        none: "Nobody waits to have a table for himself.",
    }
}

fn wanted_row(wanted: &DdlTable) -> Row {
    Row {
        cells: vec![
            Cell::Code(plain(&wanted.table, 60)),
            Cell::Figure(time(wanted.waited_ms)),
            Cell::count(wanted.backend),
            Cell::Code(plain(&wanted.statement, STATEMENT)),
        ],
        tone: Tone::Warn,
        ..Row::default()
    }
}

fn replicas(seen: &Snapshot) -> Table {
    Table {
        name: "replicas",
        title: "Replicas",
        note: String::new(),
        heads: vec![
            "replica",
            "state",
            "of its weight",
            "behind",
            "in flight",
            "reads",
            "address",
            "trouble",
        ],
        rows: seen.status.replicas.iter().map(replica_row).collect(),
        none: "No replica is configured: all reads go to the primary.",
    }
}

fn replica_row(one: &ReplicaStatus) -> Row {
    let is_fit = one.state == ReplicaStatus::FIT;
    Row {
        cells: vec![
            Cell::Text(plain(&one.name, NAME)),
            Cell::Text(plain(&one.state, 20).replace('_', " ")),
            Cell::Figure(format!("{:.0} %", one.share * 100.0)),
            Cell::maybe(one.lag_ms.map(time)),
            Cell::count(one.in_flight),
            Cell::count(one.reads),
            Cell::Text(plain(&one.address, 60)),
            Cell::Text(plain(one.trouble.as_deref().unwrap_or_default(), STATEMENT)),
        ],
        tone: if is_fit { Tone::Plain } else { Tone::Alarm },
        ..Row::default()
    }
}

fn incidents(seen: &Snapshot) -> Table {
    Table {
        name: "incidents",
        title: "Pile-ups of waits for locks",
        note: String::new(),
        heads: vec![
            "number",
            "began",
            "lasted",
            "most waited",
            "longest wait",
            "rolled back",
            "refused",
            "held up by",
        ],
        rows: seen.incidents.iter().map(|one| incident_row(seen.now.unix_ms, one)).collect(),
        none: "None since the guard started.",
    }
}

fn incident_row(now_unix_ms: u64, one: &Incident) -> Row {
    let ago = time(now_unix_ms.saturating_sub(one.began_unix_ms));
    let ordered = one.acts.iter().filter(|act| act.is_ordered).count();
    let root = one.roots.first().map(|root| {
        let on = plain(&root.on, 60);
        format!("{}: {} on {on}", tree::whose(&root.holder), plain(&root.holder.activity, 20))
    });
    Row {
        cells: vec![
            Cell::count(one.id),
            Cell::Figure(format!("{ago} ago")),
            Cell::Figure(one.lasted_ms.map_or_else(|| "goes on".into(), time)),
            Cell::Figure(format!("{} of {}", one.blocked, one.open)),
            Cell::Figure(time(one.oldest_wait_ms)),
            Cell::count(ordered),
            Cell::count(one.shed),
            Cell::Text(root.unwrap_or_else(|| "not seen".into())),
        ],
        tone: if one.lasted_ms.is_none() { Tone::Alarm } else { Tone::Plain },
        ..Row::default()
    }
}

fn pins(seen: &Snapshot) -> Table {
    let pins = &seen.pins;
    Table {
        name: "pins",
        title: "Clients that keep a connection",
        note: more(pins.longest.len(), pins.count, "client"),
        heads: vec!["client", "account", "for", "because of", "statement"],
        rows: pins.longest.iter().map(pin_row).collect(),
        none: "No client keeps a connection between its transactions.",
    }
}

fn pin_row(pin: &PinnedSession) -> Row {
    Row {
        cells: vec![
            Cell::Text(plain(&pin.client, 60)),
            Cell::Text(plain(&pin.user, NAME)),
            Cell::Figure(time(pin.for_ms)),
            Cell::Text(plain(&pin.reasons.join(", "), 60).replace('_', " ")),
            Cell::Code(plain(pin.statement.as_deref().unwrap_or_default(), STATEMENT)),
        ],
        ..Row::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Act, ClassStatus, LockHolder, Pins, Rates, Sample, Sighting};

    fn cells(row: &Row) -> Vec<&str> {
        row.cells.iter().map(Cell::text).collect()
    }

    /// A guard with something in every table.
    fn full() -> Snapshot {
        let class = ClassNow {
            status: ClassStatus {
                name: "jobs".into(),
                mode: "enforce".into(),
                in_flight: 12,
                limit: Some(12),
                queued: 31,
                oldest_wait_ms: 1_300,
                shed: 8,
                ..ClassStatus::default()
            },
            rates: Rates { statements: 512.4, service_p99_ms: Some(3.21), ..Rates::default() },
        };
        let mut seen = Snapshot {
            now: Sample { unix_ms: 100_000, ..Sample::default() },
            classes: vec![class],
            switches: vec![SwitchStatus {
                target: "class jobs".into(),
                keep_ratio: 0.2,
                ends_in_ms: Some(540_000),
                reason: "storm".into(),
                author: "ann".into(),
            }],
            pins: Pins { count: 12, longest: vec![PinnedSession::default()] },
            incidents: vec![Incident {
                id: 3,
                began_unix_ms: 40_000,
                blocked: 13,
                open: 14,
                acts: vec![Act { is_ordered: true, ..Act::default() }],
                roots: vec![Sighting {
                    on: "row shop.account PRIMARY".into(),
                    holder: LockHolder {
                        user: "app".into(),
                        activity: "idle".into(),
                        ..LockHolder::default()
                    },
                    ..Sighting::default()
                }],
                ..Incident::default()
            }],
            ..Snapshot::default()
        };
        let row = HotKey {
            table: "account".into(),
            key: "1f2e".into(),
            waiters: 7.4,
            ..HotKey::default()
        };
        seen.hot.rows = vec![row];
        seen.hot.ddl.tables =
            vec![DdlTable { table: "shop.account".into(), ..DdlTable::default() }];
        let fit = ReplicaStatus {
            name: "east".into(),
            state: "fit".into(),
            share: 0.5,
            ..ReplicaStatus::default()
        };
        let sick = ReplicaStatus {
            name: "west".into(),
            state: "no_position".into(),
            ..ReplicaStatus::default()
        };
        seen.status.replicas = vec![fit, sick];
        seen
    }

    #[test]
    fn every_row_has_a_cell_for_each_column() {
        for seen in [Snapshot::default(), full()] {
            for table in Group::ALL.into_iter().flat_map(|group| tables(&seen, group)) {
                for row in &table.rows {
                    assert_eq!(row.cells.len(), table.heads.len(), "{}", table.name);
                }
            }
        }
    }

    #[test]
    fn they_say_this() {
        let seen = full();
        let of = |group, at: usize| tables(&seen, group).swap_remove(at);
        let classes = of(Group::Classes, 0);
        assert_eq!(
            cells(&classes.rows[0]),
            ["jobs", "512", "3.2ms", "12", "12", "31", "1.3s", "0", "8", "enforce", "20 % pass"]
        );
        assert_eq!(classes.rows[0].target.as_deref(), Some("class jobs"));
        let switches = of(Group::Classes, 1);
        assert_eq!(cells(&switches.rows[0]), ["class jobs", "20 % pass", "9m00s", "ann", "storm"]);
        let hot = of(Group::Hot, 0);
        assert_eq!(cells(&hot.rows[0])[..4], ["account#1f2e", "7", "–", "–"]);
        let replicas = of(Group::Replicas, 0);
        assert_eq!(cells(&replicas.rows[0])[..4], ["east", "fit", "50 %", "–"]);
        assert_eq!(replicas.rows[1].tone, Tone::Alarm);
        assert_eq!(replicas.rows[1].cells[1].text(), "no position");
        let incidents = of(Group::Past, 0);
        assert_eq!(
            cells(&incidents.rows[0]),
            [
                "3",
                "1m00s ago",
                "goes on",
                "13 of 14",
                "0ms",
                "1",
                "0",
                "app, not through this guard: idle on row shop.account PRIMARY"
            ]
        );
        assert_eq!(of(Group::Past, 1).note, "And 11 clients more.");
    }
}
