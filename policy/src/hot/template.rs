//! Transactions that come to a hot key later than with their first statement.
//!
//! Once they may hold locks they must not wait. But a transaction of an application is the same series
//! of statements each time: when most that began with one came to a key, the next that begins with it
//! will. So it waits at its first statement.

use std::collections::HashMap;

use super::Key;
use crate::sql::Digest;

/// Templates that are kept at most; no new ones are learned until old ones have faded.
const TEMPLATES_MAX: usize = 64;
/// So many must have come to the key before the next is expected to.
const CAME_MIN: f64 = 5.0;
/// And they must be this part of those that began so.
const CAME_SHARE: f64 = 0.5;

/// Where transactions come to, by the digest of their first statement.
#[derive(Debug, Default)]
pub(super) struct Templates {
    by_first: HashMap<Digest, Template>,
}

/// Both counts decay.
#[derive(Debug)]
struct Template {
    key: Key,
    /// Transactions that began so.
    began: f64,
    /// Those of them that came to the key; less for each that came to another one.
    came: f64,
}

impl Templates {
    /// A transaction begins. Returns the key that it will come to, if most do.
    pub(super) fn begin(&mut self, first: Digest) -> Option<Key> {
        let template = self.by_first.get_mut(&first)?;
        let is_likely = template.came >= CAME_MIN && template.came >= template.began * CAME_SHARE;
        template.began += 1.0;
        is_likely.then_some(template.key)
    }

    /// A transaction that began with this statement has come to a gated key.
    pub(super) fn come(&mut self, first: Digest, key: Key) {
        if !self.by_first.contains_key(&first) && self.by_first.len() >= TEMPLATES_MAX {
            return;
        }
        let fresh = Template { key, began: 1.0, came: 0.0 };
        let template = self.by_first.entry(first).or_insert(fresh);
        if template.key == key {
            template.came += 1.0;
        } else if template.came < 1.0 {
            (template.key, template.came) = (key, 1.0);
        } else {
            template.came -= 1.0;
        }
    }

    /// Time has passed: what was counted counts less, and what counts for nothing is forgotten.
    pub(super) fn decay(&mut self, keeps: f64) {
        self.by_first.retain(|_, template| {
            template.began *= keeps;
            template.came *= keeps;
            template.began >= 0.5
        });
    }

    pub(super) fn clear(&mut self) {
        self.by_first.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_expected_where_most_before_it_went() {
        let (mut templates, first) = (Templates::default(), Digest(1));
        for _ in 0..5 {
            assert_eq!(templates.begin(first), None);
            templates.come(first, Key(7));
        }
        assert_eq!(templates.begin(first), Some(Key(7)));
        assert_eq!(templates.begin(Digest(2)), None);
        // Many begin so and go elsewhere.
        (0..10).for_each(|_| _ = templates.begin(first));
        assert_eq!(templates.begin(first), None);
    }

    #[test]
    fn keys_that_differ_each_time_make_no_template_and_it_fades() {
        let (mut templates, first) = (Templates::default(), Digest(1));
        for key in 0..100 {
            assert_eq!(templates.begin(first), None);
            templates.come(first, Key(key % 3));
        }
        templates.decay(0.001);
        assert!(templates.by_first.is_empty());
        for first in 0..100 {
            templates.come(Digest(first), Key(7));
        }
        assert_eq!(templates.by_first.len(), TEMPLATES_MAX);
    }
}
