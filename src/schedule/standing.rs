//! `tidegate schedule status|pause|resume`: how far the schedules of a ledger are, and their kill switch.

use anyhow::anyhow;
use clap::Args;
use scheduler::ledger::schedules::Standing;
use serde_json::{Value, json};

use crate::batch::books::{Place, block_on};
use crate::exit::Failure;
use crate::show::{Table, print};

/// Show how far the schedules of the ledger are.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    place: Place,
}

/// One schedule of the ledger.
#[derive(Debug, Args)]
pub(crate) struct Named {
    #[command(flatten)]
    place: Place,
    /// Its name.
    name: String,
}

impl Status {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let file = self.place.file()?;
        block_on(async {
            let ledger = self.place.open(&file).await?;
            let (_, mut standings) = ledger.standings().await.map_err(|error| anyhow!(error))?;
            standings.sort_by(|one, other| one.name.cmp(&other.name));
            if self.place.json {
                let told: Vec<Value> = standings.iter().map(told).collect();
                return Ok(print(&format!("{:#}\n", json!(told)))?);
            }
            let mut table = Table::new(&["name", "state", "last fired", "waits", "planned by"]);
            for standing in standings {
                let (cursor, planner) = (standing.cursor, standing.planner);
                table.row([
                    standing.name,
                    if standing.is_paused { "paused" } else { "running" }.to_owned(),
                    cursor.fired.to_string(),
                    cursor.waiting.map_or("-".to_owned(), |waiting| waiting.to_string()),
                    planner.unwrap_or_else(|| "-".to_owned()),
                ]);
            }
            Ok(print(&table.show("no schedules: no scheduler has been started with one"))?)
        })
    }
}

impl Named {
    pub(crate) fn pause(self, is_paused: bool) -> Result<(), Failure> {
        let file = self.place.file()?;
        block_on(async {
            let ledger = self.place.open(&file).await?;
            let done = ledger.pause_schedule(&self.name, is_paused).await;
            done.map_err(|error| anyhow!(error))?;
            let told = json!({ "name": self.name, "paused": is_paused });
            let state = if is_paused { "paused" } else { "running" };
            let text = match self.place.json {
                true => format!("{told:#}\n"),
                false => format!("{} is {state}\n", self.name),
            };
            Ok(print(&text)?)
        })
    }
}

fn told(standing: &Standing) -> Value {
    let cursor = standing.cursor;
    json!({ "name": standing.name, "paused": standing.is_paused, "fired": cursor.fired.to_string(),
        "seen_to": cursor.last.to_string(),
        "waiting": cursor.waiting.map(|waiting| waiting.to_string()), "planner": standing.planner })
}
