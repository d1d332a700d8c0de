//! Fuzzes every command byte, the ids of prepared statements, and COM_SET_OPTION.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::mysql::command::{Command, SetOption, set_statement_id, statement_id};

fuzz_target!(|payload: &[u8]| {
    let _ = Command::of(payload);
    let _ = SetOption::parse(payload);
    if statement_id(payload).is_ok() {
        let mut changed = payload.to_vec();
        set_statement_id(&mut changed, 7).expect("it has an id");
        assert_eq!(statement_id(&changed), Ok(7));
    }
});
