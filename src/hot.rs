//! `tidegate hot`: the rows that everybody wants, and the tables that somebody wants for himself.

use clap::Args;
use guard::control::{DdlCounts, DdlStatus, HotStatus};

use crate::client::Client;
use crate::exit::Failure;
use crate::show::{Table, plain, time};

/// Show the rows that everybody wants, and the tables that a statement waits to have for itself: who works on
/// them, and who waits for them in the guard.
#[derive(Debug, Args)]
pub(crate) struct Hot {
    #[command(flatten)]
    client: Client,
}

impl Hot {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.client.print("GET", "/api/v1/hot", None, show)
    }
}

fn show(status: &HotStatus) -> String {
    match &*status.ddl.mode {
        "" | "off" => rows(status),
        _ => format!("{}\n{}", rows(status), tables(&status.ddl)),
    }
}

fn tables(status: &DdlStatus) -> String {
    let mut tables = Table::new(&["table", ">wanted for", ">backend", "by"]);
    for wanted in &status.tables {
        tables.row([
            plain(&wanted.table, 60),
            time(wanted.waited_ms),
            wanted.backend.to_string(),
            plain(&wanted.statement, 60),
        ]);
    }
    let DdlCounts { refused, would_park, .. } = status.counts;
    let counts = format!("{} parked, {refused} refused, {would_park} would park\n", status.parked);
    tables.show(&format!("mode {}; nobody wants a table for himself", status.mode)) + &counts
}

fn rows(status: &HotStatus) -> String {
    if status.mode == "off" {
        return "hot.mode is off: no row is looked for\n".into();
    }
    let headers = [
        "row",
        ">waiters",
        ">inside",
        ">parked",
        ">entered",
        ">refused",
        ">would park",
        "statement",
    ];
    let mut rows = Table::new(&headers);
    for row in &status.rows {
        let gated = |figure: String| if row.is_gated { figure } else { "-".into() };
        rows.row([
            format!("{}#{}", plain(&row.table, 40), row.key),
            format!("{:.0}", row.waiters),
            gated(row.inside.to_string()),
            gated(row.parked.to_string()),
            gated(row.counts.entered.to_string()),
            gated(row.counts.refused.to_string()),
            gated(row.counts.would_park.to_string()),
            plain(&row.statement, 60),
        ]);
    }
    rows.show(&format!("mode {}; nobody fights for a row", status.mode))
}

#[cfg(test)]
mod tests {
    use guard::control::{DdlTable, HotCounts, HotKey};

    use super::*;

    #[test]
    fn it_looks_like_this() {
        let hot = HotKey {
            key: "1f2e3d4c".into(),
            table: "account".into(),
            statement: "UPDATE account SET n = n + ? WHERE id = ?".into(),
            waiters: 7.4,
            is_gated: true,
            inside: 2,
            parked: 18,
            counts: HotCounts { entered: 1200, refused: 3, ..HotCounts::default() },
        };
        let warm = HotKey { key: "00000001".into(), waiters: 2.0, ..HotKey::default() };
        let rows = vec![hot, warm];
        let status = HotStatus { mode: "enforce".into(), rows, ..HotStatus::default() };
        assert_eq!(
            show(&status),
            "row               waiters  inside  parked  entered  refused  would park  statement\n\
             account#1f2e3d4c        7       2      18     1200        3           0  \
             UPDATE account SET n = n + ? WHERE id = ?\n\
             #00000001               2       -       -        -        -           -\n"
        );
        let calm = HotStatus { rows: Vec::new(), ..status };
        assert_eq!(show(&calm), "mode enforce; nobody fights for a row\n");
        let off = HotStatus { mode: "off".into(), ..calm };
        assert_eq!(show(&off), "hot.mode is off: no row is looked for\n");
    }

    #[test]
    fn tables_stand_below_the_rows() {
        let table = DdlTable {
            table: "shop.account".into(),
            backend: 4711,
            waited_ms: 3250,
            statement: "ALTER TABLE account ADD note INT".into(),
        };
        let counts = DdlCounts { parked: 20, refused: 2, would_park: 0 };
        let ddl = DdlStatus { mode: "enforce".into(), parked: 18, counts, tables: vec![table] };
        let status = HotStatus { mode: "off".into(), ddl, ..HotStatus::default() };
        assert_eq!(
            show(&status),
            "hot.mode is off: no row is looked for\n\n\
             table         wanted for  backend  by\n\
             shop.account        3.2s     4711  ALTER TABLE account ADD note INT\n\
             18 parked, 2 refused, 0 would park\n"
        );
        let calm = DdlStatus { tables: Vec::new(), parked: 0, ..status.ddl.clone() };
        assert!(show(&HotStatus { ddl: calm, ..status }).ends_with(
            "mode enforce; nobody wants a table for himself\n0 parked, 2 refused, 0 would park\n"
        ));
    }
}
