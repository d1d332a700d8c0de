//! What is shown, by command. Counts are taken one after the other while clients go on, so they need
//! not fit each other to the last one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use policy::admission::Usage;
use policy::class::{Policy, TimeLimits};

use super::command::Topic;
use super::table::{
    Column, Row,
    Type::{Float, Int, Text},
    Value, time,
};
use super::{overview, stats};
use crate::control::{Operations, mode_name, whole_ms};
use crate::engine::Connection as _;
use crate::metrics::ClientState;
use crate::postgres::Shared;
use crate::session::registry::Card;
use crate::stream::socket::Peer;

/// As PgBouncer's, and pinned last.
pub(super) const POOLS: &[Column] = &[
    ("database", Text),
    ("user", Text),
    ("cl_active", Int),
    ("cl_waiting", Int),
    ("cl_active_cancel_req", Int),
    ("cl_waiting_cancel_req", Int),
    ("sv_active", Int),
    ("sv_active_cancel", Int),
    ("sv_being_canceled", Int),
    ("sv_idle", Int),
    ("sv_used", Int),
    ("sv_tested", Int),
    ("sv_login", Int),
    ("maxwait", Int),
    ("maxwait_us", Int),
    ("pool_mode", Text),
    ("load_balance_hosts", Text),
    ("cl_pinned", Int),
];

/// As PgBouncer's, for clients and servers alike.
pub(super) const CLIENTS: &[Column] = &[
    ("type", Text),
    ("user", Text),
    ("database", Text),
    ("replication", Text),
    ("state", Text),
    ("addr", Text),
    ("port", Int),
    ("local_addr", Text),
    ("local_port", Int),
    ("connect_time", Text),
    ("request_time", Text),
    ("wait", Int),
    ("wait_us", Int),
    ("close_needed", Int),
    ("ptr", Text),
    ("link", Text),
    ("remote_pid", Int),
    ("tls", Text),
    ("application_name", Text),
    ("prepared_statements", Int),
    ("id", Int),
];

pub(super) const SERVERS: &[Column] = CLIENTS;

pub(super) const CLASSES: &[Column] = &[
    ("class", Text),
    ("mode", Text),
    ("in_flight", Int),
    ("in_flight_limit", Int),
    ("queued", Int),
    ("oldest_wait_ms", Int),
    ("connections", Int),
    ("pinned", Int),
    ("admitted", Int),
    ("shed", Int),
    ("would_wait", Int),
    ("would_shed", Int),
    ("transactions", Int),
    ("statements", Int),
    ("transaction_us", Int),
    ("statement_us", Int),
    ("wait_us", Int),
];

pub(super) const PINS: &[Column] = &[
    ("id", Int),
    ("user", Text),
    ("client", Text),
    ("reasons", Text),
    ("for_ms", Int),
    ("statement", Text),
];

pub(super) const LIMITS: &[Column] = &[
    ("scope", Text),
    ("name", Text),
    ("mode", Text),
    ("in_flight", Int),
    ("in_flight_limit", Int),
    ("connections", Int),
    ("connections_limit", Int),
    ("rate_limit", Int),
    ("queued", Int),
    ("queue_length", Int),
    ("queue_time_ms", Int),
    ("statement_time_ms", Int),
    ("transaction_time_ms", Int),
    ("idle_in_transaction_time_ms", Int),
    ("lock_wait_time_ms", Int),
];

pub(super) const SWITCHES: &[Column] = &[
    ("target", Text),
    ("keep_ratio", Float),
    ("ends_in_ms", Int),
    ("reason", Text),
    ("author", Text),
];

/// The rows of a topic.
pub(super) fn rows(topic: Topic, shared: &Shared, operations: &dyn Operations) -> Vec<Row> {
    match topic {
        Topic::Pools => pools(shared),
        Topic::Clients => clients(shared),
        Topic::Servers => servers(shared),
        Topic::Users => overview::users(shared),
        Topic::Stats => stats::rows(shared),
        Topic::StatsTotals => stats::totals(shared),
        Topic::StatsAverages => stats::averages(shared),
        Topic::Classes => classes(operations),
        Topic::Pins => pins(operations),
        Topic::Limits => limits(shared),
        Topic::Switches => switches(operations),
        Topic::Databases => overview::databases(shared),
        Topic::Listeners => overview::listeners(shared),
        Topic::Lists => overview::lists(shared, operations),
        Topic::Config => overview::config(operations),
        Topic::State => overview::state(shared),
        Topic::Version => vec![vec![concat!("Tidegate ", env!("CARGO_PKG_VERSION")).into()]],
    }
}

