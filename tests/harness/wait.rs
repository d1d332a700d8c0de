//! Waiting for something to become so: never a sleep and a hope.

use std::time::{Duration, Instant};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until `look` gives a value, and fails the test loudly when it has not within `patience`.
///
/// # Panics
/// When the patience is over; the text says `what` was waited for.
pub async fn eventually<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Deadline::after(patience);
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(!deadline.is_over(), "{what}: not within {patience:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A point in time that a test must not pass.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// That far from now.
    #[must_use]
    pub fn after(patience: Duration) -> Self {
        Self(Instant::now() + patience)
    }

    /// Whether it has passed.
    #[must_use]
    pub fn is_over(self) -> bool {
        Instant::now() >= self.0
    }

    /// What is left; zero when it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}
