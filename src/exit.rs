//! How a subcommand fails, and the exit code that says so.

use std::process::ExitCode;

use guard::config::ConfigErrors;

/// Why a subcommand did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was tried and did not work. Exit code 1.
    Failed(anyhow::Error),
    /// The configuration is wrong. Exit code 2, which clap uses for wrong usage as well.
    Config(ConfigErrors),
    /// An argument makes no sense. Exit code 2.
    Usage(String),
    /// No guard answers. Exit code 3.
    Unreachable(String),
}

impl Failure {
    /// Tells it on standard error.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Failed(error) => {
                eprintln!("error: {error:#}");
                ExitCode::from(1)
            }
            Self::Config(errors) => {
                for error in &errors {
                    eprintln!("error: {error}");
                }
                ExitCode::from(2)
            }
            Self::Usage(why) => {
                eprintln!("error: {why}");
                ExitCode::from(2)
            }
            Self::Unreachable(why) => {
                eprintln!("error: {why}");
                ExitCode::from(3)
            }
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "{error:#}"),
            Self::Config(errors) => write!(f, "{errors}"),
            Self::Usage(why) | Self::Unreachable(why) => f.write_str(why),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::Config(errors)
    }
}
