//! `tidegate drill holder`: one transaction that keeps a row, and what becomes of everybody else.
//!
//! Clients keep a pace that the server takes with ease. A quarter of their transactions move one
//! counter that all share; the others touch rows of their own. Then somebody moves the counter and
//! does not commit: its program has forgotten (*idle*), or goes on working (*slow*). A client waits a
//! second, then drops its socket, reconnects and tries again, three times.
//!
//! The same goes three ways: to the server; through a guard that is a pool of a fixed size and no more,
//! as a conventional proxy is; and through one that finds its limit and melts pile-ups. Each way has a
//! server of its own.
//!
//! Goodput counts what was committed within the client's deadline, and all times are the clients'.

mod hold;
mod measure;
mod show;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::screen::Screen;
use crate::server::engine::Engine;

/// The scene: how many, how long.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Clients.
    pub clients: usize,
    /// Transactions that they begin together, a second.
    pub per_second: f64,
    /// Connections that a guard may open to the server.
    pub pool: u32,
    /// Time before somebody takes the row. The first second is not counted.
    pub calm: Duration,
    /// For how long it is kept, if nobody ends that.
    pub hold: Duration,
    /// How long service is watched after that.
    pub after: Duration,
    /// Who keeps it.
    pub holders: Vec<Holder>,
}

impl Default for Scene {
    /// Two and a half minutes.
    fn default() -> Self {
        Self {
            clients: 60,
            per_second: 200.0,
            pool: 16,
            calm: Duration::from_secs(4),
            hold: Duration::from_secs(12),
            after: Duration::from_secs(6),
            holders: vec![Holder::Idle, Holder::Slow],
        }
    }
}

impl Scene {
    /// The row is kept for half as long, and less is watched beside: a minute and a quarter.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            calm: Duration::from_secs(3),
            hold: Duration::from_secs(6),
            after: Duration::from_secs(3),
            ..Self::default()
        }
    }
}

/// Who keeps the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holder {
    /// Its client says nothing more.
    Idle,
    /// Its client goes on with one slow statement after the other.
    Slow,
}

/// Which way the clients went, and whoever keeps the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// To the server.
    Direct,
    /// Through a pool of a fixed size.
    Fixed,
    /// Through a guard that melts.
    Melting,
}

impl Way {
    const ALL: [Self; 3] = [Self::Direct, Self::Fixed, Self::Melting];
}

/// What came of one way. Rates are commits within the deadline, a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which way.
    pub way: Way,
    /// Who kept the row.
    pub holder: Holder,
    /// Before it was taken.
    pub before_per_second: f64,
    /// In the time for which its holder meant to keep it.
    pub during_per_second: f64,
    /// In the last three seconds.
    pub after_per_second: f64,
    /// When it was taken, from the first client on.
    pub taken_ms: u64,
    /// How long it was kept.
    pub kept_ms: u64,
    /// From then until the begin of the first second with nine tenths of the goodput of before; none
    /// when that did not come.
    pub back_after_ms: Option<u64>,
    /// Transactions that the guard rolled back.
    pub kills: u64,
    /// Attempts whose clients waited in vain and dropped their sockets.
    pub hung_up: u64,
    /// Attempts that the server or the guard refused.
    pub refused: u64,
    /// Connections that clients opened after the row was taken.
    pub connects: u64,
    /// Most transactions seen open on the server.
    pub transactions_max: u32,
    /// Most of them seen waiting for a lock.
    pub lock_waiters_max: u32,
    /// Commits within the deadline in each second, from the first client on.
    pub good_by_second: Vec<u64>,
}

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// On which server.
    pub engine: Engine,
    /// By holder, then by way.
    pub outcomes: Vec<Outcome>,
}

/// Service must be back so soon after the row is free.
const BACK_MAX_MS: u64 = 2000;
/// Whoever keeps a row costs no more cancels than this.
const KILLS_MAX: u64 = 2;

impl Report {
    /// Whether the guard that melts kept what it promises, each time: the holder ended, service soon
    /// back, with few rolled back.
    #[must_use]
    pub fn guard_keeps_its_word(&self) -> bool {
        let mut melting = self.outcomes.iter().filter(|one| one.way == Way::Melting);
        melting.all(|one| {
            let is_back = one.back_after_ms.is_some_and(|after| after <= BACK_MAX_MS);
            is_back && (1..=KILLS_MAX).contains(&one.kills)
        })
    }
}

/// Runs the scene all ways, with each holder, telling `screen` as it goes.
///
/// # Errors
/// When the server is not installed, or it or a guard does not start or is lost.
pub async fn run(engine: Engine, scene: &Scene, screen: &Screen) -> Result<Report, Error> {
    let mut outcomes = Vec::new();
    for holder in scene.holders.iter().copied() {
        show::begin(screen, holder, engine, scene);
        for way in Way::ALL {
            let outcome = measure::play(engine, way, holder, scene).await?;
            show::outcome(screen, &outcome);
            outcomes.push(outcome);
        }
    }
    Ok(Report { engine, outcomes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Report as _;

    fn outcome(way: Way, kills: u64, back_after_ms: Option<u64>) -> Outcome {
        Outcome {
            way,
            holder: Holder::Idle,
            before_per_second: 200.0,
            during_per_second: 20.0,
            after_per_second: 190.0,
            taken_ms: 4_000,
            kept_ms: 12_000,
            back_after_ms,
            kills,
            hung_up: 300,
            refused: 0,
            connects: 300,
            transactions_max: 200,
            lock_waiters_max: 199,
            good_by_second: vec![200; 22],
        }
    }

    #[test]
    fn the_guard_keeps_its_word_when_service_is_soon_back_and_few_were_rolled_back() {
        let report = |kills, back| {
            let outcomes = vec![outcome(Way::Direct, 0, None), outcome(Way::Melting, kills, back)];
            Report { engine: Engine::MariaDb, outcomes }
        };
        assert!(report(1, Some(300)).guard_keeps_its_word());
        assert!(!report(0, Some(300)).guard_keeps_its_word(), "the holder was left alone");
        assert!(!report(3, Some(300)).guard_keeps_its_word());
        assert!(!report(1, Some(2_001)).guard_keeps_its_word());
        assert!(!report(1, None).guard_keeps_its_word());
    }

    #[test]
    fn a_table_has_a_column_for_each_way() {
        let ways = Way::ALL.map(|way| outcome(way, 1, None));
        let report = Report { engine: Engine::MariaDb, outcomes: ways.into() };
        let sheet = report.sheet();
        let table = crate::record::told_again(report);
        let line = |name| table.lines().find(|line| line.contains(name)).unwrap();
        assert!(line("rolled back").ends_with("         1           1           1"), "{table}");
        assert!(line("back after").ends_with("     never       never       never"), "{table}");
        assert_eq!((sheet.plots.len(), sheet.plots[0].series.len()), (1, 3));
    }
}
