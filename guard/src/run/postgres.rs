//! What PostgreSQL brings to a guard.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    time::Instant,
};

use tokio::sync::Semaphore;

use super::{
    COSTLY_LOGINS, StartError,
    assembly::{Assembly, Parts},
    control_target, listen, replicas, server_tls, upstream_target, whole,
};
use crate::{
    account::Account,
    config::Config,
    listener::Listener,
    postgres::{
        AuthQuery, Postgres, PostgresCourier,
        connect::{self, Wishes},
        console::Console,
        listeners::ListenOptions,
        login::LoginContext,
        stored::random_seed,
        traffic::{self, Traffic},
        users::{Asked, DEFAULT_QUERY, Users},
    },
    shared::Door,
    upstream::{
        control::Control,
        target::{ClearPassword, Target},
    },
    users::Entry,
};

/// By which ALPN a client says that it speaks PostgreSQL's protocol.
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>
const ALPN: &[u8] = b"postgresql";

/// Connects to the database and listens.
pub(super) async fn start(
    config: &Config,
    source: Option<PathBuf>,
) -> Result<Assembly<Postgres>, StartError> {
    let target = Arc::new(upstream_target(config)?);
    let control_target = Arc::new(control_target(config, &target));
    let password = config.control.password.clone();
    let account = Arc::new(Account::new(config.control.user.as_str(), password));
    let database = config.control.database.clone().into_bytes();
    let wishes = Wishes::control(Some(database.clone()));
    let probe = connect::connect(&target, &account, &wishes).await?;
    let version = probe.parameters.iter().find(|(name, _)| **name == *b"server_version");
    let version = version.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
    let courier = Arc::new(PostgresCourier {
        target: Arc::clone(&control_target),
        account: Arc::clone(&account),
        database: database.clone(),
    });
    let (control, identity) = Control::open(&courier, config.control.connections).await?;
    let listen = ListenOptions {
        target: Arc::clone(&target),
        account: Arc::clone(&account),
        identity: Arc::clone(&identity),
        max: config.upstream.listen_connections,
        idle_timeout: config.upstream.idle_timeout,
    };
    let replicas = replicas(config, &target, |target| PostgresCourier {
        target,
        account: Arc::clone(&account),
        database: database.clone(),
    })?;
    let users = users(config, control_target, account, database)?;
    let listeners = listeners(config, &users)?;
    let admin = &config.admin;
    let console = Arc::new(Console::new(admin.users.clone(), admin.stats_users.clone()));
    let engine = Postgres::new(
        version.unwrap_or_default(),
        listen,
        config.upstream.replication_connections,
        Arc::clone(&console),
    );
    let traffic = Arc::clone(engine.traffic());
    let parts = Parts { engine, target, courier, control, identity, listeners, replicas };
    let assembly = Assembly::new(config, source, parts)?;
    console.connect(Arc::downgrade(&assembly.operator()));
    tokio::spawn(turn(Arc::downgrade(&traffic)));
    Ok(assembly)
}

/// Begins each period of what is counted, for averages, as long as there is a guard.
async fn turn(traffic: Weak<Traffic>) {
    let mut ticks = tokio::time::interval(traffic::PERIOD);
    // The first is at once, and is the start.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let Some(traffic) = traffic.upgrade() else { return };
        traffic.turn(Instant::now());
    }
}

fn users(
    config: &Config,
    target: Arc<Target>,
    account: Arc<Account>,
    database: Vec<u8>,
) -> Result<Arc<Users>, StartError> {
    let mut entries = match &config.auth.file {
        Some(path) => crate::users::read_password_file(path)?,
        None => Vec::new(),
    };
    entries.extend(
        config
            .users
            .iter()
            .map(|user| Entry { user: user.name.as_str().into(), secret: user.password.clone() }),
    );
    let asked = config.auth.database.then(|| {
        let query = config.auth.query.clone().unwrap_or_else(|| DEFAULT_QUERY.to_owned());
        let lookup = AuthQuery::new(target, account, database, query);
        Asked::new(Box::new(lookup), config.auth.ttl)
    });
    Ok(Arc::new(Users::new(entries, asked, random_seed())))
}

fn listeners(config: &Config, users: &Arc<Users>) -> Result<Vec<Listener<Postgres>>, StartError> {
    let mut listeners = Vec::new();
    for listener in &config.listeners {
        let tls = server_tls(listener)?.map(|tls| Arc::new(tls.speaking(ALPN)));
        let login = LoginContext {
            tls,
            users: Arc::clone(users),
            clear_password: ClearPassword::Refused,
            trusted: config.auth.trust.iter().map(|network| network.0).collect(),
            timeout: listener.login_timeout,
            pacing: Arc::new(Semaphore::new(whole(listener.logins_at_once).max(COSTLY_LOGINS))),
        };
        listeners.push(Listener {
            socket: listen(listener)?,
            door: Arc::new(Door {
                login,
                write_timeout: listener.write_timeout,
                idle_timeout: listener.idle_timeout,
            }),
            places: Arc::new(Semaphore::new(whole(listener.max_clients))),
        });
    }
    Ok(listeners)
}
