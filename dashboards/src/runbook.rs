//! `docs/alerts.md`: what each alert says, and what to do.

use std::fmt::Write as _;

use crate::alert::{Alert, Severity};
use crate::alerts;
use crate::objectives::Objectives;

/// The page.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Alerts\n\n\
         What each alert says and what to do about it. This page is made of the alerts themselves, in `dashboards/src/alerts`; \
         how to install them is in [dashboards.md](dashboards.md). A page wakes somebody, a ticket waits \
         for the day, an info tells nobody and keeps others quiet.\n",
    );
    let all = alerts::all(&Objectives::default());
    for (severity, title) in
        [(Severity::Page, "Pages"), (Severity::Ticket, "Tickets"), (Severity::Info, "Infos")]
    {
        let _infallible = writeln!(page, "\n## {title}");
        let of = all.iter().filter(|alert| alert.severity == severity);
        of.for_each(|alert| put(&mut page, alert));
    }
    page
}

fn put(page: &mut String, alert: &Alert) {
    let Alert { name, meaning, expr, board, .. } = alert;
    let hold = match alert.hold {
        "" => "at once".to_owned(),
        hold => format!("for {hold}"),
    };
    let _infallible = writeln!(page, "\n### {name}\n\n{meaning}\n");
    for (number, step) in (1..).zip(alert.steps) {
        let _infallible = writeln!(page, "{number}. {step}");
    }
    let _infallible = writeln!(
        page,
        "\nFires {hold} where this holds; board `tidegate-{board}`:\n\n```\n{expr}\n```"
    );
}
