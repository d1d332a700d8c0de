//! The main comparison: sysbench through every contestant, in turns.

mod output;
mod summary;
mod workload;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::guard;
use crate::stage::{Stage, Target};
use output::Run;
use summary::Summary;
pub(crate) use workload::PREPARE;
use workload::Workload;

/// What to run, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// One short round at 1 and 64 threads: to see that everything works, not to believe.
    #[arg(long)]
    quick: bool,
    /// Rounds; the medians over them are reported [default: 3, with --quick 1].
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds of each single run [default: 6, with --quick 2].
    #[arg(long)]
    time: Option<u32>,
    /// Only workloads whose name (such as `point-select/text/64`) contains one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also the guard with all on that is off until it is asked for, such as the limit that finds its
    /// place and hot rows.
    #[arg(long)]
    everything: bool,
}

impl Options {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 }).max(1)
    }

    fn seconds(&self) -> u32 {
        self.time.unwrap_or(if self.quick { 2 } else { 6 }).max(1)
    }

    fn workloads(&self) -> Vec<Workload> {
        let wanted = |workload: &Workload| {
            let name = workload.to_string();
            self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
        };
        Workload::all(if self.quick { &[1, 64] } else { &[1, 8, 64, 256] }).filter(wanted).collect()
    }
}

/// One run of sysbench against one contestant.
#[derive(Serialize)]
struct Sample {
    workload: String,
    target: &'static str,
    round: u32,
    #[serde(flatten)]
    run: Run,
    /// User and system time of the proxy per statement, in µs.
    cpu_us: f64,
}

/// Measures every workload through every contestant and reports.
pub(crate) fn run(stage: &Stage, options: &Options) -> Result<()> {
    let workloads = options.workloads();
    ensure!(!workloads.is_empty(), "--only {:?} leaves no workload", options.only);

    let mut targets = vec![stage.direct(), stage.forwarder()?, stage.haproxy()?];
    targets.extend(stage.guards(guard::Config::Workload));
    if options.everything {
        targets.extend(stage.everything());
    }
    sysbench(&targets[0], PREPARE)?;

    let mut samples = Vec::new();
    for workload in &workloads {
        for round in 1..=options.rounds() {
            for target in &targets {
                samples.push(measure(target, *workload, round, options.seconds())?);
            }
        }
        println!("{}", Summary::of(&samples, &[*workload], &targets).table());
    }
    let summary = Summary::of(&samples, &workloads, &targets);
    let title =
        format!("sysbench: medians of {} rounds of {} s", options.rounds(), options.seconds());
    let numbers = json!({ "medians": summary, "samples": samples });
    stage.report("sysbench", &title, &summary.table(), &numbers)
}

fn measure(target: &Target, workload: Workload, round: u32, seconds: u32) -> Result<Sample> {
    let (report, cpu) = sysbench_timed(target, &workload.arguments(seconds))
        .with_context(|| format!("{workload} on {}", target.name))?;
    let run = Run::parse(&report).with_context(|| format!("{workload} on {}", target.name))?;
    let cpu_us = cpu * 1e6 / run.statements as f64;
    Ok(Sample { workload: workload.to_string(), target: target.name, round, run, cpu_us })
}

/// Runs sysbench; yields its report, and the CPU seconds the proxy used from the first statement
/// on. Connecting is left out: a storm of handshakes has a bench of its own.
fn sysbench_timed(target: &Target, arguments: &[String]) -> Result<(String, f64)> {
    let mut child = command(target, arguments).spawn().context("cannot run sysbench")?;
    let mut stdout = BufReader::new(child.stdout.take().context("no output")?);
    let mut report = String::new();
    let mut before = target.cpu()?;
    while stdout.read_line(&mut report)? > 0 {
        if report.ends_with("Threads started!\n") {
            before = target.cpu()?;
            break;
        }
    }
    stdout.read_to_string(&mut report)?;
    let status = child.wait()?;
    let used = target.cpu()?.saturating_sub(before);
    ensure!(status.success(), "sysbench ended with {status}: {report}");
    Ok((report, used.as_secs_f64()))
}

/// Runs sysbench to its end.
pub(crate) fn sysbench(target: &Target, arguments: &[&str]) -> Result<()> {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let output = command(target, &arguments).output().context("cannot run sysbench")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "sysbench {arguments:?}: {text}");
    Ok(())
}

/// sysbench, before it is started.
pub(crate) fn command(target: &Target, arguments: &[String]) -> Command {
    let mut command = Command::new("setpriv");
    command
        // No load generator may outlive this program.
        .args(["--pdeathsig", "KILL", "sysbench"])
        .args(workload::connection(target.addr))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    command
}
