//! `tidegate pins`: which sessions keep their upstream connection, and why.

use clap::Args;
use guard::control::PinnedSession;

use crate::client::Client;
use crate::exit::Failure;
use crate::show::{Table, plain, time};

/// Show which sessions keep their upstream connection, and why.
#[derive(Debug, Args)]
pub(crate) struct Pins {
    #[command(flatten)]
    client: Client,
}

impl Pins {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.client.print("GET", "/api/v1/pins", None, |pins: &Vec<PinnedSession>| show(pins))
    }
}

fn show(pins: &[PinnedSession]) -> String {
    let mut table = Table::new(&[">session", "user", "client", ">for", "why", "statement"]);
    for pin in pins {
        table.row([
            pin.id.to_string(),
            plain(&pin.user, 32),
            pin.client.clone(),
            time(pin.for_ms),
            pin.reasons.join(","),
            plain(pin.statement.as_deref().unwrap_or("-"), 60),
        ]);
    }
    table.show("no session is pinned")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_like_this() {
        let pin = PinnedSession {
            id: 1_073_741_831,
            user: "web".into(),
            client: "10.0.0.7:51234".into(),
            reasons: vec!["temporary_table".into(), "named_lock".into()],
            for_ms: 200_000,
            statement: Some("create temporary table t ( id int )".into()),
        };
        assert_eq!(
            show(&[pin]),
            "   session  user  client            for  why                         statement\n\
             1073741831  web   10.0.0.7:51234  3m20s  temporary_table,named_lock  create temporary \
             table t ( id int )\n"
        );
        assert_eq!(show(&[]), "no session is pinned\n");
    }
}
