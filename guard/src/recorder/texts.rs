//! Texts that are said often, each kept once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::control::TextId;

/// A text is cut after so many bytes.
pub(super) const TEXT_BYTES_MAX: usize = 512;
/// What a text takes beside its bytes: two places in tables, and its count of references.
const PLACE: usize = 160;
/// How often it is looked for what nobody says any more, where there is no room.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The table. What was said within `age` stays, so whatever is kept for as long never names a text that is
/// gone. Where there is no room, a new text is not kept.
#[derive(Debug)]
pub(super) struct Texts {
    ids: HashMap<Arc<str>, TextId>,
    texts: BTreeMap<TextId, (Arc<str>, Instant)>,
    next: TextId,
    bytes: usize,
    bytes_max: usize,
    age: Duration,
    swept: Option<Instant>,
}

impl Texts {
    /// Without any text.
    pub(super) fn new(bytes_max: usize, age: Duration) -> Self {
        Self {
            ids: HashMap::new(),
            texts: BTreeMap::new(),
            next: 1,
            bytes: 0,
            bytes_max,
            age,
            swept: None,
        }
    }

    /// The number of a text; 0 for the empty one, and where there is no room.
    pub(super) fn id(&mut self, now: Instant, text: &str) -> TextId {
        let text = cut(text, TEXT_BYTES_MAX);
        if text.is_empty() {
            return 0;
        }
        if let Some(id) = self.ids.get(text) {
            if let Some((_, said)) = self.texts.get_mut(id) {
                *said = now;
            }
            return *id;
        }
        if self.bytes + weight(text) > self.bytes_max {
            self.sweep(now);
        }
        if self.bytes + weight(text) > self.bytes_max {
            return 0;
        }
        let (id, kept) = (self.next, Arc::<str>::from(text));
        // Past the last number there are only texts that are not kept.
        let Some(next) = id.checked_add(1) else { return 0 };
        self.next = next;
        self.bytes += weight(text);
        self.ids.insert(Arc::clone(&kept), id);
        self.texts.insert(id, (kept, now));
        id
    }

    /// Texts that were said since then, by number.
    pub(super) fn said_since(&self, since: Instant) -> BTreeMap<TextId, String> {
        let said = self.texts.iter().filter(|(_, (_, said))| *said >= since);
        said.map(|(id, (text, _))| (*id, text.to_string())).collect()
    }

    /// What they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn sweep(&mut self, now: Instant) {
        let since = |at| now.saturating_duration_since(at);
        if self.swept.is_some_and(|at| since(at) < SWEEP_EVERY) {
            return;
        }
        self.swept = Some(now);
        let Self { ids, texts, bytes, age, .. } = self;
        texts.retain(|_, (text, said)| {
            let stays = since(*said) <= *age;
            if !stays {
                *bytes -= weight(text);
                ids.remove(text);
            }
            stays
        });
    }
}

fn weight(text: &str) -> usize {
    PLACE + text.len()
}

/// The beginning of a text, of at most so many bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AGE: Duration = Duration::from_secs(10);

    #[test]
    fn a_text_has_one_number_and_a_long_one_is_cut() {
        let (mut texts, now) = (Texts::new(10_000, AGE), Instant::now());
        assert_eq!([texts.id(now, ""), texts.id(now, "a"), texts.id(now, "a")], [0, 1, 1]);
        let long = texts.id(now, &"ü".repeat(TEXT_BYTES_MAX));
        assert_eq!(texts.said_since(now)[&long], "ü".repeat(TEXT_BYTES_MAX / 2));
    }

    proptest! {
        #[test]
        fn what_is_kept_is_bounded_and_no_number_is_given_twice(
            said in prop::collection::vec((0_u64..4000, "[a-z]{0,3}", 0_usize..700), 0..300),
        ) {
            let mut texts = Texts::new(4000, AGE);
            let mut now = Instant::now();
            let mut given: HashMap<TextId, String> = HashMap::new();
            for (ms, word, length) in said {
                now += Duration::from_millis(ms);
                let text = word.repeat(length);
                let id = texts.id(now, &text);
                prop_assert!(texts.bytes() <= 4000);
                let weights: usize = texts.texts.values().map(|(text, _)| weight(text)).sum();
                prop_assert_eq!((texts.bytes(), texts.ids.len()), (weights, texts.texts.len()));
                if id != 0 {
                    let text = cut(&text, TEXT_BYTES_MAX).to_owned();
                    let before = given.insert(id, text.clone());
                    prop_assert!(before.is_none_or(|before| before == text));
                    prop_assert_eq!(&texts.said_since(now)[&id], &text);
                }
            }
        }
    }
}
