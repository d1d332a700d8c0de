//! Whether a configuration works with the servers it names: a guard that starts, looks once, and ends.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{Guard, StartError};
use crate::{
    config::{Address, Config},
    control::{LocksStatus, Operations, ReplicaStatus, Status},
};

/// Servers are given so long to be looked at. A guard that finds less goes on looking.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked whether it has.
const POLL: Duration = Duration::from_millis(50);

/// What was found.
#[derive(Debug)]
pub struct Trial {
    /// The server, as it tells it.
    pub server: Option<String>,
    /// Reserved connections that work.
    pub control: u32,
    /// What is not as it should be, a sentence each; with all of them a guard starts nevertheless.
    pub warnings: Vec<String>,
}

/// Starts a guard with this configuration, on free ports of the loopback and without any trace in files, and has
/// it look at its servers. Takes up to five seconds. Dropping the future ends the guard.
///
/// # Errors
/// Why a guard would not start.
pub async fn trial(config: Config) -> Result<Trial, StartError> {
    let control_wanted = config.control.connections;
    let guard = Guard::start(aside(config), None).await?;
    let operator = guard.operator();
    let (stop, stopped) = oneshot::channel::<()>();
    let look = async {
        let found = look(operator.as_ref()).await;
        drop(stop);
        found
    };
    let run = guard.run(async { drop(stopped.await) });
    let ((status, locks), ()) = tokio::join!(look, run);
    let mut warnings = Vec::new();
    if status.upstream.control < control_wanted {
        let working = status.upstream.control;
        warnings.push(format!("only {working} of {control_wanted} control connections work"));
    }
    warnings.extend(blind(&locks));
    warnings.extend(status.replicas.iter().filter_map(unfit));
    Ok(Trial {
        server: locks.server.or(status.upstream.server),
        control: status.upstream.control,
        warnings,
    })
}

/// The same configuration beside a guard that may run with it already.
fn aside(mut config: Config) -> Config {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    for listener in &mut config.listeners {
        listener.address = Address::Tcp(free);
    }
    config.admin.address = Address::Tcp(free);
    config.admin.metrics_address = None;
    config.limit.memory = None;
    config.recorder.folder = None;
    config
}

async fn look(operator: &dyn Operations) -> (Status, LocksStatus) {
    let until = Instant::now() + PATIENCE;
    operator.look_closely();
    loop {
        let (status, locks) = (operator.status(), operator.locks());
        let has_looked = locks.seen_ms_ago.is_some() || locks.trouble.is_some();
        let is_known = |replica: &ReplicaStatus| replica.state == ReplicaStatus::FIT;
        if has_looked && status.replicas.iter().all(is_known) || Instant::now() >= until {
            return (status, locks);
        }
        sleep(POLL).await;
    }
}

/// Why locks are not seen.
fn blind(locks: &LocksStatus) -> Option<String> {
    let nothing = || locks.seen_ms_ago.is_none().then(|| "it was not told in time".to_owned());
    let why = locks.trouble.clone().or_else(nothing)?;
    Some(format!(
        "who waits for whom in the database is not seen, so pile-ups are neither seen nor undone: {why}"
    ))
}

fn unfit(replica: &ReplicaStatus) -> Option<String> {
    let ReplicaStatus { name, address, state, trouble, .. } = replica;
    let why = trouble.as_ref().map_or(String::new(), |why| format!(": {why}"));
    (state != ReplicaStatus::FIT)
        .then(|| format!("replica {name} at {address} is not read from, it is {state}{why}"))
}
