//! Looking at the primary and at each replica, several times a second, over reserved connections of their own.
//!
//! ```text
//!   primary:  ask where it is ──► a mark ──tick──┐            again after LOOK_EVERY,
//!                                                ▼            or at once where somebody waits
//!   replica:  ask how far it is ◄────────────────┘ ──► fit?   silent after ANSWER_TIMEOUT
//! ```

use std::{
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use observe::{Rows, replica::ReplicaTold, server::Server};
use policy::replica::Look;
use thiserror::Error;
use tokio::{sync::watch as channel, task::JoinSet};
use tracing::{info, warn};

use super::{Replica, Replicas};
use crate::{
    engine::Engine,
    herd::{Handshakes, backoff},
    shared::Shared,
    upstream::{
        IDLE_LOOK_EVERY, Upstream, UpstreamOptions,
        control::{Control, Courier},
    },
};

/// How often the servers are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The least time between two looks, where somebody waits.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A server that takes longer to answer is silent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a server may take to let the guard in.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause before a replica is tried to be reached again: nobody but this task asks it.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// What upstreams of replicas have in common with the primary's.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Reserved connections.
    pub control: u32,
    /// Connections unused for this long are closed.
    pub idle_timeout: Duration,
    /// Logins that may be under way at once.
    pub handshakes_at_once: u32,
    /// Logins that may be begun per second, to begin with.
    pub handshakes_per_second: u32,
}

/// Why a server cannot be looked at.
#[derive(Debug, Error)]
enum Blind<E: Display> {
    #[error("{0}")]
    Lost(E),
    #[error("it does not answer")]
    Silent,
    #[error("the server refused: {0}")]
    Refused(String),
    #[error("{0}")]
    Unreadable(#[from] observe::Unreadable),
    #[error("it is another kind of server than the primary: {0:?}")]
    OtherKind(Server),
    #[error("the connection leads to another server: {0}")]
    OtherServer(String),
    #[error("it follows another primary: {0}")]
    OtherPrimary(String),
}

type BlindOf<E> = Blind<<<E as Engine>::Courier as Courier>::Error>;
type Link<E> = <<E as Engine>::Courier as Courier>::Link;

/// Watches, for as long as its future is polled.
pub async fn watch<E: Engine>(shared: Arc<Shared<E>>, primary: Arc<E::Courier>, manner: Manner) {
    let (tick, ticks) = channel::channel(None);
    let mut tasks = JoinSet::new();
    for replica in shared.replicas.iter().flat_map(Replicas::all) {
        let (replica, shared) = (Arc::clone(replica), Arc::clone(&shared));
        let timed = Arc::clone(&replica);
        tasks.spawn(async move {
            let help = || {
                let _held = timed.upstream().is_some_and(|up| up.lingering.end_one_hold());
            };
            timed.gate.run_timer(help).await;
        });
        let watcher = Watcher { shared, replica, manner, ticks: ticks.clone() };
        tasks.spawn(watcher.run());
    }
    tasks.spawn(async move { watch_primary(&shared, &*primary, &tick).await });
    while tasks.join_next().await.is_some() {}
}

/// Asks the primary for ever where it is, and tells the others each time.
async fn watch_primary<E: Engine>(
    shared: &Shared<E>,
    courier: &E::Courier,
    tick: &channel::Sender<Option<Server>>,
) {
    let Some(replicas) = &shared.replicas else { return };
    let mut failures = 0;
    loop {
        let blind = match connect::<E>(courier).await {
            // Its positions would tell nothing of what sessions write.
            Ok((_, _, identity)) if *identity != *shared.upstream.identity => {
                Blind::OtherServer(identity)
            }
            Ok((mut link, server, _)) => {
                failures = 0;
                ask_primary::<E>(replicas, &mut link, server, tick).await
            }
            Err(blind) => blind,
        };
        warn!(error = %blind, "cannot ask the primary how far it is");
        failures += 1;
        tokio::time::sleep(backoff(failures, fastrand::f64())).await;
    }
}

async fn ask_primary<E: Engine>(
    replicas: &Replicas<E>,
    link: &mut Link<E>,
    server: Server,
    tick: &channel::Sender<Option<Server>>,
) -> BlindOf<E> {
    loop {
        // What was committed before this is in the answer.
        let asked = Instant::now();
        let position = match ask::<E>(link, server.primary_sql()).await {
            Ok(rows) => match server.read_primary(&rows) {
                Ok(position) => position,
                Err(error) => return error.into(),
            },
            Err(blind) => return blind,
        };
        replicas.fleet.lock().see_primary(asked, position);
        tick.send_replace(Some(server));
        let again = tokio::time::Instant::from_std(asked + LOOK_AGAIN);
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = replicas.wanted.notified() => tokio::time::sleep_until(again).await,
        }
    }
}

/// Looks at one replica.
struct Watcher<E: Engine> {
    shared: Arc<Shared<E>>,
    replica: Arc<Replica<E>>,
    manner: Manner,
    ticks: channel::Receiver<Option<Server>>,
}

