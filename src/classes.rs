//! `tidegate classes`: who is running, waiting and refused, by class.

use clap::Args;
use guard::control::ClassStatus;

use crate::client::Client;
use crate::exit::Failure;
use crate::show::{Table, time};

/// Show the classes: what runs, waits and was refused.
#[derive(Debug, Args)]
pub(crate) struct Classes {
    #[command(flatten)]
    client: Client,
}

impl Classes {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.client
            .print("GET", "/api/v1/classes", None, |classes: &Vec<ClassStatus>| show(classes))
    }
}

fn show(classes: &[ClassStatus]) -> String {
    let mut table = Table::new(&[
        "class",
        "mode",
        ">in flight",
        ">limit",
        ">waiting",
        ">oldest",
        ">pinned",
        ">admitted",
        ">shed",
        ">would shed",
    ]);
    for class in classes {
        table.row([
            class.name.clone(),
            class.mode.clone(),
            class.in_flight.to_string(),
            class.limit.map_or_else(|| "-".into(), |limit| limit.to_string()),
            class.queued.to_string(),
            if class.queued == 0 { "-".into() } else { time(class.oldest_wait_ms) },
            class.pinned.to_string(),
            class.admitted.to_string(),
            class.shed.to_string(),
            class.would_shed.to_string(),
        ]);
    }
    table.show("no classes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_like_this() {
        let class = |name: &str, limit, queued| ClassStatus {
            name: name.into(),
            mode: "enforce".into(),
            in_flight: 12,
            limit,
            queued,
            oldest_wait_ms: 1300,
            connections: 13,
            pinned: 1,
            admitted: 120_345,
            shed: 8,
            would_wait: 0,
            would_shed: 0,
        };
        assert_eq!(
            show(&[class("default", None, 0), class("jobs", Some(12), 31)]),
            "class    mode     in flight  limit  waiting  oldest  pinned  admitted  shed  would shed\n\
             default  enforce         12      -        0       -       1    120345     8           0\n\
             jobs     enforce         12     12       31    1.3s       1    120345     8           0\n"
        );
    }
}
