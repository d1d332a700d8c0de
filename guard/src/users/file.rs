use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use super::Entry;

/// Why a password file cannot be used. No secret is in it.
#[derive(Debug, Error)]
pub enum PasswordFileError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not an account.
    #[error(
        "{path}, line {line}: expected \"user:password\" or \"user:*\" and 40 hexadecimal digits"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

/// Reads a password file: `user:password`, or `user:*HASH` with what `mysql_native_password` stores,
/// one per line. Empty lines, and those that begin with `#`, are skipped. Everything behind the
/// first colon is the password, blanks included.
///
/// # Errors
/// When the file cannot be read or a line is neither.
pub fn read_password_file(path: &Path) -> Result<Vec<Entry>, PasswordFileError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| PasswordFileError::Read { path: path.into(), source })?;
    let text = Zeroizing::new(text);
    parse(&text).map_err(|line| PasswordFileError::Line { path: path.into(), line })
}

/// The accounts in `text`, or the number of the first line that is none.
fn parse(text: &str) -> Result<Vec<Entry>, usize> {
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(number, line)| match line.split_once(':') {
            Some((user, password)) if !user.is_empty() => {
                Ok(Entry { user: user.into(), secret: password.into() })
            }
            _ => Err(number),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_stand_one_to_a_line() {
        let entries = parse("# ours\napp:se:cret \r\n\nreport:\n").unwrap();
        let pairs: Vec<_> = entries.iter().map(|e| (&*e.user, e.secret.expose())).collect();
        assert_eq!(pairs, [("app", &b"se:cret "[..]), ("report", &b""[..])]);
    }

    #[test]
    fn an_odd_line_is_named_and_not_shown() {
        assert_eq!(parse("a:b\nno colon").unwrap_err(), 2);
        assert_eq!(parse(":password").unwrap_err(), 1);
        let error = PasswordFileError::Line { path: "users".into(), line: 2 };
        assert!(error.to_string().starts_with("users, line 2: expected"));
    }
}
