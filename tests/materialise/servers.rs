//! Replicas, of either protocol, whose replay is held.

use harness::*;
use mysql_async::prelude::Queryable as _;

/// Has a replica take what the primary sends and show nothing of it.
pub(crate) async fn hold(replica: &Server) -> Result<(), Error> {
    let words =
        ["SELECT pg_wal_replay_pause()", "STOP SLAVE SQL_THREAD", "STOP REPLICA SQL_THREAD"];
    tell(replica, words).await
}

/// Has it show what it has, and what comes.
pub(crate) async fn let_go(replica: &Server) -> Result<(), Error> {
    let words =
        ["SELECT pg_wal_replay_resume()", "START SLAVE SQL_THREAD", "START REPLICA SQL_THREAD"];
    tell(replica, words).await
}

async fn tell(
    replica: &Server,
    [postgres, mariadb, mysql]: [&'static str; 3],
) -> Result<(), Error> {
    match replica.engine() {
        engine if engine.is_postgres() => {
            Ok(replica.postgres_root().await?.batch_execute(postgres).await?)
        }
        engine => {
            let mut root = replica.root().await?;
            root.query_drop(if engine == Engine::MySql { mysql } else { mariadb }).await?;
            Ok(root.disconnect().await?)
        }
    }
}
