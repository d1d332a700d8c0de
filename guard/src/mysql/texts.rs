//! The texts of prepared statements, each kept once for all clients that prepare it.
//!
//! So a client's statement is little more than its number, and whether a connection has a statement
//! prepared is asked by number, without reading the text.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use policy::sql::{Dialect, Scratch, Shape};

/// Texts remembered before those that nobody uses are swept out.
const SWEEP_AT: usize = 1024;

/// A text that was prepared, as its dialect reads it.
#[derive(Debug)]
pub struct Text {
    /// No other text ever has it.
    pub number: u64,
    /// The text itself.
    pub sql: Box<[u8]>,
    /// Kind, digest, tables and effects.
    pub shape: Arc<Shape>,
    /// Its literals and tags.
    pub scratch: Scratch,
}

type Known = HashMap<(Dialect, Box<[u8]>), Weak<Text>, RandomState>;

/// All texts that some client or connection has prepared.
#[derive(Debug, Default)]
pub struct Texts {
    known: Mutex<Known>,
    next: AtomicU64,
}

impl Texts {
    /// The text, just judged in this dialect.
    pub fn intern(
        &self,
        sql: &[u8],
        dialect: Dialect,
        shape: Arc<Shape>,
        scratch: &Scratch,
    ) -> Arc<Text> {
        let key = (dialect, Box::from(sql));
        let mut known = self.known.lock();
        if let Some(text) = known.get(&key).and_then(Weak::upgrade) {
            return text;
        }
        if known.len() >= SWEEP_AT && known.len() == known.capacity() {
            known.retain(|_, text| text.strong_count() > 0);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let text = Arc::new(Text { number, sql: key.1.clone(), shape, scratch: scratch.clone() });
        known.insert(key, Arc::downgrade(&text));
        text
    }
}

#[cfg(test)]
mod tests {
    use policy::sql::{LexMode, Statements};

    use super::*;

    fn intern(texts: &Texts, sql: &str, mode: LexMode) -> Arc<Text> {
        let (statements, mut scratch) = (Statements::new(8), Scratch::default());
        let dialect = Dialect::MySql(mode);
        let shape = statements.judge(sql.as_bytes(), dialect, &mut scratch);
        texts.intern(sql.as_bytes(), dialect, shape, &scratch)
    }

    #[test]
    fn a_text_is_kept_once_while_somebody_uses_it() {
        let texts = Texts::default();
        let first = intern(&texts, "SELECT 1", LexMode::default());
        assert!(Arc::ptr_eq(&first, &intern(&texts, "SELECT 1", LexMode::default())));
        assert_ne!(first.number, intern(&texts, "SELECT 2", LexMode::default()).number);
        let number = first.number;
        drop(first);
        assert_ne!(intern(&texts, "SELECT 1", LexMode::default()).number, number);
    }

    #[test]
    fn what_is_read_in_another_way_is_another_text() {
        let (texts, ansi) = (Texts::default(), LexMode { ansi_quotes: true, ..LexMode::default() });
        let sql = "SELECT \"a\" FROM t";
        let plain = intern(&texts, sql, LexMode::default());
        assert_ne!(plain.number, intern(&texts, sql, ansi).number);
    }

    #[test]
    fn texts_that_nobody_uses_are_swept_out() {
        let texts = Texts::default();
        for n in 0..10 * SWEEP_AT {
            intern(&texts, &format!("SELECT a{n}"), LexMode::default());
        }
        assert!(texts.known.lock().len() < 4 * SWEEP_AT);
    }
}
