//! What an operator may ask of this guard, and how it is done.

mod live;

use std::{path::PathBuf, sync::Arc, time::Instant};

use parking_lot::Mutex;
use policy::switch::{Switches, Target};
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use crate::{
    config::{self, Config, ListedKey},
    control::{
        Check, ClassStatus, ClientsStatus, DdlStatus, Declined, Describe, HotStatus, Incident,
        LockClient, LocksStatus, Operations, PauseOrder, PauseStatus, PinnedSession,
        PressureStatus, ReplicaStatus, Sample, Snapshot, State, Status, SwitchOrder, SwitchStatus,
        UpstreamStatus, mode_name, whole_ms,
    },
    engine::Engine,
    live::Live,
    metrics::{ClientState, ConnectionState, Label as _, Reload},
    notify::{Condition, Notifier},
    pressure::Board,
    recorder::Recorder,
    session::{
        pins::Pin,
        registry::{Card, ShownPins},
    },
    shared::Shared,
    upstream::Sizes,
};

/// Carries out what operators ask.
#[derive(Debug)]
pub struct Operator<E: Engine> {
    shared: Arc<Shared<E>>,
    drain: Arc<Notify>,
    source: Option<PathBuf>,
    notifier: Arc<Notifier>,
    started: Instant,
    /// How pressed the database is.
    board: Arc<Board>,
    /// The last ten minutes, and who follows.
    live: Live,
    /// The configuration in force.
    config: Mutex<Vec<ListedKey>>,
    /// One change of switches or configuration at a time.
    changing: Mutex<()>,
}

impl<E: Engine> Operator<E> {
    /// An operator's side of a guard that was started with `config`. `source` is what a reload reads;
    /// without it there is none.
    pub fn new(
        shared: Arc<Shared<E>>,
        config: &Config,
        source: Option<PathBuf>,
        (drain, notifier): (Arc<Notify>, Arc<Notifier>),
    ) -> Self {
        let started = Instant::now();
        Self {
            shared,
            drain,
            source,
            notifier,
            started,
            board: Arc::new(Board::new(config, started)),
            live: Live::default(),
            config: Mutex::new(config::list(config)),
            changing: Mutex::new(()),
        }
    }

    /// Where it is written how pressed the database is.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Sets all gauges.
    pub fn observe(&self) {
        let now = Instant::now();
        let metrics = &self.shared.metrics;
        metrics.observe(&self.shared.gate.snapshot(now));
        metrics.replicas.show(self.replicas(now));
        metrics.limit.show(self.shared.gate.limit().as_ref());
        let hot = self.hot();
        metrics.ddl.show(&hot.ddl);
        metrics.hot.show(hot);
        let (restraint, restrained) = self.shared.gate.restrained();
        metrics.melt.show(now, restraint, restrained);
        let cards = self.shared.sessions.all();
        for state in ClientState::ALL.iter().filter(|state| **state != ClientState::LoggingIn) {
            let count = cards.iter().filter(|card| card.state() == *state).count();
            metrics.clients.connections.of(*state).set(count as f64);
        }
        let Sizes { idle, leased, connecting, reclaiming } = self.shared.upstream.sizes();
        let connections = &metrics.upstream.connections;
        connections.of(ConnectionState::Idle).set(idle);
        connections.of(ConnectionState::Leased).set(leased);
        connections.of(ConnectionState::Connecting).set(connecting);
        connections.of(ConnectionState::Reclaiming).set(reclaiming);
        metrics.guard.switches.set(self.shared.switches.load().list(now).count() as f64);
        metrics.guard.paused.set(f64::from(u8::from(self.pause_status().ends_in_ms.is_some())));
    }

    fn replicas(&self, now: Instant) -> Vec<ReplicaStatus> {
        let Some(replicas) = &self.shared.replicas else { return Vec::new() };
        let of = |replica: &Arc<_>| Some(ReplicaStatus::of(replica, replicas.show(now, replica)?));
        replicas.all().iter().filter_map(of).collect()
    }

    fn upstream(&self) -> UpstreamStatus {
        let upstream = &self.shared.upstream;
        let sizes = upstream.sizes();
        UpstreamStatus {
            address: upstream.target.address.to_string(),
            server: self.shared.engine.version(),
            limit: upstream.connections,
            idle: sizes.idle,
            leased: sizes.leased,
            control: upstream.control().working(),
        }
    }

