//! `tidegate docs`: the reference pages, of this very build.

use clap::{Args, ValueEnum};
use guard::config::{Config, manual};
use guard::metrics::table as of_guard;
use scheduler::admin::openapi;
use scheduler::config::File;
use scheduler::metrics::table as of_scheduler;
use serde_json::Value;

use crate::exit::Failure;
use crate::show::print;

/// The sections of the scheduler, in the order of the manual.
const SECTIONS: [manual::Section; 5] = [
    ("scheduler", "Scheduler", "[scheduler]"),
    ("sink", "Sink", "[sink.NAME]"),
    ("source", "Source", "[source.NAME]"),
    ("schedule", "Schedule", "[[schedule]]"),
    ("recipients", "Recipients", "[[schedule]] recipients"),
];

/// Print a reference page.
#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// Which one.
    page: Page,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Page {
    /// Every key of the configuration, as Markdown.
    Configuration,
    /// The JSON schema of the configuration, for editors.
    Schema,
    /// Every metric, as Markdown.
    Metrics,
    /// Every alert and what to do about it, as Markdown.
    Alerts,
    /// The OpenAPI document of the scheduler's HTTP side, as JSON.
    Openapi,
}

impl Docs {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let page = match self.page {
            Page::Configuration => manual::page(&schema(), &SECTIONS),
            Page::Schema => format!("{:#}\n", schema()),
            Page::Metrics => metrics(),
            Page::Alerts => dashboards::runbook(),
            Page::Openapi => format!("{:#}\n", openapi::document()),
        };
        Ok(print(&page)?)
    }
}

/// Of both programs.
fn metrics() -> String {
    format!("{}\n{}", of_guard::page(), of_scheduler::page())
}

/// Of the whole file.
fn schema() -> Value {
    Config::schema_with(&File::schema())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when a file is not what the code makes of it. With `TIDEGATE_BLESS=1` in the environment it is
    /// written instead.
    fn check(file: &str, made: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os("TIDEGATE_BLESS").is_some() {
            std::fs::write(&path, made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == made, "{file} is stale; run the tests once with TIDEGATE_BLESS=1");
    }

    #[test]
    fn the_schema_and_the_manual_are_up_to_date() {
        check("schema/tidegate.schema.json", &format!("{:#}\n", schema()));
        check("docs/configuration.md", &manual::page(&schema(), &SECTIONS));
        check("docs/metrics.md", &metrics());
        check("schema/scheduler.openapi.json", &format!("{:#}\n", openapi::document()));
    }
}
