use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use super::Entry;
use crate::secret::Secret;

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
        "{path}, line {line}: expected \"user:password\", \"user:*\" and 40 hexadecimal digits, or, \
         in all of the file, \"\\\"user\\\" \\\"password\\\"\""
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
/// A file whose first account begins with `"` is one of PgBouncer's: `"user" "password"`, with `""`
/// for a quote in either; lines that begin with `;` are skipped as well, and what follows the password
/// is.
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
    let says = |line: &str| !line.trim().is_empty() && !line.starts_with('#');
    let first = text.lines().find(|line| says(line) && !line.starts_with(';'));
    let is_pgbouncers = first.is_some_and(|line| line.trim_start().starts_with('"'));
    let account = if is_pgbouncers { quoted_pair } else { colon_pair };
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| says(line) && !(is_pgbouncers && line.starts_with(';')))
        .map(|(number, line)| account(line).ok_or(number))
        .collect()
}

fn colon_pair(line: &str) -> Option<Entry> {
    let (user, password) = line.split_once(':').filter(|(user, _)| !user.is_empty())?;
    Some(Entry { user: user.into(), secret: password.into() })
}

fn quoted_pair(line: &str) -> Option<Entry> {
    let (user, rest) = quoted(line.trim_start())?;
    let (password, _) = quoted(rest.trim_start())?;
    let secret = Secret::from(password.as_str());
    (!user.is_empty()).then(|| Entry { user: user.as_str().into(), secret })
}

/// What stands between two quotes, of which one inside is doubled; and what follows.
fn quoted(text: &str) -> Option<(Zeroizing<String>, &str)> {
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text.strip_prefix('"')?;
    loop {
        let (part, after) = rest.split_once('"')?;
        value.push_str(part);
        let Some(more) = after.strip_prefix('"') else { return Some((value, after)) };
        value.push('"');
        rest = more;
    }
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
    fn a_file_of_pgbouncers_is_read_too() {
        let text = "; ours\n\"app\" \"se\"\"cr;et\"\n\n# more\n \"a b\"\t\"md5x\" ignored\n";
        let entries = parse(text).unwrap();
        let pairs: Vec<_> = entries.iter().map(|e| (&*e.user, e.secret.expose())).collect();
        assert_eq!(pairs, [("app", &b"se\"cr;et"[..]), ("a b", &b"md5x"[..])]);
        for (text, line) in
            [("\"a\" \"b\"\nc:d", 2), ("\"a\" \"b", 1), ("\"\" \"b\"", 1), ("\"a\"", 1)]
        {
            assert_eq!(parse(text).unwrap_err(), line, "{text}");
        }
    }

    #[test]
    fn an_odd_line_is_named_and_not_shown() {
        assert_eq!(parse("a:b\nno colon").unwrap_err(), 2);
        assert_eq!(parse(":password").unwrap_err(), 1);
        let error = PasswordFileError::Line { path: "users".into(), line: 2 };
        assert!(error.to_string().starts_with("users, line 2: expected"));
    }
}
