//! Space and a comment before a text leave its digest as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::sql::{Effects, LexMode, Scratch, Statements};

fuzz_target!(|sql: &[u8]| {
    let statements = Statements::new(4);
    let mut scratch = Scratch::default();
    let plain = statements.judge(sql, LexMode::default(), &mut scratch);
    if plain.effects.contains(Effects::TRUNCATED) {
        return;
    }
    let before = [b" /* a='b' */\n", sql].concat();
    let same = statements.judge(&before, LexMode::default(), &mut scratch);
    assert_eq!(plain.digest, same.digest);
});
