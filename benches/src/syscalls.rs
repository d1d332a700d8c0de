//! System calls of each proxy for a statement or a transaction.
//!
//! Counted by the kernel's own trace points (`perf stat`), which cost the proxy little: under `strace` it
//! gets so slow that more work waits for it each time it wakes, and it asks the kernel less often.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::pgbench::contestant::{Field, pgbench_command};
use crate::pgbench::lineup::Lineup;
use crate::report::{Table, number};
use crate::stage::Stage;
use crate::sysbench::{PREPARE, command, sysbench};
use crate::{Shared, guard};

/// What is counted: by `perf`'s name, and by that in the table. What the others have not, such as
/// opening a connection, is in the last.
const COUNTED: [(&str, &str); 8] = [
    ("syscalls:sys_enter_epoll_wait", "epoll_wait"),
    ("syscalls:sys_enter_recvfrom", "recv"),
    ("syscalls:sys_enter_read", "read"),
    ("syscalls:sys_enter_sendto", "send"),
    ("syscalls:sys_enter_write", "write"),
    ("syscalls:sys_enter_writev", "writev"),
    ("syscalls:sys_enter_futex", "futex"),
    ("raw_syscalls:sys_enter", "all"),
];

/// For how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of each single run.
    #[arg(long, default_value_t = 2)]
    time: u32,
    /// Clients at once.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    clients: Vec<u32>,
    #[command(flatten)]
    lineup: Lineup,
}

#[derive(Serialize)]
struct Sample {
    workload: String,
    target: String,
    /// Not a number for who is left out.
    transactions: f64,
    /// In the order of [`COUNTED`].
    calls: Vec<f64>,
}

/// Counts for each proxy in turn.
pub(crate) fn run(stage: &Stage, shared: &Shared, options: &Options) -> Result<()> {
    let mut samples = Vec::new();
    let targets: Vec<_> = [stage.forwarder()?, stage.haproxy()?]
        .into_iter()
        .chain(stage.guards(guard::Config::Workload))
        .collect();
    sysbench(&stage.direct(), PREPARE)?;
    let protocols = [("text", "disable"), ("binary", "auto")];
    for (protocol, prepared) in protocols {
        for clients in &options.clients {
            for target in &targets {
                let Some(process) = &target.process else { continue };
                let arguments = [
                    "oltp_point_select".to_owned(),
                    "--tables=4".to_owned(),
                    "--table-size=25000".to_owned(),
                    format!("--db-ps-mode={prepared}"),
                    format!("--threads={clients}"),
                    format!("--time={}", options.time),
                    "run".to_owned(),
                ];
                let name = format!("sysbench point-select/{protocol}/{clients}");
                let counted =
                    count(process.id(), &command(target, &arguments), "queries performed:");
                samples.push(Sample::of(name, target.name, counted?));
            }
        }
    }
    let field = Field::open(shared, &options.lineup)?;
    for mode in ["simple", "extended", "prepared"] {
        for clients in &options.clients {
            for contestant in &field.contestants {
                let Some(id) = contestant.id else { continue };
                let name = format!("pgbench select/{mode}/{clients}");
                if let Some(why) = contestant.left_out_of(mode) {
                    let who = format!("{}: {why}", contestant.name);
                    samples.push(Sample::of(name, &who, (f64::NAN, vec![f64::NAN; COUNTED.len()])));
                    continue;
                }
                let (clients, time) = (clients.to_string(), options.time.to_string());
                let arguments = ["-n", "-S", "-M", mode, "-c", &clients, "-j", "1", "-T", &time];
                let command = pgbench_command(contestant.addr, &arguments)?;
                let counted = count(id, &command, "transactions actually processed:");
                samples.push(Sample::of(name, &contestant.name, counted?));
            }
        }
    }
    stage.report("syscalls", "System calls per transaction", &table(&samples), &samples)
}

/// Runs a load generator, and counts the calls of process `id` meanwhile. Yields what it has done, by
/// the number behind the last word of `done` in its report, and the calls.
fn count(id: u32, load: &Command, done: &str) -> Result<(f64, Vec<f64>)> {
    let events = COUNTED.map(|(event, _)| event).join(",");
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x", ",", "-e", &events, "-p", &id.to_string(), "--"]);
    perf.arg(load.get_program()).args(load.get_args());
    perf.envs(load.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = perf.stdin(Stdio::null()).output().context("cannot run perf")?;
    let (report, counts) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "perf ended with {}: {counts}{report}", output.status);
    let calls = COUNTED.iter().map(|(event, _)| {
        let line = counts.lines().find(|line| line.split(',').any(|word| word == *event));
        let count = line.and_then(|line| line.split(',').next()?.parse().ok());
        count.with_context(|| format!("perf cannot count {event}, which takes root: {counts}"))
    });
    Ok((performed(&report, done)?, calls.collect::<Result<_>>()?))
}

/// The number behind `done`; sysbench's stands in a line `total:` behind it.
fn performed(report: &str, done: &str) -> Result<f64> {
    let (_, rest) = report.split_once(done).with_context(|| format!("no {done:?} in {report}"))?;
    let rest = rest.split_once("total:").map_or(rest, |(_, rest)| rest);
    let number = rest.split_whitespace().next().and_then(|word| word.parse().ok());
    number.with_context(|| format!("no number behind {done:?} in {report}"))
}

impl Sample {
    fn of(workload: String, target: &str, (transactions, calls): (f64, Vec<f64>)) -> Self {
        Self { workload, target: target.to_owned(), transactions, calls }
    }
}

fn table(samples: &[Sample]) -> Table {
    let mut heading = vec!["workload", "who"];
    heading.extend(COUNTED.map(|(_, name)| name));
    let mut table = Table::new(2, &heading);
    for sample in samples {
        let each = |calls: &f64| number(calls / sample.transactions, 2);
        let mut row = vec![sample.workload.clone(), sample.target.clone()];
        row.extend(sample.calls.iter().map(each));
        table.push(row);
    }
    table
}
