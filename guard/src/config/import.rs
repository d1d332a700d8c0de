//! PgBouncer's configuration, in the words of ours.
//!
//! What has an equivalent is written with a comment that says which key it came from; what has none
//! is listed, with what to do instead. Where PgBouncer's default is milder than ours, its default is
//! written: whoever imports a file should first get what they had. No secret is told: the password
//! file is referred to, and the one password that may have to be written, the control account's,
//! makes the text one that only its owner should read.
//!
//! | file | what |
//! |---|---|
//! | `ini` | the form of the file, with `%include` |
//! | `databases` | connection strings, and which databases are on which server |
//! | `settings` | keys with their values, their defaults and their forms |
//! | `translate`, `listeners`, `limits` | the sections of our file |
//! | `hba` | whom PgBouncer trusts, by its `auth_hba_file` |
//! | `advice` | what to do about keys without an equivalent |
//! | `draft` | the form of our file |

mod advice;
mod databases;
mod draft;
mod hba;
mod ini;
mod limits;
mod listeners;
mod settings;
#[cfg(test)]
mod tests;
mod translate;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use self::databases::Group;
use self::settings::Settings;
use super::Endpoint;

/// What PgBouncer's file cannot say, and ours must.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The control account. Default: `auth_user`, else `tidegate`.
    pub control_user: Option<String>,
    /// The file that holds its password.
    pub control_password_file: Option<PathBuf>,
}

/// What became of a configuration.
#[derive(Debug)]
pub struct Import {
    /// One guard for each server, in the order of the databases; never empty.
    pub guards: Vec<ImportedGuard>,
    /// What has no equivalent, in the order of the file.
    pub notes: Vec<Note>,
}

/// The configuration of one guard.
#[derive(Debug)]
pub struct ImportedGuard {
    /// The server that it stands before.
    pub server: Endpoint,
    /// The databases of it that were listed; `*` stands for all others.
    pub databases: Vec<String>,
    /// The text of `tidegate.toml`. It may hold a password.
    pub text: Zeroizing<String>,
}

/// Something without an equivalent. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Which key, with its value: `[pgbouncer] server_check_query = select 1`.
    pub what: String,
    /// What to do instead.
    pub advice: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.advice)
    }
}

/// Why a configuration could not be read. It holds no secret.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A file is not there, or may not be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line is none of the form, or a value none of its key.
    #[error("{}:{line}: {why}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong, and what was expected.
        why: String,
    },
    /// Files include each other.
    #[error("{}: more than {} files are included, one in the other", path.display(), ini::DEPTH_MAX)]
    TooDeep {
        /// The file that was one too many.
        path: PathBuf,
    },
    /// There is nothing to stand before.
    #[error("{}: [databases] is empty", path.display())]
    NoDatabase {
        /// The file.
        path: PathBuf,
    },
}

/// Reads PgBouncer's configuration, with all files that it includes and its list of users.
///
/// # Errors
/// [`ImportError`]. Keys that are not known are no error.
pub fn pgbouncer(path: &Path, options: &Options) -> Result<Import, ImportError> {
    let ini = ini::read(path)?;
    let mut settings = Settings::new(path, &ini);
    let groups = databases::groups(&ini, &mut settings)?;
    if groups.is_empty() {
        return Err(ImportError::NoDatabase { path: path.into() });
    }
    let users = limits::users(&ini, &mut settings)?;
    let mut drafts = Vec::new();
    for (number, group) in (0..).zip(&groups) {
        drafts.push(translate::guard(&mut settings, options, group, &users, number)?);
    }
    let notes = settings.into_notes(&ini);
    let guards = groups.into_iter().zip(drafts).map(|(Group { server, databases }, mut draft)| {
        draft.notes(&notes);
        let databases = databases.into_iter().map(|database| database.name).collect();
        ImportedGuard { server, databases, text: draft.finish() }
    });
    Ok(Import { guards: guards.collect(), notes })
}
