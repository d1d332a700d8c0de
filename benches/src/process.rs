//! A child process that is pinned to a core, measured through `/proc`, and never outlives us.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::machine::Core;

/// `/proc/<pid>/stat` counts in hundredths of a second on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: u32 = 100;

/// A running child; dropping it kills it and waits for its end.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `program` on `core`, with its output in `log`.
    ///
    /// The kernel kills it when this process dies, however that happens.
    pub(crate) fn start(
        core: Core,
        log: &Path,
        program: &str,
        arguments: impl IntoIterator<Item = String>,
    ) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(core) = core.number() {
            command.args(["taskset", "--cpu-list", &core.to_string()]);
        }
        let child = command
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self { child })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<String>> {
        Ok(self.child.try_wait()?.map(|status| status.to_string()))
    }

    /// User and system time of all its threads since it started, to 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = self.read("stat")?;
        // The second field is the program's name in parentheses, which may hold spaces.
        let (_, fields) = stat.rsplit_once(") ").context("odd /proc/<pid>/stat")?;
        let mut fields = fields.split(' ').skip(11);
        let mut ticks = || fields.next().and_then(|f| f.parse::<u32>().ok()).context("odd stat");
        Ok(Duration::from_secs(1) * (ticks()? + ticks()?) / TICKS_PER_SECOND)
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        self.read("status")?
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
            .context("no VmRSS in /proc/<pid>/status")
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when the child has already ended, which is what is wanted.
        let _: std::io::Result<()> = self.child.kill();
        let _: std::io::Result<_> = self.child.wait();
    }
}
