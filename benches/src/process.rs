//! A proxy's process: pinned to its core, measured through `/proc`, gone when dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::machine::Core;

/// `/proc/<pid>/stat` counts in hundredths of a second on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: u32 = 100;

/// A running proxy; it dies with this program, however that ends.
pub(crate) struct Process {
    process: drill::process::Process,
    log: PathBuf,
}

impl Process {
    /// Starts `program` on the proxies' core, with its output in `log`.
    pub(crate) fn start(program: &Path, arguments: &[String], log: &Path) -> Result<Self> {
        let process = match Core::Proxy.list(1) {
            None => drill::process::Process::start(program, arguments, log)?,
            // `taskset` becomes the program, so the process id is the program's.
            Some(core) => {
                let program = program.display().to_string();
                let pinned = ["--cpu-list".to_owned(), core, program];
                let arguments = pinned.iter().chain(arguments);
                drill::process::Process::start(Path::new("taskset"), arguments, log)?
            }
        };
        Ok(Self { process, log: log.to_owned() })
    }

    /// What it is doing, for the text of an error: how it ended, and all it wrote.
    pub(crate) fn fate(&mut self) -> String {
        let fate = self.process.ended().map_or("runs".into(), |status| format!("ended: {status}"));
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        format!("{fate}; it wrote: {}", log.trim())
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// User and system time of all its threads since it started, to 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu_of(self.process.id())
    }
}

/// Resident memory of a process in KiB.
pub(crate) fn resident_kib(id: u32) -> Result<u64> {
    read(id, "status")?
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
        .context("no VmRSS in /proc/<pid>/status")
}

/// User and system time of all threads of a process since it started, to 10 ms.
pub(crate) fn cpu_of(id: u32) -> Result<Duration> {
    let stat = read(id, "stat")?;
    // The second field is the program's name in parentheses, which may hold spaces.
    let (_, fields) = stat.rsplit_once(") ").context("odd /proc/<pid>/stat")?;
    let mut fields = fields.split(' ').skip(11);
    let mut ticks = || fields.next().and_then(|f| f.parse::<u32>().ok()).context("odd stat");
    Ok(Duration::from_secs(1) * (ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// As [`cpu_of`], with that of the processes it has started itself and that run: the backends of a
/// PostgreSQL. One that ends in between takes its time along.
pub(crate) fn cpu_of_family(id: u32) -> Result<Duration> {
    let mut cpu = cpu_of(id)?;
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let name = entry?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // Whoever is gone meanwhile is not counted.
        if parent_of(child).is_ok_and(|parent| parent == id) {
            cpu += cpu_of(child).unwrap_or_default();
        }
    }
    Ok(cpu)
}

fn parent_of(id: u32) -> Result<u32> {
    let status = read(id, "status")?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
    parent.context("no PPid in /proc/<pid>/status")
}

/// Has a process, and all that it starts, run on the cores of its party, where proxies have this many workers
/// at most.
pub(crate) fn pin(id: u32, core: Core, workers: usize) -> Result<()> {
    let Some(cores) = core.list(workers) else { return Ok(()) };
    let pinned = Command::new("taskset")
        .args(["--all-tasks", "--pid", "--cpu-list", &cores, &id.to_string()])
        .output()
        .context("cannot run taskset")?;
    ensure!(pinned.status.success(), "taskset cannot pin process {id} to {cores}");
    Ok(())
}

fn read(id: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{id}/{file}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}
