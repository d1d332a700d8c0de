//! The lives of a batch and of a chunk.
//!
//! ```text
//!  batch   draft ─seal─► running ⇄ paused        chunk   waiting ⇄ leased ─► done
//!            │              │  └──► done ─retry─► running        └──┬─┘
//!            └──────┬───────┴── cancel                              ▼
//!                   ▼                                           cancelled
//!              cancelling ─last lease gone─► cancelled
//! ```

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BatchState {
    /// Its chunks are being added; none is claimed.
    Draft,
    /// Its chunks are claimed when they are due.
    Running,
    /// None of its chunks is claimed.
    Paused,
    /// It was cancelled, and somebody still holds a chunk of it.
    Cancelling,
    /// It was cancelled.
    Cancelled,
    /// All its items are sent, dead or held.
    Done,
}

/// What one may want of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// No new chunk is claimed.
    Pause,
    /// On with it.
    Resume,
    /// What was not sent is not sent any more.
    Cancel,
    /// What is dead or held is tried again.
    Retry,
}

impl BatchState {
    const ALL: [Self; 6] =
        [Self::Draft, Self::Running, Self::Paused, Self::Cancelling, Self::Cancelled, Self::Done];

    /// As it is stored.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// As it was stored.
    #[must_use]
    pub fn parse(code: i64) -> Option<Self> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }

    /// What it is when it was asked for. None where that cannot be had of it; what is so already
    /// stays so.
    #[must_use]
    pub const fn after(self, wanted: Wanted) -> Option<Self> {
        Some(match (wanted, self) {
            (Wanted::Pause, Self::Running | Self::Paused) => Self::Paused,
            (Wanted::Resume, Self::Running | Self::Paused) => Self::Running,
            (Wanted::Cancel, Self::Cancelled) => Self::Cancelled,
            (Wanted::Cancel, Self::Draft | Self::Running | Self::Paused | Self::Cancelling) => {
                Self::Cancelling
            }
            (Wanted::Retry, Self::Running | Self::Done) => Self::Running,
            (Wanted::Retry, Self::Paused) => Self::Paused,
            _ => return None,
        })
    }

    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Cancelled | Self::Done)
    }

    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }
}

/// How far a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkState {
    /// It is claimed when it is due.
    Waiting,
    /// Somebody has it; when the lease is over it is claimed by another.
    Leased,
    /// Nothing of it is left to do.
    Done,
    /// What was not sent is not sent any more.
    Cancelled,
}

impl ChunkState {
    const ALL: [Self; 4] = [Self::Waiting, Self::Leased, Self::Done, Self::Cancelled];

    /// As it is stored.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// As it was stored.
    #[must_use]
    pub fn parse(code: i64) -> Option<Self> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }
}

impl Wanted {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        for state in BatchState::ALL {
            assert_eq!(BatchState::parse(state.code()), Some(state));
        }
        for state in ChunkState::ALL {
            assert_eq!(ChunkState::parse(state.code()), Some(state));
        }
        assert_eq!(BatchState::parse(6), None);
        assert_eq!(ChunkState::parse(-1), None);
    }

    #[test]
    fn what_is_asked_for_twice_is_the_same_and_nothing_comes_back_from_cancelled() {
        for state in BatchState::ALL {
            for wanted in [Wanted::Pause, Wanted::Resume, Wanted::Cancel, Wanted::Retry] {
                let once = state.after(wanted);
                assert_eq!(once.and_then(|once| once.after(wanted)), once, "{state:?} {wanted:?}");
            }
        }
        for wanted in [Wanted::Pause, Wanted::Resume, Wanted::Retry] {
            assert_eq!(BatchState::Cancelled.after(wanted), None);
            assert_eq!(BatchState::Cancelling.after(wanted), None);
            assert_eq!(BatchState::Draft.after(wanted), None);
        }
        assert_eq!(BatchState::Done.after(Wanted::Cancel), None);
    }
}
