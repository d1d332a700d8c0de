use super::super::backend::Kind;
use super::Asker;

/// What [`super::Tracker::scan`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// Bytes at the front that can be forwarded as they are.
    pub len: usize,
    /// What lies right after those bytes; `None` when more bytes are needed.
    pub event: Option<Event>,
}

/// A message that decides something, or answers the guard itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Which message it is.
    pub kind: Kind,
    /// Whether it begins here.
    pub part: Part,
    /// How many of its bytes, header included, lie there.
    pub bytes: usize,
    /// How many come later: 0, but for messages longer than [`super::HEAD_MAX`]. They are passed on
    /// by the next scans or, if they answer the guard, shown by them as [`Part::Rest`].
    pub rest: usize,
    /// What it answers. Of a message that may come at any time: during which reply it came, for it
    /// may belong to that. `None` if there is no such request.
    pub answers: Option<Answer>,
}

/// Which part of a message an event shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it or, of a long one, its first [`super::HEAD_MAX`] bytes.
    Head,
    /// Some more of a long one.
    Rest,
}

/// The request that a message answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its number, as [`super::Tracker::push`] gave it. What has a lower one and was not answered
    /// by an event is done, or was skipped after an error.
    pub request: u64,
    /// Who asked.
    pub asker: Asker,
}
