//! A primary and its replicas, of either protocol, whose replay can be held.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use harness::*;
use mysql_async::prelude::Queryable as _;

pub(crate) struct Servers {
    pub(crate) primary: Server,
    pub(crate) replicas: Vec<Server>,
}

impl Servers {
    pub(crate) async fn start(engine: Engine, replicas: u32) -> Result<Self, Error> {
        if !engine.is_postgres() {
            let Replicated { primary, replicas } = Replicated::start(engine, replicas).await?;
            return Ok(Self { primary, replicas });
        }
        let mut servers = Self { primary: Server::start(engine).await?, replicas: Vec::new() };
        for _ in 0..replicas {
            let standby = standby(&mut servers.primary).await?;
            servers.replicas.push(standby);
        }
        Ok(servers)
    }

    /// Has a replica take what the primary sends and show nothing of it.
    pub(crate) async fn hold(&self, replica: usize) -> Result<(), Error> {
        self.replay(
            replica,
            ["SELECT pg_wal_replay_pause()", "STOP SLAVE SQL_THREAD", "STOP REPLICA SQL_THREAD"],
        )
        .await
    }

    pub(crate) async fn let_go(&self, replica: usize) -> Result<(), Error> {
        let words =
            ["SELECT pg_wal_replay_resume()", "START SLAVE SQL_THREAD", "START REPLICA SQL_THREAD"];
        self.replay(replica, words).await
    }

    async fn replay(&self, replica: usize, words: [&str; 3]) -> Result<(), Error> {
        let server = &self.replicas[replica];
        match server.engine() {
            engine if engine.is_postgres() => {
                server.postgres_root().await?.batch_execute(words[0]).await?;
            }
            engine => {
                let mut root = server.root().await?;
                root.query_drop(if engine == Engine::MySql { words[2] } else { words[1] }).await?;
                root.disconnect().await?;
            }
        }
        Ok(())
    }
}

/// A standby of a primary, made of a copy of its data while it is stopped.
async fn standby(primary: &mut Server) -> Result<Server, Error> {
    let mut standby = Server::start(primary.engine()).await?;
    standby.stop();
    primary.stop();
    let (from, to) = (data(primary), data(&standby));
    fs::remove_dir_all(&to).unwrap();
    copy(&from, &to);
    let (port, user, password) = (primary.addr().port(), ROOT.name, ROOT.password);
    let follow = format!(
        "primary_conninfo = 'host=127.0.0.1 port={port} user={user} password={password} sslmode=disable'\n"
    );
    let settings = to.join("postgresql.auto.conf");
    let before = fs::read_to_string(&settings).unwrap_or_default();
    write_as(&from, &settings, &(before + &follow));
    write_as(&from, &to.join("standby.signal"), "");
    primary.restart().await?;
    standby.restart().await?;
    Ok(standby)
}

fn data(server: &Server) -> PathBuf {
    server.socket().parent().unwrap().to_owned()
}

/// Copies a folder, with the rights and the owner of each file; not what belongs to a process.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() && entry.file_name() != "postmaster.pid" {
            fs::copy(entry.path(), &target).unwrap();
            own(&entry.path(), &target);
        }
    }
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    own(from, to);
}

fn own(like: &Path, path: &Path) {
    let like = fs::metadata(like).unwrap();
    chown(path, Some(like.uid()), Some(like.gid())).unwrap();
}

fn write_as(like: &Path, path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    own(like, path);
}
