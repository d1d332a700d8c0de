//! Group commit: what many write while one commit waits for the disk goes into the next one together.
//!
//! A commit to a file takes as long as its disk needs to make it durable, however little there is in
//! it, and one comes after the other. So those who only have one statement give it to a task, which
//! commits all that there are by then. Nobody is told before his statement is durable. The databases
//! that are servers do the same by themselves.

use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot};

use super::{LedgerError, Value, alone, bind};

/// Statements of one commit, at most: what comes then is in the next.
const GROUP_MAX: usize = 64;
/// Statements that wait to be taken, at most: who comes then waits for room.
const WAITING_MAX: usize = 256;

/// The way to the task. It ends when the last of them is dropped.
#[derive(Debug, Clone)]
pub(super) struct Group {
    writes: mpsc::Sender<Write>,
}

/// A statement, and who waits for it. Whoever has left before it is begun did not ask.
#[derive(Debug)]
struct Write {
    sql: String,
    values: Vec<Value>,
    answer: oneshot::Sender<Result<u64, LedgerError>>,
}

impl Group {
    /// Starts the task, over a pool of one connection.
    pub(super) fn start(pool: SqlitePool) -> Self {
        let (writes, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(write(pool, waiting));
        Self { writes }
    }

    /// Runs one statement, in a transaction with others, and returns how many rows it found to
    /// change. Dropped before it is begun it does nothing.
    pub(super) async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, LedgerError> {
        let (answer, answered) = oneshot::channel();
        let write = Write { sql: sql.to_owned(), values: values.to_vec(), answer };
        // The task is there as long as the runtime is that has opened the store.
        let gone = || LedgerError::Unavailable(sqlx::Error::WorkerCrashed);
        self.writes.send(write).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Writes what comes, until nobody is left who could ask.
async fn write(pool: SqlitePool, mut waiting: mpsc::Receiver<Write>) {
    while let Some(first) = waiting.recv().await {
        let begun = pool.begin_with("BEGIN IMMEDIATE").await;
        // Those that have come while somebody else was writing, too.
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(next) = waiting.try_recv()
        {
            group.push(next);
        }
        group.retain(|write| !write.answer.is_closed());
        let committed = match begun {
            Ok(transaction) => commit(transaction, &group).await,
            Err(error) => Err(error.into()),
        };
        match committed {
            Ok(changed) => {
                for (write, changed) in group.into_iter().zip(changed) {
                    // Who has left meanwhile does not want to know.
                    drop(write.answer.send(Ok(changed)));
                }
            }
            Err(error) => refuse(&pool, group, error).await,
        }
    }
}

async fn commit(
    mut transaction: sqlx::Transaction<'static, sqlx::Sqlite>,
    group: &[Write],
) -> Result<Vec<u64>, LedgerError> {
    let mut changed = Vec::with_capacity(group.len());
    for Write { sql, values, .. } in group {
        changed.push(bind(sql, values).execute(&mut *transaction).await?.rows_affected());
    }
    transaction.commit().await?;
    Ok(changed)
}

/// Nothing of the group was written. One of several may be to blame, so each is tried by itself and told
/// what became of it.
async fn refuse(pool: &SqlitePool, group: Vec<Write>, error: LedgerError) {
    let is_one = group.len() == 1;
    let mut error = Some(error);
    for write in group {
        let told = match error.take().filter(|_| is_one) {
            Some(error) => Err(error),
            None => alone(pool, &write.sql, &write.values).await,
        };
        drop(write.answer.send(told));
    }
}
