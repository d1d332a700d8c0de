//! `tidegate drill hotrow`: one row that everybody wants, and what it costs those who do not want it.
//!
//! Clients begin transactions at a pace, whatever becomes of them: each changes one account, works for
//! a while, and commits. Three of ten want the same account, more than it can serve one after the
//! other; the others want any of ten thousand. A client waits a second, then drops its socket,
//! reconnects and tries again, three times.
//!
//! The same goes three ways: to the server; through a guard with few connections, as a pool of them is;
//! and through the same guard with `[hot]`. Each way the others come alone first: what they commit then
//! is what they are held against. The two guards take turns before one server, so that whatever else the machine does
//! meets both.

mod report;
mod show;

use std::sync::Arc;
use std::time::Duration;

pub use self::report::{Report, Side};
use crate::error::Error;
use crate::guard::Guard;
use crate::load::accounts::Accounts;
use crate::load::{Crowd, Rates, Target, Timeline};
use crate::screen::Screen;
use crate::server::engine::Engine;
use crate::server::{Server, Settings};
use crate::watch::{Watch, most, quiet};
pub use crate::way::Way;

/// How often the server is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long what is left of a crowd may keep the server busy before that is restarted.
const QUIET: Duration = Duration::from_secs(5);

/// The scene: how many, how long.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Transactions that begin, a second.
    pub per_second: f64,
    /// The part of them that wants the one row.
    pub hot_share: f64,
    /// How long the application works while it holds a row.
    pub work: Duration,
    /// Clients that want the one row, and clients that want others.
    pub clients: (usize, usize),
    /// Connections that the guards have to the server.
    pub connections: u32,
    /// How long a crowd goes on before it is counted.
    pub warm: Duration,
    /// How long it is counted.
    pub counted: Duration,
    /// Turns of each way.
    pub turns: u32,
}

impl Default for Scene {
    /// About two minutes.
    fn default() -> Self {
        Self {
            per_second: 400.0,
            hot_share: 0.3,
            work: Duration::from_millis(10),
            clients: (64, 64),
            connections: 16,
            warm: Duration::from_secs(3),
            counted: Duration::from_secs(5),
            turns: 2,
        }
    }
}

impl Scene {
    /// One turn of each way: half a minute, and less to be believed.
    #[must_use]
    pub fn quick() -> Self {
        Self { counted: Duration::from_secs(3), turns: 1, ..Self::default() }
    }
}

/// Runs the scene all three ways, telling `screen` as it goes.
///
/// # Errors
/// When the server is not installed, or it or a guard does not start or is lost.
pub async fn run(engine: Engine, scene: &Scene, screen: &Screen) -> Result<Report, Error> {
    screen.step(&format!("starting a private {engine} and loading it"));
    let mut server = Server::start(Settings::from(engine)).await?;
    Accounts::load(&server).await?;
    let mut report = Report::new(engine, scene);
    let pool = Guard::of_drill(&server, scene.connections, "").await?;
    let hot = "[hot]\nmode = \"enforce\"\n";
    let guarded = Guard::of_drill(&server, scene.connections, hot).await?;
    let ways =
        [(Way::Direct, server.addr()), (Way::Pool, pool.addr()), (Way::Guarded, guarded.addr())];
    for _ in 0..scene.turns.max(1) {
        for (way, addr) in ways {
            let target = Target { engine, addr };
            for wants_hot in [false, true] {
                let side = measure(&server, scene, target, wants_hot).await?;
                screen.line(&show::side(way, &side));
                report.note(way, side);
                quiet(&mut server, QUIET).await?;
            }
        }
    }
    report.parked = guarded.metric("guard_hot_parked_total", &[]).await?;
    Ok(report)
}

/// Lets the others go one way, with or without those who want the one row, and counts what comes of
/// both.
async fn measure(
    server: &Server,
    scene: &Scene,
    target: Target,
    wants_hot: bool,
) -> Result<Side, Error> {
    let crowd = |is_hot: bool| {
        let (share, clients) = match is_hot {
            true => (scene.hot_share, scene.clients.0),
            false => (1.0 - scene.hot_share, scene.clients.1),
        };
        let crowd = Crowd::impatient(target, clients, scene.warm + scene.counted)
            .paced(scene.per_second * share);
        (crowd, Accounts { is_hot, work: scene.work }, Arc::new(Timeline::new()))
    };
    let watch = Watch::of(server, LOOK).await?;
    let (others, of_others, other_times) = crowd(false);
    let (hot, of_hot, hot_times) = crowd(true);
    let others = others.run(Arc::new(of_others), Arc::clone(&other_times));
    if wants_hot {
        tokio::join!(others, hot.run(Arc::new(of_hot), Arc::clone(&hot_times)));
    } else {
        others.await;
    }
    let most = most(&watch.finish().await?, scene.warm);
    let rates = |times| Rates::of(times, scene.warm, scene.warm + scene.counted);
    Ok(Side {
        others: rates(&other_times),
        hot: wants_hot.then(|| rates(&hot_times)),
        transactions_max: most.transactions,
        lock_waiters_max: most.lock_waiters,
    })
}

#[cfg(test)]
mod tests;
