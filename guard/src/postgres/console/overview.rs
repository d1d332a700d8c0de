//! What is shown of the guard as a whole: its databases, how many there are of what, and who listens.

use std::collections::BTreeMap;
use std::time::Instant;

use super::table::{
    Column, Row,
    Type::{Int, Text},
    Value, time,
};
use crate::config::ListedKey;
use crate::control::Operations;
use crate::metrics::ClientState;
use crate::postgres::Shared;

/// As PgBouncer's.
pub(super) const DATABASES: &[Column] = &[
    ("name", Text),
    ("host", Text),
    ("port", Int),
    ("database", Text),
    ("force_user", Text),
    ("pool_size", Int),
    ("min_pool_size", Int),
    ("reserve_pool_size", Int),
    ("server_lifetime", Int),
    ("pool_mode", Text),
    ("load_balance_hosts", Text),
    ("max_connections", Int),
    ("current_connections", Int),
    ("max_client_connections", Int),
    ("current_client_connections", Int),
    ("paused", Int),
    ("disabled", Int),
];

/// As PgBouncer's.
pub(super) const USERS: &[Column] = &[
    ("name", Text),
    ("pool_size", Int),
    ("reserve_pool_size", Int),
    ("pool_mode", Text),
    ("max_user_connections", Int),
    ("current_connections", Int),
    ("max_user_client_connections", Int),
    ("current_client_connections", Int),
];

/// As PgBouncer's.
pub(super) const CONFIG: &[Column] =
    &[("key", Text), ("value", Text), ("default", Text), ("changeable", Text)];

/// As PgBouncer's.
pub(super) const STATE: &[Column] = &[("key", Text), ("value", Text)];

/// As PgBouncer's.
pub(super) const LISTS: &[Column] = &[("list", Text), ("items", Int)];

pub(super) const LISTENERS: &[Column] =
    &[("database", Text), ("clients", Int), ("channels", Int), ("connect_time", Text)];

/// Clients and connections, by database or by user.
type Counts = BTreeMap<String, (usize, usize)>;

/// Each user that is logged in, or has connections to the database.
pub(super) fn users(shared: &Shared) -> Vec<Row> {
    let mut users = Counts::new();
    for card in shared.sessions.all() {
        users.entry(card.user.to_string()).or_default().0 += 1;
    }
    for pool in shared.upstream.pools() {
        users.entry(pool.opener().names().0).or_default().1 += pool.sizes().1;
    }
    let row = |(name, (clients, connections)): (String, (usize, usize))| {
        vec![
            name.into(),
            shared.upstream.connections.into(),
            Value::Null,
            pool_mode(shared).into(),
            Value::Null,
            connections.into(),
            Value::Null,
            clients.into(),
        ]
    };
    users.into_iter().map(row).collect()
}

fn pool_mode(shared: &Shared) -> &'static str {
    if shared.options.session_pooling { "session" } else { "transaction" }
}

/// What is in force, by the names of the configuration file.
pub(super) fn config(operations: &dyn Operations) -> Vec<Row> {
    let row = |setting: ListedKey| {
        let changeable = if setting.is_reloaded { "yes" } else { "no" };
        vec![setting.key.into(), setting.value.into(), setting.default.into(), changeable.into()]
    };
    let keys = operations.config();
    let most = clients_max(&keys);
    let mut rows: Vec<Row> = keys.into_iter().map(row).collect();
    rows.push(vec!["max_client_conn".into(), most.to_string().into(), Value::Null, "no".into()]);
    rows
}

/// The clients that there may be at all listeners together: what PgBouncer has one key for, which
/// exporters read.
fn clients_max(keys: &[ListedKey]) -> u64 {
    let of_listeners = keys.iter().filter(|listed| {
        listed.key.starts_with("listener.") && listed.key.ends_with(".max_clients")
    });
    of_listeners.filter_map(|listed| listed.value.as_ref()?.parse::<u64>().ok()).sum()
}

