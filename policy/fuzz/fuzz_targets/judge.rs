//! Any bytes in any dialect are read without panic, and what is reported lies inside them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::sql::{Dialect, LITERALS_MAX, LexMode, Scratch, Statements};

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, sql) = input;
    let (postgres, first, second) = (choice & 4 != 0, choice & 1 != 0, choice & 2 != 0);
    let dialect = if postgres {
        Dialect::Postgres { standard_conforming_strings: first }
    } else {
        Dialect::MySql(LexMode { no_backslash_escapes: first, ansi_quotes: second })
    };
    let statements = Statements::new(4);
    let mut scratch = Scratch::default();
    let shape = statements.judge(sql, dialect, &mut scratch);
    assert!(shape.text.len() <= 1024);
    assert!(scratch.literals().len() <= LITERALS_MAX);
    for literal in scratch.literals() {
        assert!(literal.start < literal.end && literal.end as usize <= sql.len());
    }
    for (key, _) in scratch.tags(sql) {
        assert!(!key.is_empty());
    }
    let _ = shape.subject(sql, &scratch);
    assert_eq!(shape, statements.judge(sql, dialect, &mut scratch));
    for _ in 0..2 {
        let mut again = Scratch::default();
        assert_eq!(shape, statements.judge_template(sql, dialect, &mut again));
        assert_eq!(scratch.literals(), again.literals());
    }
});
