//! What each client does to get its update, and when it gives up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The habit that all clients have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Habit {
    /// Each update is a transaction by itself, and waited for.
    #[default]
    Single,
    /// Each update comes behind a savepoint of a transaction that has written something before. On the server
    /// an error there ends neither the transaction nor what it holds.
    Savepoint,
    /// As [`Self::Single`], but clients hang up after a tenth to three tenths of a second, and come again: as
    /// a pgbench that is killed, or an application that is restarted.
    Vanish,
}

impl Habit {
    /// The statements of one attempt. What one writes before its savepoint is its number below zero.
    pub(super) fn steps(self, attempt: i64) -> Vec<String> {
        let update = format!("UPDATE hot SET attempt = {attempt} WHERE id = 1");
        match self {
            Self::Single | Self::Vanish => vec![update],
            Self::Savepoint => vec![
                "BEGIN".to_owned(),
                format!("INSERT INTO applied VALUES (-{attempt})"),
                "SAVEPOINT one".to_owned(),
                update,
                "COMMIT".to_owned(),
            ],
        }
    }

    /// How long a client waits for an attempt; for ever if none. Not all for as long, so that they do not come
    /// back in step.
    pub(super) fn patience(self, attempt: i64) -> Option<Duration> {
        let of = Duration::from_millis(100 + attempt.unsigned_abs() % 200);
        (self == Self::Vanish).then_some(of)
    }

    /// Whether a client has a transaction to end when an attempt has failed.
    pub(super) fn rolls_back(self) -> bool {
        self == Self::Savepoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_updates_the_row_once_with_its_number() {
        for habit in [Habit::Single, Habit::Savepoint, Habit::Vanish] {
            let steps = habit.steps(7);
            let updates = steps.iter().filter(|step| step.contains("SET attempt = 7 "));
            assert_eq!(updates.count(), 1, "{habit:?}: {steps:?}");
        }
    }

    #[test]
    fn only_who_vanishes_has_had_enough_and_before_any_limit() {
        assert_eq!(Habit::Single.patience(7), None);
        assert_eq!(Habit::Savepoint.patience(7), None);
        let longest = (0..1_000).filter_map(|attempt| Habit::Vanish.patience(attempt)).max();
        assert!(longest.unwrap() < Duration::from_secs(1), "{longest:?}");
    }
}
