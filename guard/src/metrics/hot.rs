//! Rows that everybody wants.

use std::fmt::Write as _;

use metrics::{Counter, Gauge};
use parking_lot::Mutex;

use super::table::METRICS;
use super::{Histogram, Make};
use crate::control::{HotKey, HotStatus};

/// Rows that have series of their own, those that most are parked for first.
pub(super) const ROWS_MAX: usize = 8;
/// The longest name of a table in a label; more is cut off.
const TABLE_LEN_MAX: usize = 64;

/// What is done about rows that everybody wants.
#[derive(Debug)]
pub struct HotMetrics {
    watched: Gauge,
    gated: Gauge,
    parked: Gauge,
    entered: Counter,
    parked_total: Counter,
    refused: Counter,
    would_park: Counter,
    /// Seconds that transactions were parked, let in or not.
    pub wait_time: Histogram,
    /// Those that have series of their own: rows come and go, so the exporter does not keep them.
    rows: Mutex<Vec<HotKey>>,
}

impl HotMetrics {
    pub(super) fn new(make: &Make<'_>) -> Self {
        let gauge = |name| make.gauge(name, &[]);
        let counter = |name| make.counter(name, &[]);
        Self {
            watched: gauge("guard_hot_watched"),
            gated: gauge("guard_hot_gated"),
            parked: gauge("guard_hot_parked"),
            entered: counter("guard_hot_entered_total"),
            parked_total: counter("guard_hot_parked_total"),
            refused: counter("guard_hot_refused_total"),
            would_park: counter("guard_hot_would_park_total"),
            wait_time: Histogram::default(),
            rows: Mutex::default(),
        }
    }

    /// Shows what is known of rows. Call it before rendering.
    pub fn show(&self, status: HotStatus) {
        let HotStatus { parked, counts, mut rows, .. } = status;
        self.watched.set(rows.len() as f64);
        rows.retain(|row| row.is_gated);
        self.gated.set(rows.len() as f64);
        self.parked.set(parked);
        self.entered.absolute(counts.entered);
        self.parked_total.absolute(counts.parked);
        self.refused.absolute(counts.refused);
        self.would_park.absolute(counts.would_park);
        rows.truncate(ROWS_MAX);
        *self.rows.lock() = rows;
    }

    /// Writes the series of single rows.
    pub(super) fn put(&self, page: &mut String) {
        let rows = self.rows.lock();
        type Figure = fn(&HotKey) -> u32;
        let series: [(&str, Figure); 2] = [
            ("guard_hot_row_inside", |row| row.inside),
            ("guard_hot_row_parked", |row| row.parked),
        ];
        for (name, figure) in series {
            if let Some(metric) = METRICS.iter().find(|metric| metric.name == name) {
                metric.put_head(page);
            }
            for row in &*rows {
                let _infallible =
                    writeln!(page, "{name}{{row=\"{}\"}} {}", label(row), figure(row));
            }
        }
    }
}

/// Table and hash: of the table's name only what needs no escape in any tool.
fn label(row: &HotKey) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$');
    let table = row.table.chars().take(TABLE_LEN_MAX);
    let table: String = table.map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{table}#{}", row.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_few_rows_have_series_and_their_labels_are_plain() {
        let metrics = super::super::Metrics::new(&["default"]);
        let row = |key: usize| HotKey {
            key: format!("{key:08x}"),
            table: "shop.\"odd\nname".into(),
            is_gated: key > 0,
            inside: 2,
            parked: 9,
            ..HotKey::default()
        };
        let rows = (0..12).map(row).collect();
        metrics.hot.show(HotStatus { parked: 99, rows, ..HotStatus::default() });
        let page = metrics.render();
        let parked = |line: &&str| line.starts_with("guard_hot_row_parked{");
        assert_eq!(page.lines().filter(parked).count(), ROWS_MAX, "{page}");
        for line in [
            "guard_hot_row_parked{row=\"shop._odd_name#00000001\"} 9",
            "guard_hot_row_inside{row=\"shop._odd_name#00000001\"} 2",
            "# TYPE guard_hot_row_inside gauge",
            "guard_hot_watched 12",
            "guard_hot_gated 11",
            "guard_hot_parked 99",
        ] {
            assert!(page.lines().any(|one| one == line), "{line}: {page}");
        }
    }
}