    fn swap_switches(
        &self,
        change: impl FnOnce(&mut Switches) -> Result<(), Declined>,
    ) -> Result<(), Declined> {
        let _one_at_a_time = self.changing.lock();
        let mut switches = Switches::clone(&self.shared.switches.load());
        change(&mut switches)?;
        self.shared.switches.store(Arc::new(switches));
        Ok(())
    }

    fn read_again(&self) -> Result<Vec<String>, Declined> {
        let Some(path) = &self.source else {
            return Err(Declined("this guard was not started from a file".into()));
        };
        let loaded = Config::load(path).map_err(|errors| Declined(errors.to_string()))?;
        let policy = loaded.config.policy();
        self.shared.metrics.set_classes(&loaded.config.class_names());
        let nets = E::nets(&loaded.config.native_limits());
        let routing = loaded.config.replica_policy();
        self.shared.reload(Instant::now(), policy, routing, nets);
        let mut keys = self.config.lock();
        keys.retain(|listed| !listed.is_reloaded);
        let new = config::list(&loaded.config).into_iter().filter(|listed| listed.is_reloaded);
        keys.extend(new);
        keys.sort_by(|a, b| a.key.cmp(&b.key));
        drop(keys);
        Ok(loaded.warnings.iter().map(ToString::to_string).collect())
    }
}

