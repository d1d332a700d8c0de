//! Any bytes in any mode are read without panic, and what is reported lies inside them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::sql::{LITERALS_MAX, LexMode, Scratch, Statements};

fuzz_target!(|input: (bool, bool, &[u8])| {
    let (no_backslash_escapes, ansi_quotes, sql) = input;
    let mode = LexMode { no_backslash_escapes, ansi_quotes };
    let statements = Statements::new(4);
    let mut scratch = Scratch::default();
    let shape = statements.judge(sql, mode, &mut scratch);
    assert!(shape.text.len() <= 1024);
    assert!(scratch.literals().len() <= LITERALS_MAX);
    for literal in scratch.literals() {
        assert!(literal.start < literal.end && literal.end as usize <= sql.len());
    }
    for (key, _) in scratch.tags(sql) {
        assert!(!key.is_empty());
    }
    let _ = shape.subject(sql, &scratch);
    assert_eq!(shape, statements.judge(sql, mode, &mut scratch));
});
