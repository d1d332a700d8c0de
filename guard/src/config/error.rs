//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// One thing that is wrong, told as `file:line: key = value: why; expected …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(Finding);

/// One thing that is allowed and probably not meant; told the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(Finding);

/// All that is wrong, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

/// A place in the file and a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) file: PathBuf,
    /// Counted from 1; 0 when the finding is about the file as a whole.
    pub(super) line: usize,
    /// Dotted path of the key; empty for faults of syntax.
    pub(super) key: String,
    /// As it stands in the file; `None` when the key is absent or holds a secret.
    pub(super) value: Option<String>,
    pub(super) why: String,
}

impl ConfigError {
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self(Finding {
            file: path.into(),
            line: 0,
            key: String::new(),
            value: None,
            why: format!("cannot be read: {error}"),
        })
    }
}

impl From<Finding> for ConfigError {
    fn from(finding: Finding) -> Self {
        Self(finding)
    }
}

impl From<Finding> for Warning {
    fn from(finding: Finding) -> Self {
        Self(finding)
    }
}

impl ConfigErrors {
    /// The errors in the order of the file, or `Ok` when there are none.
    pub(super) fn none_of(mut errors: Vec<ConfigError>) -> Result<(), Self> {
        errors.sort_by_key(|error| error.0.line);
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
impl std::error::Error for ConfigErrors {}
