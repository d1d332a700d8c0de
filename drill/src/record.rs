//! What a drill measured, as `tidegate drill NAME --json` prints it, with the drill's name beside it: enough to be
//! told again later, alone or beside other runs.

use serde::{Deserialize, Serialize};

use crate::sheet::{Report, Sheet};
use crate::{herd, holder, hotrow, mixshift, sicklag, stampede, tipping, zombie};

/// All that one run measured. In JSON an object with the drill's name as `drill`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "drill", rename_all = "lowercase")]
pub enum Record {
    /// All come back at once.
    Herd(herd::Report),
    /// One keeps a row.
    Holder(holder::Report),
    /// All want one row.
    Hotrow(hotrow::Report),
    /// What clients ask for changes.
    Mixshift(mixshift::Report),
    /// A replica answers slowly.
    Sicklag(sicklag::Report),
    /// A batch at the top of the hour.
    Stampede(stampede::Report),
    /// Ever more clients.
    Tipping(tipping::Report),
    /// A time limit, kept by closing and by cancelling.
    Zombie(zombie::Report),
}

impl Report for Record {
    fn sheet(&self) -> Sheet {
        match self {
            Self::Herd(report) => report.sheet(),
            Self::Holder(report) => report.sheet(),
            Self::Hotrow(report) => report.sheet(),
            Self::Mixshift(report) => report.sheet(),
            Self::Sicklag(report) => report.sheet(),
            Self::Stampede(report) => report.sheet(),
            Self::Tipping(report) => report.sheet(),
            Self::Zombie(report) => report.sheet(),
        }
    }
}

impl From<herd::Report> for Record {
    fn from(report: herd::Report) -> Self {
        Self::Herd(report)
    }
}

impl From<holder::Report> for Record {
    fn from(report: holder::Report) -> Self {
        Self::Holder(report)
    }
}

impl From<hotrow::Report> for Record {
    fn from(report: hotrow::Report) -> Self {
        Self::Hotrow(report)
    }
}

impl From<mixshift::Report> for Record {
    fn from(report: mixshift::Report) -> Self {
        Self::Mixshift(report)
    }
}

impl From<sicklag::Report> for Record {
    fn from(report: sicklag::Report) -> Self {
        Self::Sicklag(report)
    }
}

impl From<stampede::Report> for Record {
    fn from(report: stampede::Report) -> Self {
        Self::Stampede(report)
    }
}

impl From<tipping::Report> for Record {
    fn from(report: tipping::Report) -> Self {
        Self::Tipping(report)
    }
}

impl From<zombie::Report> for Record {
    fn from(report: zombie::Report) -> Self {
        Self::Zombie(report)
    }
}

/// The text of a report, which must be the same when it was written and read.
#[cfg(test)]
pub(crate) fn told_again(report: impl Into<Record>) -> String {
    let record = report.into();
    let json = serde_json::to_string(&record).unwrap();
    let read: Record = serde_json::from_str(&json).unwrap();
    let sheet = record.sheet();
    assert!(json.starts_with(&format!("{{\"drill\":\"{}\"", sheet.name)), "{json}");
    assert_eq!(read.sheet().text(), sheet.text());
    assert_eq!(format!("{:?}", read.sheet().plots), format!("{:?}", sheet.plots));
    sheet.text()
}
