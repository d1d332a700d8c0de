//! HAProxy in TCP mode: the forwarder that others already run.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use crate::machine::connections_max;
use crate::process::Process;
use crate::stage::{Stage, Target};

/// Starts HAProxy with one thread in front of the stage's server.
pub(crate) fn start(stage: &Stage, listen: SocketAddr) -> Result<Target> {
    let config = stage.scratch().join("haproxy.cfg");
    let upstream = stage.server().addr();
    // Each takes two sockets, and HAProxy does not start with more than it may open.
    let connections = connections_max() / 2;
    fs::write(
        &config,
        format!(
            "global\n  nbthread 1\n  maxconn {connections}\n\
             defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n\
             listen bench\n  bind {listen}\n  server upstream {upstream}\n"
        ),
    )?;
    let process = Process::start(
        Path::new("haproxy"),
        &["-db".to_owned(), "-f".to_owned(), config.display().to_string()],
        &stage.scratch().join("haproxy.log"),
    )?;
    Target::of("HAProxy", listen, process)
}
