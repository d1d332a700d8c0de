//! HAProxy in TCP mode: the forwarder that others already run.

use std::fs;
use std::net::SocketAddr;

use anyhow::Result;

use crate::machine::Core;
use crate::process::Process;
use crate::stage::{Stage, Target};

/// Starts HAProxy with one thread in front of the stage's server.
pub(crate) fn start(stage: &Stage, listen: SocketAddr) -> Result<Target> {
    let config = stage.scratch().join("haproxy.cfg");
    let upstream = stage.server().addr();
    fs::write(
        &config,
        format!(
            "global\n  nbthread 1\n  maxconn 12000\n\
             defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n\
             listen bench\n  bind {listen}\n  server upstream {upstream}\n"
        ),
    )?;
    let process = Process::start(
        Core::Proxy,
        &stage.scratch().join("haproxy.log"),
        "haproxy",
        ["-db".to_owned(), "-f".to_owned(), config.display().to_string()],
    )?;
    Target::of("HAProxy", listen, process)
}
