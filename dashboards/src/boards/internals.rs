//! The guard itself: what it uses, whom it serves, whether it is well.

use crate::board::{Board, Choice, Row};
use crate::panel::{Look, Panel, Unit};
use crate::query::quantile;

pub(super) fn board() -> Board {
    Board {
        slug: "internals",
        title: "Guard internals",
        description: "What the guards use, whom they serve, and whether they are well.",
        choices: &[Choice::Job, Choice::Instance],
        rows: vec![
            Row { title: "Guards", panels: guards() },
            Row { title: "What they use", panels: uses() },
            Row { title: "Clients", panels: clients() },
            Row { title: "Connections to the database", panels: upstream() },
            Row { title: "LISTEN and replication (PostgreSQL)", panels: postgres() },
        ],
    }
}

fn guards() -> Vec<Panel> {
    vec![
        Panel::new("Builds", Unit::Count, "Which builds run, and how many guards of each.")
            .line("{{version}}", "count by (version) (guard_build_info{@})")
            .shown(Look::Table),
        Panel::new("Up", Unit::Count, "Whether Prometheus reaches each guard.")
            .line(
                "{{instance}}",
                "up{@} and on (job, instance) last_over_time(guard_build_info{@}[1h])",
            )
            .shown(Look::Stripes)
            .word(1, "up", "green")
            .word(0, "down", "red"),
        Panel::new(
            "Draining or paused",
            Unit::Count,
            "Guards that shut down, and guards that hold new transactions.",
        )
        .line("draining", "sum(guard_draining{@})")
        .line("paused", "sum(guard_paused{@})"),
        Panel::new(
            "Panics",
            Unit::PerSecond,
            "Sessions and logins ended by a panic. Anything above 0 is a bug: please report it.",
        )
        .line("{{instance}}", "rate(guard_panics_total{@}[@])"),
        Panel::new(
            "Reloads",
            Unit::PerSecond,
            "Of the configuration; one that failed left the old one in force.",
        )
        .line("{{outcome}}", "sum by (outcome) (rate(guard_reloads_total{@}[@]))"),
        Panel::new(
            "Recordings",
            Unit::PerSecond,
            "Of the flight recorder, by what made it keep them: tidegate incidents list.",
        )
        .line("{{cause}}", "sum by (cause) (rate(guard_recordings_total{@}[@]))"),
        Panel::new("Flight recorder", Unit::Bytes, "What each guard's recorder has in memory.")
            .line("{{instance}}", "guard_recorder_bytes{@}"),
        Panel::new("Started", Unit::Moment, "When each guard was started.")
            .line("{{instance}}", "process_start_time_seconds{@} * 1000")
            .shown(Look::Table),
        Panel::new(
            "Scrapes",
            Unit::Seconds,
            "How long Prometheus waits for the metrics of each guard.",
        )
        .line("{{instance}}", "scrape_duration_seconds{@}"),
        Panel::new(
            "Series",
            Unit::Count,
            "That each guard tells; at most some thousands, whatever clients do.",
        )
        .line("{{instance}}", "scrape_samples_scraped{@}"),
    ]
}

fn uses() -> Vec<Panel> {
    vec![
        Panel::new("CPU", Unit::Number, "Cores that each guard uses.")
            .line("{{instance}}", "rate(process_cpu_seconds_total{@}[@])"),
        Panel::new(
            "Busy",
            Unit::Share,
            "Of the time of the threads that serve clients. Near 1 the guard is the bottleneck.",
        )
        .line(
            "{{instance}}",
            "rate(guard_runtime_busy_seconds_total{@}[@]) / guard_runtime_workers{@}",
        )
        .steps(0.7, 0.9),
        Panel::new("Memory", Unit::Bytes, "Resident memory of each guard.")
            .line("{{instance}}", "process_resident_memory_bytes{@}"),
        Panel::new("File descriptors", Unit::Share, "Open ones, of those that there may be.")
            .line("{{instance}}", "process_open_fds{@} / process_max_fds{@}")
            .steps(0.6, 0.8),
        Panel::new(
            "Tasks",
            Unit::Count,
            "That are alive, and that wait in the queue of all threads.",
        )
        .line("alive {{instance}}", "guard_runtime_tasks{@}")
        .line("waiting {{instance}}", "guard_runtime_queue{@}"),
        Panel::new("Threads", Unit::Count, "Of the process; those that serve clients are fewer.")
            .line("{{instance}}", "process_threads{@}"),
    ]
}

fn clients() -> Vec<Panel> {
    vec![
        Panel::new("Clients", Unit::Count, "Connected now, by what they are doing.")
            .line("{{state}}", "sum by (state) (guard_client_connections{@})")
            .shown(Look::Stack),
        Panel::new("Arrivals", Unit::PerSecond, "By how their login ended.")
            .line("{{outcome}}", "sum by (outcome) (rate(guard_client_connections_total{@}[@]))"),
        Panel::new("Departures", Unit::PerSecond, "Clients that are gone, by cause.")
            .line("{{cause}}", "sum by (cause) (rate(guard_client_disconnects_total{@}[@]))"),
        Panel::new(
            "Time of a login",
            Unit::Seconds,
            "From connecting to its end: half, and 99 of a hundred, took less.",
        )
        .line("p50", quantile("0.5", "guard_client_login_seconds", "", ""))
        .line("p99", quantile("0.99", "guard_client_login_seconds", "", "")),
    ]
}

fn upstream() -> Vec<Panel> {
    vec![
        Panel::new("Connections", Unit::Count, "By what they are doing. reclaiming: a cancelled statement or a rollback is waited for.")
            .line("{{state}}", "sum by (state) (guard_upstream_connections{@})")
            .shown(Look::Stack),
        Panel::new("Attempts to connect", Unit::PerSecond, "By outcome. full: the server has no connections left.")
            .line("{{outcome}}", "sum by (outcome) (rate(guard_upstream_connects_total{@}[@]))"),
        Panel::new("Time to connect", Unit::Seconds, "And to log in: half, and 99 of a hundred, took less. Empty while none is opened.")
            .line("p50", quantile("0.5", "guard_upstream_connect_seconds", "", ""))
            .line("p99", quantile("0.99", "guard_upstream_connect_seconds", "", "")),
        Panel::new("Thrown away", Unit::PerSecond, "Connections closed because it was not certain that they were clean.")
            .line("{{instance}}", "rate(guard_upstream_discards_total{@}[@])"),
    ]
}

fn postgres() -> Vec<Panel> {
    vec![
        Panel::new(
            "LISTEN",
            Unit::Count,
            "Shared connections, the clients that listen by them, and their channels.",
        )
        .line("connections", "sum(guard_listen_connections{@})")
        .line("clients", "sum(guard_listen_clients{@})")
        .line("channels", "sum(guard_listen_channels{@})"),
        Panel::new("Notifications", Unit::PerSecond, "Handed to clients from shared connections.")
            .line("notifications", "sum(rate(guard_notifications_total{@}[@]))"),
        Panel::new(
            "Replication",
            Unit::Count,
            "Clients that replicate, each by a connection of its own.",
        )
        .line("clients", "sum(guard_replication_connections{@})"),
    ]
}
