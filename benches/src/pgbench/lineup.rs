//! Who takes part besides direct access, the forwarder and the guard: what a run can choose.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use drill::pgbouncer::{Program, Version};

use crate::stage::WORKERS;
use crate::{Shared, guard, machine};

/// Who takes part.
#[derive(Args, Default)]
pub(crate) struct Lineup {
    /// Which PgBouncer to compare with [default: each that is there].
    #[arg(long, value_enum, value_delimiter = ',')]
    pgbouncer: Vec<Suite>,
    /// Also the guard with one worker on the work-stealing runtime, as `work stealing`.
    #[arg(long)]
    runtimes: bool,
    /// Also the guard with so many workers, where there are four cores for each.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

/// One guard that takes part.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) workers: usize,
    pub(super) is_stealing: bool,
}

/// Where a PgBouncer is from.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// The Debian release: its package.
    Release,
    /// Debian's unstable suite, as `scripts/install-pgbouncer.sh` unpacks it.
    Unstable,
}

impl Suite {
    fn program(self) -> Program {
        match self {
            Self::Release => Program::Release,
            Self::Unstable => Program::Unstable,
        }
    }
}

impl Lineup {
    /// Workers of the proxy that has the most.
    pub(crate) fn workers_max(&self) -> usize {
        match self.workers {
            Some(workers) if self.left_out().is_none() => workers.max(WORKERS),
            _ => WORKERS,
        }
    }

    /// What was asked for and cannot be measured on this machine, as a sentence.
    pub(crate) fn left_out(&self) -> Option<String> {
        self.workers.and_then(machine::too_small_for)
    }

    /// The guards, in the order of their turns.
    ///
    /// # Errors
    /// When the guard does not build.
    pub(super) fn guards(&self, shared: &Shared) -> Result<Vec<Entry>> {
        let program = guard::program(shared.tidegate.as_deref())?;
        let entry = |name: &str, program: &PathBuf| Entry {
            name: name.to_owned(),
            program: program.clone(),
            workers: WORKERS,
            is_stealing: false,
        };
        let mut guards: Vec<Entry> =
            shared.before.iter().map(|before| entry("before", before)).collect();
        guards.push(entry("guard", &program));
        if self.runtimes {
            guards.push(Entry { is_stealing: true, ..entry("work stealing", &program) });
        }
        let workers = self.workers_max();
        if workers > WORKERS {
            guards.push(Entry { workers, ..entry(&format!("{workers} workers"), &program) });
        }
        Ok(guards)
    }

    /// Those that are to be measured, in the order of their turns.
    ///
    /// # Errors
    /// When one that was named is not there, or none is.
    pub(super) fn pgbouncers(&self) -> Result<Vec<(Program, Version)>> {
        if self.pgbouncer.is_empty() {
            let installed = Program::installed();
            ensure!(
                !installed.is_empty(),
                "no PgBouncer to compare with: `make clients` installs it"
            );
            return Ok(installed);
        }
        let named = self.pgbouncer.iter().map(|suite| suite.program());
        named.map(|program| Ok((program, program.version()?))).collect()
    }
}
