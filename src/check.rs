//! `tidegate check`: reads a configuration as the guard and the scheduler would.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use guard::config::{Config, read_part};
use guard::run::{Trial, trial};
use jiff::Timestamp;
use scheduler::config::{self, File, TABLES};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::scheduler::with_schedules;
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
    /// Also connect to the servers that it names, as the guard would: can the control account log in, see locks, and are
    /// the replicas fit. Takes up to five seconds.
    #[arg(long)]
    connect: bool,
    /// Show errors, warnings and the configuration in force as JSON. Secrets are masked.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // A file that says nothing of a guard is the scheduler's alone.
        let read = |table| read_part::<IgnoredAny>(&self.config, &[table], |_| Vec::new());
        let has_upstream = read("upstream").is_ok_and(|upstream| upstream.is_some());
        let checked = read_part(&self.config, &TABLES, File::check);
        let checked = match checked {
            Ok(Some(file)) => Ok(Some(with_schedules(file)?)),
            other => other,
        };
        if let (Ok(Some(file)), false) = (&checked, has_upstream) {
            return Ok(print(&self.of_scheduler(file))?);
        }
        let loaded = Config::load(&self.config);
        let loaded = match checked.and_then(|file| Ok((file, loaded?))) {
            Ok((file, loaded)) => {
                if let Some(file) = file.filter(|_| !self.json) {
                    print(&self.of_scheduler(&file))?;
                }
                Ok(loaded)
            }
            Err(errors) => Err(errors),
        };
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(errors) if self.json => {
                let told: Vec<String> = errors.into_iter().map(ToString::to_string).collect();
                print(&format!("{:#}\n", json!({ "errors": told, "warnings": [] })))?;
                return Err(errors.into());
            }
            Err(errors) => return Err(errors.into()),
        };
        let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        let trial = self.connect.then(|| connect(&loaded.config)).transpose()?;
        warnings.extend(trial.iter().flat_map(|trial| trial.warnings.clone()));
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
            if let Some(Trial { server, control, .. }) = trial {
                let server = server.unwrap_or_else(|| "the server".to_owned());
                print(&format!(
                    "{server} lets the control account in, over {control} connections\n"
                ))?;
            }
        }
        match self.strict && !warnings.is_empty() {
            true => {
                Err(anyhow::anyhow!("{} warnings, and --strict is given", warnings.len()).into())
            }
            false => Ok(()),
        }
    }
}

impl Check {
    fn of_scheduler(&self, file: &File) -> String {
        let sinks: Vec<&str> = file.sinks.keys().map(String::as_str).collect();
        let now = Timestamp::now();
        let next = |schedule: &config::Schedule| {
            let next = schedule.when().ok()?.next(now)?;
            Some(next.to_string())
        };
        if self.json {
            let schedule = |schedule: &config::Schedule| json!({ "name": schedule.name, "next": next(schedule) });
            let schedules: Vec<Value> = file.schedules.iter().map(schedule).collect();
            let all =
                json!({ "errors": [], "warnings": [], "sinks": sinks, "schedules": schedules });
            return format!("{all:#}\n");
        }
        let name = self.config.display();
        let mut told = format!("{name} is valid for a scheduler: sinks {}\n", sinks.join(", "));
        for schedule in &file.schedules {
            let next = next(schedule).unwrap_or_else(|| "never".into());
            told += &format!("schedule {}: due next at {next}\n", schedule.name);
        }
        told
    }
}

/// Tries it with its servers.
fn connect(config: &Config) -> Result<Trial, Failure> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let tried = runtime.block_on(trial(config.clone()));
    // The error tells its cause itself.
    tried.map_err(|error| {
        anyhow::anyhow!("a guard would not start with this configuration: {error}").into()
    })
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
