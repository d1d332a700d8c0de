//! A child process that never outlives the one that started it.
//!
//! The child runs in a process group of its own, together with a watcher: a shell that reads from a
//! pipe whose other end is held here. When this process ends in any way, also by SIGKILL, the pipe
//! closes and the watcher kills the group. It needs no `prctl`, which would be `unsafe` and would
//! end the child with the *thread* that started it.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::error::{Error, at};

/// Starts the watcher in the background, then becomes the program itself, so that the child's id is
/// the program's. The watcher kills its own group by `0`: an id cannot be reused under it.
const WATCH: &str = r#"exec 3<&0; (read -r _ <&3; kill -KILL 0) & exec "$@" 3<&- </dev/null"#;

/// How often a process that was told to end is looked at.
const POLL: Duration = Duration::from_millis(5);

/// A running child and its watcher. Dropping it kills both at once.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `program` with `arguments`; what it writes goes to the file `log`, appended.
    ///
    /// # Errors
    /// When the log cannot be opened or no process can be made. A program that is missing shows as
    /// one that ends at once.
    pub fn start<A: AsRef<std::ffi::OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> Result<Self, Error> {
        let out = File::options().create(true).append(true).open(log).map_err(at(log))?;
        let err = out.try_clone().map_err(at(log))?;
        let child = Command::new("/bin/sh")
            .args(["-c", WATCH, "sh"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(at(program))?;
        Ok(Self { child })
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal to the program (not to its watcher).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.pid(), signal)?)
    }

    /// Asks it to end with SIGTERM and waits for at most `patience`.
    ///
    /// # Errors
    /// [`Error::Late`] when it still runs then; it is left running.
    pub fn terminate(&mut self, patience: Duration) -> Result<ExitStatus, Error> {
        self.end(Signal::TERM, patience)
    }

    /// As [`Process::terminate`], with another signal.
    ///
    /// # Errors
    /// As [`Process::terminate`].
    pub fn end(&mut self, signal: Signal, patience: Duration) -> Result<ExitStatus, Error> {
        let until = Instant::now() + patience;
        if self.ended().is_none() {
            self.signal(signal)?;
        }
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if Instant::now() >= until {
                let what = format!("the end of process {}", self.id());
                return Err(Error::Late { what, after: patience, log: String::new() });
            }
            std::thread::sleep(POLL);
        }
    }

    /// Kills it with SIGKILL, as a crash would, and waits until it is gone. Its own children die with
    /// it, also those that lead sessions of their own, as PostgreSQL's do.
    pub fn kill(&mut self) {
        let children = self.stopped_children();
        for &child in &children {
            let _gone_already = kill_process(child, Signal::KILL);
        }
        // The group still exists while its watcher lives, even when the program ended by itself.
        let _gone_already = kill_process_group(self.pid(), Signal::KILL);
        let _reaped_already = self.child.wait();
        while children.iter().any(|&child| lives(child)) {
            std::thread::sleep(POLL);
        }
    }

    /// Stops the program and lists its children: stopped, it makes no new ones, and while it does not
    /// reap those it has, no other process can get their ids.
    fn stopped_children(&mut self) -> Vec<Pid> {
        if self.ended().is_some() || self.signal(Signal::STOP).is_err() {
            return Vec::new();
        }
        self.children()
    }

    /// Stops the program and its children in the middle of whatever they do (SIGSTOP), and returns when
    /// none of them runs any more: a signal only asks, and on a busy machine a thread may run on for long.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        let children = self.children();
        for &child in &children {
            let _gone_already = kill_process(child, Signal::STOP);
        }
        while runs(self.pid()) || children.iter().any(|&child| runs(child)) {
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn thaw(&self) -> io::Result<()> {
        for child in self.children() {
            let _gone_already = kill_process(child, Signal::CONT);
        }
        self.signal(Signal::CONT)
    }

    fn children(&self) -> Vec<Pid> {
        let id = self.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let ids = children.unwrap_or_default();
        ids.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
    }

    /// The program's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    /// Kills the program and its watcher.
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a process is there and more than a zombie.
fn lives(pid: Pid) -> bool {
    states(pid).iter().any(|state| !matches!(state, b'Z' | b'X'))
}

/// Whether a thread of a process is not stopped yet.
fn runs(pid: Pid) -> bool {
    states(pid).iter().any(|state| !matches!(state, b'T' | b'Z' | b'X'))
}

/// The states of a process's threads; none if it is gone. (proc_pid_stat(5))
fn states(pid: Pid) -> Vec<u8> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())) else {
        return Vec::new();
    };
    let state = |thread: io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read(thread.ok()?.path().join("stat")).ok()?;
        // Behind the program's name, which may contain anything.
        let end = stat.iter().rposition(|&byte| byte == b')')?;
        stat.get(end + 2).copied()
    };
    threads.filter_map(state).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Scratch;

    #[test]
    fn a_dropped_process_is_gone() {
        let scratch = Scratch::new().unwrap();
        let log = scratch.path().join("log");
        let process = Process::start(Path::new("sleep"), ["600"], &log).unwrap();
        let pid = process.pid();
        assert!(lives(pid));
        drop(process);
        assert!(!lives(pid));
    }

    #[test]
    fn a_process_dies_when_its_parent_does() {
        let scratch = Scratch::new().unwrap();
        let log = scratch.path().join("log");
        let mut process = Process::start(Path::new("sleep"), ["600"], &log).unwrap();
        // What the system does to the pipe when this process is killed.
        drop(process.child.stdin.take());
        let until = Instant::now() + Duration::from_secs(5);
        while process.ended().is_none() {
            assert!(Instant::now() < until, "it outlived the pipe");
            std::thread::sleep(POLL);
        }
    }

    #[test]
    fn a_frozen_process_stands_still_until_it_is_thawed() {
        let process = Process::start(Path::new("yes"), ["yes"], Path::new("/dev/null")).unwrap();
        process.freeze().unwrap();
        assert!(!runs(process.pid()) && lives(process.pid()));
        process.thaw().unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while !runs(process.pid()) {
            assert!(Instant::now() < until, "it stands still");
            std::thread::sleep(POLL);
        }
    }

    #[test]
    fn a_terminated_process_tells_how_it_ended() {
        let scratch = Scratch::new().unwrap();
        let log = scratch.path().join("log");
        let mut process = Process::start(Path::new("sleep"), ["600"], &log).unwrap();
        let status = process.terminate(Duration::from_secs(5)).unwrap();
        assert!(!status.success());
    }
}
