//! Asking the database what it keeps of a user's password.

use std::{fmt, sync::Arc};

use tokio::sync::Mutex;

use super::{
    connect::{self, Wishes},
    connection::Connection,
    users::{Found, Looking, Lookup},
};
use crate::{account::Account, engine, secret::Secret, upstream::target::Target};

/// A query with one parameter, the user's name, that returns the name and what is kept of the
/// password: NULL, or no row, for those who may not log in.
pub struct AuthQuery {
    target: Arc<Target>,
    account: Arc<Account>,
    database: Vec<u8>,
    query: String,
    /// The connection that asked last.
    kept: Mutex<Option<Connection>>,
}

impl AuthQuery {
    /// That query, asked by `account`, who may, in `database`.
    pub fn new(
        target: Arc<Target>,
        account: Arc<Account>,
        database: Vec<u8>,
        query: String,
    ) -> Self {
        Self { target, account, database, query, kept: Mutex::default() }
    }

    async fn ask(&self, user: &str) -> Found {
        let mut kept = self.kept.lock().await;
        let is_well = |connection: &mut Connection| !engine::Connection::is_disturbed(connection);
        let mut connection = match kept.take_if(is_well) {
            Some(connection) => connection,
            None => {
                let wishes = Wishes::control(Some(self.database.clone()));
                Connection::new(connect::connect(&self.target, &self.account, &wishes).await?)
            }
        };
        let rows = connection
            .query_with(self.query.as_bytes(), user.as_bytes())
            .await?
            .map_err(|refused| refused.to_string())?;
        *kept = Some(connection);
        let stored = rows.first().and_then(|row| row.get(1)).cloned().flatten();
        Ok(stored.map(|stored| Secret::from(&*stored)))
    }
}

impl Lookup for AuthQuery {
    fn look_up<'a>(&'a self, user: &'a str) -> Looking<'a> {
        Box::pin(self.ask(user))
    }
}

impl fmt::Debug for AuthQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthQuery").field("query", &self.query).finish_non_exhaustive()
    }
}
