//! Fuzzes Bind, and that its lists have as many entries as they say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::postgres::frontend::Bind;

fuzz_target!(|body: &[u8]| {
    let Ok(bind) = Bind::parse(body) else { return };
    assert_eq!(bind.values.len(), bind.values.count());
    assert_eq!(bind.formats.len(), bind.formats.count());
    assert_eq!(bind.result_formats.len(), bind.result_formats.count());
});
