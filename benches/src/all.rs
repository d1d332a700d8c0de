//! Every bench, one after the other, each for as long as an hour for all allows.

use anyhow::{Result, ensure};
use clap::{Args, Parser};

use crate::stage::Stage;
use crate::{
    MICRO, Shared, cargo_bench, dispatch, idle, ledger, pgbench, probe, refusal, sinks, storm,
    sysbench, syscalls,
};

/// Runs every bench, the ones that answer the most important questions first. One that cannot run, such as the
/// count of system calls without root, does not keep the others from it.
///
/// # Errors
/// When the server does not start, or, after all, when one of them failed.
pub(crate) fn run(shared: &Shared, options: &sysbench::Options) -> Result<()> {
    let mut tally = Tally::default();
    let stage = Stage::open(shared)?;
    tally.note("sysbench", sysbench::run(&stage, options));
    tally.note("idle", idle::run(&stage, shared, &usual(&[])));
    tally.note("storm", storm::run(&stage, &usual(&[])));
    tally.note("refusal", refusal::run(&stage, &usual(&[])));
    tally.note("syscalls", syscalls::run(&stage, shared, &usual(&[])));
    drop(stage);
    tally.note("pgbench", pgbench::run(shared, &usual(&[])));
    tally.note("probe", probe::run(shared, &usual(&[])));
    tally.note("ledger", ledger::run(shared, &usual(&["--items=300000", "--rows=20000"])));
    tally.note("dispatch", dispatch::run(shared, &usual(&[])));
    tally.note("sinks", sinks::run(shared, &usual(&[])));
    for bench in ["allocations"].into_iter().chain(MICRO) {
        tally.note(bench, cargo_bench(bench));
    }
    ensure!(
        tally.failed.is_empty(),
        "not all of it could be measured: {}",
        tally.failed.join(", ")
    );
    Ok(())
}

/// Which benches failed.
#[derive(Default)]
struct Tally {
    failed: Vec<&'static str>,
}

impl Tally {
    fn note(&mut self, name: &'static str, outcome: Result<()>) {
        if let Err(error) = outcome {
            eprintln!("\n!!! {name} FAILED: {error:#}\n");
            self.failed.push(name);
        }
    }
}

/// The options of a bench as its command line has them by default, but for those given.
fn usual<O: Args>(arguments: &[&str]) -> O {
    let line = std::iter::once("usual").chain(arguments.iter().copied());
    Line::<O>::parse_from(line).options
}

/// A command line of nothing but one bench's options.
#[derive(Parser)]
struct Line<O: Args> {
    #[command(flatten)]
    options: O,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `parse_from` ends the process where an option has another name by now.
    #[test]
    fn the_options_that_are_given_exist() {
        let line = ["usual", "--items=300000", "--rows=20000"];
        assert!(Line::<ledger::Options>::try_parse_from(line).is_ok());
        assert!(Line::<syscalls::Options>::try_parse_from(["usual"]).is_ok());
    }
}
