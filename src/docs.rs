//! `tidegate docs`: the reference pages, of this very build.

use clap::{Args, ValueEnum};
use guard::config::{Config, manual};
use guard::metrics::table;

use crate::exit::Failure;
use crate::show::print;

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
}

impl Docs {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let page = match self.page {
            Page::Configuration => manual::page(),
            Page::Schema => format!("{:#}\n", Config::schema()),
            Page::Metrics => table::page(),
        };
        Ok(print(&page)?)
    }
}