impl<E: Engine> Watcher<E> {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let blind = match self.reach().await {
                Ok((link, server)) => {
                    failures = 0;
                    self.look(link, server).await
                }
                Err(blind) => blind,
            };
            let name = self.replica.name();
            warn!(replica = name, error = %blind, "a replica cannot be looked at");
            self.replica.trouble.store(Some(Arc::new(blind.to_string())));
            if let Some(replicas) = &self.shared.replicas {
                replicas.fleet.lock().silence(self.replica.index);
                replicas.looked.notify_waiters();
            }
            // Whoever waits for it goes elsewhere.
            self.replica.silent.notify_waiters();
            failures += 1;
            tokio::time::sleep(backoff(failures, fastrand::f64()).min(RETRY_MAX)).await;
        }
    }

    /// Connects, and sees to it that there is an upstream that leads to this very server.
    async fn reach(&self) -> Result<(Link<E>, Server), BlindOf<E>> {
        let courier = &self.replica.options.courier;
        let (link, server, identity) = connect::<E>(courier).await?;
        if !E::Courier::may_follow(&self.shared.upstream.identity, &identity) {
            return Err(Blind::OtherPrimary(identity));
        }
        let is_known = self.replica.upstream().is_some_and(|known| *known.identity == *identity);
        if !is_known {
            let opened = within(Control::open(courier, self.manner.control)).await?;
            let (control, identity) = opened.map_err(Blind::Lost)?;
            info!(replica = self.replica.name(), ?server, "reached a replica");
            self.replica.upstream.store(Some(self.make(control, identity)));
        }
        Ok((link, server))
    }

    fn make(&self, control: Control, identity: Arc<str>) -> Arc<Upstream<E>> {
        let (options, primary) = (&self.replica.options, &self.shared.upstream);
        let Manner { handshakes_at_once, handshakes_per_second, idle_timeout, .. } = self.manner;
        Upstream::new(UpstreamOptions {
            target: Arc::clone(&options.target),
            connections: options.connections,
            statements_per_connection: primary.statements_per_connection,
            idle_timeout,
            handshakes: Handshakes::new(handshakes_at_once, handshakes_per_second),
            control,
            identity,
            metrics: Arc::clone(&self.shared.metrics),
            nets: arc_swap::Guard::into_inner(primary.nets()),
        })
    }

    /// Asks with each tick of the primary's, or without where there is none, until the connection breaks.
    async fn look(&mut self, mut link: Link<E>, server: Server) -> BlindOf<E> {
        let shared = Arc::clone(&self.shared);
        let Some(replicas) = &shared.replicas else { return Blind::Silent };
        let mut reaped = Instant::now();
        loop {
            let primary = *self.ticks.borrow_and_update();
            if primary.is_some_and(|primary| !server.is_alike(primary)) {
                return Blind::OtherKind(server);
            }
            let asked = Instant::now();
            let told = match ask::<E>(&mut link, server.replica_sql()).await {
                Ok(rows) => server.read_replica(&rows),
                Err(blind) => return blind,
            };
            let ReplicaTold { position, replicates } = match told {
                Ok(told) => told,
                Err(error) => return error.into(),
            };
            let now = Instant::now();
            let took = now.duration_since(asked);
            let reads = self.replica.take_served();
            let look = Look { position, replicates, took, reads };
            replicas.fleet.lock().see(now, self.replica.index, &look);
            self.replica.trouble.store(None);
            replicas.looked.notify_waiters();
            if now.duration_since(reaped) > IDLE_LOOK_EVERY {
                reaped = now;
                self.replica.upstream().into_iter().for_each(|upstream| upstream.reap_idle());
            }
            tokio::select! {
                // The primary's watcher lives as long as this one.
                _told = self.ticks.changed() => {}
                () = tokio::time::sleep(2 * LOOK_EVERY) => {}
                () = E::Courier::ended(&mut link) => return Blind::Silent,
            }
        }
    }
}

/// Connects for looking. Returns also which kind of server it is, and which one.
async fn connect<E: Engine>(courier: &E::Courier) -> Result<(Link<E>, Server, String), BlindOf<E>> {
    let (mut link, identity) = within(courier.connect()).await?.map_err(Blind::Lost)?;
    let version = ask::<E>(&mut link, E::Courier::VERSION_SQL).await?;
    let version = version.first().and_then(|row| row.first()).and_then(Option::as_ref);
    let version = version.map(|text| String::from_utf8_lossy(text).into_owned());
    let server = E::Courier::server(&version.unwrap_or_default());
    ask::<E>(&mut link, server.setup()).await?;
    Ok((link, server, identity))
}

/// Gives a login up that takes too long: a server that was stopped behind it never answers.
async fn within<T, E: Display>(login: impl Future<Output = T>) -> Result<T, Blind<E>> {
    tokio::time::timeout(REACH_TIMEOUT, login).await.map_err(|_| Blind::Silent)
}

async fn ask<E: Engine>(link: &mut Link<E>, sql: &str) -> Result<Rows, BlindOf<E>> {
    let answered = tokio::time::timeout(ANSWER_TIMEOUT, E::Courier::query(link, sql)).await;
    answered.map_err(|_| Blind::Silent)?.map_err(Blind::Lost)?.map_err(Blind::Refused)
}
