//! Tables of the file that are not the guard's: read by the same rules, for whoever has their types.

use std::path::Path;

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::error::{ConfigError, ConfigErrors};
use super::source::{Key, Source};

/// The tables that the guard passes over: the scheduler's.
pub(super) const OTHERS: [&str; 4] = ["scheduler", "sink", "source", "schedule"];

/// Reads some tables of a file, with the environment put in, and has them checked. None when the file has
/// none of them. `check` tells the path of each key that is wrong, with places in lists counted from 0, and what
/// would be right.
///
/// # Errors
/// Everything that is wrong, with file, line, key and value; of faults in the form of the text, the first.
pub fn read_part<T: DeserializeOwned>(
    path: &Path,
    tables: &[&str],
    check: impl FnOnce(&T) -> Vec<(Vec<String>, String)>,
) -> Result<Option<T>, ConfigErrors> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
    let text = Zeroizing::new(text);
    let source = Source::parse(path, &text, &|name| std::env::var(name).ok())?;
    if !tables.iter().any(|table| source.has(table)) {
        return Ok(None);
    }
    let part: T = source.read_only(tables)?;
    let wrong = |(path, why): (Vec<String>, String)| {
        let step = |key: Key, step: &String| match step.parse() {
            Ok(index) if source.is_list(&key) => key.item(index),
            _ => key.field(step),
        };
        let key = path.iter().fold(Key::default(), step);
        source.finding(&key, why).into()
    };
    ConfigErrors::none_of(check(&part).into_iter().map(wrong).collect())?;
    Ok(Some(part))
}
