//! Structured logs on standard error: one line per event, as logfmt or JSON.
//!
//! Events carry fields, not formatted text. What must never be in them: literals of statements
//! (digests only), passwords, and handshake bytes. Levels: error = wake someone, warn = look today,
//! info = a state changed, debug = one class, trace = one statement.

mod logfmt;

use std::io;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use crate::config::{Log, LogFormat};

/// The environment variable that overrides `log.level`.
pub const LEVEL_VARIABLE: &str = "TIDEGATE_LOG";

/// Sends the events of the whole process to standard error. Call once, in `main`.
///
/// # Errors
/// When it was called before.
pub fn install(log: &Log) -> Result<(), SetGlobalDefaultError> {
    let level = std::env::var(LEVEL_VARIABLE).unwrap_or_else(|_| log.level.clone());
    let filter = parse_level(&level).unwrap_or_else(|why| {
        eprintln!("{LEVEL_VARIABLE} = \"{level}\": {why}; using \"info\"");
        EnvFilter::default().add_directive(LevelFilter::INFO.into())
    });
    tracing::subscriber::set_global_default(subscriber(log.format, filter, io::stderr))
}

/// Formats what passes `filter` and writes it.
pub fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    writer: W,
) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        LogFormat::Json => {
            Box::new(Registry::default().with(filter).with(lines.json().flatten_event(true)))
        }
        LogFormat::Logfmt => {
            Box::new(Registry::default().with(filter).with(lines.event_format(logfmt::Logfmt)))
        }
    }
}

/// A level, or directives such as `info,guard::gate=debug`.
///
/// # Errors
/// What the accepted form is.
pub fn parse_level(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(level).map_err(|_| {
        "not a level; expected error, warn, info, debug or trace, or directives such as \
         \"info,guard::gate=debug\""
            .into()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat) -> String {
        let sink = Sink::default();
        let out = sink.clone();
        let subscriber = subscriber(format, parse_level("info").unwrap(), move || out.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(
                class = "batch",
                took_ms = 12,
                reason = "a \"long\" one",
                "statement cancelled"
            );
            tracing::debug!("not shown");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_of_logfmt_has_time_level_target_message_and_fields() {
        let line = written(LogFormat::Logfmt);
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.starts_with("ts=2"), "{line}");
        assert_eq!(
            rest,
            "level=info target=guard::log::tests msg=\"statement cancelled\" class=batch took_ms=12 \
             reason=\"a \\\"long\\\" one\"\n"
        );
    }

    #[test]
    fn a_line_of_json_is_one_object() {
        let line = written(LogFormat::Json);
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["class"], "batch");
        assert_eq!(event["message"], "statement cancelled");
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        assert!(parse_level("guard=loud").is_err());
        assert!(parse_level("info,guard::gate=debug").is_ok());
    }
}
