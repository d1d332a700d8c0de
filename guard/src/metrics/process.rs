//! The process and its runtime, asked for when somebody looks.
//!
//! Seconds are no whole numbers, which the exporter's counters are, so these are written out here. The
//! names of what concerns any process are those of Prometheus' own clients, so that common boards
//! show them.

use std::fmt::Write as _;
use std::time::Duration;

use metrics_process::collector;
use tokio::runtime::{Handle, RuntimeMetrics};

use super::table::METRICS;

/// Writes the series of the process; and of the runtime, if the caller is in one.
pub(super) fn put(page: &mut String) {
    let process = collector::collect();
    let whole = |value: Option<u64>| value.map(|value| value as f64);
    let runtime = Handle::try_current().map(|handle| handle.metrics()).ok();
    let of_runtime = |figure: fn(&RuntimeMetrics) -> f64| runtime.as_ref().map(figure);
    let series = [
        ("guard_runtime_workers", of_runtime(|now| now.num_workers() as f64)),
        ("guard_runtime_busy_seconds_total", of_runtime(busy)),
        ("guard_runtime_tasks", of_runtime(|now| now.num_alive_tasks() as f64)),
        ("guard_runtime_queue", of_runtime(|now| now.global_queue_depth() as f64)),
        ("process_cpu_seconds_total", process.cpu_seconds_total),
        ("process_resident_memory_bytes", whole(process.resident_memory_bytes)),
        ("process_open_fds", whole(process.open_fds)),
        ("process_max_fds", whole(process.max_fds)),
        ("process_threads", whole(process.threads)),
        ("process_start_time_seconds", whole(process.start_time_seconds)),
    ];
    for (name, value) in series {
        let Some(value) = value else { continue };
        if let Some(metric) = METRICS.iter().find(|metric| metric.name == name) {
            metric.put_head(page);
        }
        let _infallible = writeln!(page, "{name} {value}");
    }
}

/// What all workers have worked, in seconds.
fn busy(runtime: &RuntimeMetrics) -> f64 {
    let all = (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker));
    all.sum::<Duration>().as_secs_f64()
}
