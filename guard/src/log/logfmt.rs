//! `ts=… level=info target=guard msg="…" key=value`, with quotes where a value needs them.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes an event as one line of logfmt. Spans are not shown; events carry what they need.
pub(super) struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        out.write_str("ts=")?;
        SystemTime.format_time(&mut out)?;
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        write!(out, " level={level} target={}", event.metadata().target())?;
        let mut fields = Fields { message: String::new(), others: String::new() };
        event.record(&mut fields);
        if !fields.message.is_empty() {
            out.write_str(" msg=")?;
            out.write_str(&quoted(&fields.message))?;
        }
        writeln!(out, "{}", fields.others)
    }
}

/// The message comes first, wherever it stands in the event.
struct Fields {
    message: String,
    others: String,
}

impl Fields {
    fn push(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            name => {
                self.others.extend([" ", name, "="]);
                self.others.push_str(&quoted(value));
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, &format!("{value:?}"));
    }
}

/// A value as it is when that is one word, else quoted, so that no value can begin a new line or
/// pretend to be another field.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\');
    if !value.is_empty() && value.chars().all(plain) {
        value.into()
    } else {
        format!("\"{}\"", value.escape_debug())
    }
}
