//! What the guard is told to do while pgbench runs through it.

use std::net::SocketAddr;

use drill::server::account::{APP, CONTROL};

use super::contestant::{CLIENTS_MAX, POOL};

/// Limits that hold but never refuse, and rules of which the last matches.
pub(super) fn text(
    upstream: SocketAddr,
    listen: SocketAddr,
    admin: SocketAddr,
    workers: usize,
) -> String {
    format!(
        r#"
[guard]
workers = {workers}

[[listener]]
address = "{listen}"
max_clients = {CLIENTS_MAX}

[upstream]
engine = "postgres"
address = "{upstream}"
connections = {POOL}
handshakes_at_once = 8
handshakes_per_second = 1000

[control]
user = "{}"
password = "{}"

[[user]]
name = "{}"
password = "{}"

[admin]
address = "{admin}"

[log]
level = "warn"

[overall]
in_flight = {POOL}
rate = 1000000
queue_length = 4096
queue_time = "10s"

[class.oltp]
in_flight = {POOL}
rate = 1000000
queue_length = 4096
queue_time = "10s"
statement_time = "10s"
transaction_time = "30s"
idle_in_transaction_time = "10s"
lock_wait_time = "5s"

[class.reports]
in_flight = 2

[[rule]]
name = "reports by tag"
class = "reports"
tag = {{ job = "report*" }}

[[rule]]
name = "reports by account"
class = "reports"
user = "report*"

[[rule]]
name = "reports by table"
class = "reports"
table = ["report_*", "archive.*"]

[[rule]]
name = "pgbench"
class = "oltp"
table = ["pgbench_*"]
network = ["127.0.0.0/8"]
"#,
        CONTROL.name, CONTROL.password, APP.name, APP.password,
    )
}
