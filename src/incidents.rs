//! `tidegate incidents`: pile-ups, and recordings of what happened around them.

mod export;
mod facts;
mod find;
mod html;
mod mix;
mod pile_up;
mod plot;
mod report;
mod show;
mod spark;
mod story;

use clap::{Args, Subcommand};
use guard::control::{Incident, Recording, RecordingHead};

use self::export::Export;
use self::find::Which;
use crate::client::Client;
use crate::exit::Failure;
use crate::show::{Table, moment, plain, time};

/// Show the pile-ups of the last time, and what the flight recorder has kept of them.
///
/// Without a subcommand: each pile-up since the guard started: what held the others up, what was done, what it cost.
#[derive(Debug, Args)]
pub(crate) struct Incidents {
    #[command(flatten)]
    client: Client,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the recordings of the flight recorder, the newest first.
    List,
    /// Show a recording: what happened, in plain words.
    Show(Which),
    /// Write a recording as the draft of a post-mortem, or as JSON for machines.
    Export(Export),
    /// Have the flight recorder keep what has just happened, and what comes.
    Record {
        /// Why, for whoever reads it.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

impl Incidents {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let client = &self.client;
        match self.action {
            None => client.print("GET", "/api/v1/incidents", None, |all: &Vec<_>| pile_ups(all)),
            Some(Action::List) => client.print("GET", find::PATH, None, |all: &Vec<_>| list(all)),
            Some(Action::Show(which)) => {
                let recording: Recording = which.find(client)?;
                client.show(&recording, show::show)
            }
            Some(Action::Export(export)) => export.run(client),
            Some(Action::Record { reason }) => {
                let order = serde_json::json!({ "note": reason });
                client.print("POST", find::PATH, Some(&order), |head: &RecordingHead| {
                    let id = &head.id;
                    format!("recording {id}; look at it with: tidegate incidents show {id}\n")
                })
            }
        }
    }
}

fn pile_ups(incidents: &[Incident]) -> String {
    if incidents.is_empty() {
        return "no pile-up was seen since the guard started, or melt.mode is off\n".into();
    }
    incidents.iter().map(pile_up::show).collect::<Vec<_>>().join("\n")
}

fn list(heads: &[RecordingHead]) -> String {
    let mut table = Table::new(&["id", "when", "why", ">pile-ups", ">before", ">after", "note"]);
    for head in heads {
        let length = |ms: i64| time(ms.unsigned_abs());
        let goes_on = if head.is_over { "" } else { ", goes on" };
        table.row([
            head.id.clone(),
            moment(head.triggered_unix_ms),
            format!("{}{goes_on}", why(&head.cause)),
            head.pile_ups.to_string(),
            length(head.from_ms),
            length(head.to_ms),
            plain(&head.note, 60),
        ]);
    }
    table.show("nothing was recorded: no pile-up, no lasting pressure, and nobody asked")
}

/// A cause in few words.
fn why(cause: &str) -> String {
    match cause {
        "pile_up" => "pile-up".into(),
        "lost" => "database lost".into(),
        "limit" => "limit fell".into(),
        "pressure" => "pressure high".into(),
        "operator" => "asked for".into(),
        other => plain(other, 20),
    }
}

#[cfg(test)]
mod tests;
