//! Users that the guard knows by itself, of any engine.

mod failures;
mod file;

pub(crate) use self::failures::Failures;
pub use self::file::{PasswordFileError, read_password_file};
use crate::secret::Secret;

/// A listed account.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub user: Box<str>,
    /// Its password or, as `*` and 40 hexadecimal digits, what `mysql_native_password` stores; for PostgreSQL
    /// also what `pg_authid` has.
    pub secret: Secret,
}
