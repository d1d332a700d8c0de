//! `tidegate check`: reads a configuration as the guard would.

use std::path::PathBuf;

use clap::Args;
use guard::config::Config;
use serde_json::json;

use crate::exit::Failure;
use crate::show::print;

/// Validate a configuration file.
///
/// Every error names file, line, key, value and the accepted form. Warnings tell what is allowed
/// and probably not meant; they do not change the exit code unless --strict is given.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The file.
    #[arg(short, long, value_name = "FILE", default_value = "tidegate.toml")]
    config: PathBuf,
    /// Exit with 1 when there are warnings.
    #[arg(long)]
    strict: bool,
    /// Show errors, warnings and the configuration in force as JSON. Secrets are masked.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let loaded = match Config::load(&self.config) {
            Ok(loaded) => loaded,
            Err(errors) if self.json => {
                let told: Vec<String> = errors.into_iter().map(ToString::to_string).collect();
                print(&format!("{:#}\n", json!({ "errors": told, "warnings": [] })))?;
                return Err(errors.into());
            }
            Err(errors) => return Err(errors.into()),
        };
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        if self.json {
            let all = json!({ "errors": [], "warnings": warnings, "config": loaded.config });
            print(&format!(
                "{all:#}
"
            ))?;
        } else {
            for warning in &warnings {
                print(&format!("warning: {warning}\n"))?;
            }
            print(&format!("{}\n", summary(&self.config, &loaded.config)))?;
        }
        match self.strict && !warnings.is_empty() {
            true => {
                Err(anyhow::anyhow!("{} warnings, and --strict is given", warnings.len()).into())
            }
            false => Ok(()),
        }
    }
}

fn summary(file: &std::path::Path, config: &Config) -> String {
    let listeners: Vec<String> =
        config.listeners.iter().map(|listener| listener.address.to_string()).collect();
    format!(
        "{} is valid: {} -> {}, {} connections, {} classes, {} rules",
        file.display(),
        listeners.join(", "),
        config.upstream.address,
        config.upstream.connections,
        config.classes.len(),
        config.rules.len(),
    )
}
