//! A primary with real replicas: MariaDB or MySQL, by GTID; PostgreSQL, hot standbys that stream.

use std::fs;

use mysql_async::prelude::Queryable;

use super::account::ROOT;
use super::engine::Engine;
use super::{Server, Settings};
use crate::error::Error;

/// The log that a primary keeps for its standbys: all of a test.
const KEPT: &str = "--wal_keep_size=512MB";

/// A primary and its replicas, which replicate from its first statement on.
#[derive(Debug)]
pub struct Replicated {
    /// Takes writes.
    pub primary: Server,
    /// Follow it; `read_only`, which root may pass over.
    pub replicas: Vec<Server>,
}

impl Replicated {
    /// Starts a PostgreSQL and hot standbys with these arguments more.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn streaming(
        engine: Engine,
        replicas: u32,
        arguments: &[&str],
    ) -> Result<Self, Error> {
        let kept = vec![KEPT.to_owned()];
        let primary =
            Server::start(Settings { arguments: kept, ..Settings::usual(engine) }).await?;
        let mut all = Vec::new();
        for _ in 0..replicas {
            let settings = Settings {
                standby_of: Some(primary.addr()),
                arguments: arguments.iter().copied().map(String::from).collect(),
                ..Settings::usual(engine)
            };
            all.push(Server::start(settings).await?);
        }
        Ok(Self { primary, replicas: all })
    }

    /// Starts them all.
    ///
    /// # Errors
    /// As [`Server::start`], and when a replica cannot be told to follow.
    pub async fn start(engine: Engine, replicas: u32) -> Result<Self, Error> {
        if engine.is_postgres() {
            return Self::streaming(engine, replicas, &[]).await;
        }
        let primary = Server::start(settings(engine, 1)).await?;
        let mut all = Vec::new();
        for number in 0..replicas {
            let mut replica = Server::start(settings(engine, number + 2)).await?;
            if engine == Engine::MySql {
                // Made from the same template, all have the same id.
                replica.stop();
                let id = replica.socket().with_file_name("data").join("auto.cnf");
                let _there_may_be_none = fs::remove_file(id);
                replica.restart().await?;
            }
            follow(&replica, &primary).await?;
            all.push(replica);
        }
        Ok(Self { primary, replicas: all })
    }

    /// Runs a statement on one of the servers as root, without a trace in what it tells others.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn quietly(server: &Server, sql: &str) -> Result<(), Error> {
        let mut root = server.root().await?;
        root.query_drop("SET SESSION sql_log_bin = 0").await?;
        root.query_drop(sql).await?;
        Ok(root.disconnect().await?)
    }

    /// Sections of a configuration that name the replicas `r1`, `r2` and so on.
    #[must_use]
    pub fn sections(&self) -> String {
        let name = |(number, replica): (usize, &Server)| {
            format!("[replica.r{number}]\naddress = \"{}\"\nconnections = 8\n", replica.addr())
        };
        (1..).zip(&self.replicas).map(name).collect()
    }
}

fn settings(engine: Engine, id: u32) -> Settings {
    let mut arguments = vec![
        "--log-bin=binlog".to_owned(),
        "--relay-log=relay".to_owned(),
        format!("--server-id={id}"),
    ];
    arguments.push(match engine {
        Engine::MySql => "--log-replica-updates=ON".into(),
        _ => "--log-slave-updates=ON".into(),
    });
    if engine == Engine::MySql {
        arguments.extend(["--gtid-mode=ON".into(), "--enforce-gtid-consistency=ON".into()]);
    }
    if id > 1 {
        arguments.push("--read-only=ON".into());
    }
    Settings { arguments, ..Settings::from(engine) }
}

async fn follow(replica: &Server, primary: &Server) -> Result<(), Error> {
    let (port, user, password) = (primary.addr().port(), ROOT.name, ROOT.password);
    let mut root = replica.root().await?;
    let statements = match replica.engine() {
        Engine::MySql => [
            format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1',SOURCE_PORT={port},SOURCE_USER='{user}',\
                 SOURCE_PASSWORD='{password}',SOURCE_AUTO_POSITION=1,GET_SOURCE_PUBLIC_KEY=1,\
                 SOURCE_CONNECT_RETRY=1"
            ),
            "START REPLICA".to_owned(),
        ],
        _ => [
            format!(
                "CHANGE MASTER TO MASTER_HOST='127.0.0.1',MASTER_PORT={port},MASTER_USER='{user}',\
                 MASTER_PASSWORD='{password}',MASTER_USE_GTID=slave_pos,MASTER_CONNECT_RETRY=1"
            ),
            "START SLAVE".to_owned(),
        ],
    };
    for statement in statements {
        root.query_drop(statement).await?;
    }
    Ok(root.disconnect().await?)
}
