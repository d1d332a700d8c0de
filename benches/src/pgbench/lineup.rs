//! Who takes part besides direct access, the forwarder and the guard: what a run can choose.

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use drill::pgbouncer::{Program, Version};

/// Who is compared with.
#[derive(Args, Default)]
pub(crate) struct Lineup {
    /// Which PgBouncer to compare with [default: each that is there].
    #[arg(long, value_enum, value_delimiter = ',')]
    pgbouncer: Vec<Suite>,
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
