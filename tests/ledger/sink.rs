//! A table in the ledger's own database that effects go into, and what is in it.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

/// Runs a statement.
pub(crate) async fn run(url: &str, sql: &str) -> Result<(), sqlx::Error> {
    rows(url, sql).await.map(|_| ())
}

/// Runs a query whose columns are whole numbers.
pub(crate) async fn rows(url: &str, sql: &str) -> Result<Vec<Vec<i64>>, sqlx::Error> {
    macro_rules! on {
        ($connection:ty) => {{
            let mut connection = <$connection>::connect(url).await?;
            let rows = connection.fetch_all(sqlx::query(AssertSqlSafe(sql))).await?;
            let rows = rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect());
            let rows = rows.collect();
            connection.close().await?;
            Ok(rows)
        }};
    }
    match url.split(':').next() {
        Some("postgres") => on!(sqlx::PgConnection),
        Some("mysql") => on!(sqlx::MySqlConnection),
        _ => on!(sqlx::SqliteConnection),
    }
}