/// Whether the guard as a whole is paused.
pub(super) fn state(shared: &Shared) -> Vec<Row> {
    let is_paused = shared.gate.held().is_some();
    let word = |is: bool| if is { "yes" } else { "no" };
    [("active", word(!is_paused)), ("paused", word(is_paused)), ("suspended", "no")]
        .map(|(key, value)| vec![key.into(), value.into()])
        .into()
}

/// Each database that somebody uses now.
pub(super) fn databases(shared: &Shared) -> Vec<Row> {
    let mut databases = Counts::new();
    for card in shared.sessions.all() {
        let name = card.database.as_deref().unwrap_or_default().to_owned();
        databases.entry(name).or_default().0 += 1;
    }
    for pool in shared.upstream.pools() {
        databases.entry(pool.opener().names().1).or_default().1 += pool.sizes().1;
    }
    let is_paused = shared.gate.held().is_some();
    let address = &shared.upstream.target.address;
    let (host, port) = address.folder_and_port();
    let now = Instant::now();
    let row = |(name, (clients, connections)): (String, (usize, usize))| {
        let is_paused = is_paused || shared.engine.pauses.of(&name, now).is_some();
        vec![
            name.as_str().into(),
            host.into(),
            u32::from(port).into(),
            name.as_str().into(),
            Value::Null,
            shared.upstream.connections.into(),
            0_u32.into(),
            0_u32.into(),
            Value::Null,
            pool_mode(shared).into(),
            Value::Null,
            shared.upstream.connections.into(),
            connections.into(),
            0_u32.into(),
            clients.into(),
            u32::from(is_paused).into(),
            0_u32.into(),
        ]
    };
    databases.into_iter().map(row).collect()
}

pub(super) fn lists(shared: &Shared, operations: &dyn Operations) -> Vec<Row> {
    let cards = shared.sessions.all();
    let is_idle = |state| matches!(state, ClientState::Idle);
    let idle = cards.iter().filter(|card| is_idle(card.state())).count();
    let distinct = |names: &mut dyn Iterator<Item = String>| {
        names.collect::<std::collections::BTreeSet<_>>().len()
    };
    let pools = shared.upstream.pools();
    let sizes = shared.upstream.sizes();
    let users = distinct(&mut cards.iter().map(|card| card.user.to_string()));
    let databases = distinct(&mut pools.iter().map(|pool| pool.opener().names().1));
    let number = |count: usize| Value::from(count);
    let none = || Value::Int(0);
    [
        ("databases", number(databases)),
        ("users", number(users)),
        // There are no peers, and names are not kept.
        ("peers", none()),
        ("pools", number(pools.len())),
        ("peer_pools", none()),
        ("free_clients", number(idle)),
        ("used_clients", number(cards.len() - idle)),
        ("login_clients", logging_in(&operations.metrics()).into()),
        ("free_servers", sizes.idle.into()),
        ("used_servers", sizes.leased.into()),
        ("login_servers", sizes.connecting.into()),
        ("dns_names", none()),
        ("dns_zones", none()),
        ("dns_queries", none()),
        ("dns_pending", none()),
    ]
    .map(|(list, items)| vec![list.into(), items])
    .into()
}

/// Clients that log in, of what Prometheus is told: such a gauge can be read nowhere else.
fn logging_in(metrics: &str) -> u64 {
    const SERIES: &str = "guard_client_connections{state=\"logging_in\"} ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(SERIES)?.parse::<f64>().ok());
    value.map_or(0, |clients| clients as u64)
}

/// Each connection by which clients listen.
pub(super) fn listeners(shared: &Shared) -> Vec<Row> {
    let mut list = shared.engine.listeners.list();
    list.sort_by(|a, b| a.database.cmp(&b.database));
    let row = |hub: crate::postgres::listeners::HubStatus| {
        vec![hub.database.into(), hub.clients.into(), hub.channels.into(), time(hub.age).into()]
    };
    list.into_iter().map(row).collect()
}