/// What is counted for a pool.
#[derive(Debug, Default)]
struct Counted {
    active: usize,
    waiting: usize,
    pinned: usize,
    longest: Duration,
    /// Idle connections and all; none where no connection was opened yet.
    servers: Option<(usize, usize)>,
}

fn pools(shared: &Shared) -> Vec<Row> {
    let now = Instant::now();
    let mut pools: BTreeMap<(String, String), Counted> = BTreeMap::new();
    for card in shared.sessions.all() {
        let key = (card.database.as_deref().unwrap_or_default().to_owned(), card.user.to_string());
        let counted = pools.entry(key).or_default();
        match card.waited(now) {
            Some(waited) => {
                counted.waiting += 1;
                counted.longest = counted.longest.max(waited);
            }
            None => counted.active += 1,
        }
        counted.pinned += usize::from(card.pins().is_some());
    }
    for pool in shared.upstream.pools() {
        let (user, database) = pool.opener().names();
        let (available, all) = pool.sizes();
        let idle = available + shared.upstream.lingering.count_of(&pool);
        let servers = &mut pools.entry((database, user)).or_default().servers;
        // An account whose password has changed has two pools for a while.
        let (idle_before, all_before) = servers.unwrap_or_default();
        *servers = Some((idle_before + idle.min(all), all_before + all));
    }
    let mode = if shared.options.session_pooling { "session" } else { "transaction" };
    // States that a connection here is never in, or that are not told from being active: exporters
    // add all of them up, and some fail on NULL.
    let none = || Value::Int(0);
    let row = |((database, user), counted): ((String, String), Counted)| {
        let (idle, all) = counted.servers.unwrap_or_default();
        vec![
            database.into(),
            user.into(),
            counted.active.into(),
            counted.waiting.into(),
            none(),
            none(),
            (all - idle).into(),
            none(),
            none(),
            idle.into(),
            none(),
            none(),
            none(),
            counted.longest.as_secs().into(),
            counted.longest.subsec_micros().into(),
            mode.into(),
            Value::Null,
            counted.pinned.into(),
        ]
    };
    pools.into_iter().map(row).collect()
}

fn clients(shared: &Shared) -> Vec<Row> {
    let now = Instant::now();
    let mut cards = shared.sessions.all();
    cards.sort_by_key(|card| card.id);
    cards.iter().map(|card| client(card, now)).collect()
}

fn client(card: &Card, now: Instant) -> Row {
    let state = match card.state() {
        ClientState::Waiting => "waiting",
        ClientState::Running | ClientState::IdleInTransaction => "active",
        ClientState::LoggingIn | ClientState::Idle => "idle",
    };
    let waited = card.waited(now).unwrap_or_default();
    vec![
        "C".into(),
        (&*card.user).into(),
        card.database.as_deref().into(),
        "none".into(),
        state.into(),
        peer(card.peer).into(),
        u32::from(card.peer.port()).into(),
        Value::Null,
        Value::Null,
        time(now.saturating_duration_since(card.since)).into(),
        time(now.saturating_duration_since(card.asked())).into(),
        waited.as_secs().into(),
        waited.subsec_micros().into(),
        Value::Null,
        Value::Null,
        Value::Null,
        card.backend().into(),
        Value::Null,
        Value::Null,
        Value::Null,
        card.id.into(),
    ]
}

/// As PgBouncer shows it.
fn peer(peer: Peer) -> String {
    match peer {
        Peer::Tcp(addr) => addr.ip().to_canonical().to_string(),
        Peer::Unix => peer.to_string(),
    }
}

