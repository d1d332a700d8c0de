//! `tidegate pause` and `tidegate resume`: holds new transactions, and lets them go.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use guard::config::value::parse_duration;
use guard::control::{PauseOrder, PauseStatus, whole_ms};
use serde_json::json;

use crate::client::Client;
use crate::exit::Failure;
use crate::show::time;

/// Hold new transactions and wait until none runs, so that the database may be restarted.
///
/// Those that run go on to their end; then their connections are closed. Clients wait; none is
/// refused before the pause holds as many as it may. It ends with `tidegate resume`, or by itself.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// When it ends by itself, at most 1h.
    #[arg(long = "for", value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    ttl: Duration,
    /// How many transactions are held; one more is refused.
    #[arg(long, value_name = "COUNT", default_value_t = PauseOrder::default().length)]
    length: u32,
    /// Return at once, while some may still run.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    client: Client,
}

/// End a pause: what was held runs as there is room.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    client: Client,
}

const PATH: &str = "/api/v1/pause";

/// How often is looked whether what runs is over.
const LOOK: Duration = Duration::from_millis(100);

impl Pause {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let order = json!({ "ttl_ms": whole_ms(self.ttl), "length": self.length });
        let mut status: PauseStatus = self.client.fetch("POST", PATH, Some(&order))?;
        while !self.no_wait && !status.is_settled() {
            if status.ends_in_ms.is_none() {
                let count = status.in_flight;
                return Err(anyhow!("the pause is over, and {count} transactions still run").into());
            }
            std::thread::sleep(LOOK);
            status = self.client.fetch("GET", PATH, None)?;
        }
        self.client.show(&status, show)
    }
}

impl Resume {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.client.print("POST", "/api/v1/resume", None, show)
    }
}

fn show(status: &PauseStatus) -> String {
    let state = match status.ends_in_ms {
        Some(left) => format!("paused, for {} more", time(left)),
        None => "not paused".into(),
    };
    format!(
        "{state}\n\
         transactions  {} held, {} still run\n\
         connections   {} open, {} of them kept by pinned clients\n",
        status.held, status.in_flight, status.connections, status.pinned
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_like_this() {
        let mut status = PauseStatus {
            ends_in_ms: Some(58_000),
            held: 4,
            in_flight: 0,
            connections: 1,
            pinned: 1,
        };
        assert!(status.is_settled());
        assert_eq!(
            show(&status),
            "paused, for 58.0s more\n\
             transactions  4 held, 0 still run\n\
             connections   1 open, 1 of them kept by pinned clients\n"
        );
        status.ends_in_ms = None;
        assert!(show(&status).starts_with("not paused\n"));
    }
}
