//! `tidegate status`: the guard as a whole.

use clap::Args;
use guard::control::{self, LimitStatus, ReplicaStatus, State};

use crate::client::Client;
use crate::exit::Failure;
use crate::show::{plain, time};

/// Show what the guard is doing.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    client: Client,
}

impl Status {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.client.print("GET", "/api/v1/status", None, show)
    }
}

fn show(status: &control::Status) -> String {
    let state = match (status.state, status.pause_ends_in_ms) {
        (State::Draining, _) => "draining".to_owned(),
        (_, Some(left)) => format!("paused for {} more", time(left)),
        (State::Ready, None) => "ready".to_owned(),
        (State::UpstreamLost, None) => "upstream lost".to_owned(),
    };
    let upstream = &status.upstream;
    let limit = status.limit.as_ref().map(limit).unwrap_or_default();
    let replicas: String = status.replicas.iter().map(replica).collect();
    let server = plain(upstream.server.as_deref().unwrap_or("not reached yet"), 40);
    format!(
        "tidegate {}  {state}, mode {}, up {}\n\
         upstream      {} ({server})\n\
         connections   {} leased, {} idle, of {}; {} for control\n\
         clients       {} connected, {} busy\n\
         transactions  {} in flight, {} waiting\n\
         {limit}{replicas}switches      {} set\n",
        status.version,
        status.mode,
        time(status.uptime_ms),
        upstream.address,
        upstream.leased,
        upstream.idle,
        upstream.limit,
        upstream.control,
        status.clients.connected,
        status.clients.busy,
        status.in_flight,
        status.queued,
        status.switches,
    )
}

/// The limit that finds its place by itself, as a line.
fn limit(limit: &LimitStatus) -> String {
    let knee = limit.knee.map(|knee| format!(", knee at {knee:.0}")).unwrap_or_default();
    format!("limit         {}{knee}, {} cuts ({})\n", limit.limit, limit.cuts, limit.mode)
}

/// A replica, as a line.
fn replica(one: &ReplicaStatus) -> String {
    let lag = one
        .lag_ms
        .map_or_else(|| "lag not known".to_owned(), |lag| format!("{} behind", time(lag)));
    let share = match one.state == ReplicaStatus::FIT && one.share < 1.0 {
        true => format!(" at {:.0} %", one.share * 100.0),
        false => String::new(),
    };
    let trouble = one.trouble.as_deref().map(|why| format!("; {}", plain(why, 120)));
    format!(
        "replica       {} ({}) {}{share}, {lag}, {} in flight, {} reads{}\n",
        one.name,
        one.address,
        one.state,
        one.in_flight,
        one.reads,
        trouble.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use guard::control::{ClientsStatus, UpstreamStatus};

    use super::*;

    #[test]
    fn it_looks_like_this() {
        let status = control::Status {
            version: "0.1.0".into(),
            state: State::Ready,
            mode: "enforce".into(),
            uptime_ms: 7_500_000,
            upstream: UpstreamStatus {
                address: "db:3306".into(),
                server: Some("10.11.6-MariaDB".into()),
                limit: 48,
                idle: 3,
                leased: 9,
                control: 2,
            },
            clients: ClientsStatus { connected: 812, busy: 9 },
            in_flight: 9,
            queued: 4,
            limit: Some(LimitStatus {
                mode: "enforce".into(),
                limit: 38,
                knee: Some(41.2),
                elasticity: Some(0.06),
                cuts: 2,
            }),
            switches: 1,
            pause_ends_in_ms: None,
            replicas: vec![
                ReplicaStatus {
                    name: "east".into(),
                    address: "db2:3306".into(),
                    state: "fit".into(),
                    share: 0.5,
                    weight: 1,
                    lag_ms: Some(0),
                    lag_bytes: Some(0),
                    in_flight: 3,
                    reads: 712,
                    trouble: None,
                },
                ReplicaStatus {
                    name: "west".into(),
                    address: "db3:3306".into(),
                    state: "silent".into(),
                    trouble: Some("it does not answer".into()),
                    ..ReplicaStatus::default()
                },
            ],
        };
        assert_eq!(
            show(&status),
            "tidegate 0.1.0  ready, mode enforce, up 2h05m\n\
             upstream      db:3306 (10.11.6-MariaDB)\n\
             connections   9 leased, 3 idle, of 48; 2 for control\n\
             clients       812 connected, 9 busy\n\
             transactions  9 in flight, 4 waiting\n\
             limit         38, knee at 41, 2 cuts (enforce)\n\
             replica       east (db2:3306) fit at 50 %, 0ms behind, 3 in flight, 712 reads\n\
             replica       west (db3:3306) silent, lag not known, 0 in flight, 0 reads; it does not answer\n\
             switches      1 set\n"
        );
    }
}
