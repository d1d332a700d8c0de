//! What can be said to the console. Words are those of PgBouncer, in any case.

use std::sync::Arc;

use super::Refused;
use super::table::Column;
use super::{overview, show, stats, table};

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Looks at something.
    Show(Topic),
    /// Says what can be said.
    Help,
    /// Changes something.
    Act(Act),
    /// Is answered, and does nothing. Its tag.
    Nothing(&'static str),
}

/// The tag of a command that does nothing.
fn first_word(word: &str) -> &'static str {
    match word {
        "BEGIN" => "BEGIN",
        "START" => "START TRANSACTION",
        "COMMIT" | "END" => "COMMIT",
        "ROLLBACK" => "ROLLBACK",
        "SET" => "SET",
        "RESET" => "RESET",
        _ => "DISCARD",
    }
}

/// What changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// Reads the configuration anew.
    Reload,
    /// Ends a client's session.
    Kill(u32),
    /// Ends all sessions of a database, and holds its new transactions.
    KillDatabase(Arc<str>),
    /// Holds new transactions, of one database or of all, and waits until none runs.
    Pause(Option<Arc<str>>),
    /// Ends a pause, of one database or of the guard.
    Resume(Option<Arc<str>>),
}

/// What can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Pools,
    Clients,
    Servers,
    Users,
    Stats,
    StatsTotals,
    StatsAverages,
    Classes,
    Pins,
    Limits,
    Switches,
    Databases,
    Listeners,
    Lists,
    Config,
    State,
    Version,
}

impl Topic {
    const ALL: [(&'static str, Self); 17] = [
        ("POOLS", Self::Pools),
        ("CLIENTS", Self::Clients),
        ("SERVERS", Self::Servers),
        ("USERS", Self::Users),
        ("STATS", Self::Stats),
        ("STATS_TOTALS", Self::StatsTotals),
        ("STATS_AVERAGES", Self::StatsAverages),
        ("CLASSES", Self::Classes),
        ("PINS", Self::Pins),
        ("LIMITS", Self::Limits),
        ("SWITCHES", Self::Switches),
        ("DATABASES", Self::Databases),
        ("LISTENERS", Self::Listeners),
        ("LISTS", Self::Lists),
        ("CONFIG", Self::Config),
        ("STATE", Self::State),
        ("VERSION", Self::Version),
    ];

    pub(super) const fn columns(self) -> &'static [Column] {
        match self {
            Self::Pools => show::POOLS,
            Self::Clients => show::CLIENTS,
            Self::Servers => show::SERVERS,
            Self::Users => overview::USERS,
            Self::Stats => stats::STATS,
            Self::StatsTotals => stats::TOTALS,
            Self::StatsAverages => stats::AVERAGES,
            Self::Classes => show::CLASSES,
            Self::Pins => show::PINS,
            Self::Limits => show::LIMITS,
            Self::Switches => show::SWITCHES,
            Self::Databases => overview::DATABASES,
            Self::Listeners => overview::LISTENERS,
            Self::Lists => overview::LISTS,
            Self::Config => overview::CONFIG,
            Self::State => overview::STATE,
            Self::Version => &[("version", table::Type::Text)],
        }
    }
}

/// What `SHOW HELP` says.
pub(super) fn help() -> String {
    let topics = Topic::ALL.map(|(word, _)| word).join("|");
    format!(
        "\n\tSHOW HELP|{topics}\n\tRELOAD\n\tPAUSE [<database>]\n\tRESUME [<database>]\n\tKILL \
         <id of a client>\n\tKILL <database>"
    )
}

impl Command {
    /// Reads one command, without its semicolon; `None` for an empty one.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, Refused> {
        let upper = text.to_ascii_uppercase();
        let words: Vec<&str> = upper.split_whitespace().collect();
        // A name is as it was written, with or without quotes.
        let name = || {
            let name = text.split_whitespace().nth(1).unwrap_or_default();
            let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
            Arc::<str>::from(quoted.unwrap_or(name))
        };
        let command = match words[..] {
            [] => return Ok(None),
            ["SHOW"] | ["SHOW", "HELP"] => Some(Self::Help),
            ["SHOW", topic] => {
                let found = Topic::ALL.iter().find(|(word, _)| *word == topic);
                found.map(|(_, topic)| Self::Show(*topic))
            }
            ["RELOAD"] => Some(Self::Act(Act::Reload)),
            ["PAUSE"] => Some(Self::Act(Act::Pause(None))),
            ["PAUSE", _] => Some(Self::Act(Act::Pause(Some(name())))),
            ["RESUME"] => Some(Self::Act(Act::Resume(None))),
            ["RESUME", _] => Some(Self::Act(Act::Resume(Some(name())))),
            // What drivers say by themselves; nothing here has transactions or settings.
            [
                "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "SET" | "RESET" | "DISCARD",
                ..,
            ] => Some(Self::Nothing(first_word(words[0]))),
            ["KILL_CLIENT", id] => id.parse().ok().map(Act::Kill).map(Self::Act),
            ["KILL", id] => Some(Self::Act(match id.parse() {
                Ok(id) => Act::Kill(id),
                Err(_) => Act::KillDatabase(name()),
            })),
            _ => None,
        };
        let unknown = || Refused {
            code: *b"42601",
            why: format!("the console does not know {:?}", text.trim()),
            hint: Some("SHOW HELP says what it knows"),
        };
        command.map(Some).ok_or_else(unknown)
    }

    /// The columns of its result, if it has one.
    pub(super) fn columns(&self) -> Option<&'static [Column]> {
        match self {
            Self::Show(topic) => Some(topic.columns()),
            Self::Help | Self::Act(_) | Self::Nothing(_) => None,
        }
    }

    /// What is said when it is done.
    pub(super) fn tag(&self) -> &'static [u8] {
        match self {
            Self::Show(_) | Self::Help => b"SHOW",
            Self::Act(Act::Reload) => b"RELOAD",
            Self::Act(Act::Kill(_) | Act::KillDatabase(_)) => b"KILL",
            Self::Act(Act::Pause(_)) => b"PAUSE",
            Self::Act(Act::Resume(_)) => b"RESUME",
            Self::Nothing(word) => word.as_bytes(),
        }
    }
}