impl<E: Engine> Operations for Operator<E> {
    fn status(&self) -> Status {
        let now = Instant::now();
        let snapshot = self.shared.gate.snapshot(now);
        let cards = self.shared.sessions.all();
        let busy = cards.iter().filter(|card| card.state() != ClientState::Idle).count();
        let upstream = self.upstream();
        let state = if self.shared.is_draining() {
            State::Draining
        } else if upstream.control == 0 {
            State::UpstreamLost
        } else {
            State::Ready
        };
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            state,
            mode: mode_name(self.shared.policy.load().mode).into(),
            uptime_ms: whole_ms(now.duration_since(self.started)),
            upstream,
            clients: ClientsStatus { connected: count(cards.len()), busy: count(busy) },
            in_flight: snapshot.overall.in_flight,
            queued: snapshot.overall.queued,
            limit: self.shared.gate.limit().map(Into::into),
            switches: self.shared.switches.load().list(now).count(),
            pause_ends_in_ms: self
                .shared
                .gate
                .held()
                .map(|hold| whole_ms(hold.until.saturating_duration_since(now))),
            replicas: self.replicas(now),
        }
    }

    fn classes(&self) -> Vec<ClassStatus> {
        let snapshot = self.shared.gate.snapshot(Instant::now());
        snapshot.classes.iter().map(ClassStatus::from).collect()
    }

    fn pins(&self) -> Vec<PinnedSession> {
        let now = Instant::now();
        let cards = self.shared.sessions.all();
        let mut pins: Vec<_> = cards.iter().filter_map(|card| pinned(card, now)).collect();
        pins.sort_by_key(|pin| std::cmp::Reverse(pin.for_ms));
        pins
    }

    fn locks(&self) -> LocksStatus {
        let cards = self.shared.sessions.all();
        let policy = self.shared.policy.load();
        let client = |backend| {
            let card = cards.iter().find(|card| card.is_served_by(backend))?;
            Some(LockClient::of(card, &policy))
        };
        let seen = self.shared.sight.seen();
        Describe { seen: &seen, statements: &self.shared.statements, client }.status(Instant::now())
    }

    fn hot(&self) -> HotStatus {
        let ddl = DdlStatus::from(&self.shared.ddl.report(Instant::now()));
        HotStatus { ddl, ..HotStatus::from(&self.shared.hot.report()) }
    }

    fn incidents(&self) -> Vec<Incident> {
        self.shared.timeline.list()
    }

    fn recorder(&self) -> Arc<Recorder> {
        Arc::clone(&self.shared.recorder)
    }

    fn look_closely(&self) {
        self.shared.sight.suspect();
    }

    fn switches(&self) -> Vec<SwitchStatus> {
        let now = Instant::now();
        let switches = self.shared.switches.load();
        switches.list(now).map(|switch| SwitchStatus::of(switch, now)).collect()
    }

    fn set_switch(&self, order: SwitchOrder) -> Result<(), Declined> {
        let now = Instant::now();
        let switch = order.to_switch(now)?;
        if let Target::Class(name) = &switch.target
            && self.shared.policy.load().class_named(name).is_none()
        {
            return Err(Declined(format!("there is no class {name:?}")));
        }
        self.swap_switches(|set| set.set(now, switch).map_err(|error| Declined(error.to_string())))
    }

    fn clear_switch(&self, target: &Target) -> Result<(), Declined> {
        self.swap_switches(|set| {
            let cleared = set.clear(target);
            cleared.map(drop).ok_or_else(|| Declined(format!("no switch is set for {target}")))
        })
    }

    fn reload(&self) -> Result<Vec<String>, Declined> {
        let _one_at_a_time = self.changing.lock();
        self.notifier.tell(Condition::Reloading);
        let result = self.read_again();
        // Also with the old configuration it is.
        self.notifier.tell(Condition::Ready);
        let reloads = &self.shared.metrics.guard.reloads;
        match &result {
            Ok(warnings) => {
                info!(warnings = warnings.len(), "configuration reloaded");
                reloads.of(Reload::Ok).increment(1);
            }
            Err(declined) => {
                warn!(error = %declined, "the configuration is wrong; the old one holds");
                reloads.of(Reload::Failed).increment(1);
            }
        }
        result
    }

    fn config(&self) -> Vec<ListedKey> {
        self.config.lock().clone()
    }

    fn pause(&self, order: PauseOrder) -> Result<PauseStatus, Declined> {
        let now = Instant::now();
        self.shared.gate.hold(now, order.to_hold(now)?);
        warn!(ttl_ms = order.ttl_ms, length = order.length, "paused");
        Ok(self.pause_status())
    }

    fn resume(&self) -> Result<PauseStatus, Declined> {
        if !self.shared.gate.release(Instant::now()) {
            return Err(Declined("the guard is not paused".into()));
        }
        warn!("resumed");
        Ok(self.pause_status())
    }

    fn pause_status(&self) -> PauseStatus {
        let now = Instant::now();
        let hold = self.shared.gate.held();
        if hold.is_some() {
            self.shared.upstream.close_unused();
        }
        let overall = self.shared.gate.snapshot(now).overall;
        let Sizes { idle, leased, connecting, reclaiming } = self.shared.upstream.sizes();
        PauseStatus {
            ends_in_ms: hold.map(|hold| whole_ms(hold.until.saturating_duration_since(now))),
            held: hold.map_or(0, |_| overall.queued),
            in_flight: overall.in_flight,
            connections: idle + leased + connecting + reclaiming,
            pinned: overall.pinned,
        }
    }

    fn pressure(&self) -> PressureStatus {
        self.board.newest()
    }

    fn follow_pressure(&self) -> Result<watch::Receiver<PressureStatus>, Declined> {
        self.board.follow()
    }

    fn snapshot(&self) -> Snapshot {
        self.glance()
    }

    fn history(&self) -> Vec<Sample> {
        self.live.history()
    }

    fn follow(&self) -> Result<watch::Receiver<Arc<Snapshot>>, Declined> {
        self.live.follow()
    }

    fn check(&self, application: &str, store_type: &str, store: &str) -> Check {
        let switches = self.shared.switches.load();
        let forbids = switches.forbids(Instant::now(), application, fastrand::f64());
        let why = forbids.map(|switch| {
            format!("switch {}: {} by {}", switch.target, switch.reason, switch.author)
        });
        self.board.check((store_type, store), why)
    }

    fn drain(&self) {
        self.drain.notify_one();
    }

    fn metrics(&self) -> String {
        self.observe();
        self.shared.metrics.render()
    }
}

fn pinned(card: &Card, now: Instant) -> Option<PinnedSession> {
    let ShownPins { pins, since, statement } = card.pins()?;
    Some(PinnedSession {
        id: card.id,
        user: card.user.to_string(),
        client: card.peer.to_string(),
        reasons: pins.iter().map(Pin::as_str).map(str::to_owned).collect(),
        for_ms: whole_ms(now.duration_since(since)),
        statement: statement.map(|text| text.to_string()),
    })
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
