//! Which way clients go: to the server, through what a conventional proxy is, or through the guard.

use serde::{Deserialize, Serialize};

use crate::sheet::Tone;

/// Which way the clients went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// To the server.
    Direct,
    /// Through a guard with few connections, as a pool of them is.
    Pool,
    /// Through the same guard, with what the drill is about.
    Guarded,
}

impl Way {
    /// In the order of a drill.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Pool, Self::Guarded];

    /// As it is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Pool => "pool",
            Self::Guarded => "guarded",
        }
    }

    pub(crate) const fn tone(self) -> Tone {
        match self {
            Self::Direct => Tone::Direct,
            Self::Pool => Tone::Usual,
            Self::Guarded => Tone::Guarded,
        }
    }
}

/// The sections of a guard that is a pool of a fixed size and nothing else: no limit on time that a
/// proxy would not have.
pub(crate) const POOL: &str = "[class.default]\nstatement_time = \"off\"\ntransaction_time = \"off\"\n\
                               idle_in_transaction_time = \"off\"\nlock_wait_time = \"off\"\n\
                               queue_time = \"1m\"\nqueue_length = 100000\n";