/// Of connections that sessions have, those are known by which one is served; of the others, how many
/// there are.
fn servers(shared: &Shared) -> Vec<Row> {
    let cards = shared.sessions.all();
    let (host, port) = shared.upstream.target.address.folder_and_port();
    let mut rows = Vec::new();
    for pool in shared.upstream.pools() {
        let (user, database) = pool.opener().names();
        let row = |state: &str, times: [Value; 2], process: Value| {
            let [connected, used] = times;
            let mut row = vec![Value::Null; SERVERS.len()];
            row[0] = "S".into();
            row[1] = user.as_str().into();
            row[2] = database.as_str().into();
            row[3] = "none".into();
            row[4] = state.into();
            row[5] = host.into();
            row[6] = u32::from(port).into();
            row[9] = connected;
            row[10] = used;
            row[16] = process;
            row
        };
        let mut waiting = 0;
        pool.look_at_idle(|connection, age, unused| {
            waiting += 1;
            let times = [time(age).into(), time(unused).into()];
            rows.push(row("idle", times, connection.backend().id.into()));
        });
        let lingering = shared.upstream.lingering.count_of(&pool);
        let mut leased = pool.sizes().1.saturating_sub(waiting);
        let own = cards.iter().filter(|card| {
            *card.user == *user && card.database.as_deref().is_some_and(|own| *own == *database)
        });
        for (backend, client) in
            own.filter_map(|card| Some((card.backend()?, card.id))).take(leased)
        {
            let mut row = row("active", [Value::Null, Value::Null], backend.into());
            row[15] = client.to_string().into();
            rows.push(row);
            leased -= 1;
        }
        for number in 0..leased {
            let state = if number < lingering { "idle" } else { "active" };
            rows.push(row(state, [Value::Null, Value::Null], Value::Null));
        }
    }
    rows
}

fn classes(operations: &dyn Operations) -> Vec<Row> {
    let metrics = operations.metrics();
    let row = |class: crate::control::ClassStatus| {
        let counted = stats::of_class(&metrics, &class.name);
        let mut row = vec![
            class.name.into(),
            class.mode.into(),
            class.in_flight.into(),
            class.limit.into(),
            class.queued.into(),
            class.oldest_wait_ms.into(),
            class.connections.into(),
            class.pinned.into(),
            class.admitted.into(),
            class.shed.into(),
            class.would_wait.into(),
            class.would_shed.into(),
        ];
        row.extend(counted);
        row
    };
    operations.classes().into_iter().map(row).collect()
}

fn pins(operations: &dyn Operations) -> Vec<Row> {
    let row = |pin: crate::control::PinnedSession| {
        vec![
            pin.id.into(),
            pin.user.into(),
            pin.client.into(),
            pin.reasons.join(", ").into(),
            pin.for_ms.into(),
            pin.statement.into(),
        ]
    };
    operations.pins().into_iter().map(row).collect()
}

fn limits(shared: &Shared) -> Vec<Row> {
    let policy: &Policy = &shared.policy.load();
    let snapshot = shared.gate.snapshot(Instant::now());
    let none = TimeLimits::default();
    let overall = limit_row("overall", &snapshot.overall, &none);
    let databases = snapshot.databases.iter().map(|usage| limit_row("database", usage, &none));
    let classes = snapshot.classes.iter().map(|usage| {
        let class = policy.classes.iter().find(|class| class.name == usage.name);
        limit_row("class", usage, class.map_or(&none, |class| &class.times))
    });
    [overall].into_iter().chain(databases).chain(classes).collect()
}

fn limit_row(scope: &str, usage: &Usage, times: &TimeLimits) -> Row {
    let limits = &usage.limits;
    let mut row = vec![
        scope.into(),
        usage.name.as_str().into(),
        mode_name(usage.mode).into(),
        usage.in_flight.into(),
        limits.in_flight.into(),
        usage.connections.into(),
        limits.connections.into(),
        limits.rate.map(|rate| rate.per_second.get()).into(),
        usage.queued.into(),
        limits.queue_length.into(),
        whole_ms(limits.queue_time).into(),
    ];
    let times = [times.statement, times.transaction, times.idle_in_transaction, times.lock_wait];
    row.extend(times.map(|time| Value::from(time.map(whole_ms))));
    row
}

fn switches(operations: &dyn Operations) -> Vec<Row> {
    let row = |switch: crate::control::SwitchStatus| {
        vec![
            switch.target.into(),
            switch.keep_ratio.into(),
            switch.ends_in_ms.into(),
            switch.reason.into(),
            switch.author.into(),
        ]
    };
    operations.switches().into_iter().map(row).collect()
}
