//! Space and a comment before a text leave its digest as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::sql::{Dialect, Effects, LexMode, Scratch, Statements};

fuzz_target!(|input: (bool, &[u8])| {
    let (postgres, sql) = input;
    let dialect = if postgres {
        Dialect::Postgres { standard_conforming_strings: true }
    } else {
        Dialect::MySql(LexMode::default())
    };
    let statements = Statements::new(4);
    let mut scratch = Scratch::default();
    let plain = statements.judge(sql, dialect, &mut scratch);
    if plain.effects.contains(Effects::TRUNCATED) {
        return;
    }
    let before = [b" /* a='b' */\n", sql].concat();
    let same = statements.judge(&before, dialect, &mut scratch);
    assert_eq!(plain.digest, same.digest);
});
