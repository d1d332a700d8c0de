//! The command line of Tidegate: one file per subcommand.

mod batch;
mod check;
mod classes;
mod client;
mod completions;
mod config;
mod dashboards;
mod demo;
mod docs;
mod drill;
mod exit;
mod guard;
mod hot;
mod import;
mod incidents;
mod locks;
mod manuals;
mod pause;
mod pins;
mod schedule;
mod scheduler;
mod show;
mod status;
mod switch;
mod top;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::exit::Failure;

/// Keeps a primary database from tipping over.
///
/// Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 3 the guard cannot be reached.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Tidegate {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Guard(guard::Guard),
    Scheduler(scheduler::Scheduler),
    Check(check::Check),
    Config(config::Config),
    Import(import::Import),
    Batch(batch::Batch),
    Schedule(schedule::Schedule),
    Status(status::Status),
    Top(top::Top),
    Classes(classes::Classes),
    Pins(pins::Pins),
    Locks(locks::Locks),
    Hot(hot::Hot),
    Incidents(incidents::Incidents),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Switch(switch::Switch),
    Demo(demo::Demo),
    Drill(drill::Drill),
    Docs(docs::Docs),
    Dashboards(dashboards::Dashboards),
    Completions(completions::Completions),
    Manuals(manuals::Manuals),
}

fn main() -> ExitCode {
    match run(Tidegate::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Guard(guard) => guard.run(),
        Command::Scheduler(scheduler) => scheduler.run(),
        Command::Check(check) => check.run(),
        Command::Config(config) => config.run(),
        Command::Import(import) => import.run(),
        Command::Batch(batch) => batch.run(),
        Command::Schedule(schedule) => schedule.run(),
        Command::Status(status) => status.run(),
        Command::Top(top) => top.run(),
        Command::Classes(classes) => classes.run(),
        Command::Pins(pins) => pins.run(),
        Command::Locks(locks) => locks.run(),
        Command::Hot(hot) => hot.run(),
        Command::Incidents(incidents) => incidents.run(),
        Command::Pause(pause) => pause.run(),
        Command::Resume(resume) => resume.run(),
        Command::Switch(switch) => switch.run(),
        Command::Demo(demo) => demo.run(),
        Command::Drill(drill) => drill.run(),
        Command::Docs(docs) => docs.run(),
        Command::Dashboards(dashboards) => dashboards.run(),
        Command::Completions(completions) => completions.run(),
        Command::Manuals(manuals) => manuals.run(),
    }
}
