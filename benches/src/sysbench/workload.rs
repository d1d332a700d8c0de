//! What sysbench is asked to do.

use std::fmt;
use std::net::SocketAddr;

use drill::server::account::SCHEMA;

use crate::server::ACCOUNT;

/// Creates the tables that all workloads share.
pub(crate) const PREPARE: &[&str] =
    &["oltp_read_write", "--tables=4", "--table-size=25000", "prepare"];

/// Which of sysbench's scripts, spoken in which protocol, by how many clients.
#[derive(Clone, Copy)]
pub(super) struct Workload {
    script: Script,
    protocol: Protocol,
    threads: u32,
}

#[derive(Clone, Copy)]
enum Script {
    /// One `SELECT` by primary key, in autocommit: the smallest statement there is.
    PointSelect,
    /// A transaction of 20 statements: `BEGIN`, 14 reads, 4 writes, `COMMIT`.
    ReadWrite,
}

#[derive(Clone, Copy)]
enum Protocol {
    /// `COM_QUERY`.
    Text,
    /// `COM_STMT_EXECUTE` of statements that each client has prepared once.
    Binary,
}

impl Workload {
    /// Every script and protocol at every number of `threads`.
    pub(super) fn all(threads: &'static [u32]) -> impl Iterator<Item = Self> {
        [Script::PointSelect, Script::ReadWrite].into_iter().flat_map(move |script| {
            [Protocol::Text, Protocol::Binary].into_iter().flat_map(move |protocol| {
                threads.iter().map(move |&threads| Self { script, protocol, threads })
            })
        })
    }

    /// Sysbench's arguments for one run of `seconds`.
    pub(super) fn arguments(self, seconds: u32) -> Vec<String> {
        let script = match self.script {
            Script::PointSelect => "oltp_point_select",
            Script::ReadWrite => "oltp_read_write",
        };
        let prepared = match self.protocol {
            Protocol::Text => "disable",
            Protocol::Binary => "auto",
        };
        vec![
            script.to_owned(),
            "--tables=4".to_owned(),
            "--table-size=25000".to_owned(),
            format!("--db-ps-mode={prepared}"),
            format!("--threads={}", self.threads),
            format!("--time={seconds}"),
            "--events=0".to_owned(),
            "--histogram=on".to_owned(),
            "--percentile=99".to_owned(),
            "run".to_owned(),
        ]
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = match self.script {
            Script::PointSelect => "point-select",
            Script::ReadWrite => "read-write",
        };
        let protocol = match self.protocol {
            Protocol::Text => "text",
            Protocol::Binary => "binary",
        };
        write!(f, "{script}/{protocol}/{}", self.threads)
    }
}

/// Sysbench's arguments that say where to connect.
pub(super) fn connection(addr: SocketAddr) -> Vec<String> {
    vec![
        "--db-driver=mysql".to_owned(),
        format!("--mysql-host={}", addr.ip()),
        format!("--mysql-port={}", addr.port()),
        format!("--mysql-user={}", ACCOUNT.name),
        format!("--mysql-password={}", ACCOUNT.password),
        format!("--mysql-db={SCHEMA}"),
    ]
}
