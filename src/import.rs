//! `tidegate import`: PgBouncer's configuration, in the words of ours.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use guard::config::Config;
use guard::config::import::{self, Import as Imported, ImportedGuard, Options};

use crate::exit::Failure;
use crate::show::print;

/// Write a configuration from PgBouncer's.
///
/// Each value has a comment that says which key it came from. What has no equivalent is listed on
/// the error output and at the end of the file, with what to do instead. The file can be read by its
/// owner only: it may hold the password of the control account.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// PgBouncer's configuration.
    #[arg(value_name = "PGBOUNCER.INI")]
    from: PathBuf,
    /// The file to write; with a slash at its end, or where it is a folder, one file in it for each
    /// server.
    #[arg(short, long, value_name = "FILE|FOLDER/", default_value = "tidegate.toml")]
    output: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    /// The account that cancels statements. Default: PgBouncer's auth_user, else tidegate.
    #[arg(long, value_name = "NAME")]
    control_user: Option<String>,
    /// The file that holds its password.
    #[arg(long, value_name = "FILE")]
    control_password_file: Option<PathBuf>,
}

impl Import {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let options = Options {
            control_user: self.control_user.clone(),
            control_password_file: self.control_password_file.clone(),
        };
        let Imported { guards, notes } = import::pgbouncer(&self.from, &options)
            .map_err(|error| Failure::Failed(anyhow!(error)))?;
        for note in &notes {
            eprintln!("not imported: {note}");
        }
        for (guard, path) in self.placed(&guards)? {
            self.write(&path, guard)?;
            let told = told(&path, guard);
            print(&told)?;
        }
        Ok(())
    }

    /// Which guard's configuration goes where.
    fn placed<'g>(
        &self,
        guards: &'g [ImportedGuard],
    ) -> anyhow::Result<Vec<(&'g ImportedGuard, PathBuf)>> {
        let is_folder =
            self.output.is_dir() || self.output.as_os_str().as_encoded_bytes().ends_with(b"/");
        if !is_folder {
            return Ok(guards.iter().take(1).map(|guard| (guard, self.output.clone())).collect());
        }
        fs::create_dir_all(&self.output).with_context(|| self.output.display().to_string())?;
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        let file = |guard: &ImportedGuard| {
            let host = guard.server.host.replace(|c| !fits(c), "_");
            self.output.join(format!("{host}-{}.toml", guard.server.port))
        };
        Ok(guards.iter().map(|guard| (guard, file(guard))).collect())
    }

    fn write(&self, path: &Path, guard: &ImportedGuard) -> anyhow::Result<()> {
        if self.force && path.exists() {
            // Anew, so that nobody keeps a right to the old one.
            fs::remove_file(path).with_context(|| path.display().to_string())?;
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("{} (--force replaces it)", path.display()))?;
        file.write_all(guard.text.as_bytes()).with_context(|| path.display().to_string())
    }
}

/// What was written, and what a guard would say of it.
fn told(path: &Path, guard: &ImportedGuard) -> String {
    let ImportedGuard { server, databases, .. } = guard;
    let mut told = format!("{}: for {} on {server}\n", path.display(), databases.join(", "));
    match Config::load(path) {
        Ok(loaded) => {
            for warning in loaded.warnings {
                told += &format!("warning: {warning}\n");
            }
        }
        // A file that it names may be on another host than this one.
        Err(errors) => {
            for error in &errors {
                told += &format!("to be mended: {error}\n");
            }
        }
    }
    told
}
